"""Reading outcomes: sums over windows and writers, the newest labels, and those that wait for their prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Select,
    TextClause,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from modelwatch.events import Scalar
from modelwatch.stats.counting.encoded_counts import decode_sparse
from modelwatch.stats.outcomes.outcome_layout import Outcome
from modelwatch.stats.outcomes.tasks import Probability
from modelwatch.storage.counts.profiles import sliding_sums
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.counts.sliding import Part, Span, Stretched, Total, merged
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import PREDICTION_COLUMNS, LabelledPrediction
from modelwatch.storage.ledger.predictions.rows import decode_probability, decode_scalar
from modelwatch.storage.references.layouts import Counts, ModelLayouts


@dataclass(frozen=True, slots=True)
class NewestLabel:
    """Times of the newest counted label: its own, and its arrival, in microseconds."""

    latest_ts: int
    arrived_at: int

    def newest_of(self, other: NewestLabel | None) -> NewestLabel:
        """The newest times of both."""
        if other is None:
            return self
        return NewestLabel(max(self.latest_ts, other.latest_ts), max(self.arrived_at, other.arrived_at))


@dataclass(frozen=True, slots=True)
class WaitingLabels:
    """Labels without a prediction: those that are still kept, how many have been given up, and how many came for a day
    that had expired."""

    waiting: int
    orphaned: int
    expired: int


def sum_outcomes(
    connection: Connection,
    model: str,
    layouts: ModelLayouts,
    environment: str,
    spans: Sequence[Span],
    version: str | None = None,
    segment: str = "",
) -> list[dict[str, Counts]]:
    """Summed counts by span [start, end), in seconds, of every version that has labels in it.

    A vector is laid out by `layouts.of(version).outcome`. Only windows inside the span are added.
    Raises MalformedProfile when stored counts are damaged.
    """
    where: dict[str, str | int] = {
        "of_model": model,
        "of_environment": environment,
        "of_segment": segment,
        "of_generation": layouts.outcome_generation,
    }
    if version is not None:
        where["of_version"] = version
    statement = _windows_between(version is not None)
    sums = sliding_sums(connection, (sum_outcomes, *where.values()), model, environment, version)

    def rows_of(span: Span) -> CursorResult[int, int, str, bytes]:
        return connection.execute(statement, {**where, "first": span[0], "end": span[1]})

    def read(stretches: Sequence[Span]) -> Iterator[Part]:
        """The sums of all stretches, by version and by which of these the windows lie in."""
        parts: dict[tuple[str, tuple[int, ...]], Total] = {}
        for stretch in merged(stretches):
            kept = None if sums.edges is None else sums.edges.between(stretch, rows_of)
            for start, length, name, raw in rows_of(stretch) if kept is None else kept:
                inside = tuple(
                    place for place, each in enumerate(stretches) if each[0] <= start and start + length <= each[1]
                )
                if inside:
                    counts, before = decode_sparse(raw), parts.get((name, inside))
                    if before is None:
                        parts[name, inside] = Total(1, 0, counts)
                    else:
                        np.add(before.counts, counts, out=before.counts)
                        parts[name, inside] = Total(before.rows + 1, 0, before.counts)
        for (name, inside), total in parts.items():
            yield Part(name, inside, total)

    return [
        {name: total.counts.copy() for name, total in totals.items() if total.counts.any()}
        for totals in sums.of(spans, read)
    ]


@cache
def _windows_between(of_one_version: bool) -> Select[int, int, str, bytes]:
    """Statement for the windows that start in a span: of one version, or of all."""
    table = tables.outcome
    query = select(table.c.window_start, table.c.window_len, table.c.version, table.c.counts).where(
        table.c.model == bindparam("of_model"),
        table.c.environment == bindparam("of_environment"),
        table.c.segment == bindparam("of_segment"),
        table.c.generation == bindparam("of_generation"),
        table.c.window_start >= bindparam("first"),
        table.c.window_start < bindparam("end"),
    )
    return query.where(table.c.version == bindparam("of_version")) if of_one_version else query


def outcomes_by_window(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, span: Span
) -> dict[int, Counts]:
    """By start in seconds, oldest first, the counts of the stream's windows inside the span [start, end) as they are
    stored. Raises MalformedProfile when stored counts are damaged."""
    table = tables.outcome
    rows = connection.execute(
        select(table.c.window_start, table.c.counts).where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
            table.c.window_start >= span[0],
            table.c.window_start + table.c.window_len <= span[1],
            table.c.generation == layouts.outcome_generation,
        )
    )
    found: dict[int, Counts] = {}
    for start, raw in rows:
        counts = decode_sparse(raw)
        found[start] = found[start] + counts if start in found else counts
    return {start: found[start] for start in sorted(found)}


def newest_label(connection: Connection, stream: StreamKey) -> NewestLabel | None:
    """The newest of the stream's labels; None when it has none."""
    table = tables.outcome
    row = connection.execute(
        select(func.max(table.c.latest_ts), func.max(table.c.arrived_at)).where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
        )
    ).one()
    return None if not row[0] else NewestLabel(*row)


