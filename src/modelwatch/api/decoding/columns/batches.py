"""Batches in columns: one row is one prediction or one label.

Of predictions, every column that is not a known one is a feature.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from modelwatch.api.decoding.checks import Checker
from modelwatch.api.decoding.columns.reading import Bounds, arrow_errors, feature_column, read_table, scalars
from modelwatch.api.decoding.columns.schema import KNOWN_COLUMNS, is_number
from modelwatch.api.decoding.fields import (
    STREAM_DEFAULTS,
    Collector,
    Fields,
    Stream,
    given_ids,
    given_times,
    unusual_rows,
)
from modelwatch.api.decoding.values import NOT_FINITE, Limits, pointer_to
from modelwatch.batches import DecodedBatch, DecodedLabels
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import GroundTruth, Scalar
from modelwatch.stats.counting.columns import Column, FloatColumn, TextColumn
from modelwatch.times import micros_of

if TYPE_CHECKING:
    import pyarrow as pa


# A value of eight bytes: a body of float64 columns always fits.
BYTES_PER_CELL = 8
PROBLEMS_PER_ROW = 10
MICROSECONDS_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}

Problems = dict[int, list[FieldError]]


def decode_table(
    body: bytes, kind: str, checker: Checker, limits: Limits, now: int, defaults: Mapping[str, str]
) -> DecodedBatch:
    """The batch of an Arrow stream, a Parquet or a CSV file. Pointers are names of columns.

    Raises MalformedBody for bytes that can't be read, InvalidInput for missing columns or without a valid row.
    """
    required = ("prediction",) if "model_name" in defaults else ("model_name", "prediction")
    bounds = Bounds(limits, limits.max_batch_rows, limits.max_body_bytes // BYTES_PER_CELL, required)
    table = read_table(body, kind, bounds)
    with arrow_errors(kind):
        return _decoded(table, checker, now, {**STREAM_DEFAULTS, **defaults})


def _decoded(table: pa.Table, checker: Checker, now: int, defaults: Mapping[str, str | None]) -> DecodedBatch:
    size = table.num_rows
    problems: Problems = {}
    features = {name: feature_column(table.column(name)) for name in table.schema.names if name not in KNOWN_COLUMNS}
    for name, values in features.items():
        _note_values(values, pointer_to(name), checker, problems)

    def column(name: str, read: Callable[[pa.ChunkedArray], list[Any]] = scalars) -> list[Any]:
        present = name in table.schema.names
        return read(table.column(name)) if present else [defaults.get(name)] * size

    streams, stream_of = _streams(table, defaults)
    identities = given_ids(column("prediction_id", ids), checker)
    moments = given_times(column("timestamp", lambda given: times(given, problems)), identities, checker, now)
    fields = Fields(
        streams,
        stream_of,
        identities,
        moments,
        checked_values(column("prediction"), "/prediction", checker, problems),
        column("prediction_probability", lambda given: probabilities(given, problems)),
        [None if value is None else float(value) for value in column("latency_ms")],
        checked_values(column("ground_truth"), "/ground_truth", checker, problems),
    )
    collector = Collector[int]()
    is_good = np.ones(size, dtype=np.bool_)
    for row in sorted(_unusual_rows(fields, problems, checker, now)) if size else ():
        try:
            _look_at(row, fields, problems.get(row, []), checker, now)
        except InvalidInput as error:
            collector.reject(row, error)
            is_good[row] = False
    good = np.flatnonzero(is_good)
    rejected = collector.batch(len(good)).rejected
    return DecodedBatch(fields.batch((features,), np.zeros(size, dtype=np.intp), np.arange(size), good), rejected)


def _streams(table: pa.Table, defaults: Mapping[str, str | None]) -> tuple[list[Stream], list[int]]:
    """The distinct streams, and of each row the place in them. defaults: of the columns that name them."""
    codes = np.zeros(table.num_rows, dtype=np.intp)
    known: list[tuple[str | None, ...]] = [()]
    for name in STREAM_DEFAULTS:
        values: list[Any] = []
        own = np.zeros_like(codes)
        if name in table.schema.names:
            own, values = feature_column(table.column(name)).distinct()
        # What is missing has the code -1: the last one.
        values = [*values, defaults.get(name)]
        if len(own) and (own == own[0]).all():
            # Nearly always a table is of one stream.
            known = [(*names, values[own[0]]) for names in known]
            continue
        found, codes = np.unique(codes * len(values) + own % len(values), return_inverse=True)
        known = [(*known[each // len(values)], values[each % len(values)]) for each in found.tolist()]
    places: dict[Stream, int] = {}
    of_codes = [places.setdefault(Stream._make(names), len(places)) for names in known]
    return list(places), np.array(of_codes, dtype=np.intp)[codes].tolist()


def _unusual_rows(fields: Fields, problems: Problems, checker: Checker, now: int) -> set[int]:
    unusual = unusual_rows(fields, checker, now, True).union(problems)
    if None in fields.predictions:
        unusual.update(row for row, value in enumerate(fields.predictions) if value is None)
    return unusual


def _look_at(row: int, fields: Fields, wrong: list[FieldError], checker: Checker, now: int) -> None:
    """Puts a row's fields down as they are kept. wrong: what is known already. Raises InvalidInput for a bad row."""
    model, version, environment = fields.streams[fields.stream_of[row]]
    for pointer, value in (("/model_name", model), ("/prediction", fields.predictions[row])):
        if value is None:
            wrong.append(FieldError(pointer, "Required, got null"))
    event = checker.checked(
        "?" if model is None else model,
        version,
        environment,
        fields.ids[row],
        fields.times[row],
        {},
        fields.predictions[row],  # type: ignore[arg-type]
        fields.probabilities[row],
        fields.latencies[row],
        fields.truths[row],
        now,
        True,
        wrong,
    )
    fields.probabilities[row] = event.probability


