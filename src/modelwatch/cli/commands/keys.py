"""`modelwatch keys` and `modelwatch encryption-key`: made and changed in the store itself, before anything runs."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Annotated, cast

import typer

from modelwatch.cli.base import (
    EXIT_FOUND,
    AsJson,
    CliError,
    DatabaseUrl,
    migrated_store,
    print_err,
    print_json,
    print_out,
    settings_with,
)
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

if TYPE_CHECKING:
    from modelwatch.access import Scope
    from modelwatch.storage.secrets.api_keys import StoredKey

LONGEST_NAME = 100
# Who does it, in the audit trail: whoever can write the store.
ACTOR = "modelwatch keys"


keys = typer.Typer(help="API keys: permissions to send, read and change.", no_args_is_help=True)
encryption_key = typer.Typer(help="Keys to encrypt and hash features.", no_args_is_help=True)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Name of the key, as in the audit trail.")],
    scope: Annotated[list[str], typer.Option("--scope", help="ingest, read, or admin (all permissions). Repeatable.")],
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Restrict the key to this model. Repeatable.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="Validity, such as 90d. Default: unlimited.")] = None,
    requests_per_second: Annotated[
        float | None, typer.Option(min=0.01, help="Limit of the key, instead of RATE_LIMIT_PER_SECOND.")
    ] = None,
    max_body_bytes: Annotated[
        int | None, typer.Option(min=1_024, help="Limit of the key, if smaller than MAX_BODY_BYTES.")
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is printed once; only a hash of it is stored."""
    from modelwatch.access import new_token
    from modelwatch.storage.secrets.api_keys import StoredKey, create_key

    now = time.time_ns() // 1_000
    token = new_token(os.urandom(38))
    key = StoredKey(
        token.key_id,
        _checked_name(name),
        token.hashed,
        _checked_scopes(scope),
        frozenset(model or ()) or None,
        requests_per_second,
        max_body_bytes,
        now,
        None if expires is None else now + _seconds(expires) * MICROS_PER_SECOND,
    )
    with migrated_store(settings_with({"database_url": database_url})) as store:
        create_key(store, key, actor=ACTOR, new_id=_new_id)
    if as_json:
        print_json({"key": token.text, **_report(key)})
    else:
        print_out(token.text)
        print_err(f"This is key {key.id}, {key.name}. It is shown only once: the store has only its hash.")


@keys.command("list")
def list_keys(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List every key that there ever was: what it is for, what it may do, when it was last used."""
    from modelwatch.storage.secrets.api_keys import all_keys

    store_settings = settings_with({"database_url": database_url})
    with migrated_store(store_settings) as store, store.read() as connection:
        found = all_keys(connection)
    if as_json:
        print_json({"keys": [_report(key) for key in found]})
        return
    if not found:
        print_out("There are no keys. Create one with: modelwatch keys create NAME --scope admin")
        return
    print_out(f"{'id':12}  {'name':24}  {'scopes':18}  {'state':8}  {'last used':20}  models")
    now = time.time_ns() // 1_000
    for key in found:
        used = "never" if key.last_used_at is None else iso_of_seconds(key.last_used_at // MICROS_PER_SECOND)
        models = "all" if key.models is None else ", ".join(sorted(key.models))
        print_out(
            f"{key.id:12}  {key.name:24}  {' '.join(sorted(key.scopes)):18}  {_state(key, now):8}  {used:20}  {models}"
        )


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `modelwatch keys list` shows it.")],
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a key from now on, for good."""
    from modelwatch.access.known_keys import FRESH_SECONDS
    from modelwatch.storage.secrets.api_keys import revoke_key

    with migrated_store(settings_with({"database_url": database_url})) as store:
        done = revoke_key(store, key_id, now=time.time_ns() // 1_000, actor=ACTOR, new_id=_new_id)
    if not done:
        raise CliError(f"There is no key {key_id!r} in force; `modelwatch keys list` lists them.", EXIT_FOUND)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        print_out(f"{key_id} is revoked; running services refuse it within {FRESH_SECONDS} seconds.")


@encryption_key.command()
def new(as_json: AsJson = False) -> None:
    """Make a key for ENCRYPTION_KEY."""
    from modelwatch.config.encryption_keys import new_encryption_key
    from modelwatch.privacy import Keyring

    key = new_encryption_key(os.urandom)
    if as_json:
        print_json({"key": key, "id": Keyring([key]).writing_id})
    else:
        print_out(key)


@encryption_key.command()
def rotate(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Encrypt with the first key of ENCRYPTION_KEY what the others have encrypted, so that they can be removed.

    Services may go on meanwhile, once all of them have the new key first. It may be killed and started again.
    Exit code 1 when another key still encrypts.
    """
    from modelwatch.errors import ProtectionUnavailable, TamperedValue
    from modelwatch.server.startup import protect
    from modelwatch.storage.secrets.keys import keys_in_use
    from modelwatch.storage.secrets.rotation import rotate

    settings = settings_with({"database_url": database_url})
    try:
        with migrated_store(settings) as store:
            protect(store, settings)
            done = rotate(store)
            writing = store.protection.keyring.writing_id
            with store.read() as connection:
                kept = sorted(keys_in_use(connection) - {writing})
    except TamperedValue as error:
        raise CliError(str(error)) from error
    except ProtectionUnavailable as error:
        raise CliError(error.detail) from error
    if as_json:
        print_json(
            {
                "rows": done.rows,
                "unreadable": done.unreadable,
                "writing": writing,
                "retired": list(done.retired),
                "in_use": kept,
            }
        )
    else:
        print_out(f"{done.rows:,} rows were re-encrypted with the key {writing}")
        for identity in done.retired:
            print_out(f"  the key {identity} is no longer needed: remove it from ENCRYPTION_KEY")
    if done.unreadable:
        print_err(f"{done.unreadable:,} values could not be decrypted because they were changed, and were dropped.")
    for identity in kept:
        print_err(
            f"The key {identity} is still used to encrypt: a process has it first in ENCRYPTION_KEY. Change that,"
            " then rotate again."
        )
    if kept:
        raise typer.Exit(EXIT_FOUND)


def _checked_name(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise CliError(
            f"A key's name is printable text of 1 to {LONGEST_NAME} characters, got {name[:LONGEST_NAME]!r}."
        )
    return name.strip()


def _checked_scopes(scopes: list[str]) -> frozenset[Scope]:
    from modelwatch.access import SCOPES

    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        given = f", got {unknown[0]!r}" if unknown else ""
        raise CliError(f"--scope is one or more of {', '.join(SCOPES)}{given}.")
    return cast("frozenset[Scope]", frozenset(scopes))


def _seconds(duration: str) -> int:
    from modelwatch.config.durations import parse_duration

    try:
        return parse_duration(duration)
    except ValueError as error:
        raise CliError(f"--expires: {error}, got {duration!r}.") from error


def _report(key: StoredKey) -> dict[str, object]:
    times = {"created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at}
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "models": None if key.models is None else sorted(key.models),
        "requests_per_second": key.requests_per_second,
        "body_bytes": key.body_bytes,
        "last_used_at": None if key.last_used_at is None else iso_of_seconds(key.last_used_at // MICROS_PER_SECOND),
        **{name: None if at is None else iso_of_seconds(at // MICROS_PER_SECOND) for name, at in times.items()},
    }


def _state(key: StoredKey, now: int) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "in force"


def _new_id() -> str:
    return uuid.uuid4().hex