def newest_labels(connection: Connection, model: str | None = None) -> dict[StreamKey, NewestLabel]:
    """The newest label of every stream that has one, of all models or of one. Reads all counts of their labels."""
    of_model = [] if model is None else [tables.outcome.c.model == model]
    return _newest_labels(connection, tables.outcome.c.segment == "", *of_model)


def fresh_labels(connection: Connection) -> dict[StreamKey, NewestLabel]:
    """The newest of the labels that writers have counted whose slots were not folded yet, by stream."""
    return _newest_labels(connection, tables.UNFOLDED, tables.outcome.c.segment == "")


def _newest_labels(
    connection: Connection, *conditions: ColumnElement[bool] | TextClause
) -> dict[StreamKey, NewestLabel]:
    table = tables.outcome
    key = (table.c.model, table.c.version, table.c.environment)
    rows = connection.execute(
        select(*key, func.max(table.c.latest_ts), func.max(table.c.arrived_at)).where(*conditions).group_by(*key)
    )
    return {StreamKey(*row[:3]): NewestLabel(*row[3:]) for row in rows if row[3]}


def first_labelled_window(connection: Connection, stream: StreamKey) -> int:
    """The start of the stream's first window with labels, in seconds; 0 when it has none."""
    table = tables.outcome
    found = connection.execute(
        select(func.min(table.c.window_start)).where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
        )
    ).scalar()
    return found or 0


def meanings_of_day(
    connection: Connection, stream: StreamKey, day: int, limit: int
) -> list[tuple[Scalar, Probability, Scalar]]:
    """Predictions of a day, their probabilities and labels: up to `limit` of them, the first by their ids."""
    label, prediction = tables.label, tables.prediction
    rows = connection.execute(
        select(prediction.c.prediction, prediction.c.probability, label.c.value)
        .select_from(prediction)
        .outerjoin(
            label, and_(label.c.model == prediction.c.model, label.c.prediction_id == prediction.c.prediction_id)
        )
        .where(
            prediction.c.day == day,
            prediction.c.model == stream.model,
            prediction.c.version == stream.version,
            prediction.c.environment == stream.environment,
        )
        .order_by(prediction.c.prediction_id)
        .limit(limit)
    )
    return [
        (
            decode_scalar(predicted),
            None if probability is None else decode_probability(probability),
            None if truth is None else decode_scalar(truth),
        )
        for predicted, probability, truth in rows
    ]


def waiting_labels(connection: Connection, model: str, until: int | None = None) -> WaitingLabels:
    """The model's labels whose prediction has not come. until: microseconds; of those waiting, the ones known by then.

    How many have been given up, or came too late, goes by their arrival.
    """
    label, known = tables.label, tables.model
    query = select(func.count()).where(label.c.model == model, label.c.applied_at.is_(None))
    if until is not None:
        query = query.where(label.c.first_ts <= until)
    waiting = connection.execute(query).scalar_one()
    lost_of_model = select(known.c.orphaned_labels, known.c.expired_labels).where(known.c.name == model)
    lost = remembered(connection, (waiting_labels, model), lambda: connection.execute(lost_of_model).first())
    return WaitingLabels(waiting, *((0, 0) if lost is None else lost))


def models_with_labels(connection: Connection) -> list[str]:
    """The models that have labels, sorted."""
    table, label = tables.model, tables.label
    labelled = exists().where(label.c.model == table.c.name)
    return list(
        connection.execute(select(table.c.name).where(labelled).order_by(tables.by_bytes(table.c.name))).scalars()
    )


