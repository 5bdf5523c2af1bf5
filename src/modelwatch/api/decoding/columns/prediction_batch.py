"""Batches of predictions in columns: one row is one prediction, every column that is not a known one is a feature."""

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
from modelwatch.api.decoding.json_batch import Collector
from modelwatch.api.decoding.limits import Limits
from modelwatch.api.decoding.values import NOT_FINITE, pointer_to, text_problem
from modelwatch.batches import DecodedBatch, PredictionBatch, StreamName
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT, DEFAULT_VERSION, Scalar
from modelwatch.stats.counting.columns import Column, FloatColumn, TextColumn
from modelwatch.times import micros_of

if TYPE_CHECKING:
    import pyarrow as pa

# A value of eight bytes: a body of float64 columns always fits.
BYTES_PER_CELL = 8
PROBLEMS_PER_ROW = 10
MICROSECONDS_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}
DEFAULT_COLUMNS = {"model_name": None, "model_version": DEFAULT_VERSION, "environment": DEFAULT_ENVIRONMENT}

Problems = dict[int, list[FieldError]]


def decode_table(
    body: bytes, kind: str, checker: Checker, limits: Limits, now: int, defaults: Mapping[str, str]
) -> DecodedBatch:
    """The batch of an Arrow stream or a Parquet file. Pointers are names of columns.

    Raises MalformedBody for bytes that can't be read, InvalidInput for missing columns or without a valid row.
    """
    check_defaults(defaults, limits)
    required = ("prediction",) if "model_name" in defaults else ("model_name", "prediction")
    bounds = Bounds(limits, limits.max_batch_rows, limits.max_body_bytes // BYTES_PER_CELL, required)
    table = read_table(body, kind, bounds)
    with arrow_errors(kind):
        return _decoded(table, checker, now, {**DEFAULT_COLUMNS, **defaults})


def check_defaults(defaults: Mapping[str, str], limits: Limits) -> None:
    """Raises InvalidInput that names the parameters of a request that are no names."""
    problems = []
    for name, value in defaults.items():
        if name not in DEFAULT_COLUMNS:
            raise ValueError(f"no column {name} can have a default")
        if wrong := text_problem(value, limits.max_name_length):
            problems.append(FieldError(pointer_to(name), wrong, excerpt(value)))
    if problems:
        raise InvalidInput("The parameters of the request are not valid.", tuple(problems))


def _decoded(table: pa.Table, checker: Checker, now: int, defaults: Mapping[str, str | None]) -> DecodedBatch:
    size = table.num_rows
    problems: Problems = {}
    features = {name: feature_column(table.column(name)) for name in table.schema.names if name not in KNOWN_COLUMNS}
    for name, values in features.items():
        _note_values(values, pointer_to(name), checker, problems)

    def column(name: str, read: Callable[[pa.ChunkedArray], list[Any]] = scalars) -> list[Any]:
        present = name in table.schema.names
        return read(table.column(name)) if present else [defaults.get(name)] * size

    def name_column(name: str) -> list[Any]:
        given, default = column(name), defaults.get(name)
        return [default if value is None else value for value in given]

    streams: dict[tuple[str | None, str, str], int] = {}
    of_rows = zip(*map(name_column, DEFAULT_COLUMNS), strict=True)
    stream_of = [streams.setdefault(stream, len(streams)) for stream in of_rows]
    identities = column("prediction_id", ids)
    moments = column("timestamp", lambda given: times(given, problems))
    predictions = checked_values(column("prediction"), "/prediction", checker, problems)
    shares = column("prediction_probability", lambda given: probabilities(given, problems))
    latencies = [None if value is None else float(value) for value in column("latency_ms")]
    truths = checked_values(column("ground_truth"), "/ground_truth", checker, problems)

    known, collector = list(streams), Collector[int]()
    is_plain = checker.plain_rows(known, now)
    for index, fields in enumerate(zip(stream_of, identities, moments, shares, latencies, strict=True)):
        if is_plain(*fields) and predictions[index] is not None and index not in problems:
            collector.take(index)
            continue
        model, version, environment = known[stream_of[index]]
        wrong = problems.get(index, [])
        for pointer, value in (("/model_name", model), ("/prediction", predictions[index])):
            if value is None:
                wrong.append(FieldError(pointer, "Required, got null"))
        try:
            event = checker.checked(
                "?" if model is None else model,
                version,
                environment,
                identities[index],
                moments[index],
                {},
                predictions[index],  # type: ignore[arg-type]
                shares[index],
                latencies[index],
                truths[index],
                now,
                True,
                wrong,
            )
        except InvalidInput as error:
            collector.reject(index, error)
        else:
            identities[index], moments[index], shares[index] = event.prediction_id, event.timestamp, event.probability
            collector.take(index)
    found = collector.batch()
    bad = {each.index for each in found.rejected}
    batch = PredictionBatch(
        # None is in bad rows alone.
        tuple(StreamName(model or "", version, environment) for model, version, environment in known),
        np.array(stream_of, dtype=np.intp),
        identities,
        # Of bad rows, which are left out, there may be none, or one that is too large.
        np.array([0 if index in bad else moment for index, moment in enumerate(moments)], dtype=np.int64),
        predictions,
        shares,
        latencies,
        truths,
        (features,),
        np.zeros(size, dtype=np.intp),
        np.arange(size),
    )
    return DecodedBatch(batch.take(np.array(found.events, dtype=np.intp)), found.rejected)


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
    for index, value in enumerate(values):
        wrong: list[FieldError] = []
        if type(value) is float:
            if not math.isfinite(value):
                wrong.append(FieldError(pointer, NOT_FINITE, excerpt(value)))
        elif type(value) is str:
            checker.scalar(value, pointer, True, wrong)
        if wrong:
            _note(index, wrong, problems)
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
    found: list[int | None] = []
    for index, text in enumerate(scalars(column)):
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
