"""Retention: predictions expire day by day, and what was concluded from them later.

A day of a model expires once it is old and nothing of it has arrived for as long. The model's row says so first; from
then on no prediction of that day is taken, so none that is forgotten can count again. Its rows are removed after that,
some in a transaction, each with its label. What they added to the counts stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from modelwatch.storage.alerts.alerts import RESOLVED
from modelwatch.storage.alerts.outbox import PENDING
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.blocks import release_blocks
from modelwatch.storage.references.monitors import DELETE as MONITOR_DELETED
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Expired:
    """The days of a model that have expired and may still have rows, since 1970. before: no day before it takes any."""

    before: int
    days: tuple[int, ...]


def expire_days(store: Store, model: str, *, day: int, arrived_before: int) -> Expired:
    """Closes the days of a model that has data before `day`, up to the first for which something came since
    `arrived_before` (microseconds). What is closed never opens again."""
    known = tables.model
    with store.write() as connection:
        # Waits for commits under way, and keeps later ones out: what is closed is closed for all.
        closed = connection.execute(
            select(known.c.expired_before).where(known.c.name == model).with_for_update()
        ).scalar_one()
        arrivals = _arrivals(connection, tables.profile, model, day)
        fresh = min((each for each, arrived in arrivals.items() if arrived >= arrived_before), default=day)
        before = max((each + 1 for each in arrivals if each < fresh), default=closed)
        if before > closed:
            connection.execute(update(known).where(known.c.name == model).values(expired_before=before))
            closed = before
    return Expired(closed, tuple(each for each in sorted(arrivals) if each < closed))


def _arrivals(connection: Connection, table: Table, model: str, before: int) -> dict[int, int]:
    """By day of the model's profiles or outcomes, up to a day, when the newest of it arrived, in microseconds."""
    # By the windows, not in SQL by the day: both engines divide in their own ways.
    rows = connection.execute(
        select(table.c.window_start, func.max(table.c.arrived_at))
        .where(table.c.model == model, table.c.window_start < before * SECONDS_PER_DAY)
        .group_by(table.c.window_start)
    )
    found: dict[int, int] = {}
    for start, arrived in rows:
        day = start // SECONDS_PER_DAY
        found[day] = max(arrived, found.get(day, 0))
    return found


def remove_predictions(store: Store, model: str, day: int, limit: int, after: str = "") -> str | None:
    """Removes up to `limit` predictions of a day that has expired, each with the label of its id once no other
    prediction has that id.

    In the order of their ids, from behind `after`: PostgreSQL need not pass what has just been removed. Returns the
    last id, None when there was none.
    """
    table, known = tables.prediction, tables.model
    rest = [table.c.day == day, table.c.model == model, table.c.prediction_id > after]
    with store.read() as connection:
        in_order = select(table.c.prediction_id).where(*rest).order_by(table.c.prediction_id).limit(limit).subquery()
        last: str | None = connection.execute(select(func.max(in_order.c.prediction_id))).scalar()
        block = tables.feature_block
        of_day = [block.c.day == day, block.c.model == model]
        has_blocks = last is None and connection.execute(select(exists().where(*of_day))).scalar()
    if last is None and not has_blocks:
        return None
    with store.write() as connection:
        # As a commit with labels does, so that none of them is looked at while it goes.
        closed = connection.execute(
            select(known.c.expired_before).where(known.c.name == model).with_for_update()
        ).scalar_one()
        if day >= closed:
            return None
        if last is None:
            # Those whose rows a process of an earlier release has removed.
            connection.execute(delete(block).where(*of_day, ~exists().where(table.c.block == block.c.id)))
            return None
        # By a range of the key: of a list, PostgreSQL may read all rows of the day (see RowsById).
        through = (
            delete(table).where(*rest, table.c.prediction_id <= last).returning(table.c.prediction_id, table.c.block)
        )
        removed = connection.execute(through).all()
        release_blocks(connection, store, (row.block for row in removed))
        if connection.execute(select(exists().where(tables.label.c.model == model))).scalar():
            ManyRows(store, without_prediction()).run(
                connection, [{"of": model, "id": row.prediction_id} for row in removed]
            )
    return last


def without_prediction() -> Delete:
    """Removes the label of an id, unless there is a prediction of it."""
    table, label = tables.prediction, tables.label
    other = exists().where(table.c.model == label.c.model, table.c.prediction_id == label.c.prediction_id)
    return delete(label).where(label.c.model == bindparam("of"), label.c.prediction_id == bindparam("id"), ~other)


