"""Outbox: notifications to be delivered, written with the change that they are about, and their outcomes.

For each (channel, alert) the rows go out strictly by sequence: one waits until those before it are delivered, dead or
withheld. A row is claimed in a transaction of its own before it is sent, so two processes don't send it at once; when
the sender dies in between, it is sent again under the same key after the claim has lapsed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, update

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.leases import SLACK
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_HOUR

OutboxState = Literal["pending", "delivered", "dead", "withheld"]
PENDING: OutboxState = "pending"
DELIVERED: OutboxState = "delivered"
DEAD: OutboxState = "dead"
WITHHELD: OutboxState = "withheld"

# No claim, and no pause between attempts, is longer.
LONGEST_CLAIM = SECONDS_PER_HOUR * MICROS_PER_SECOND + SLACK

_table = tables.outbox


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """Notification for one channel. `notice` is the JSON of a Notification; times in microseconds.

    not_before: created_at, or later when it is deferred, such as by quiet hours.
    """

    key: str
    channel: str
    alert_id: str
    sequence: int
    event: str
    created_at: int
    not_before: int
    notice: bytes


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """Row and its outcome. Times in microseconds.

    finished_at: when it was delivered or given up. last_error: why the latest attempt failed; kept after a success.
    """

    key: str
    channel: str
    alert_id: str
    sequence: int
    event: str
    created_at: int
    state: OutboxState
    attempts: int
    not_before: int
    finished_at: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """Row that its holder may send until `expires_at` (microseconds); `attempt` counts from one."""

    key: str
    alert_id: str
    attempt: int
    created_at: int
    expires_at: int
    notice: bytes


def delivery_key(alert_id: str, sequence: int, channel: str) -> str:
    """Key by which a receiver recognises a repeat."""
    return f"{alert_id}:{sequence}:{channel}"


def enqueue(connection: Connection, store: Store, rows: Iterable[OutboxRow]) -> None:
    """Adds rows to be delivered; one whose key is there already is left as it is."""
    values = [{**asdict(row), "state": PENDING, "attempts": 0} for row in rows]
    if values:
        connection.execute(store.insert(_table).on_conflict_do_nothing(index_elements=["key"]), values)


def withhold(connection: Connection, alert_id: str, channel: str, up_to_sequence: int) -> int:
    """Takes back what was deferred and has never been tried, up to and including a sequence; returns their number."""
    statement = (
        update(_table)
        .where(
            _table.c.alert_id == alert_id,
            _table.c.channel == channel,
            _table.c.sequence <= up_to_sequence,
            _table.c.state == PENDING,
            _table.c.attempts == 0,
            _table.c.not_before > _table.c.created_at,
        )
        .values(state=WITHHELD)
    )
    return connection.execute(statement).rowcount


def failing_channels(connection: Connection, alert_id: str) -> list[str]:
    """Channels that have failed to deliver a notification of an alert, which is still tried."""
    statement = select(_table.c.channel).where(
        _table.c.alert_id == alert_id, _table.c.state == PENDING, _table.c.last_error.is_not(None)
    )
    return list(connection.execute(statement.distinct()).scalars())


def due(connection: Connection, channel: str, *, now: int, limit: int) -> list[str]:
    """Keys of rows that may be sent now (microseconds), those that have waited longest first."""
    statement = (
        select(_table.c.key)
        .where(_table.c.channel == channel, *_may_go(now))
        .order_by(_table.c.not_before, _table.c.sequence)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def claim(connection: Connection, key: str, *, now: int, until: int) -> Claim | None:
    """Counts an attempt and keeps other processes off the row until then. None when another one was faster.

    now, until: microseconds.
    """
    statement = (
        update(_table)
        .where(_table.c.key == key, *_may_go(now))
        .values(attempts=_table.c.attempts + 1, not_before=until)
        .returning(_table.c.alert_id, _table.c.attempts, _table.c.created_at, _table.c.notice)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Claim(key, row.alert_id, row.attempts, row.created_at, until, row.notice)


def finish(connection: Connection, claimed: Claim, state: OutboxState, *, now: int, reason: str | None = None) -> bool:
    """Ends a row, delivered or dead. False when the claim has passed to another process, which stores the outcome.

    A success is always kept: it is valid without the claim, too.
    """
    owned = [_table.c.key == claimed.key, _table.c.state == PENDING]
    if state != DELIVERED:
        owned.append(_table.c.attempts == claimed.attempt)
    values = {"state": state, "finished_at": now} | ({} if reason is None else {"last_error": reason})
    return connection.execute(update(_table).where(*owned).values(values)).rowcount == 1


def postpone(connection: Connection, claimed: Claim, *, not_before: int, reason: str) -> bool:
    """Leaves a row for a later attempt. False when the claim has passed to another process."""
    statement = (
        update(_table)
        .where(_table.c.key == claimed.key, _table.c.state == PENDING, _table.c.attempts == claimed.attempt)
        .values(not_before=not_before, last_error=reason)
    )
    return connection.execute(statement).rowcount == 1


def bury_unknown(connection: Connection, known: Collection[str], *, now: int) -> list[str]:
    """Ends rows for channels that are not configured. Returns the channel of each row that is dead now.

    now: microseconds.
    """
    statement = (
        update(_table)
        .where(_table.c.state == PENDING, _table.c.channel.not_in(list(known)))
        .values(state=DEAD, finished_at=now, last_error="no channel named " + _table.c.channel)
        .returning(_table.c.channel)
    )
    return list(connection.execute(statement).scalars())


def has_unknown(connection: Connection, known: Collection[str]) -> bool:
    """True when a row waits for a channel that is not configured."""
    statement = select(_table.c.key).where(_table.c.state == PENDING, _table.c.channel.not_in(list(known))).limit(1)
    return connection.execute(statement).first() is not None


def retry_dead(connection: Connection, key: str, *, now: int) -> bool:
    """Makes a dead row pending again, as if it were new.

    False when there is no such dead row, or when a later notification of the same alert has been delivered: it would
    go out of order, and a `firing` after its `resolved` would never end. now: microseconds.
    """
    later = tables.outbox.alias("later")
    overtaken = exists().where(
        later.c.alert_id == _table.c.alert_id,
        later.c.channel == _table.c.channel,
        later.c.sequence > _table.c.sequence,
        later.c.state == DELIVERED,
    )
    statement = (
        update(_table)
        .where(_table.c.key == key, _table.c.state == DEAD, ~overtaken)
        .values(state=PENDING, attempts=0, not_before=now, finished_at=None)
    )
    return connection.execute(statement).rowcount == 1


def deliveries_of(connection: Connection, alert_id: str) -> list[DeliveryRecord]:
    """Deliveries of an alert, by sequence and channel."""
    statement = select(*_SHOWN).where(_table.c.alert_id == alert_id).order_by(_table.c.sequence, _table.c.channel)
    return [_record(row) for row in connection.execute(statement)]


def deliveries_page(
    connection: Connection,
    *,
    state: OutboxState | None = None,
    channel: str | None = None,
    alert_id: str | None = None,
    before: tuple[int, str] | None = None,
    limit: int,
) -> list[DeliveryRecord]:
    """Deliveries, those written last first. before: the (created_at, key) of the last one of the page before."""
    given = {"state": state, "channel": channel, "alert_id": alert_id}
    wanted = [_table.c[name] == value for name, value in given.items() if value is not None]
    if before is not None:
        at, key = before
        wanted.append(or_(_table.c.created_at < at, and_(_table.c.created_at == at, _table.c.key < key)))
    statement = select(*_SHOWN).where(*wanted).order_by(_table.c.created_at.desc(), _table.c.key.desc()).limit(limit)
    return [_record(row) for row in connection.execute(statement)]


def delivery_by_key(connection: Connection, key: str) -> DeliveryRecord | None:
    """The delivery with this key."""
    row = connection.execute(select(*_SHOWN).where(_table.c.key == key)).first()
    return None if row is None else _record(row)


def latest_errors(connection: Connection) -> dict[str, DeliveryRecord]:
    """The newest delivery of each channel that had an error, delivered since or not."""
    place = func.row_number().over(
        partition_by=_table.c.channel, order_by=(_table.c.created_at.desc(), _table.c.key.desc())
    )
    ranked = select(*_SHOWN, place.label("place")).where(_table.c.last_error.is_not(None)).subquery()
    columns = [column for column in ranked.columns if column.name != "place"]
    return {row.channel: _record(row) for row in connection.execute(select(*columns).where(ranked.c.place == 1))}


def latest_successes(connection: Connection) -> dict[str, int]:
    """Time of each channel's latest successful delivery, in microseconds."""
    query = select(_table.c.channel, func.max(_table.c.finished_at)).where(_table.c.state == DELIVERED)
    return {row[0]: row[1] for row in connection.execute(query.group_by(_table.c.channel)) if row[1] is not None}


