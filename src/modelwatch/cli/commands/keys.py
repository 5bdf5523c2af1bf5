"""`modelwatch keys …`: API keys, in the store itself, so that the first one can be made before anything runs."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from modelwatch.cli.base import (
    EXIT_FOUND,
    EXIT_OK,
    CliError,
    print_err,
    print_json,
    print_out,
    settings_with,
)
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

if TYPE_CHECKING:
    from modelwatch.access import Scope
    from modelwatch.storage.engine.store import Store
    from modelwatch.storage.secrets.api_keys import StoredKey

LONGEST_NAME = 100
# Who does it, in the audit trail: whoever can write the store.
ACTOR = "modelwatch keys"


def create(
    name: str,
    scopes: list[str],
    models: list[str],
    expires: str | None,
    rate: float | None,
    body_bytes: int | None,
    database_url: str | None,
    as_json: bool,
) -> int:
    """Makes a key and prints it, once. Raises CliError for what can be none."""
    from modelwatch.access import new_token
    from modelwatch.storage.secrets.api_keys import StoredKey, create_key

    now = time.time_ns() // 1_000
    token = new_token(os.urandom(38))
    key = StoredKey(
        token.key_id,
        _checked_name(name),
        token.hashed,
        _checked_scopes(scopes),
        frozenset(models) or None,
        rate,
        body_bytes,
        now,
        None if expires is None else now + _seconds(expires) * MICROS_PER_SECOND,
    )
    with _store(database_url) as store:
        create_key(store, key, actor=ACTOR, new_id=_new_id)
    if as_json:
        print_json({"key": token.text, **_report(key)})
    else:
        print_out(token.text)
        print_err(f"This is key {key.id}, {key.name}. It is not shown again: only a hash of it is stored.")
    return EXIT_OK


def show(database_url: str | None, as_json: bool) -> int:
    """Prints every key that there ever was, without its secret."""
    from modelwatch.storage.secrets.api_keys import all_keys

    with _store(database_url) as store, store.read() as connection:
        keys = all_keys(connection)
    if as_json:
        print_json({"keys": [_report(key) for key in keys]})
        return EXIT_OK
    if not keys:
        print_out("There are no keys. Make one with: modelwatch keys create NAME --scope admin")
        return EXIT_OK
    print_out(f"{'id':12}  {'name':24}  {'scopes':18}  {'state':8}  {'last used':20}  models")
    now = time.time_ns() // 1_000
    for key in keys:
        used = "never" if key.last_used_at is None else iso_of_seconds(key.last_used_at // MICROS_PER_SECOND)
        models = "all" if key.models is None else ", ".join(sorted(key.models))
        print_out(
            f"{key.id:12}  {key.name:24}  {' '.join(sorted(key.scopes)):18}  {_state(key, now):8}  {used:20}  {models}"
        )
    return EXIT_OK


def revoke(key_id: str, database_url: str | None, as_json: bool) -> int:
    """Revokes a key. Raises CliError when there is none in force."""
    from modelwatch.access.known_keys import FRESH_SECONDS
    from modelwatch.storage.secrets.api_keys import revoke_key

    with _store(database_url) as store:
        done = revoke_key(store, key_id, now=time.time_ns() // 1_000, actor=ACTOR, new_id=_new_id)
    if not done:
        raise CliError(f"There is no key {key_id!r} in force; `modelwatch keys list` has them.", EXIT_FOUND)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        print_out(f"{key_id} is revoked; running services refuse it within {FRESH_SECONDS} seconds.")
    return EXIT_OK


@contextmanager
def _store(database_url: str | None) -> Iterator[Store]:
    from modelwatch.server.startup import migrate_store, opened_store

    settings = settings_with({"database_url": database_url})
    migrate_store(settings)
    with opened_store(settings) as store:
        yield store


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
