"""Labels: which value holds for an id, and what that adds to the counts or takes back.

What is counted is always the join: every stored prediction with the label of its id, in the value that holds now. Each
transaction that changes one of the two changes the counts, so order and repetition make no difference:

- of all labels of an id the one with the latest time holds (of those of one time the larger text);
- the delay runs from the prediction to the earliest time of any label of the id.

The caller keeps other transactions that touch the model's predictions or labels out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, case, select, update

from modelwatch.events import GroundTruth, Prediction, Scalar
from modelwatch.stats import Outcome, OutcomeLayout, Probability
from modelwatch.storage import tables
from modelwatch.storage.layouts import ModelLayouts
from modelwatch.storage.many_rows import ManyRows
from modelwatch.storage.profiles import SECONDS_PER_DAY
from modelwatch.storage.rows import (
    Segments,
    day_of,
    decode_probability,
    decode_scalar,
    decode_segments,
    encode_scalar,
    segments_of,
)
from modelwatch.storage.slots import SlotKey, window_start

LabelStatus = Literal["accepted", "corrected", "duplicate", "waiting", "expired"]

IDS_PER_QUERY = 500


class Id(NamedTuple):
    """What a label names."""

    model: str
    prediction_id: str


@dataclass(frozen=True, slots=True)
class Known:
    """What holds for an id. value: as JSON. waiting: whether no prediction of the id has come yet."""

    value: str
    ts: int
    first_ts: int
    arrived_at: int
    generation: int
    waiting: bool

    def counts_as(self, other: Known) -> bool:
        """Whether both add the same to the counts."""
        return self.value == other.value and self.first_ts == other.first_ts


class Counted(NamedTuple):
    """A prediction as far as its outcome is concerned. generation: in which it was stored. segments: that it is in."""

    id: Id
    version: str
    environment: str
    ts: int
    generation: int
    prediction: Scalar
    probability: Probability
    segments: Segments = ()


COUNTED = tuple(
    tables.prediction.c[name]
    for name in ("prediction_id", "version", "environment", "ts", "generation", "prediction", "probability")
)


class LabelTimes(NamedTuple):
    """When the truth became known first, and when the value that holds did; in microseconds."""

    first: int
    latest: int


class Contribution(NamedTuple):
    """One labelled prediction more (sign 1) or less (-1) in a window."""

    key: SlotKey
    layout: OutcomeLayout
    outcome: Outcome
    sign: int
    label_ts: int
    segments: Segments = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What labels and fresh predictions of a transaction come to. statuses: of the labels, in their order."""

    statuses: list[LabelStatus]
    contributions: list[Contribution]


def labels_within(events: Iterable[Prediction]) -> list[GroundTruth]:
    """The labels that came inside of predictions, known since the prediction itself."""
    return [
        GroundTruth(event.model_name, event.prediction_id, event.ground_truth, event.timestamp)
        for event in events
        if event.ground_truth is not None
    ]


def apply_labels(
    connection: Connection,
    upsert: ManyRows,
    given: Sequence[GroundTruth],
    fresh: Sequence[Prediction],
    layouts: Mapping[str, ModelLayouts],
    labelled: frozenset[str],
    expired_before: Mapping[str, int],
    now: int,
) -> Applied:
    """Stores what the labels change and says what that, and the fresh predictions, add to the counts.

    given: the labels of this transaction. fresh: the predictions that it has just stored. labelled: the models that had
    labels before it. expired_before: by model, the day before which its predictions have expired; an older label that
    has no prediction is not kept. upsert: of `store.upsert` of the label table.
    """
    of_fresh = [Id(event.model_name, event.prediction_id) for event in fresh if event.model_name in labelled]
    before = _known(connection, {*(Id(label.model_name, label.prediction_id) for label in given), *of_fresh})
    after, kinds = _merged(given, before, now)
    recounted = {
        identity
        for identity, state in after.items()
        if (old := before.get(identity)) is None or not old.counts_as(state)
    }
    stored = list(_predictions(connection, recounted, layouts))
    new = {(day_of(event.timestamp), event.model_name, event.prediction_id) for event in fresh}
    stale = _Stale(connection, layouts)
    contributions = []
    for prediction in stored:
        identity, state = prediction.id, after[prediction.id]
        old = before.get(identity)
        was_counted = old is not None and (day_of(prediction.ts), *identity) not in new
        if was_counted and old is not None and not stale.holds(prediction, old):
            contributions.append(_contribution(prediction, old, layouts, -1))
        contributions.append(_contribution(prediction, state, layouts, 1))
    joined = [
        counted for event in fresh if (counted := _counted(event, layouts)).id in after and counted.id not in recounted
    ]
    contributions += [_contribution(prediction, after[prediction.id], layouts, 1) for prediction in joined]
    matched = {prediction.id for prediction in (*stored, *joined)}
    expired = {
        identity
        for identity, state in after.items()
        if identity not in matched and state.waiting and day_of(state.ts) < expired_before[identity.model]
    } - before.keys()
    kept = {identity: state for identity, state in after.items() if identity not in expired}
    _save(connection, upsert, before, kept, recounted, matched, layouts, now)
    _count_expired(connection, expired)
    stale.note_changes()
    statuses: list[LabelStatus] = [
        "expired" if identity in expired else "waiting" if kind != "duplicate" and identity not in matched else kind
        for identity, kind in kinds
    ]
    return Applied(statuses, contributions)


