"""Labels by the time at which they became known, what a moment of the past did not know yet, and what it knew.

Counts of outcomes are kept by the window of the prediction, and hold every label that has come. To tell what they were
at some moment, what later labels have added is taken out again, from the rows. While labels come in the order of their
times there are few of these; in a replay that is evaluated afterwards those of each window are read once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.counts.labels.pairs import Integers, pairs_of_windows
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.counts.volumes import predictions_in
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.prepared import RowsById
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import PREDICTION_COLUMNS, Contributions, LabelledPrediction, count_outcomes
from modelwatch.storage.ledger.labels import oldest_kept_day
from modelwatch.storage.ledger.predictions.pages import ROWS_PER_READ
from modelwatch.storage.ledger.predictions.rows import decode_scalar
from modelwatch.storage.references.layouts import Counts, ModelLayouts
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

# Up to so many labels are looked up one by one.
FEW_LABELS = 200


def later_outcomes(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    spans: Sequence[Span],
    moment: int,
) -> list[Counts | None]:
    """Counts by span [start, end), in seconds, that labels first known after a moment, in seconds, add to it.

    None where there are none. A label that was corrected counts from the time at which any value of it was known, with
    the value that holds now. Days whose predictions have expired are left out: their rows may be gone.
    """
    found: list[Counts | None] = [None] * len(spans)
    after = moment * MICROS_PER_SECOND
    touched, newest = _touched(connection, stream, layouts, spans, after)
    if touched is None:
        return found
    if _has_labels(connection, stream.model, (after, newest), FEW_LABELS + 1):
        return _of_windows(connection, store, stream, layouts, spans, touched, after)
    for contributions in _by_label(connection, store, stream, layouts, touched, (after, newest)):
        for key, slot in count_outcomes(contributions, 0).items():
            _add_to_spans(found, spans, key.window_start, slot.counts)
    return found


def _of_windows(
    connection: Connection,
    store: Store,
    stream: StreamKey,
    layouts: ModelLayouts,
    spans: Sequence[Span],
    touched: Span,
    after: int,
) -> list[Counts | None]:
    """The same from the labelled predictions of whole windows, which are remembered."""
    size = layouts.of(stream.version).outcome.size
    oldest = oldest_kept_day(connection, stream.model)
    # By the spans that a window lies in: all that such windows add is counted at once.
    alike: dict[tuple[int, ...], list[tuple[Integers, Integers]]] = {}
    for (first, _), pairs in pairs_of_windows(connection, store, stream, layouts, touched, after).items():
        added = pairs.after(after)
        if added is not None and first // SECONDS_PER_DAY >= oldest:
            inside = tuple([place for place, (start, end) in enumerate(spans) if start <= first < end])
            alike.setdefault(inside, []).append(added)
    found: list[Counts | None] = [None] * len(spans)
    for inside, some in alike.items():
        places, amounts = (np.concatenate(parts) for parts in zip(*some, strict=True))
        counts = np.bincount(places, weights=amounts, minlength=size).astype(np.int64)
        for place in inside:
            _add(found, place, counts)
    return found


def _add_to_spans(found: list[Counts | None], spans: Sequence[Span], window_start: int, counts: Counts) -> None:
    for place, (start, end) in enumerate(spans):
        if start <= window_start < end:
            _add(found, place, counts)


def _add(found: list[Counts | None], place: int, counts: Counts) -> None:
    total = found[place]
    found[place] = counts.copy() if total is None else np.add(total, counts, out=total)


class Stretch(NamedTuple):
    """Predictions of [start, end), and the moment by which a label must have been known to count as early; seconds."""

    start: int
    end: int
    moment: int


def outcomes_by_arrival(
    connection: Connection,
    stream: StreamKey,
    layouts: ModelLayouts,
    stretches: Sequence[Stretch],
    known_by: int | None,
    *,
    one_of: int = 1,
) -> tuple[Counts, Counts]:
    """The counts of labelled predictions whose truth was known early, and of those whose truth came later.

    A label that was corrected is as late as the value that holds. known_by: seconds; labels from after it are in
    neither; None: none is from after it. one_of: of so many base windows one is read. Both vectors are of the layout
    in force; days whose predictions have expired are left out.
    """
    layout = layouts.of(stream.version).outcome
    early, late = np.zeros(layout.size, dtype=np.int64), np.zeros(layout.size, dtype=np.int64)
    with closing(_labelled_rows(connection, stream, stretches, known_by, one_of)) as rows:
        while some := list(islice(rows, ROWS_PER_READ)):
            sides = (Contributions(stream.model, layouts), Contributions(stream.model, layouts))
            for row, is_late in some:
                truth = decode_scalar(row.value)
                sides[is_late].add(LabelledPrediction.from_row(row), truth, row.first_ts, row.label_ts)
            early += layout.entries(sides[0].outcomes).total(layout.size)
            late += layout.entries(sides[1].outcomes).total(layout.size)
    return early, late


def _labelled_rows(
    connection: Connection, stream: StreamKey, stretches: Sequence[Stretch], known_by: int | None, one_of: int
) -> Generator[tuple[Any, bool], None, None]:
    """The labelled predictions of stretches, day by day, and whether their label is late."""
    label, prediction = tables.label, tables.prediction
    conditions = [
        prediction.c.day == bindparam("of_day"),
        prediction.c.model == stream.model,
        prediction.c.version == stream.version,
        prediction.c.environment == stream.environment,
        prediction.c.ts >= bindparam("since"),
        prediction.c.ts < bindparam("until"),
        label.c.applied_at.is_not(None),
    ]
    if known_by is not None:
        conditions.append(label.c.first_ts <= known_by * MICROS_PER_SECOND)
    if one_of > 1:
        conditions.append((prediction.c.ts // (BASE_WINDOW_SECONDS * MICROS_PER_SECOND)) % one_of == 0)
    columns = (*PREDICTION_COLUMNS, label.c.value, label.c.first_ts, label.c.ts.label("label_ts"))
    statement = select(*columns).join(label, _of_label()).where(*conditions)
    oldest = oldest_kept_day(connection, stream.model)
    for start, end, moment in stretches:
        for day in range(max(start // SECONDS_PER_DAY, oldest), (end - 1) // SECONDS_PER_DAY + 1):
            span = {"of_day": day, "since": start * MICROS_PER_SECOND, "until": end * MICROS_PER_SECOND}
            with connection.execute(statement, span) as rows:
                for row in rows:
                    yield row, row.label_ts > moment * MICROS_PER_SECOND


def first_label_time(connection: Connection, stream: StreamKey) -> int | None:
    """The time of the stream's first label, in microseconds; None without labels."""
    label, prediction = tables.label, tables.prediction
    return connection.execute(
        select(label.c.first_ts)
        .join(prediction, _of_label())
        .where(
            label.c.model == stream.model,
            label.c.applied_at.is_not(None),
            prediction.c.version == stream.version,
            prediction.c.environment == stream.environment,
        )
        .order_by(label.c.first_ts)
        .limit(1)
    ).scalar()


