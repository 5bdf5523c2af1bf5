"""API keys as people manage them, over HTTP, on the page and on the command line: list, create, revoke."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, cast

import msgspec
from sqlalchemy import Connection

from modelwatch.access.grants import SCOPES
from modelwatch.access.tokens import new_token
from modelwatch.config.durations import parse_duration
from modelwatch.errors import Conflict, FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.storage.engine.store import Store
from modelwatch.storage.secrets.api_keys import Scope, StoredKey, all_keys, create_key, revoke_key
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_seconds

LONGEST_NAME = 100
LONGEST_ACTOR = 200
LEAST_RATE, MOST_RATE = 0.01, 1e6
LEAST_BODY_BYTES, MOST_BODY_BYTES = 1_024, 2**40
LONGEST_YEARS, YEAR = 100, 365 * SECONDS_PER_DAY * MICROS_PER_SECOND
# Bytes that a key is made of.
RANDOM_BYTES = 38

KeyState = Literal["in_force", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A key that is asked for, unchecked. models: None for all. duration: such as `90d`, instead of expires_at, which
    is in microseconds; without either, without end. requests_per_second, body_bytes: limits of its own; None for those
    of the settings."""

    name: str
    scopes: Collection[str]
    models: Collection[str] | None = None
    duration: str | None = None
    expires_at: int | None = None
    requests_per_second: float | None = None
    body_bytes: int | None = None


class KeyLine(msgspec.Struct, frozen=True):
    """An API key, without its secret. models: null for all. requests_per_second, body_bytes: limits of the key; null
    for those of the settings. last_used_at: to the hour."""

    id: str
    name: str
    scopes: list[Scope]
    models: list[str] | None
    requests_per_second: float | None
    body_bytes: int | None
    state: KeyState
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKey(KeyLine, frozen=True, kw_only=True):
    """A new API key. key: its text, which is nowhere else: the store has only a hash of it."""

    key: str


def key_line(key: StoredKey, now: int) -> KeyLine:
    """A key as it is shown. now: microseconds."""
    return KeyLine(
        id=key.id,
        name=key.name,
        scopes=sorted(key.scopes),
        models=None if key.models is None else sorted(key.models),
        requests_per_second=key.requests_per_second,
        body_bytes=key.body_bytes,
        state=_state(key, now),
        created_at=iso_of_seconds(key.created_at // MICROS_PER_SECOND),
        expires_at=_iso(key.expires_at),
        revoked_at=_iso(key.revoked_at),
        last_used_at=_iso(key.last_used_at),
    )


def list_keys(connection: Connection, now: int) -> list[KeyLine]:
    """Every key that there ever was, oldest first. now: microseconds."""
    return [key_line(each, now) for each in all_keys(connection)]


def make_key(
    store: Store, wanted: KeyRequest, *, randomness: bytes, actor: str, now: int, new_id: Callable[[], str]
) -> NewKey:
    """Makes a key, with an entry in the audit trail.

    randomness: RANDOM_BYTES from the system's source of secrets. now: microseconds. Raises InvalidInput that names
    every wrong field.
    """
    expires_at, problems = _end_of(wanted, now)
    problems += [*_problems(wanted), *_actor_problems(actor)]
    if problems:
        raise InvalidInput("The key is not valid.", tuple(problems))
    token = new_token(randomness)
    key = StoredKey(
        token.key_id,
        wanted.name.strip(),
        token.hashed,
        cast("frozenset[Scope]", frozenset(wanted.scopes)),
        None if wanted.models is None else frozenset(wanted.models),
        wanted.requests_per_second,
        wanted.body_bytes,
        now,
        expires_at,
    )
    create_key(store, key, actor=actor, new_id=new_id)
    return NewKey(**msgspec.structs.asdict(key_line(key, now)), key=token.text)


def revoke(
    store: Store, key_id: str, *, confirm: str | None = None, actor: str, now: int, new_id: Callable[[], str]
) -> KeyLine:
    """Revokes a key for good, with an entry in the audit trail.

    confirm: what must be the name of the key; None to ask for no confirmation. now: microseconds. Raises
    UnknownResource, InvalidInput when the confirmation or the actor is not valid, and Conflict for a key that is
    revoked already.
    """
    with store.read() as connection:
        found = {each.id: each for each in all_keys(connection)}.get(key_id)
    if found is None:
        raise UnknownResource(f"There is no key {excerpt(key_id)!r}.")
    problems = _actor_problems(actor)
    if confirm is not None and confirm != found.name:
        problems.append(FieldError("/confirm", "Expected the name of the key, as a confirmation", excerpt(confirm)))
    if problems:
        raise InvalidInput("Nothing is revoked.", tuple(problems))
    if not revoke_key(store, key_id, now=now, actor=actor, new_id=new_id):
        raise Conflict("The key is revoked already.")
    with store.read() as connection:
        return next(each for each in list_keys(connection, now) if each.id == key_id)


def _end_of(wanted: KeyRequest, now: int) -> tuple[int | None, list[FieldError]]:
    """End of the key in microseconds, None for without end; and the problem with it, if any."""
    if wanted.duration is None:
        end, field = wanted.expires_at, "/expires_at"
    elif wanted.expires_at is not None:
        return None, [FieldError("/expires_at", "Give either expires_at or duration")]
    else:
        try:
            end, field = now + parse_duration(wanted.duration) * MICROS_PER_SECOND, "/duration"
        except ValueError as error:
            return None, [FieldError("/duration", str(error), excerpt(wanted.duration))]
    if end is not None and not now < end <= now + LONGEST_YEARS * YEAR:
        return None, [FieldError(field, f"Expected an end in the future, within {LONGEST_YEARS} years")]
    return end, []


def _problems(wanted: KeyRequest) -> list[FieldError]:
    problems = []
    name = wanted.name
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        problems.append(
            FieldError("/name", f"Expected printable text of 1 to {LONGEST_NAME} characters", excerpt(name))
        )
    unknown = sorted(set(wanted.scopes) - set(SCOPES))
    if unknown or not wanted.scopes:
        given = excerpt(unknown[0]) if unknown else None
        problems.append(FieldError("/scopes", f"Expected one or more of {', '.join(SCOPES)}", given))
    # No model at all must not mean all of them.
    if wanted.models is not None and (not wanted.models or any(not each or "\0" in each for each in wanted.models)):
        problems.append(FieldError("/models", "Expected names of models; without the field, the key is for all"))
    rate, size = wanted.requests_per_second, wanted.body_bytes
    # The comparison is false for what is no number.
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        problems.append(FieldError("/requests_per_second", f"Expected {LEAST_RATE:g} to {MOST_RATE:g}", excerpt(rate)))
    if size is not None and not LEAST_BODY_BYTES <= size <= MOST_BODY_BYTES:
        expected = f"Expected {LEAST_BODY_BYTES} to {MOST_BODY_BYTES} bytes"
        problems.append(FieldError("/body_bytes", expected, excerpt(size)))
    return problems


def _actor_problems(actor: str) -> list[FieldError]:
    if actor.strip() and actor.isprintable() and len(actor) <= LONGEST_ACTOR:
        return []
    return [FieldError("/actor", f"Expected printable text of 1 to {LONGEST_ACTOR} characters", excerpt(actor))]


def _state(key: StoredKey, now: int) -> KeyState:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "in_force"


def _iso(at: int | None) -> str | None:
    return None if at is None else iso_of_seconds(at // MICROS_PER_SECOND)
