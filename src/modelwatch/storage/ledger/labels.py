"""Labels: which value holds for an id, and what that adds to the counts or takes back.

What is counted is always the join: every stored prediction with the label of its id, in the value that holds now. Each
transaction that changes one of the two changes the counts, so order and repetition make no difference:

- of all labels of an id the one with the latest time holds (of those of one time the larger text);
- the delay runs from the prediction to the earliest time of any label of the id.

The caller keeps other transactions that touch the model's predictions or labels out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import BindParameter, Connection, ScalarSelect, bindparam, select, update

from modelwatch.events import GroundTruth
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.prepared import RowsById, WholeRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import (
    PREDICTION_COLUMNS,
    Contributions,
    LabelledPrediction,
    segment_columns,
)
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, by_block
from modelwatch.storage.ledger.predictions.rows import day_of, decode_scalar, encode_scalar
from modelwatch.storage.references.layouts import ModelLayouts
from modelwatch.times import SECONDS_PER_DAY

LabelStatus = Literal["accepted", "corrected", "duplicate", "waiting", "expired"]


class LabelState(NamedTuple):
    """The label in force for an id. value: as JSON. Times in microseconds. waiting: True without a prediction."""

    value: str
    ts: int
    first_ts: int
    arrived_at: int
    generation: int
    waiting: bool

    def counts_as(self, other: LabelState) -> bool:
        """True when both add the same to the counts."""
        return self.value == other.value and self.first_ts == other.first_ts


LABEL_COLUMNS = tuple(
    tables.label.c[name]
    for name in ("prediction_id", "value", "ts", "first_ts", "arrived_at", "generation", "applied_at")
)


@dataclass(frozen=True, slots=True)
class LabelResult:
    """The effect of a transaction's labels and new predictions. statuses: of the labels, in their order.

    contributions: of each model.
    """

    statuses: list[LabelStatus]
    contributions: list[Contributions]


NO_LABELS = LabelResult([], [])


class LabelStatements:
    """The statements that labels need, built once."""

    def __init__(self, store: Store) -> None:
        self.states = RowsById(store, tables.label, LABEL_COLUMNS)
        self._predictions = RowsById(store, tables.prediction, PREDICTION_COLUMNS)
        segments = segment_columns(bindparam("since"))
        self._segmented = RowsById(store, tables.prediction, (*PREDICTION_COLUMNS, *segments))
        self.save = WholeRows(store, tables.label)

    def predictions(
        self, connection: Connection, model: str, ids: Sequence[str], layouts: ModelLayouts
    ) -> Sequence[Any]:
        """Rows for `LabelledPrediction.from_row`, of those ids that have one."""
        if not layouts.segmentation:
            return self._predictions.read(connection, model, ids)
        return self._segmented.read(connection, model, ids, since=layouts.segment_generation)


def apply_labels(
    connection: Connection,
    statements: LabelStatements,
    given: Sequence[GroundTruth],
    fresh: Mapping[str, Sequence[LabelledPrediction]],
    layouts: Mapping[str, ModelLayouts],
    expired_before: Mapping[str, int],
    now: int,
) -> LabelResult:
    """Stores what the labels change and says what that, and the fresh predictions, add to the counts.

    given: the labels of this transaction. fresh: the predictions that it has just stored, by model, of those that have
    labels. expired_before: by model, the day before which its predictions have expired; an older label that has no
    prediction is not kept.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(given):
        places.setdefault(label.model_name, []).append(place)
    result = LabelResult(["accepted"] * len(given), [])
    for model in sorted(places.keys() | fresh.keys()):
        of_this_model = places.get(model, [])
        labels = _ModelLabels(connection, statements, model, layouts[model], expired_before[model], now)
        statuses = labels.apply([given[place] for place in of_this_model], fresh.get(model, []))
        result.contributions.append(labels.contributions)
        for place, status in zip(of_this_model, statuses, strict=True):
            result.statuses[place] = status
    return result


