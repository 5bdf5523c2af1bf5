"""Sizes of the store's tables, indexes included, now and before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.exc import OperationalError

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.damage import decoded, readable
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR

# Sizes are kept by the hour, for as long as growth is told over.
SIZE_INTERVAL = SECONDS_PER_HOUR * MICROS_PER_SECOND
SIZES_KEPT = 7 * SECONDS_PER_DAY * MICROS_PER_SECOND
_decode_sizes = msgspec.json.Decoder(dict[str, int]).decode
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
class EarlierSize:
    """Bytes of the store at a time in microseconds, and by table."""

    at: int
    total: int
    by_table: Mapping[str, int]


def store_size(connection: Connection, store: Store) -> StoreSize:
    """The size of the store now."""
    if store.is_sqlite:
        pages, size = (int(connection.execute(text(f"PRAGMA page_{of}")).scalar_one()) for of in ("count", "size"))
        found = {} if pages * size > MOST_BYTES_READ else _rows(connection, _OF_SQLITE)
        return StoreSize("sqlite", pages * size, found)
    found = _rows(connection, _OF_POSTGRESQL)
    return StoreSize("postgresql", sum(found.values()), found)


def save_size(store: Store, now: int) -> bool:
    """Keeps the size of the store, and forgets old ones; False when it is not time for that. now: microseconds."""
    table = tables.store_size
    with store.read() as connection:
        newest = connection.execute(select(func.max(table.c.at))).scalar()
        # A clock that was ahead does not stop it for long.
        if newest is not None and abs(now - newest) < SIZE_INTERVAL:
            return False
        size = store_size(connection, store)
    row = {"at": now, "total": size.total, "by_table": json.dumps(size.by_table)}
    with store.write() as connection:
        connection.execute(store.upsert(table), row)
        connection.execute(delete(table).where((table.c.at < now - SIZES_KEPT) | (table.c.at > now)))
    return True


def earliest_size(connection: Connection) -> EarlierSize | None:
    """The earliest size that is kept and can be read: of a week ago, or of the first hour of the store."""
    table = tables.store_size
    return next(readable(connection.execute(select(table).order_by(table.c.at)), _earlier), None)


def _earlier(row: Any) -> EarlierSize:
    return EarlierSize(row.at, row.total, decoded(f"The size of the store at {row.at}", _decode_sizes, row.by_table))


def _rows(connection: Connection, query: str) -> dict[str, int]:
    known = {table.name for table in tables.metadata.sorted_tables}
    try:
        rows = connection.execute(text(query)).all()
    except OperationalError:  # a SQLite that was built without the table of sizes
        return {}
    sizes = {str(name): int(size) for name, size in rows if name in known}
    return dict(sorted(sizes.items(), key=lambda each: (-each[1], each[0])))
