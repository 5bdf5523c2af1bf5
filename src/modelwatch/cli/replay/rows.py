"""Part of a file's rows, ready to be sent: as an Arrow batch or as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from modelwatch.cli.base import CliError
from modelwatch.cli.replay.labels import Label, read_moment, take_labels

if TYPE_CHECKING:
    import pyarrow as pa

ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"
ID_DIGITS = 16


class Rows(Protocol):
    """Some consecutive rows. labels: what was true about each and is sent apart from it; empty when no row has any."""

    @property
    def labels(self) -> Sequence[Label | None]: ...

    @property
    def content_type(self) -> str: ...

    def __len__(self) -> int: ...

    def number(self, index: int) -> int:
        """The number of a row in its file, from 1."""

    def part(self, start: int, end: int) -> Rows:
        """The rows from `start` to before `end`."""

    def body(self) -> bytes:
        """The rows as they are sent."""

    def times(self) -> Sequence[int | None]:
        """Each row's time in microseconds since 1970; None where there is none that can be read."""


@dataclass(slots=True)
class Untimed:
    """The number of rows that had no time and got one."""

    rows: int = 0


@dataclass(frozen=True, slots=True)
class Filling:
    """Values for rows that lack them.

    The id is made of the file's content and the row's number: the same file again counts nothing twice. The model is
    that of the labels: what rows in columns don't name is named beside them.
    """

    fingerprint: str
    timestamp: datetime
    model: str | None = None
    untimed: Untimed = field(default_factory=Untimed)

    def prediction_id(self, number: int) -> str:
        return f"replay-{self.fingerprint[:ID_DIGITS]}-{number}"


@dataclass(frozen=True, slots=True)
class ArrowRows:
    """Rows in columns. `batch` has its final names and all ids and times."""

    batch: pa.RecordBatch
    first: int
    labels: Sequence[Label | None] = ()

    @property
    def content_type(self) -> str:
        return ARROW

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def number(self, index: int) -> int:
        return self.first + index

    def part(self, start: int, end: int) -> ArrowRows:
        return ArrowRows(self.batch.slice(start, end - start), self.first + start, self.labels[start:end])

    def body(self) -> bytes:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.batch.schema) as writer:
            writer.write_batch(self.batch)
        return bytes(sink.getvalue())

    def times(self) -> Sequence[int | None]:
        import pyarrow as pa

        column = self.batch.column("timestamp")
        if pa.types.is_timestamp(column.type):
            # Nanoseconds are cut off, as the service does.
            moments = column.cast(pa.timestamp("us", column.type.tz), safe=False)
            counts: list[int | None] = moments.cast(pa.int64()).to_pylist()
            return counts
        return [read_moment(value) for value in column.to_pylist()]


def filled(batch: pa.RecordBatch, first: int, filling: Filling) -> ArrowRows:
    """The rows with an id and a time for each, and their labels apart."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = batch.num_rows
    columns: dict[str, Any] = {name: batch.column(index) for index, name in enumerate(batch.schema.names)}
    ids = columns.get("prediction_id")
    if ids is None or ids.null_count:
        derived = pa.array([filling.prediction_id(first + index) for index in range(size)], pa.string())
        columns["prediction_id"] = derived if ids is None else pc.coalesce(ids.cast(pa.string()), derived)
    times = columns.get("timestamp")
    if times is not None and pa.types.is_date(times.type):
        times = columns["timestamp"] = times.cast(pa.timestamp("us"))
    filling.untimed.rows += size if times is None else times.null_count
    if times is None or pa.types.is_null(times.type):
        columns["timestamp"] = pa.repeat(pa.scalar(filling.timestamp, pa.timestamp("us", "UTC")), size)
    elif times.null_count:
        columns["timestamp"] = pc.coalesce(times, _as_type(filling.timestamp, times.type))
    complete = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    rows, labels = take_labels(complete, first, filling.model)
    return ArrowRows(rows, first, labels)


def _as_type(moment: datetime, kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.scalar(moment if kind.tz else moment.replace(tzinfo=None), pa.timestamp("us", kind.tz)).cast(
            kind, safe=False
        )
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.scalar(moment.isoformat(), kind)
    raise CliError(f"The column timestamp is neither a time nor text, but {kind}, and some rows have none.")


@dataclass(frozen=True, slots=True)
class LineRows:
    """Rows as lines of JSON, with the number of each line."""

    lines: Sequence[bytes]
    numbers: Sequence[int]
    labels: Sequence[Label | None] = ()

    @property
    def content_type(self) -> str:
        return NDJSON

    def __len__(self) -> int:
        return len(self.lines)

    def number(self, index: int) -> int:
        return self.numbers[index]

    def part(self, start: int, end: int) -> LineRows:
        return replace(
            self, lines=self.lines[start:end], numbers=self.numbers[start:end], labels=self.labels[start:end]
        )

    def body(self) -> bytes:
        return b"\n".join(self.lines)

    def times(self) -> Sequence[int | None]:
        return [_time_of_line(line) for line in self.lines]


@dataclass(frozen=True, slots=True)
class LabelRows(LineRows):
    """Labels as lines of JSON, with the number of the row that each is about."""


class _Timed(msgspec.Struct):
    timestamp: datetime | None = None


_read_time = msgspec.json.Decoder(_Timed).decode


def _time_of_line(line: bytes) -> int | None:
    try:
        return read_moment(_read_time(line).timestamp)
    except msgspec.DecodeError:
        return None
