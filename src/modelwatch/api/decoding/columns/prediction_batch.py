"""Batches of predictions in columns: one row is one prediction, every column that is not a known one is a feature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import msgspec

from modelwatch.api.decoding.checks import NOT_FINITE, Checker, microseconds, pointer_to, text_problem
from modelwatch.api.decoding.columns.reading import Bounds, arrow_errors, category_values, read_table, scalars
from modelwatch.api.decoding.columns.schema import KNOWN_COLUMNS, is_number
from modelwatch.api.decoding.json_batch import Collector
from modelwatch.api.decoding.limits import Limits
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT, DEFAULT_VERSION, DecodedBatch, Prediction, Scalar

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
        return _events(table, checker, now, {**DEFAULT_COLUMNS, **defaults})


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


def _events(table: pa.Table, checker: Checker, now: int, defaults: Mapping[str, str | None]) -> DecodedBatch:
    size = table.num_rows
    problems: Problems = {}
    features = [name for name in table.schema.names if name not in KNOWN_COLUMNS]
    values = [
        checked_values(category_values(scalars(table.column(name))), pointer_to(name), checker, problems)
        for name in features
    ]
    rows: Iterator[tuple[Scalar, ...]] = zip(*values, strict=True) if values else iter([()] * size)

    def column(name: str, read: Callable[[pa.ChunkedArray], list[Any]] = scalars) -> list[Any]:
        present = name in table.schema.names
        return read(table.column(name)) if present else [defaults.get(name)] * size

    def name_column(name: str) -> list[Any]:
        given, default = column(name), defaults.get(name)
        return [default if value is None else value for value in given]

    known = zip(
        name_column("model_name"),
        name_column("model_version"),
        name_column("environment"),
        column("prediction_id", ids),
        column("timestamp", lambda given: times(given, problems)),
        checked_values(column("prediction"), "/prediction", checker, problems),
        column("prediction_probability", lambda given: probabilities(given, problems)),
        column("latency_ms"),
        checked_values(column("ground_truth"), "/ground_truth", checker, problems),
        strict=True,
    )
    collector: Collector[Prediction] = Collector()
    for index, (row, fields) in enumerate(zip(rows, known, strict=True)):
        model, version, environment, prediction_id, timestamp, prediction, probability, latency, truth = fields
        wrong = problems.get(index, [])
        for pointer, value in (("/model_name", model), ("/prediction", prediction)):
            if value is None:
                wrong.append(FieldError(pointer, "Required, got null"))
        try:
            event = checker.checked(
                "?" if model is None else model,
                version,
                environment,
                prediction_id,
                timestamp,
                dict(zip(features, row, strict=True)),
                prediction,
                probability,
                None if latency is None else float(latency),
                truth,
                now,
                True,
                wrong,
            )
        except InvalidInput as error:
            collector.reject(index, error)
        else:
            collector.take(event)
    found = collector.batch()
    return DecodedBatch(found.events, found.rejected)


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
            known = problems.setdefault(index, [])
            if len(known) < PROBLEMS_PER_ROW:
                known.extend(wrong)
    return values


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
            found.append(None if text is None else microseconds(msgspec.convert(text, datetime)))
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