def _note_values(column: Column, pointer: str, checker: Checker, problems: Problems) -> None:
    """Notes by their row numbers of a feature that are not finite and texts that can't be kept."""
    match column:
        case FloatColumn():
            for index in np.flatnonzero(np.isinf(column.values)).tolist():
                _note(index, [FieldError(pointer, NOT_FINITE, excerpt(float(column.values[index])))], problems)
        case TextColumn():
            wrong: dict[int, list[FieldError]] = {}
            for code, name in enumerate(column.names):
                found: list[FieldError] = []
                checker.scalar(name, pointer, True, found)
                if found:
                    wrong[code] = found
            if wrong:
                for index in np.flatnonzero(np.isin(column.codes, list(wrong))).tolist():
                    _note(index, wrong[int(column.codes[index])], problems)


def checked_values(values: list[Scalar], pointer: str, checker: Checker, problems: Problems) -> list[Scalar]:
    """The values. Numbers that are not finite and texts that can't be kept are noted by their row."""
    kinds = set(map(type, values))
    if float in kinds:
        for row, value in enumerate(values):
            if type(value) is float and not math.isfinite(value):
                _note(row, [FieldError(pointer, NOT_FINITE, excerpt(value))], problems)
    for row in checker.unusual_values(values, True) if str in kinds else ():
        wrong: list[FieldError] = []
        checker.scalar(values[row], pointer, True, wrong)
        _note(row, wrong, problems)
    return values


def _note(index: int, wrong: Sequence[FieldError], problems: Problems) -> None:
    known = problems.setdefault(index, [])
    if len(known) < PROBLEMS_PER_ROW:
        known.extend(wrong)


def ids(column: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in scalars(column)]


