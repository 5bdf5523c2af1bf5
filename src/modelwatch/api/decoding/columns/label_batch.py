"""Batches of labels in columns: one row is one label."""

from __future__ import annotations

from collections.abc import Mapping

from modelwatch.api.decoding.checks import Checker
from modelwatch.api.decoding.columns.prediction_batch import (
    BYTES_PER_CELL,
    Problems,
    checked_values,
    ids,
    times,
)
from modelwatch.api.decoding.columns.reading import Bounds, arrow_errors, read_table, scalars
from modelwatch.api.decoding.json_batch import Collector
from modelwatch.api.decoding.limits import Limits
from modelwatch.api.decoding.values import pointer_to
from modelwatch.batches import DecodedLabels
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.events import GroundTruth

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