class _ModelLabels:
    """The labels of one model in one transaction."""

    def __init__(
        self,
        connection: Connection,
        statements: LabelStatements,
        model: str,
        layouts: ModelLayouts,
        expired_before: int,
        now: int,
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._model = model
        self._layouts = layouts
        self._expired_before = expired_before
        self._now = now
        self.contributions = Contributions(model, layouts)

    def apply(self, given: Sequence[GroundTruth], fresh: Sequence[LabelledPrediction]) -> list[LabelStatus]:
        """Stores what the labels change, notes what that adds to the counts, and returns the status of each label."""
        ids = {label.prediction_id for label in given}.union(prediction.prediction_id for prediction in fresh)
        before = self._read_states(list(ids))
        after, kinds = _merged(given, before, self._now)
        recounted = {
            identity
            for identity, state in after.items()
            if (old := before.get(identity)) is not state and (old is None or not old.counts_as(state))
        }
        matched = self._count(recounted, before, after, fresh)
        expired = {
            identity
            for identity in recounted - matched
            if identity not in before and day_of(after[identity].ts) < self._expired_before
        }
        for identity in expired:
            del after[identity]
        self._save(before, after, recounted, matched)
        self._count_expired(len(expired))
        return [
            "expired"
            if identity in expired
            else "waiting"
            if kind != "duplicate" and identity not in matched and (identity in recounted or after[identity].waiting)
            else kind
            for identity, kind in zip((label.prediction_id for label in given), kinds, strict=True)
        ]

    def _read_states(self, ids: Sequence[str]) -> dict[str, LabelState]:
        known = {}
        for row in self._statements.states.read(self._connection, self._model, ids):
            identity, value, ts, first_ts, arrived_at, generation, applied_at = row
            known[identity] = LabelState(value, ts, first_ts, arrived_at, generation, applied_at is None)
        return known

    def _count(
        self,
        recounted: set[str],
        before: Mapping[str, LabelState],
        after: Mapping[str, LabelState],
        fresh: Sequence[LabelledPrediction],
    ) -> set[str]:
        """Notes what is to be added to the counts and taken back; returns the ids that have a prediction."""
        layouts, contributions = self._layouts, self.contributions
        stale = _Stale(self._connection, self._model, layouts)
        new = {(day_of(prediction.ts), prediction.prediction_id) for prediction in fresh}
        matched = set()
        rows, kept = self._statements.predictions(self._connection, self._model, list(recounted), layouts), None
        if layouts.segmentation:
            rows, kept = by_block(rows), KeptFeatures(self._connection)
        for row in rows:
            prediction = LabelledPrediction.from_row(row, layouts, kept)
            identity = prediction.prediction_id
            old, state = before.get(identity), after[identity]
            was_counted = old is not None and (day_of(prediction.ts), identity) not in new
            if was_counted and old is not None and not stale.holds(prediction, old):
                contributions.add(prediction, decode_scalar(old.value), old.first_ts, old.ts, -1)
            contributions.add(prediction, decode_scalar(state.value), state.first_ts, state.ts)
            matched.add(identity)
        for prediction in fresh:
            identity = prediction.prediction_id
            if identity in after and identity not in recounted:
                state = after[identity]
                contributions.add(prediction, decode_scalar(state.value), state.first_ts, state.ts)
                matched.add(identity)
        stale.note_changes()
        return matched

    def _save(
        self, before: Mapping[str, LabelState], after: Mapping[str, LabelState], recounted: set[str], matched: set[str]
    ) -> None:
        model, now, generation = self._model, self._now, self._layouts.generation
        rows = []
        for identity, state in after.items():
            joined = identity in matched
            if state == before.get(identity) and not (joined and state.waiting):
                continue
            rows.append(
                (
                    model,
                    identity,
                    state.value,
                    state.ts,
                    state.arrived_at,
                    None if state.waiting and not joined else now,
                    state.first_ts,
                    generation if identity in recounted else state.generation,
                )
            )
        rows.sort(key=itemgetter(1))
        self._statements.save.run(self._connection, rows)

    def _count_expired(self, number: int) -> None:
        if number:
            table = tables.model
            more = table.c.expired_labels + number
            self._connection.execute(update(table).where(table.c.name == self._model).values(expired_labels=more))


def _merged(
    given: Sequence[GroundTruth], before: Mapping[str, LabelState], now: int
) -> tuple[dict[str, LabelState], list[LabelStatus]]:
    """The labels in force after these, and the status of each of these."""
    after, kinds = dict(before), []
    for label in given:
        identity, at = label.prediction_id, label.timestamp
        value, known = encode_scalar(label.value), after.get(identity)
        kind: LabelStatus = "accepted"
        if known is None:
            after[identity] = LabelState(value, at, at, now, 0, True)
        else:
            wins = (at, value) > (known.ts, known.value)
            kind = "corrected" if wins and value != known.value else "duplicate"
            if wins or at < known.first_ts:
                after[identity] = known._replace(
                    value=value if wins else known.value,
                    ts=max(known.ts, at),
                    first_ts=min(known.first_ts, at),
                )
        kinds.append(kind)
    return after, kinds


class _Stale:
    """Pairs that are still counted in an older generation, and that the backfill of their day will count again.

    Such a pair is counted anew from now on, and must not be by the other: the model's mark tells that one. Of a day
    that has expired no one does, and what the older generation counted stays there.
    """

    def __init__(self, connection: Connection, model: str, layouts: ModelLayouts) -> None:
        self._connection = connection
        self._model = model
        self._since = layouts.outcome_generation
        self._days: dict[int, bool] = {}

    def holds(self, prediction: LabelledPrediction, known: LabelState) -> bool:
        if max(prediction.generation, known.generation) >= self._since:
            return False
        day = day_of(prediction.ts)
        if day not in self._days:
            self._days[day] = has_stale_outcomes(self._connection, self._model, day, self._since)
        return self._days[day]

    def note_changes(self) -> None:
        if any(self._days.values()):
            table = tables.model
            changes = table.c.label_changes + 1
            self._connection.execute(update(table).where(table.c.name == self._model).values(label_changes=changes))


def expired_before(model: str | BindParameter[str]) -> ScalarSelect[int]:
    """The day, since 1970, before which the predictions of a model have expired; part of a query."""
    table = tables.model
    return select(table.c.expired_before).where(table.c.name == model).scalar_subquery()


def oldest_kept_day(connection: Connection, model: str) -> int:
    """The first day, since 1970, whose predictions have not expired; 0 where none have."""
    return remembered(
        connection, (expired_before, model), lambda: connection.execute(select(expired_before(model))).scalar() or 0
    )


def has_stale_outcomes(connection: Connection, model: str, day: int, since: int) -> bool:
    """True when a day, since 1970, has outcomes of generations before `since`. Those of a day that has expired stay."""
    table = tables.outcome
    found = connection.execute(
        select(table.c.model)
        .where(
            table.c.model == model,
            table.c.window_start >= day * SECONDS_PER_DAY,
            table.c.window_start < (day + 1) * SECONDS_PER_DAY,
            table.c.generation < since,
        )
        .limit(1)
    )
    return found.first() is not None
