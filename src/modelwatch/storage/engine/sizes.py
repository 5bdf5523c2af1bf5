"""Sizes of the store's tables, indexes included, and the processes that write to it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import OperationalError

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store

# The sizes by table of a SQLite file are read from all of it, which takes long for a large one.
MOST_BYTES_READ = 512_000_000

_OF_SQLITE = """
SELECT coalesce(m.tbl_name, s.name), sum(s.pgsize)
FROM (SELECT name, pgsize FROM dbstat WHERE aggregate = 1) AS s LEFT JOIN sqlite_master AS m ON m.name = s.name
GROUP BY 1
"""
_OF_POSTGRESQL = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema()
"""


@dataclass(frozen=True, slots=True)
class StoreSize:
    """Bytes of the store: of all of it, and by table, the largest first; no tables where that would take long or the
    engine can't tell."""

    engine: str
    total: int
    by_table: dict[str, int]


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease: what it is for, who has it and until when, in microseconds of the store's clock. holder: empty for
    nobody."""

    name: str
    holder: str
    expires_at: int


def store_size(connection: Connection, store: Store) -> StoreSize:
    """The size of the store now."""
    if store.is_sqlite:
        pages, size = (int(connection.execute(text(f"PRAGMA page_{of}")).scalar_one()) for of in ("count", "size"))
        found = {} if pages * size > MOST_BYTES_READ else _rows(connection, _OF_SQLITE)
        return StoreSize("sqlite", pages * size, found)
    found = _rows(connection, _OF_POSTGRESQL)
    return StoreSize("postgresql", sum(found.values()), found)


def leases(connection: Connection) -> list[LeaseState]:
    """Every lease, by name."""
    table = tables.lease
    return [
        LeaseState(row.name, row.holder, row.expires_at)
        for row in connection.execute(select(table).order_by(table.c.name))
    ]


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


def _rows(connection: Connection, query: str) -> dict[str, int]:
    known = {table.name for table in tables.metadata.sorted_tables}
    try:
        rows = connection.execute(text(query)).all()
    except OperationalError:  # a SQLite that was built without the table of sizes
        return {}
    sizes = {str(name): int(size) for name, size in rows if name in known}
    return dict(sorted(sizes.items(), key=lambda each: (-each[1], each[0])))
