"""Types of a CSV file's columns that hold for all of it, not only for its first megabyte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwatch.cli.ending import Stop

if TYPE_CHECKING:
    import pyarrow as pa

# They are names, whatever they look like: version 2.10 is not 2.1.
TEXT = ("model_name", "model_version", "environment", "prediction_id")
_COLUMN = re.compile(r"In CSV column #(\d+)")
_DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class CsvShape:
    """What is needed to read the file in one go. `notes` say which columns were not what they seemed at first."""

    delimiter: str
    types: Mapping[str, Any]
    rows: int
    notes: tuple[str, ...]

    def open(self, path: Path) -> Any:
        """A reader that yields record batches."""
        return _open(path, self.delimiter, self.types)


def shape_of(path: Path, renamed: Mapping[str, str]) -> CsvShape:
    """Reads the whole file once. A column that turns out to hold something else gets the wider type.

    renamed: names on the wire by names in the file, for columns that are renamed. Raises Stop when it is no CSV file.
    """
    import pyarrow as pa

    try:
        delimiter = _delimiter(path)
        names = _open(path, delimiter, {}).schema.names
        types = {name: pa.string() for name in names if renamed.get(name, name) in TEXT}
        notes: dict[str, str] = {}
        while True:
            schema: pa.Schema | None = None
            try:
                reader = _open(path, delimiter, types)
                schema = reader.schema
                rows = sum(batch.num_rows for batch in reader)
            except pa.ArrowInvalid as error:
                match = _COLUMN.search(str(error))
                if match is None or int(match[1]) >= len(names):
                    raise
                name = names[int(match[1])]
                present = types.get(name) or (schema.field(name).type if schema is not None else pa.string())
                if pa.types.is_string(present):
                    raise
                types[name] = _wider(present)
                if pa.types.is_string(types[name]):
                    notes[name] = f"The column {name!r} is sent as text, because: {_first_line(error)}"
            else:
                kinds = {field.name: field.type for field in schema}
                return CsvShape(delimiter, kinds, rows, tuple(notes.values()))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise Stop(f"{path} can't be read as CSV: {_first_line(error)}") from error


def _open(path: Path, delimiter: str, types: Mapping[str, Any]) -> Any:
    import pyarrow.csv

    return pyarrow.csv.open_csv(
        str(path),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        # As pandas has it: an empty field, NA, NaN, null and their like are missing, in text too.
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict(types), strings_can_be_null=True),
    )


def _wider(kind: Any) -> Any:
    """The next type that holds more; text holds everything."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_integer(kind) else pa.string()


def _delimiter(path: Path) -> str:
    import pyarrow as pa

    with pa.input_stream(str(path)) as stream:
        header = stream.read(65_536).split(b"\n", 1)[0].decode("utf-8-sig")
    return max(_DELIMITERS, key=header.count)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
