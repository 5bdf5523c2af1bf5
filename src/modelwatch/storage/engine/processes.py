"""Processes of the service: the figures that each keeps here every few seconds, and those that write predictions."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

# Processes that have ended are kept for a day, and of many (one that can't start, again and again) the newest.
KEPT = SECONDS_PER_DAY * MICROS_PER_SECOND
MOST_PROCESSES = 200


@dataclass(frozen=True, slots=True)
class StoredProcess:
    """Last report of a process. told_at: when, in microseconds. stopped: it has ended in order. figures: JSON
    that views encode."""

    name: str
    started_at: int
    told_at: int
    stopped: bool
    figures: str


def save_process(store: Store, process: StoredProcess) -> None:
    """Keeps the report of a process in place of its last one, and forgets those that ended long ago."""
    table = tables.process
    newest = select(table.c.name).order_by(table.c.told_at.desc(), table.c.name)
    with store.write() as connection:
        connection.execute(store.upsert(table), asdict(process))
        connection.execute(delete(table).where(table.c.told_at < process.told_at - KEPT))
        beyond = connection.execute(newest.offset(MOST_PROCESSES).limit(MOST_PROCESSES)).scalars().all()
        if beyond:
            connection.execute(delete(table).where(table.c.name.in_(beyond)))


def stored_processes(connection: Connection) -> list[StoredProcess]:
    """Processes that have reported within a day, in the order in which they started."""
    table = tables.process
    rows = connection.execute(select(table).order_by(table.c.started_at, table.c.name))
    return [StoredProcess(**row._mapping) for row in rows]


def writing_processes(connection: Connection) -> list[tuple[str, int]]:
    """The processes whose writers are open, by name, and since when each has its present writer, in microseconds.

    One that was killed is among them until maintenance has sealed its writer.
    """
    table = tables.writer
    rows = connection.execute(
        select(table.c.host, table.c.opened_at).where(table.c.sealed.is_(False)).order_by(table.c.host)
    )
    newest: dict[str, int] = {}
    for host, opened_at in rows:
        newest[host] = max(opened_at, newest.get(host, 0))
    return list(newest.items())