def latest_finished(connection: Connection) -> dict[str, DeliveryRecord]:
    """The delivery of each channel that was ended last, delivered or given up."""
    place = func.row_number().over(
        partition_by=_table.c.channel, order_by=(_table.c.finished_at.desc(), _table.c.key.desc())
    )
    ranked = select(*_SHOWN, place.label("place")).where(_table.c.state.in_((DELIVERED, DEAD))).subquery()
    columns = [column for column in ranked.columns if column.name != "place"]
    rows = connection.execute(select(*columns).where(ranked.c.place == 1))
    return {row.channel: _record(row) for row in rows}


def backlog(connection: Connection) -> dict[tuple[str, OutboxState], int]:
    """Number of rows that are pending or dead, by channel and state."""
    statement = (
        select(_table.c.channel, _table.c.state, func.count())
        .where(_table.c.state.in_((PENDING, DEAD)))
        .group_by(_table.c.channel, _table.c.state)
    )
    return {(channel, state): count for channel, state, count in connection.execute(statement)}


def retried(connection: Connection) -> dict[str, int]:
    """Number of pending rows that have failed at least once, by channel."""
    statement = select(_table.c.channel, func.count()).where(
        _table.c.state == PENDING, _table.c.last_error.is_not(None)
    )
    return {row[0]: row[1] for row in connection.execute(statement.group_by(_table.c.channel))}