def _count_expired(connection: Connection, expired: Iterable[Id]) -> None:
    table = tables.model
    for model, number in sorted(Counter(identity.model for identity in expired).items()):
        more = table.c.expired_labels + number
        connection.execute(update(table).where(table.c.name == model).values(expired_labels=more))


def _merged(
    given: Sequence[GroundTruth], before: Mapping[Id, Known], now: int
) -> tuple[dict[Id, Known], list[tuple[Id, LabelStatus]]]:
    after, kinds = dict(before), []
    for label in given:
        identity = Id(label.model_name, label.prediction_id)
        value, known = encode_scalar(label.value), after.get(identity)
        kind: LabelStatus = "accepted"
        if known is None:
            after[identity] = Known(value, label.timestamp, label.timestamp, now, 0, True)
        else:
            wins = (label.timestamp, value) > (known.ts, known.value)
            kind = "corrected" if wins and value != known.value else "duplicate"
            after[identity] = replace(
                known,
                value=value if wins else known.value,
                ts=max(known.ts, label.timestamp),
                first_ts=min(known.first_ts, label.timestamp),
            )
        kinds.append((identity, kind))
    return after, kinds


def _save(
    connection: Connection,
    upsert: ManyRows,
    before: Mapping[Id, Known],
    after: Mapping[Id, Known],
    recounted: set[Id],
    matched: set[Id],
    layouts: Mapping[str, ModelLayouts],
    now: int,
) -> None:
    rows = []
    for identity, state in sorted(after.items()):
        waiting = state.waiting and identity not in matched
        if state == before.get(identity) and waiting == state.waiting:
            continue
        rows.append(
            {
                "model": identity.model,
                "prediction_id": identity.prediction_id,
                "value": state.value,
                "ts": state.ts,
                "first_ts": state.first_ts,
                "arrived_at": state.arrived_at,
                "applied_at": None if waiting else now,
                "generation": layouts[identity.model].generation if identity in recounted else state.generation,
            }
        )
    upsert.run(connection, rows)


class _Stale:
    """Which pairs are still counted in an older generation, to be counted again by whoever carries their day over.

    Such a pair is counted anew from now on, and must not be by the other: the model's mark tells that one. Of a day
    that has expired nobody does, and what the older generation counted stays there.
    """

    def __init__(self, connection: Connection, layouts: Mapping[str, ModelLayouts]) -> None:
        self._connection = connection
        self._layouts = layouts
        self._days: dict[tuple[str, int], bool] = {}
        self._models: set[str] = set()

    def holds(self, prediction: Counted, known: Known) -> bool:
        model = prediction.id.model
        since = self._layouts[model].outcome_generation
        if max(prediction.generation, known.generation) >= since:
            return False
        day = (model, day_of(prediction.ts))
        if day not in self._days:
            self._days[day] = has_stale_outcomes(self._connection, *day, since)
        if self._days[day]:
            self._models.add(model)
        return self._days[day]

    def note_changes(self) -> None:
        table = tables.model
        for model in sorted(self._models):
            self._connection.execute(
                update(table).where(table.c.name == model).values(label_changes=table.c.label_changes + 1)
            )


