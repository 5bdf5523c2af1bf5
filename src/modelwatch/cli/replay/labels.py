"""The ground truth of a file's rows: taken out of them, to be sent when it became known."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from modelwatch.cli.base import CliError
from modelwatch.times import EPOCH, micros_of

if TYPE_CHECKING:
    import pyarrow as pa

TRUTH = "ground_truth"
# The column with the time at which a row's truth became known; it exists in files only, not on the wire.
TRUTH_TIME = "ground_truth_timestamp"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Label:
    """The truth about one row, as a line of JSON. arrival: microseconds since 1970; None when it can't be read."""

    row: int
    arrival: int | None
    line: bytes


def label_of(row: int, model: object, identity: object, truth: object, arrival: object) -> Label:
    """The label of a row. model, identity, truth, arrival: as they are sent; undecoded JSON stays as it is."""
    fields = {"prediction_id": identity, TRUTH: truth, "timestamp": arrival}
    line = _encode(fields if model is None else {"model_name": model, **fields})
    return Label(row, read_moment(arrival), line)


def take_labels(batch: pa.RecordBatch, first: int, model: str | None) -> tuple[pa.RecordBatch, Sequence[Label | None]]:
    """The rows without the truths that have a time of their own, and these, row by row.

    first: number of the first row. model: of rows that name none. A truth without a time stays in its row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = batch.schema.names
    if TRUTH_TIME not in names:
        return batch, ()
    times = batch.column(TRUTH_TIME)
    batch = batch.drop_columns([TRUTH_TIME])
    truths = batch.column(TRUTH)
    if pa.types.is_null(times.type) or pa.types.is_null(truths.type):
        return batch, ()
    moments, values = _moments(times), _values(truths)
    apart = [value is not None and moment is not None for value, moment in zip(values, moments, strict=True)]
    stays = pc.if_else(pa.array(apart), pa.scalar(None, truths.type), truths)
    batch = batch.set_column(batch.schema.get_field_index(TRUTH), TRUTH, stays)
    models = batch.column("model_name").to_pylist() if "model_name" in names else [None] * batch.num_rows
    identities = batch.column("prediction_id").to_pylist()
    labels = [
        label_of(first + index, models[index] or model, str(identities[index]), values[index], moments[index])
        if apart[index]
        else None
        for index in range(batch.num_rows)
    ]
    return batch, labels


def take_label(fields: dict[str, object], row: int) -> Label | None:
    """Takes the truth of a row of JSON out of its fields, if it has a time of its own."""
    time = fields.pop(TRUTH_TIME, None)
    if is_missing(time) or is_missing(fields.get(TRUTH)):
        return None
    return label_of(row, fields.get("model_name"), fields["prediction_id"], fields.pop(TRUTH), time)


def is_missing(value: object) -> bool:
    """True when a field is absent or null."""
    return value is None or (isinstance(value, msgspec.Raw) and bytes(value).strip() == b"null")


def check_label_columns(names: Collection[str]) -> None:
    """Raises CliError when there are times of labels without labels. names: of the columns, as they are on the wire."""
    if TRUTH_TIME in names and TRUTH not in names:
        raise CliError("The file has times of labels, but no labels: name their column with --label-column")


def read_moment(value: object) -> int | None:
    """Microseconds since 1970 of a time, or of a text as RFC 3339 writes times (also in JSON); None when it is neither.

    >>> read_moment("1970-01-01T00:00:01Z"), read_moment("yesterday")
    (1000000, None)
    """
    try:
        if isinstance(value, msgspec.Raw):
            moment = msgspec.json.decode(value, type=datetime)
        else:
            moment = msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        return None
    return micros_of(moment)


def _moments(times: Any) -> list[object]:
    """Each row's time, or the text that should be one; None where there is none."""
    import pyarrow as pa

    if pa.types.is_date(times.type):
        times = times.cast(pa.timestamp("us"))
    if pa.types.is_timestamp(times.type):
        counts = times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64()).to_pylist()
        return [None if count is None else _as_time(count) for count in counts]
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        texts: list[object] = times.to_pylist()
        return texts
    raise CliError(f"The column with the times of labels is neither a time nor text, but {times.type}")


def _as_time(count: int) -> object:
    try:
        return EPOCH + timedelta(microseconds=count)
    except OverflowError:
        return f"{count} microseconds after 1970"


def _values(truths: Any) -> list[Any]:
    """The truths as JSON can have them; NaN is missing."""
    import pyarrow as pa

    if pa.types.is_decimal(truths.type):
        truths = truths.cast(pa.float64())
    values: list[Any] = truths.to_pylist()
    return [None if value != value else value for value in values]
