"""Silences as rows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, update

from modelwatch.storage.engine import tables

SilenceState = Literal["pending", "active", "expired"]


@dataclass(frozen=True, slots=True)
class StoredSilence:
    """Row of a silence; `matchers` is JSON. It is in force at starts_at <= t < ends_at, microseconds."""

    id: str
    matchers: str
    starts_at: int
    ends_at: int
    created_at: int
    created_by: str
    comment: str


def add_silence(connection: Connection, silence: StoredSilence) -> None:
    """Writes a new silence."""
    connection.execute(insert(tables.silence), asdict(silence))


def silence_by_id(connection: Connection, identity: str, *, lock: bool = False) -> StoredSilence | None:
    """The silence with this id; with `lock`, its row stays locked until the transaction ends."""
    statement = select(tables.silence).where(tables.silence.c.id == identity)
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    return None if row is None else _silence(row)


def move_silence(connection: Connection, identity: str, *, starts_at: int, ends_at: int) -> None:
    """Changes the times of a silence, in microseconds."""
    table = tables.silence
    connection.execute(update(table).where(table.c.id == identity).values(starts_at=starts_at, ends_at=ends_at))


def silences_in_force(connection: Connection, now: int) -> list[StoredSilence]:
    """The silences that are in force, by id. now: microseconds."""
    statement = select(tables.silence).where(_in_state("active", now)).order_by(tables.silence.c.id)
    return [_silence(row) for row in connection.execute(statement)]


def silences_page(
    connection: Connection,
    *,
    now: int,
    state: SilenceState | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[StoredSilence]:
    """Silences, those created last first. before: the (created_at, id) of the last one of the page before.

    now: microseconds.
    """
    table = tables.silence
    wanted = [] if state is None else [_in_state(state, now)]
    if before is not None:
        at, identity = before
        wanted.append(or_(table.c.created_at < at, and_(table.c.created_at == at, table.c.id < identity)))
    statement = select(table).where(*wanted).order_by(table.c.created_at.desc(), table.c.id.desc()).limit(limit)
    return [_silence(row) for row in connection.execute(statement)]


def _in_state(state: SilenceState, now: int) -> ColumnElement[bool]:
    table = tables.silence
    if state == "expired":
        return table.c.ends_at <= now
    begun = table.c.starts_at <= now if state == "active" else table.c.starts_at > now
    return and_(table.c.ends_at > now, begun)


def _silence(row: Row[Any]) -> StoredSilence:
    return StoredSilence(**row._mapping)
