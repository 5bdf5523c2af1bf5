"""Files of predictions: Parquet, CSV and NDJSON, read in parts so that the size of the file does not matter."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Literal

import msgspec

from modelwatch.api.decoding.columns.csv_table import CsvError, CsvReading, CsvShape, shape_of
from modelwatch.cli.base import CliError
from modelwatch.cli.columns import ColumnMap, ColumnTypes
from modelwatch.cli.replay.labels import TRUTH_TIME, Label, check_label_columns, is_missing, take_label
from modelwatch.cli.replay.rows import Filling, LineRows, Rows, Untimed, filled
from modelwatch.errors import first_line

Format = Literal["parquet", "csv", "ndjson"]
FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
COMPRESSED = {".gz", ".zst", ".bz2"}
DEFAULTS = ("model_name", "model_version", "environment")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of predictions, opened: number of rows, and the rows.

    `has_times`: whether the rows say when they happened, `has_labels`: whether they say when their truth became known
    (of NDJSON, the first one). `notes` are for people. `untimed` counts the rows without a time, of those read.
    """

    rows: int
    stretches: Iterator[Rows]
    has_times: bool
    has_labels: bool
    notes: tuple[str, ...]
    untimed: Untimed


def open_source(
    path: Path,
    format_name: Format,
    columns: ColumnMap,
    timestamp: datetime,
    size: int,
    defaults: dict[str, str],
    reading: CsvReading | None = None,
) -> Source:
    """Opens a file to be read `size` rows at a time.

    timestamp: of rows that have none. defaults: what lines of JSON get that name no model, version or environment;
    for columns the service fills them in. reading: types of columns, and what is missing in a CSV file.
    Raises CliError when the file can't be read.
    """
    reading = CsvReading() if reading is None else reading
    filling = Filling(_fingerprint(path), timestamp, defaults.get("model_name"))
    check_reading(format_name, reading)
    if format_name == "ndjson":
        return _open_lines(path, columns, filling, size, defaults)
    if format_name == "parquet":
        return _open_parquet(path, columns, filling, size, ColumnTypes(reading.types))
    return _open_csv(path, columns, filling, size, reading)


def check_reading(format_name: Format, reading: CsvReading) -> None:
    """Raises CliError when the file says itself what an option says."""
    if format_name == "ndjson" and reading.types:
        raise CliError("--type is for Parquet and CSV; in JSON a feature has a data_type")
    if format_name != "csv" and reading.missing != CsvReading().missing:
        raise CliError("--missing-values is for CSV; Parquet and JSON have a null")


def format_of(path: Path, asked_for: str) -> Format:
    """The format asked for; for `auto` the one that the file's name or its first bytes tell. Raises CliError."""
    for known in FORMATS.values():
        if asked_for == known:
            return known
    if asked_for != "auto":
        raise CliError(f"--format {asked_for!r}: expected auto, parquet, csv or ndjson")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in FORMATS:
        return FORMATS[suffixes[-1]]
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CliError(f"{path} can't be read: {error.strerror}") from error
    if start == b"PAR1":
        return "parquet"
    if start[:1] == b"{":
        return "ndjson"
    raise CliError(f"The format of {path} is unknown: name it with --format parquet, csv or ndjson")


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CliError(f"{path} can't be read: {error.strerror}") from error


def _open_parquet(path: Path, columns: ColumnMap, filling: Filling, size: int, types: ColumnTypes) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise CliError(f"{path} can't be read as Parquet: {first_line(error)}") from error
    names = file.schema_arrow.names
    known = _wire_names(columns, names)
    types.check(names)

    def stretches() -> Iterator[Rows]:
        first = 1
        for batch in file.iter_batches(batch_size=size):
            yield filled(columns.apply(types.apply(batch)), first, filling)
            first += batch.num_rows

    return Source(file.metadata.num_rows, stretches(), "timestamp" in known, TRUTH_TIME in known, (), filling.untimed)


def _open_csv(path: Path, columns: ColumnMap, filling: Filling, size: int, reading: CsvReading) -> Source:
    shape = csv_shape(path, columns, reading)
    names = list(shape.types)
    known = _wire_names(columns, names)

    def stretches() -> Iterator[Rows]:
        first = 1
        for batch in shape.open(str(path)):
            for start in range(0, batch.num_rows, size):
                part = batch.slice(start, size)
                yield filled(columns.apply(part), first, filling)
                first += part.num_rows

    return Source(shape.rows, stretches(), "timestamp" in known, TRUTH_TIME in known, shape.notes, filling.untimed)


def csv_shape(path: Path, columns: ColumnMap, reading: CsvReading) -> CsvShape:
    """The types of the columns of a CSV file. Raises CliError when it can't be read."""
    try:
        return shape_of(str(path), columns.names, reading)
    except CsvError as error:
        raise CliError(f"{path} can't be read as CSV: {error}") from error


def _wire_names(columns: ColumnMap, names: list[str]) -> set[str]:
    columns.check(names)
    known = {columns.new(name) for name in names}
    check_label_columns(known)
    return known


def _open_lines(path: Path, columns: ColumnMap, filling: Filling, size: int, defaults: dict[str, str]) -> Source:
    with _lines(path) as lines:
        count = 0
        known: set[str] = set()
        for line in lines:
            if line.strip():
                known = known if count else names_of(line, columns)
                count += 1
    complete = line_completer(columns, filling, defaults)

    def stretches() -> Iterator[Rows]:
        with _lines(path) as lines:
            rows = ((number, line.strip()) for number, line in enumerate(lines, start=1) if line.strip())
            while some := list(islice(rows, size)):
                completed = [complete(line, number) for number, line in some]
                yield LineRows(
                    [line for line, _ in completed],
                    [number for number, _ in some],
                    [label for _, label in completed],
                )

    return Source(count, stretches(), "timestamp" in known, TRUTH_TIME in known, (), filling.untimed)


def _lines(path: Path) -> io.BufferedReader:
    import pyarrow as pa

    try:
        return io.BufferedReader(pa.input_stream(str(path)), 1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise CliError(f"{path} can't be read: {error}") from error


_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def line_completer(
    columns: ColumnMap, filling: Filling, defaults: dict[str, str]
) -> Callable[[bytes, int], tuple[bytes, Label | None]]:
    """A function that adds to a line of JSON what it does not say, and takes out the label if that has its own time.

    Values that are there stay as they are, byte for byte; a line that is not an object is returned as it is, for the
    service to name.
    """

    def complete(line: bytes, number: int) -> tuple[bytes, Label | None]:
        try:
            given = _read_fields(line)
        except msgspec.DecodeError:
            return line, None
        fields: dict[str, object] = {columns.new(name): value for name, value in given.items() if columns.new(name)}
        filling.untimed.rows += is_missing(fields.get("timestamp"))
        missing = {"prediction_id": filling.prediction_id(number), "timestamp": filling.timestamp, **defaults}
        for name, value in missing.items():
            if is_missing(fields.get(name)):
                fields[name] = value
        label = take_label(fields, number)
        return _encode(fields), label

    return complete


def names_of(line: bytes, columns: ColumnMap) -> set[str]:
    """The names of a line's fields on the wire; none when the line is not an object."""
    try:
        return {columns.new(name) for name in _read_fields(line)}
    except msgspec.DecodeError:
        return set()
