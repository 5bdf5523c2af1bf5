"""API keys: their hashes, and what each may do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.store import Store

# Sessions that one key may have at once: every process knows all of them.
MOST_SESSIONS = 100

Scope = Literal["ingest", "read", "admin"]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key. hashed: of its secret. Times in microseconds. models: None for all models."""

    id: str
    name: str
    hashed: str
    scopes: frozenset[Scope]
    models: frozenset[str] | None
    requests_per_second: float | None
    body_bytes: int | None
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    last_used_at: int | None = None


def create_key(store: Store, key: StoredKey, *, actor: str, new_id: Callable[[], str]) -> None:
    """Stores a new key, with an entry in the audit trail."""
    table = tables.api_key
    row = {
        "id": key.id,
        "name": key.name,
        "hashed": key.hashed,
        "scopes": " ".join(sorted(key.scopes)),
        "models": None if key.models is None else json.dumps(sorted(key.models), ensure_ascii=False),
        "requests_per_second": key.requests_per_second,
        "body_bytes": key.body_bytes,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
    shown = {name: value for name, value in row.items() if name not in ("hashed", "created_at", "id")}
    with store.write() as connection:
        connection.execute(insert(table), row)
        detail = json.dumps(shown, ensure_ascii=False)
        append_audit(connection, AuditEntry(new_id(), key.created_at, actor, "key.create", f"key/{key.id}", detail))


def revoke_key(store: Store, key_id: str, *, now: int, actor: str, new_id: Callable[[], str]) -> bool:
    """Revokes a key for good, with an entry in the audit trail. False when there is no such key in force.

    now: microseconds.
    """
    table = tables.api_key
    with store.write() as connection:
        changed = connection.execute(
            update(table).where(table.c.id == key_id, table.c.revoked_at.is_(None)).values(revoked_at=now)
        ).rowcount
        if changed:
            append_audit(connection, AuditEntry(new_id(), now, actor, "key.revoke", f"key/{key_id}", "{}"))
    return bool(changed)


def all_keys(connection: Connection) -> list[StoredKey]:
    """Every key that there ever was, oldest first; without those that can't be read, which give no access."""
    table = tables.api_key
    rows = connection.execute(select(table).order_by(table.c.created_at, table.c.id))
    return list(readable(rows, _of_row, "It gives no access."))


def begin_session(store: Store, hashed: str, key_id: str, *, expires_at: int, now: int) -> None:
    """Stores a session, and forgets those that are over, and the oldest ones of a key that has too many.

    hashed: of its cookie. now: microseconds.
    """
    table = tables.session
    of_key = select(table.c.hashed).where(table.c.key_id == key_id).order_by(table.c.expires_at.desc(), table.c.hashed)
    with store.write() as connection:
        connection.execute(delete(table).where(table.c.expires_at <= now))
        beyond = connection.execute(of_key.offset(MOST_SESSIONS - 1)).scalars().all()
        connection.execute(delete(table).where(table.c.hashed.in_(beyond)))
        connection.execute(insert(table), {"hashed": hashed, "key_id": key_id, "expires_at": expires_at})


def end_session(store: Store, hashed: str) -> None:
    """Forgets a session."""
    with store.write() as connection:
        connection.execute(delete(tables.session).where(tables.session.c.hashed == hashed))


def all_sessions(connection: Connection) -> dict[str, tuple[str, int]]:
    """The key and the end of each session, by its hash."""
    rows = connection.execute(select(tables.session))
    return {row.hashed: (row.key_id, row.expires_at) for row in rows}


def note_uses(store: Store, used_at: Mapping[str, int]) -> None:
    """Notes when keys were used last, by their ids."""
    table = tables.api_key
    with store.write() as connection:
        for key_id, at in sorted(used_at.items()):
            connection.execute(update(table).where(table.c.id == key_id).values(last_used_at=at))


def _models(text: str) -> frozenset[str]:
    return frozenset(msgspec.json.decode(text, type=list[str]))


def _of_row(row: Any) -> StoredKey:
    return StoredKey(
        row.id,
        row.name,
        row.hashed,
        frozenset(cast(list[Scope], row.scopes.split())),
        None if row.models is None else decoded(f"The stored key {row.id}", _models, row.models),
        row.requests_per_second,
        row.body_bytes,
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
    )