def expired_before(model: str) -> ScalarSelect[int]:
    """The day, since 1970, before which the predictions of a model have expired; part of a query."""
    table = tables.model
    return select(table.c.expired_before).where(table.c.name == model).scalar_subquery()


def has_stale_outcomes(connection: Connection, model: str, day: int, since: int) -> bool:
    """Whether a day, since 1970, has outcomes of generations before `since`. Those of a day that has expired stay."""
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


def _known(connection: Connection, ids: Iterable[Id]) -> dict[Id, Known]:
    table = tables.label
    found = {}
    for model, some in _by_model(ids):
        rows = connection.execute(select(table).where(table.c.model == model, table.c.prediction_id.in_(some)))
        for row in rows:
            found[Id(model, row.prediction_id)] = Known(
                row.value, row.ts, row.first_ts, row.arrived_at, row.generation, row.applied_at is None
            )
    return found


def _predictions(connection: Connection, ids: Iterable[Id], layouts: Mapping[str, ModelLayouts]) -> Iterator[Counted]:
    table = tables.prediction
    for model, some in _by_model(ids):
        columns = segment_columns(layouts[model])
        rows = connection.execute(
            select(*COUNTED, *columns).where(table.c.model == model, table.c.prediction_id.in_(some))
        )
        yield from (counted_of(model, row, layouts[model]) for row in rows)


def _by_model(ids: Iterable[Id]) -> Iterator[tuple[str, list[str]]]:
    models: dict[str, list[str]] = {}
    for identity in sorted(ids):
        models.setdefault(identity.model, []).append(identity.prediction_id)
    for model, named in models.items():
        for start in range(0, len(named), IDS_PER_QUERY):
            yield model, named[start : start + IDS_PER_QUERY]


def _counted(event: Prediction, layouts: Mapping[str, ModelLayouts]) -> Counted:
    return Counted(
        Id(event.model_name, event.prediction_id),
        event.model_version,
        event.environment,
        event.timestamp,
        layouts[event.model_name].generation,
        event.prediction,
        event.probability,
        layouts[event.model_name].segmentation.of(event.features),
    )


def counted_of(model: str, row: Any, layouts: ModelLayouts | None = None) -> Counted:
    """The prediction of a row with the columns of `COUNTED`.

    layouts: those whose `segment_columns` it has too; None: its segments are left out.
    """
    identity, version, environment, ts, generation, prediction, probability = row[: len(COUNTED)]
    return Counted(
        Id(model, identity),
        version,
        environment,
        ts,
        generation,
        decode_scalar(prediction),
        None if probability is None else decode_probability(probability),
        () if layouts is None else stored_segments(row, layouts),
    )


def segment_columns(layouts: ModelLayouts) -> tuple[ColumnElement[Any], ...]:
    """What tells the segments of a stored prediction; the features only where the row was stored with others."""
    if not layouts.segmentation:
        return ()
    table = tables.prediction
    older = table.c.generation < layouts.segment_generation
    return (
        table.c.segments,
        case((older, table.c.features)).label("features"),
        case((older, table.c.protected)).label("protected"),
    )


def stored_segments(row: Any, layouts: ModelLayouts) -> Segments:
    """The present segments of a stored prediction, by a row with its generation and the `segment_columns`."""
    if not layouts.segmentation:
        return ()
    if row.generation < layouts.segment_generation:
        return segments_of(row, layouts.segmentation)
    return () if row.segments is None else decode_segments(row.segments)


def contribution(
    prediction: Counted, truth: Scalar, times: LabelTimes, layouts: Mapping[str, ModelLayouts], sign: int = 1
) -> Contribution:
    """What a prediction with this truth adds to its window (sign 1), or takes back (-1)."""
    of_model = layouts[prediction.id.model]
    key = SlotKey(
        prediction.id.model,
        of_model.outcome_generation,
        prediction.version,
        prediction.environment,
        window_start(prediction.ts),
    )
    delay = max(0, times.first - prediction.ts) / 1_000_000
    outcome = Outcome(prediction.prediction, prediction.probability, truth, delay)
    return Contribution(key, of_model.of(prediction.version).outcome, outcome, sign, times.latest, prediction.segments)


def _contribution(prediction: Counted, known: Known, layouts: Mapping[str, ModelLayouts], sign: int) -> Contribution:
    times = LabelTimes(known.first_ts, known.ts)
    return contribution(prediction, decode_scalar(known.value), times, layouts, sign)
