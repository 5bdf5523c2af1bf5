"""Backfill of outcomes into a new outcome layout: the counts of earlier labelled predictions in it.

Once a new layout is in force, every prediction or label that comes is counted in it. What had both before is counted
again from the rows, a day in one transaction: a pair belongs to the later generation of its two rows. A label that
changes meanwhile is moved over by its writer (see labels.py), which the model's `label_changes` tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, bindparam, cast, delete, select

from modelwatch.events import EARLIEST_DAY
from modelwatch.storage.counts.sliding import Span, Stretched
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import (
    PREDICTION_COLUMNS,
    Contributions,
    LabelledPrediction,
    count_outcomes,
    segment_columns,
)
from modelwatch.storage.ledger.labels import expired_before
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures
from modelwatch.storage.ledger.predictions.pages import pages_of_day
from modelwatch.storage.ledger.predictions.rows import decode_scalar
from modelwatch.storage.ledger.slots import OUTCOMES, OutcomeSlot, SlotKey
from modelwatch.storage.maintenance.compaction import add_to_folded
from modelwatch.storage.references.layouts import ModelLayouts, read_layouts
from modelwatch.times import SECONDS_PER_DAY


def stale_outcome_days(connection: Connection, model: str, since: int, start: int, end: int) -> list[int]:
    """The days with windows in [start, end) that still have outcomes of generations before `since`, newest first.

    Of days whose predictions have expired the outcomes can't be counted again: they stay in their generation.
    """
    known = remembered(connection, (stale_outcome_days, model, since), Stretched[int, None])
    known.extend((start, end), lambda missing: _stale_windows(connection, model, since, missing))
    return sorted({each // SECONDS_PER_DAY for each in known.found if start <= each < end}, reverse=True)


def _stale_windows(connection: Connection, model: str, since: int, span: Span) -> dict[int, None]:
    """Starts of the windows in a span with such outcomes."""
    where = {"of_model": model, "start": span[0], "end": span[1], "since": since}
    return dict.fromkeys(connection.execute(_stale(), where).scalars())


@cache
def _stale() -> Select[int]:
    table = tables.outcome
    return (
        select(table.c.window_start)
        .where(
            table.c.model == bindparam("of_model"),
            table.c.window_start >= bindparam("start"),
            table.c.window_start < bindparam("end"),
            table.c.window_start >= cast(expired_before(bindparam("of_model")), BigInteger) * SECONDS_PER_DAY,
            table.c.generation < bindparam("since"),
        )
        .distinct()
    )


def backfill_outcomes(store: Store, model: str, start: int, end: int) -> int:
    """Brings the outcomes of every window in [start, end) into the layout in force. Returns how many days it changed.

    Safe to run in several processes at once: a day is replaced by one transaction, by the process that comes first.
    """
    changed = 0
    while True:
        with store.read() as connection:
            layouts = read_layouts(connection, model, _state(connection, model)[0])
            days = stale_outcome_days(connection, model, layouts.outcome_generation, start, end)
        if not days:
            return changed
        for day in days:
            changed += _backfill_day(store, model, day)


def _backfill_day(store: Store, model: str, day: int) -> bool:
    with store.read() as connection:
        before = _state(connection, model)
        layouts = read_layouts(connection, model, before[0])
        since = layouts.outcome_generation
        slots: dict[SlotKey, OutcomeSlot] = {}
        for contributions in _pairs(connection, model, day, layouts):
            for key, slot in count_outcomes(contributions, 0).items():
                slots[key] = slots[key] + slot if key in slots else slot
        arrivals = _arrivals(connection, model, day, since)
    slots = {
        key: OutcomeSlot(slot.counts, slot.latest_ts, _arrival(arrivals, key.window_start))
        for key, slot in slots.items()
    }
    with store.write() as connection:
        store.exclusive(connection, f"fold:{model}")
        if _state(connection, model, hold=True) != before or not stale_outcome_days(
            connection, model, since, day * SECONDS_PER_DAY, (day + 1) * SECONDS_PER_DAY
        ):
            return False
        table = tables.outcome
        connection.execute(delete(table).where(_of_day(model, day), table.c.generation < since))
        add_to_folded(connection, store, slots, OUTCOMES)
    return True


def _state(connection: Connection, model: str, *, hold: bool = False) -> tuple[int, int, int]:
    """State of a model that must not change while a day is recounted: the generation, the label changes, what expired.

    hold: keep them until the transaction ends.
    """
    table = tables.model
    columns = (table.c.generation, table.c.label_changes, table.c.expired_before)
    query = select(*columns).where(table.c.name == model)
    row = connection.execute(query.with_for_update() if hold else query).first()
    return (0, 0, EARLIEST_DAY) if row is None else (row.generation, row.label_changes, row.expired_before)


def _of_day(model: str, day: int) -> ColumnElement[bool]:
    table = tables.outcome
    return and_(
        table.c.model == model,
        table.c.window_start >= day * SECONDS_PER_DAY,
        table.c.window_start < (day + 1) * SECONDS_PER_DAY,
    )


def _arrivals(connection: Connection, model: str, day: int, since: int) -> dict[Span, int]:
    """By window, when the newest of its labels arrived."""
    table = tables.outcome
    found: dict[Span, int] = {}
    columns = (table.c.window_start, table.c.window_len, table.c.arrived_at)
    for start, length, arrived_at in connection.execute(
        select(*columns).where(_of_day(model, day), table.c.generation < since)
    ):
        window = (start, start + length)
        found[window] = max(found.get(window, 0), arrived_at)
    return found


def _arrival(arrivals: Mapping[Span, int], window_start: int) -> int:
    """The newest arrival in a base window, or in those that it had been rolled up with."""
    return max((at for (start, end), at in arrivals.items() if start <= window_start < end), default=0)


def _pairs(connection: Connection, model: str, day: int, layouts: ModelLayouts) -> Iterator[Contributions]:
    """The day's labelled predictions that were counted before the layout in force, some thousands at a time."""
    prediction, label = tables.prediction, tables.label
    since, kept = layouts.outcome_generation, KeptFeatures(connection)
    query = (
        select(
            *PREDICTION_COLUMNS,
            *segment_columns(layouts.segment_generation),
            label.c.value,
            label.c.first_ts,
            label.c.ts.label("label_ts"),
        )
        .join(
            label,
            and_(label.c.model == prediction.c.model, label.c.prediction_id == prediction.c.prediction_id),
        )
        .where(prediction.c.generation < since, label.c.generation < since)
    )
    for rows in pages_of_day(kept, query, model, day):
        contributions = Contributions(model, layouts)
        for row in rows:
            labelled = LabelledPrediction.from_row(row, layouts, kept)
            contributions.add(labelled, decode_scalar(row.value), row.first_ts, row.label_ts)
        yield contributions
