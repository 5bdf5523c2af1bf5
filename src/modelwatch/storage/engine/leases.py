"""Leases: the one process that runs the background jobs. A lease that is not renewed passes on after its time."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text, update

from modelwatch.errors import LeaseLost
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND

# What clocks of one installation may be apart, and what a lease or a writer of another configuration may last longer.
SLACK = 30 * MICROS_PER_SECOND

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A lease: what it is for, who has it and until when, in microseconds of the store's clock. holder: empty for
    nobody."""

    name: str
    holder: str
    expires_at: int


def acquire(store: Store, name: str, holder: str, *, now: int, ttl: int) -> int | None:
    """Takes or renews the lease until now + ttl (microseconds). now: by the store's clock, see `store_time`.

    Returns its fence number, which grows each time that the holder changes; None while another process holds it. It
    can't be held for much longer than the ttl: an end that is further away was written by a clock that was ahead.
    """
    table = tables.lease
    with store.write() as connection:
        connection.execute(
            store.insert(table).on_conflict_do_nothing(), {"name": name, "holder": "", "fence": 0, "expires_at": 0}
        )
        row = connection.execute(select(table).where(table.c.name == name).with_for_update()).one()
        if row.holder != holder and row.expires_at > now:
            if row.expires_at <= now + ttl + SLACK:
                return None
            seconds = (row.expires_at - now) // MICROS_PER_SECOND
            log.warning("Taking over the lease %r: it would end in %d s, by a clock that was ahead.", name, seconds)
        fence: int = row.fence + (row.holder != holder)
        connection.execute(
            update(table).where(table.c.name == name).values(holder=holder, fence=fence, expires_at=now + ttl)
        )
        return fence


def hold(connection: Connection, name: str, holder: str, fence: int) -> None:
    """Makes sure, until the transaction ends, that the lease is still ours. Raises LeaseLost when it is not."""
    table = tables.lease
    row = connection.execute(
        select(table.c.holder, table.c.fence).where(table.c.name == name).with_for_update(read=True)
    ).first()
    if row is None or row.holder != holder or row.fence != fence:
        raise LeaseLost(f"The lease {name!r} has passed on to another process.")


def release(store: Store, name: str, holder: str) -> None:
    """Gives the lease back, if it is still ours."""
    table = tables.lease
    with store.write() as connection:
        connection.execute(
            update(table).where(table.c.name == name, table.c.holder == holder).values(holder="", expires_at=0)
        )


def all_leases(connection: Connection) -> list[LeaseState]:
    """Every lease, by name."""
    table = tables.lease
    return [
        LeaseState(row.name, row.holder, row.expires_at)
        for row in connection.execute(select(table).order_by(table.c.name))
    ]


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