def times(column: pa.ChunkedArray, problems: Problems) -> list[int | None]:
    """Microseconds since 1970. Arrow's times with a zone are UTC, those without are taken as UTC."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        counts = scalars(column.cast(pa.int64()))
        if column.type.unit == "ns":
            return [None if count is None else cast(int, count) // 1_000 for count in counts]
        factor = MICROSECONDS_PER_UNIT[column.type.unit]
        return [None if count is None else cast(int, count) * factor for count in counts]
    texts = scalars(column)
    try:
        return [None if time is None else micros_of(time) for time in msgspec.convert(texts, list[datetime | None])]
    except msgspec.ValidationError:
        # One by one, those that are wrong are named.
        found: list[int | None] = []
    for index, text in enumerate(texts):
        try:
            found.append(None if text is None else micros_of(msgspec.convert(text, datetime)))
        except msgspec.ValidationError:
            found.append(None)
            problems.setdefault(index, []).append(
                FieldError("/timestamp", "Expected a time as RFC 3339 writes it", excerpt(text))
            )
    return found


def probabilities(column: pa.ChunkedArray, problems: Problems) -> list[float | dict[str, float] | None]:
    """A number, or a map from class to number, for each row."""
    import pyarrow as pa

    if is_number(column.type):
        return [None if value is None else float(value) for value in scalars(column)]
    if pa.types.is_struct(column.type):
        given = [None if value is None else list(value.items()) for value in column.to_pylist()]
    else:
        given = column.to_pylist()
    result: list[float | dict[str, float] | None] = []
    for index, pairs in enumerate(given):
        shares = {name: float(share) for name, share in pairs or () if share is not None and share == share}
        if pairs is not None and len({name for name, _ in pairs}) != len(pairs):
            wrong = FieldError("/prediction_probability", "Duplicate class")
            problems.setdefault(index, []).append(wrong)
        result.append(shares or None)
    return result


LABEL_COLUMNS = ("model_name", "prediction_id", "ground_truth", "timestamp")


def decode_labels(
    body: bytes, kind: str, checker: Checker, limits: Limits, now: int, defaults: Mapping[str, str]
) -> DecodedLabels:
    """The labels of an Arrow stream, a Parquet or a CSV file. Pointers are names of columns.

    Raises MalformedBody for bytes that can't be read, InvalidInput for missing columns or without a valid row.
    """
    default = defaults.get("model_name")
    required = ("prediction_id", "ground_truth") + (() if default is not None else ("model_name",))
    bounds = Bounds(limits, limits.max_batch_rows, limits.max_body_bytes // BYTES_PER_CELL, required)
    table = read_table(body, kind, bounds)
    others = [name for name in table.schema.names if name not in LABEL_COLUMNS]
    if others:
        message = f"Unknown column; a label has {', '.join(LABEL_COLUMNS)}"
        problems = tuple(FieldError(pointer_to(name[:80]), message) for name in others[:20])
        raise InvalidInput("The table has columns that are not valid.", problems, table.num_rows)
    with arrow_errors(kind):
        by_row: Problems = {}
        size, names = table.num_rows, table.schema.names
        models = scalars(table.column("model_name")) if "model_name" in names else [None] * size
        identities = ids(table.column("prediction_id"))
        truths = checked_values(scalars(table.column("ground_truth")), "/ground_truth", checker, by_row)
        moments = times(table.column("timestamp"), by_row) if "timestamp" in names else [None] * size
    collector: Collector[GroundTruth] = Collector()
    for index, (model, identity, truth, moment) in enumerate(zip(models, identities, truths, moments, strict=True)):
        wrong_here = by_row.get(index, [])
        named = default if model is None else str(model)
        for pointer, value in (("/model_name", named), ("/prediction_id", identity)):
            if value is None:
                wrong_here.append(FieldError(pointer, "Required, got null"))
        try:
            label = checker.checked_label(named or "?", identity or "?", truth, moment, now, True, wrong_here)
        except InvalidInput as error:
            collector.reject(index, error)
        else:
            collector.take(label)
    found = collector.batch()
    return DecodedLabels(found.events, found.rejected)