def active_notifications(connection: Connection, channel: str) -> list[tuple[str, bytes]]:
    """Newest delivered notification (JSON) of each open alert, after its key: what the channel's receiver knows now."""
    newest = (
        select(_table.c.alert_id, func.max(_table.c.sequence).label("sequence"))
        .join(tables.alert, tables.alert.c.id == _table.c.alert_id)
        .where(tables.alert.c.state != "resolved", _table.c.channel == channel, _table.c.state == DELIVERED)
        .group_by(_table.c.alert_id)
        .subquery()
    )
    statement = (
        select(_table.c.key, _table.c.notice)
        .join(newest, (_table.c.alert_id == newest.c.alert_id) & (_table.c.sequence == newest.c.sequence))
        .where(_table.c.channel == channel)
        .order_by(_table.c.alert_id)
    )
    return [(row.key, row.notice) for row in connection.execute(statement)]


def _may_go(now: int) -> tuple[ColumnElement[bool], ...]:
    """Conditions on what may be sent now. A time that was set by a clock that was ahead is not waited for."""
    before = tables.outbox.alias("before")
    waits = exists().where(
        before.c.alert_id == _table.c.alert_id,
        before.c.channel == _table.c.channel,
        before.c.sequence < _table.c.sequence,
        before.c.state == PENDING,
    )
    ahead = or_(
        _table.c.created_at > now + SLACK, and_(_table.c.attempts > 0, _table.c.not_before > now + LONGEST_CLAIM)
    )
    return (_table.c.state == PENDING, or_(_table.c.not_before <= now, ahead), ~waits)


_SHOWN = tuple(column for column in _table.columns if column.name != "notice")


def _record(row: Row[tuple[object, ...]]) -> DeliveryRecord:
    return DeliveryRecord(**row._mapping)
