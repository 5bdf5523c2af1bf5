"""`modelwatch keys` and `modelwatch encryption-key`: made and changed in the store itself, before anything runs."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING, Annotated

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
from modelwatch.cli.output import print_table

if TYPE_CHECKING:
    from modelwatch.errors import FieldError, InvalidInput

# Options by the field that an error names.
OPTIONS = {
    "/name": "NAME",
    "/scopes": "--scope",
    "/models": "--model",
    "/duration": "--expires",
    "/requests_per_second": "--requests-per-second",
    "/body_bytes": "--max-body-bytes",
}
# Actor in the audit trail: any user who can write the store.
ACTOR = "modelwatch keys"


keys = typer.Typer(help="API keys: permissions to send, read and change.", no_args_is_help=True)
encryption_key = typer.Typer(help="Keys that encrypt and hash features.", no_args_is_help=True)


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
    """Create a key. It is printed once; only a hash of it is stored."""
    import msgspec

    from modelwatch.access.keys import RANDOM_BYTES, KeyRequest, make_key
    from modelwatch.errors import InvalidInput

    wanted = KeyRequest(name, scope, model or None, expires, None, requests_per_second, max_body_bytes)
    try:
        with migrated_store(settings_with({"database_url": database_url})) as store:
            key = make_key(store, wanted, randomness=os.urandom(RANDOM_BYTES), actor=ACTOR, now=_now(), new_id=_new_id)
    except InvalidInput as error:
        raise CliError(_in_words(error)) from error
    if as_json:
        print_json(msgspec.to_builtins(key))
    else:
        print_out(key.key)
        print_err(f"This is key {key.id}, {key.name}. It is shown only once: the store has only its hash.")


@keys.command("list")
def list_keys(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List all keys, also expired and revoked ones: name, scopes, models, last use."""
    import msgspec

    from modelwatch.access.keys import list_keys as keys_in

    store_settings = settings_with({"database_url": database_url})
    with migrated_store(store_settings) as store, store.read() as connection:
        found = keys_in(connection, _now())
    if as_json:
        print_json({"keys": msgspec.to_builtins(found)})
        return
    if not found:
        print_out("There are no keys. Create one with: modelwatch keys create NAME --scope admin")
        return
    print_table(
        ("name", "scopes", "models", "id", "state", "last used"),
        (
            (
                key.name,
                " ".join(key.scopes),
                "all" if key.models is None else ", ".join(key.models),
                key.id,
                key.state.replace("_", " "),
                (key.last_used_at or "never")[:16].replace("T", " "),
            )
            for key in found
        ),
        texts=3,
    )


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The id of the key, as `modelwatch keys list` shows it.")],
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key for good."""
    from modelwatch.access.keys import revoke as revoke_key
    from modelwatch.access.known_keys import FRESH_SECONDS
    from modelwatch.errors import Conflict, UnknownResource

    try:
        with migrated_store(settings_with({"database_url": database_url})) as store:
            revoke_key(store, key_id, actor=ACTOR, now=_now(), new_id=_new_id)
    except (Conflict, UnknownResource) as error:
        message = f"There is no key {key_id!r} in force; `modelwatch keys list` lists them."
        raise CliError(message, EXIT_FOUND) from error
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        print_out(f"{key_id} is revoked; running services refuse it within {FRESH_SECONDS} seconds.")


@encryption_key.command()
def new(as_json: AsJson = False) -> None:
    """Generate a key for ENCRYPTION_KEY."""
    from modelwatch.config.encryption_keys import new_encryption_key
    from modelwatch.privacy import Keyring

    key = new_encryption_key(os.urandom)
    if as_json:
        print_json({"key": key, "id": Keyring([key]).writing_id})
    else:
        print_out(key)


@encryption_key.command()
def rotate(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Re-encrypt with the first key of ENCRYPTION_KEY what other keys have encrypted, so that they can be removed.

    Services may keep running, once all of them have the new key first. It can be interrupted and started again.
    Exit code 1 when a process still writes with another key.
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


def _in_words(error: InvalidInput) -> str:
    """What is wrong, by the name of each option."""
    return " ".join(f"{OPTIONS[each.pointer]}: {each.message}{_given(each)}." for each in error.errors)


def _given(problem: FieldError) -> str:
    return "" if problem.value_excerpt is None else f", got {problem.value_excerpt!r}"


def _now() -> int:
    return time.time_ns() // 1_000


def _new_id() -> str:
    return uuid.uuid4().hex