def label_values(connection: Connection, model: str) -> list[Scalar]:
    """Distinct label values of the model."""
    table = tables.label
    rows = connection.execute(
        select(table.c.value).where(table.c.model == model, table.c.applied_at.is_not(None)).distinct()
    )
    return [decode_scalar(value) for value in sorted(rows.scalars())]


def labelled_sample(connection: Connection, model: str, limit: int) -> list[Outcome]:
    """Sample of labelled predictions of a model: up to so many, the first by their ids."""
    label, prediction = tables.label, tables.prediction
    rows = connection.execute(
        select(*PREDICTION_COLUMNS, label.c.value, label.c.first_ts)
        .select_from(label)
        .join(
            prediction,
            and_(prediction.c.model == label.c.model, prediction.c.prediction_id == label.c.prediction_id),
        )
        .where(label.c.model == model, label.c.applied_at.is_not(None))
        .order_by(label.c.prediction_id)
        .limit(limit)
    )
    sample = []
    for row in rows:
        counted = LabelledPrediction.from_row(row)
        sample.append(Outcome(counted.prediction, counted.probability, decode_scalar(row.value)))
    return sample


def give_up_labels(store: Store, arrived_before: int, limit: int) -> int:
    """Removes up to `limit` labels that have waited since before then; they count as orphaned. Returns how many."""
    label, known = tables.label, tables.model
    with store.read() as connection:
        due = connection.execute(
            select(label.c.model, label.c.prediction_id)
            .where(label.c.applied_at.is_(None), label.c.arrived_at < arrived_before)
            .limit(limit)
        ).all()
    if not due:
        return 0
    with store.write() as connection:
        by_model: dict[str, list[str]] = {}
        for model, identity in due:
            by_model.setdefault(model, []).append(identity)
        removed = 0
        # As a commit with labels does, and in its order, which is the store's: a prediction that is just being stored
        # must not miss its label.
        of_these = select(known.c.name).where(known.c.name.in_(sorted(by_model)))
        connection.execute(of_these.order_by(known.c.name).with_for_update()).all()
        for model in sorted(by_model):
            deleted = connection.execute(
                delete(label).where(
                    label.c.model == model,
                    label.c.prediction_id.in_(by_model[model]),
                    label.c.applied_at.is_(None),
                    label.c.arrived_at < arrived_before,
                )
            ).rowcount
            more = known.c.orphaned_labels + deleted
            connection.execute(update(known).where(known.c.name == model).values(orphaned_labels=more))
            removed += deleted
    return removed


def delays_by_window(
    connection: Connection,
    model: str,
    layouts: ModelLayouts,
    environment: str,
    version: str,
    span: Span,
    grain: Grain,
) -> dict[Span, Counts]:
    """By window, [start, end) in seconds, the delays of a version's labels in the windows that start in a span.

    The windows are those of the grain, which is as coarse as any that they may be stored in.
    Raises MalformedProfile when stored counts are damaged.
    """
    key = (delays_by_window, model, environment, version, layouts.outcome_generation)
    known = remembered(connection, key, Stretched[tuple[int, int, str], Counts])
    known.extend(span, lambda missing: _delays(connection, model, layouts, environment, version, missing))
    found: dict[Span, Counts] = {}
    for (start, _, _), delays in known.found.items():
        if span[0] <= start < span[1]:
            window = grain.window(start)
            found[window] = found[window] + delays if window in found else delays
    return found


def _delays(
    connection: Connection, model: str, layouts: ModelLayouts, environment: str, version: str, span: Span
) -> dict[tuple[int, int, str], Counts]:
    """Delays of a version's labels in each stored row of the windows that start in a span, by start, length and
    writer."""
    table = tables.outcome
    place = layouts.of(version).outcome.parts["delays"].place
    rows = connection.execute(
        select(table.c.window_start, table.c.window_len, table.c.writer, table.c.counts).where(
            table.c.model == model,
            table.c.environment == environment,
            table.c.version == version,
            table.c.segment == "",
            table.c.generation == layouts.outcome_generation,
            table.c.window_start >= span[0],
            table.c.window_start < span[1],
        )
    )
    return {(start, length, writer): decode_sparse(raw)[place].copy() for start, length, writer, raw in rows}