def has_news(connection: Connection, stream: StreamKey, start: int, end: int, number: int) -> bool:
    """True when this many of the stream's predictions lie between two times, in seconds, or as many labels of its model
    became known between them."""
    if _has_labels(connection, stream.model, (start * MICROS_PER_SECOND, end * MICROS_PER_SECOND), number):
        return True
    return predictions_in(connection, stream, start, end) >= number


def _has_labels(connection: Connection, model: str, known: Span, number: int) -> bool:
    """True when this many labels of a model became known after the first of two times and by the second, in
    microseconds."""
    where = {"of_model": model, "after": known[0], "until": known[1], "others": number - 1}
    return connection.execute(_LABEL_BEYOND, where).first() is not None


# Labels of a model that became known in a span of microseconds, without its start. By the index of times: SQLite would
# rather read every label of the model, since its name is given exactly.
_KNOWN = (
    tables.label.c.model.concat("") == bindparam("of_model"),
    tables.label.c.first_ts > bindparam("after"),
    tables.label.c.first_ts <= bindparam("until"),
)
_LABEL_BEYOND = select(tables.label.c.first_ts).where(*_KNOWN).offset(bindparam("others")).limit(1)

_TOUCHED = select(
    func.min(tables.outcome.c.window_start),
    func.max(tables.outcome.c.window_start + tables.outcome.c.window_len),
    func.max(tables.outcome.c.latest_ts),
).where(
    tables.outcome.c.model == bindparam("of_model"),
    tables.outcome.c.environment == bindparam("of_environment"),
    tables.outcome.c.version == bindparam("of_version"),
    tables.outcome.c.segment == "",
    tables.outcome.c.generation == bindparam("of_generation"),
    tables.outcome.c.window_start >= bindparam("start"),
    tables.outcome.c.window_start < bindparam("end"),
    tables.outcome.c.latest_ts > bindparam("after"),
)


def _touched(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, spans: Sequence[Span], after: int
) -> tuple[Span | None, int]:
    """The stretch of the windows in these spans that hold a label from after then, and the time of the newest label."""
    where = {
        "of_model": stream.model,
        "of_environment": stream.environment,
        "of_version": stream.version,
        "of_generation": layouts.outcome_generation,
        "start": min(start for start, _ in spans),
        "end": max(end for _, end in spans),
        "after": after,
    }
    first, last, newest = connection.execute(_TOUCHED, where).one()
    return None if first is None else (first, last), newest or 0


def _by_label(
    connection: Connection, store: Store, stream: StreamKey, layouts: ModelLayouts, touched: Span, known: Span
) -> Iterator[Contributions]:
    """The pairs by their labels, some thousands at a time."""
    label = tables.label
    model, version, environment = stream
    predictions = RowsById(store, tables.prediction, (*PREDICTION_COLUMNS, tables.prediction.c.day))
    oldest = oldest_kept_day(connection, model)
    in_time = select(label.c.prediction_id, label.c.value, label.c.first_ts, label.c.ts).where(
        *_KNOWN, label.c.applied_at.is_not(None)
    )
    with connection.execute(in_time, {"of_model": model, "after": known[0], "until": known[1]}) as rows:
        for some in rows.partitions(ROWS_PER_READ):
            labels = {row.prediction_id: row for row in some}
            contributions = Contributions(model, layouts)
            for row in predictions.read(connection, model, list(labels)):
                in_stretch = touched[0] <= row.ts // MICROS_PER_SECOND < touched[1]
                if in_stretch and row.day >= oldest and (row.version, row.environment) == (version, environment):
                    _contribute(contributions, row, labels[row.prediction_id])
            yield contributions


def _contribute(contributions: Contributions, prediction: Any, label: Any) -> None:
    contributions.add(LabelledPrediction.from_row(prediction), decode_scalar(label.value), label.first_ts, label.ts)


def _of_label() -> ColumnElement[bool]:
    label, prediction = tables.label, tables.prediction
    return and_(label.c.model == prediction.c.model, label.c.prediction_id == prediction.c.prediction_id)
