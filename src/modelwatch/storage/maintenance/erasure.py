"""Erasing a prediction: its rows, its label, and what they added to the counts, in one transaction.

The counts that hold a row follow from the row and the model's present generation, once its day has been backfilled: so
that is done first. What is taken away is added to the common writer's slots with a minus, so no other writer's slot is
touched; the sum over writers never is negative. It has the arrival of what it takes back, so that both are old at the
same time (see retention.py). Predictions, labels and references of the model are not stored meanwhile, and its slots
are not folded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select

from modelwatch.errors import Conflict, NewerBlock, ProtectionUnavailable, StoreUnavailable, UnknownResource, excerpt
from modelwatch.events import EARLIEST_TIME
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.protection import Protection, StoredPrediction
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import (
    PREDICTION_COLUMNS,
    Contributions,
    LabelledPrediction,
    count_outcomes,
    stored_segments,
)
from modelwatch.storage.ledger.labels import has_stale_outcomes
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, erase_features
from modelwatch.storage.ledger.predictions.rows import decode_scalar, event_of
from modelwatch.storage.ledger.slots import OUTCOMES, PROFILES, Slot, SlotKey, window_start
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, can_count, count_stored, stale_days
from modelwatch.storage.maintenance.compaction import add_to_folded
from modelwatch.storage.references.layouts import Layout, ModelLayouts, read_layouts
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import SECONDS_PER_DAY

# Each try is spoilt only by a reference that is set between backfilling and erasing.
MOST_TRIES = 20


@dataclass(frozen=True, slots=True)
class Erased:
    """The result of an erasure. days: since 1970, of the rows. counts_left: features in whose counts a row remains."""

    days: tuple[int, ...]
    labels: int
    counts_left: tuple[str, ...]


def erase(
    store: Store,
    model: str,
    prediction_id: str,
    *,
    day: int | None = None,
    leave_counts: bool = False,
    actor: str,
    now: int,
    new_id: Callable[[], str],
) -> Erased:
    """Erases the predictions of an id, with its label once none of them is left.

    day: since 1970; None: every day. leave_counts: also when a feature's value is not stored, so that what it added
    can't be taken back. The same id may be sent again afterwards and counts as new.
    Raises UnknownResource when nothing of it is stored, and Conflict when leave_counts is needed, or when its features
    are together with others' in a block that only a newer release can write again.
    """
    for _ in range(MOST_TRIES):
        with store.read() as connection:
            days = {row.day for row in _rows(connection, model, prediction_id, day)}
        for each in sorted(days):
            backfill_profiles(store, model, each * SECONDS_PER_DAY, (each + 1) * SECONDS_PER_DAY)
        with store.write() as connection, store.without_remnants(connection):
            try:
                erased = _erase(connection, store, model, prediction_id, day, leave_counts)
            except NewerBlock as error:
                raise Conflict(f"{error} A process of the newer release can erase the prediction.") from error
            if erased is not None:
                _note(connection, model, prediction_id, erased, actor, now, new_id)
        if erased is not None:
            store.empty_log()
            return erased
    raise StoreUnavailable("References of the model keep changing. Retry after a pause.")


def _erase(
    connection: Connection, store: Store, model: str, prediction_id: str, day: int | None, leave_counts: bool
) -> Erased | None:
    """Erase, and return the result; None when a day must be backfilled first."""
    store.exclusive(connection, f"fold:{model}")
    known = tables.model
    state = connection.execute(
        select(known.c.generation, known.c.expired_before).where(known.c.name == model).with_for_update()
    ).first()
    rows = _rows(connection, model, prediction_id, None)
    chosen = [row for row in rows if day in (None, row.day)]
    label = connection.execute(select(tables.label).where(_of_label(model, prediction_id))).first()
    if state is None or (not chosen and (label is None or rows or day is not None)):
        raise UnknownResource(f"Nothing is stored of a prediction {excerpt(prediction_id)!r} of {excerpt(model)!r}.")
    layouts = read_layouts(connection, model, state.generation)
    stale_outcomes = {
        row.day for row in chosen if has_stale_outcomes(connection, model, row.day, layouts.outcome_generation)
    }
    if any(
        _has_stale_profiles(connection, model, row.day, layouts)
        or (row.day in stale_outcomes and row.day >= state.expired_before)
        for row in chosen
    ):
        return None
    kept = KeptFeatures(connection, newer_fails=True)
    slots: dict[SlotKey, Slot] = {}
    left: set[str] = set()
    for row in chosen:
        key, slot, uncertain = _profile_of(connection, kept, store.protection, model, row, layouts)
        if uncertain and not leave_counts:
            named = ", ".join(sorted(uncertain)[:10])
            raise Conflict(
                f"The values of {named} are not stored with the prediction, so their part of the counts can't be"
                " removed. With leave_counts=true everything else is erased, and those counts stay."
            )
        left |= uncertain
        for segment in ("", *stored_segments(row, layouts, kept)):
            segment_key = key._replace(segment=segment)
            slots[segment_key] = slots[segment_key] + slot if segment_key in slots else slot
    add_to_folded(connection, store, slots, PROFILES)
    if label is not None:
        truth, taken = decode_scalar(label.value), Contributions(model, layouts)
        for row in chosen:
            # What was counted in an older layout, and can't be backfilled since the day has expired, is in no answer.
            if row.day not in stale_outcomes or max(row.generation, label.generation) >= layouts.outcome_generation:
                taken.add(LabelledPrediction.from_row(row, layouts, kept), truth, label.first_ts, label.ts, -1)
        counted = count_outcomes(taken, label.arrived_at)
        outcomes = {key: replace(slot, latest_ts=EARLIEST_TIME) for key, slot in counted.items()}
        add_to_folded(connection, store, outcomes, OUTCOMES)
    table = tables.prediction
    for row in chosen:
        connection.execute(delete(table).where(table.c.day == row.day, _of_id(model, prediction_id)))
        if row.block is not None:
            erase_features(connection, row.block, row.place)
    without = label is not None and len(chosen) == len(rows)
    if without:
        connection.execute(delete(tables.label).where(_of_label(model, prediction_id)))
    return Erased(tuple(sorted(row.day for row in chosen)), int(without), tuple(sorted(left)))


def _rows(connection: Connection, model: str, prediction_id: str, day: int | None) -> Sequence[Row[Any]]:
    table = tables.prediction
    first = [column.name for column in PREDICTION_COLUMNS]
    rest = [column for column in table.c if column.name not in first]
    query = select(*PREDICTION_COLUMNS, *rest).where(_of_id(model, prediction_id)).order_by(table.c.day)
    return connection.execute(query if day is None else query.where(table.c.day == day)).all()


def _of_id(model: str, prediction_id: str) -> ColumnElement[bool]:
    table = tables.prediction
    return and_(table.c.model == model, table.c.prediction_id == prediction_id)


def _of_label(model: str, prediction_id: str) -> ColumnElement[bool]:
    table = tables.label
    return and_(table.c.model == model, table.c.prediction_id == prediction_id)


def _has_stale_profiles(connection: Connection, model: str, day: int, layouts: ModelLayouts) -> bool:
    start, end = day * SECONDS_PER_DAY, (day + 1) * SECONDS_PER_DAY
    return bool(stale_days(connection, model, layouts.generation, start, end))


def _profile_of(
    connection: Connection,
    kept: KeptFeatures,
    protection: Protection,
    model: str,
    row: Row[Any],
    layouts: ModelLayouts,
) -> tuple[SlotKey, Slot, set[str]]:
    """Counts to subtract from each window for a row, and the features whose part of it is not known."""
    layout = layouts.of(row.version)
    event = event_of(row)
    try:
        stored, readable = protection.stored(event, kept.of(row), row.protected), True
    except ProtectionUnavailable:
        stored, readable = StoredPrediction(event, None), False
    before = read_layouts(connection, model, row.generation).of(row.version)
    countable = [
        subject for subject in layout.cells if subject not in layout.binnings or can_count(layout, subject, stored)
    ]
    uncertain = {
        subject.name
        for subject in layout.binnings
        if subject not in countable and (not readable or _same_cells(subject, before, layout))
    }
    part = layout.part(countable)
    counts = np.zeros(layout.size, dtype=np.int64)
    counted = count_stored(part, [stored], protection)
    for subject, place in part.slices.items():
        counts[layout.slices[subject]] -= counted[place]
    key = SlotKey(model, layouts.generation, row.version, row.environment, window_start(row.ts))
    return key, Slot(-1, counts, arrived_at=row.arrived_at), uncertain


def _same_cells(subject: Subject, before: Layout, now: Layout) -> bool:
    """True when the row was counted in these cells when it came; in later ones, only what can be counted again is."""
    return subject in before.binnings and before.binnings[subject].id == now.binnings[subject].id


def _note(
    connection: Connection,
    model: str,
    prediction_id: str,
    erased: Erased,
    actor: str,
    now: int,
    new_id: Callable[[], str],
) -> None:
    """The trail says that it was done and to what, for who knows the id; not the id, and no value."""
    digest = hashlib.sha256(prediction_id.encode("utf-8", "surrogatepass")).hexdigest()
    detail = {
        "prediction_id_sha256": digest,
        "predictions": len(erased.days),
        "labels": erased.labels,
        "counts_left": list(erased.counts_left),
    }
    append_audit(
        connection,
        AuditEntry(new_id(), now, actor, "prediction.erase", f"model/{model}", json.dumps(detail, sort_keys=True)),
    )
