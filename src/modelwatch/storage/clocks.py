"""The store's clock, which all processes share, and what the store holds of times that have not come yet."""

from __future__ import annotations

from sqlalchemy import func, select, text

from modelwatch.storage import tables
from modelwatch.storage.engine import Store

MICROSECONDS = 1_000_000
# What clocks of one installation may be apart, and what a lease or a writer of another configuration may last longer.
SLACK = 30 * MICROSECONDS


def store_time(store: Store, now: int) -> int:
    """The time of the store's server, in microseconds; `now` where the store is a file, which has no clock of its own.

    Raises StoreUnavailable.
    """
    if store.is_sqlite:
        return now
    with store.read() as connection:
        time: int = connection.execute(
            text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        ).scalar_one()
        return time


def newest_time(store: Store) -> int:
    """The latest time, in microseconds, at which anything is said to have been stored; 0 in an empty store.

    Later than now: the clock of who stored it was ahead.
    """
    columns = (
        tables.writer.c.opened_at,
        tables.stream.c.first_seen_at,
        tables.verdict.c.evaluated_at,
        tables.alert.c.updated_at,
        tables.audit.c.at,
    )
    with store.read() as connection:
        return max(connection.execute(select(func.max(column))).scalar() or 0 for column in columns)