def remove_windows(store: Store, model: str, before: int, limit: int) -> int:
    """Removes profiles and outcomes of days that ended before a time in seconds, a day at once, until about `limit` are
    gone. Returns how many.

    What is of one day goes together, once the newest of it has arrived before then too: a window that was rolled up may
    take back what a smaller one has counted, or the other way round.
    """
    removed, known = 0, tables.model
    for table in (tables.profile, tables.outcome):
        with store.read() as connection:
            if not _days_over(connection, table, model, before):
                continue
        with store.write() as connection:
            store.exclusive(connection, f"fold:{model}")
            # Waits for commits under way: none of them adds to a window while it goes.
            connection.execute(select(known.c.name).where(known.c.name == model).with_for_update())
            for day in _days_over(connection, table, model, before):
                if removed >= limit:
                    break
                of_day = (table.c.window_start >= day * SECONDS_PER_DAY) & (
                    table.c.window_start < (day + 1) * SECONDS_PER_DAY
                )
                removed += connection.execute(delete(table).where(table.c.model == model, of_day)).rowcount
        if removed >= limit:
            break
    return removed


def _days_over(connection: Connection, table: Table, model: str, before: int) -> list[int]:
    """The days of a model's windows, since 1970, that ended before a time in seconds and got nothing since."""
    arrivals = _arrivals(connection, table, model, before // SECONDS_PER_DAY)
    return sorted(day for day, arrived in arrivals.items() if arrived < before * MICROS_PER_SECOND)


def remove_verdicts(store: Store, before: int, limit: int) -> int:
    """Removes up to `limit` verdicts of before a time in microseconds, with their evidence; the newest of each stream
    and check stays, since the next evaluation goes on from it."""
    table, later = tables.verdict, tables.verdict.alias()
    overtaken = exists().where(
        *(later.c[name] == table.c[name] for name in ("model", "environment", "version", "check_name")),
        or_(
            later.c.window_end > table.c.window_end,
            and_(later.c.window_end == table.c.window_end, later.c.generation > table.c.generation),
        ),
    )
    return _remove(store, table, table.c.id, [table.c.evaluated_at < before, overtaken], limit)


def remove_incidents(store: Store, before: int, limit: int) -> int:
    """Removes up to `limit` incidents that were over before a time in microseconds, with every step and delivery."""
    table = tables.alert
    over = [table.c.state == RESOLVED, table.c.resolved_at < before]
    with store.read() as connection:
        ids = connection.execute(select(table.c.id).where(*over).limit(limit)).scalars().all()
    if not ids:
        return 0
    outbox, step = tables.outbox, tables.alert_event
    with store.write() as connection:
        waiting = select(outbox.c.alert_id).where(outbox.c.alert_id.in_(ids), outbox.c.state == PENDING)
        removed = (
            connection.execute(
                select(table.c.id).where(table.c.id.in_(ids), *over, table.c.id.not_in(waiting)).with_for_update()
            )
            .scalars()
            .all()
        )
        connection.execute(delete(outbox).where(outbox.c.alert_id.in_(removed)))
        connection.execute(delete(step).where(step.c.alert_id.in_(removed)))
        connection.execute(delete(table).where(table.c.id.in_(removed)))
    return len(removed)


def remove_last_notices(store: Store, before: int, limit: int) -> int:
    """Removes up to `limit` deliveries of alerts that are gone with their model, once they ended before a time."""
    table, alert = tables.outbox, tables.alert
    without_alert = ~exists().where(alert.c.id == table.c.alert_id)
    return _remove(store, table, table.c.key, [table.c.finished_at < before, without_alert], limit)


def remove_silences(store: Store, before: int, limit: int) -> int:
    """Removes up to `limit` silences that ended before a time in microseconds."""
    return _remove(store, tables.silence, tables.silence.c.id, [tables.silence.c.ends_at < before], limit)


def remove_audit(store: Store, before: int, limit: int) -> int:
    """Removes up to `limit` entries of the audit trail of before a time in microseconds.

    Those of removed monitors stay: the next monitor of the model goes on from their revision.
    """
    table = tables.audit
    return _remove(store, table, table.c.id, [table.c.at < before, table.c.action != MONITOR_DELETED], limit)


def _remove(
    store: Store, table: Table, key: ColumnElement[str], conditions: Sequence[ColumnElement[bool]], limit: int
) -> int:
    with store.read() as connection:
        ids = connection.execute(select(key).where(*conditions).limit(limit)).scalars().all()
    if not ids:
        return 0
    with store.write() as connection:
        return connection.execute(delete(table).where(key.in_(ids), *conditions)).rowcount
