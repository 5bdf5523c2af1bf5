"""CSV files: types of columns that hold for the whole file, and the texts that stand for missing values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelwatch.errors import first_line

if TYPE_CHECKING:
    import pyarrow as pa


class CsvError(ValueError):
    """A CSV file, or its options, can't be read; the message is for people."""


# They are names, even where they look like numbers: version 2.10 is not 2.1.
TEXT = ("model_name", "model_version", "environment", "prediction_id")
# What counts as missing by default: as pandas has it.
MISSING = (
    *("NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "NaN", "nan", "-NaN", "-nan"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
# As a number, 01321 would be 1321: it is a name.
LEADING_ZEROS = r"^\s*[+-]?0[0-9]+(\.[0-9]*)?\s*$"
_COLUMN = re.compile(r"In CSV column #(\d+)")
_DELIMITERS = ",;\t|"
_SHOWN_TEXTS = 3


@dataclass(frozen=True, slots=True)
class CsvReading:
    """Options for reading a CSV file.

    types: `categorical` or `continuous`, by column. missing: texts that are no values; an empty field never is one.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING

    @classmethod
    def parse(cls, types: Mapping[str, str], missing: str | None) -> CsvReading:
        """missing: the texts between commas; None: the usual ones.

        >>> CsvReading.parse({}, "-, unknown").missing, CsvReading.parse({}, "").missing
        (('-', 'unknown'), ())
        """
        if missing is None:
            return cls(types)
        return cls(types, tuple(text.strip() for text in missing.split(",") if text.strip()))


@dataclass(frozen=True, slots=True)
class CsvShape:
    """The options to read the file in one pass. `notes` say what was decided about its columns."""

    delimiter: str
    types: Mapping[str, Any]
    rows: int
    notes: tuple[str, ...]
    names: frozenset[str]
    missing: tuple[str, ...]

    def open(self, given: str | bytes) -> Iterator[Any]:
        """The file as record batches. names: columns of names, such as ids, of which only an empty field is missing."""
        import pyarrow as pa
        import pyarrow.compute as pc

        no_values, empty = pa.array([*self.missing, ""]), pa.array([""])
        for batch in _open(given, self.delimiter, self.types, self.missing):
            for index, column in enumerate(batch.schema):
                if pa.types.is_string(column.type):
                    values = batch.column(index)
                    is_missing = pc.is_in(values, empty if column.name in self.names else no_values)
                    kept = pc.if_else(is_missing, pa.scalar(None, column.type), values)
                    batch = batch.set_column(index, column.name, kept)
            yield batch


def shape_of(given: str | bytes, renamed: Mapping[str, str], reading: CsvReading | None = None) -> CsvShape:
    """Reads the whole file. A column that turns out to hold something else gets the wider type.

    given: a path, or the bytes of a file. renamed: names on the wire by names in the file, of renamed columns.
    Raises CsvError when it is no CSV.
    """
    import pyarrow as pa

    reading = CsvReading() if reading is None else reading
    try:
        delimiter = _delimiter(given)
        names = _open(given, delimiter, {}, ()).schema.names
        for column in names:
            if names.count(column) > 1:
                raise CsvError(f"there are two columns named {column!r}; give one of them another name")
        for column in reading.types:
            if column not in names:
                raise CsvError(f"--type: the file has no column {column!r}; it has: {', '.join(names)}")
        identities = frozenset(name for name in names if renamed.get(name, name) in TEXT)
        found = _texts_of(given, delimiter, names, reading.missing)
        types = {name: pa.string() for name in names if name in identities or found[name].has_leading_zeros}
        types |= {name: pa.string() if kind == "categorical" else pa.float64() for name, kind in reading.types.items()}
        notes: dict[str, str] = {}
        while True:
            schema: pa.Schema | None = None
            try:
                reader = _open(given, delimiter, types, reading.missing)
                schema = reader.schema
                rows = sum(batch.num_rows for batch in reader)
            except pa.ArrowInvalid as error:
                match = _COLUMN.search(str(error))
                if match is None or int(match[1]) >= len(names):
                    raise
                name = names[int(match[1])]
                if reading.types.get(name) == "continuous":
                    raise CsvError(f"--type {name}=continuous: {first_line(error)}") from error
                present = types.get(name) or (schema.field(name).type if schema is not None else pa.string())
                if pa.types.is_string(present):
                    raise
                types[name] = _wider(present)
                if pa.types.is_string(types[name]):
                    notes[name] = f"The column {name!r} is sent as text, because: {first_line(error)}"
            else:
                kinds = {column.name: column.type for column in schema}
                reading_notes = (
                    *_types_in_words(kinds),
                    *notes.values(),
                    *_texts_in_words(found, kinds, identities, reading),
                )
                return CsvShape(delimiter, kinds, rows, reading_notes, identities, reading.missing)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CsvError(first_line(error)) from error


@dataclass(slots=True)
class _Texts:
    """Properties of a column's texts: numbers with a leading zero, and texts that stand for missing values."""

    has_leading_zeros: bool = False
    example: str = ""
    missing: Counter[str] = field(default_factory=Counter)


def _texts_of(given: str | bytes, delimiter: str, names: list[str], missing: tuple[str, ...]) -> dict[str, _Texts]:
    import pyarrow as pa
    import pyarrow.compute as pc

    found = {name: _Texts() for name in names}
    no_values = pa.array(missing, pa.string())
    for batch in _open(given, delimiter, dict.fromkeys(names, pa.string()), ()):
        for name in names:
            texts, values = found[name], batch.column(name)
            for entry in pc.value_counts(values.filter(pc.is_in(values, no_values))).to_pylist():
                texts.missing[entry["values"]] += entry["counts"]
            if not texts.has_leading_zeros:
                padded = values.filter(pc.match_substring_regex(values, LEADING_ZEROS))
                if len(padded):
                    texts.has_leading_zeros, texts.example = True, padded[0].as_py().strip()
    return found


def _types_in_words(kinds: Mapping[str, Any]) -> Iterator[str]:
    """A line for each type, with the columns that are read as it."""
    import pyarrow as pa

    tests = {
        "numbers": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind),
        "text": pa.types.is_string,
        "yes or no": pa.types.is_boolean,
        "times": pa.types.is_temporal,
        "nothing, as they are empty": pa.types.is_null,
    }
    for what, fits in tests.items():
        columns = [name for name, kind in kinds.items() if fits(kind)]
        if columns:
            yield f"Read as {what}: {', '.join(columns)}"


def _texts_in_words(
    found: Mapping[str, _Texts], kinds: Mapping[str, Any], identities: frozenset[str], reading: CsvReading
) -> Iterator[str]:
    import pyarrow as pa

    for name, texts in found.items():
        if texts.has_leading_zeros and name not in identities and name not in reading.types:
            yield (
                f"The column {name!r} is read as text, because {texts.example!r} has a zero in front;"
                f" --type {name}=continuous reads numbers"
            )
    for name, texts in found.items():
        if texts.missing and name not in identities:
            shown = ", ".join(f"{text!r} {_times(count)}" for text, count in texts.missing.most_common(_SHOWN_TEXTS))
            left = len(texts.missing) - _SHOWN_TEXTS
            more = f", and {left} other{'s' if left > 1 else ''}" if left > 0 else ""
            hint = "; --missing-values says what is missing" if pa.types.is_string(kinds[name]) else ""
            yield f"Read as missing in {name!r}: {shown}{more}{hint}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _open(given: str | bytes, delimiter: str, types: Mapping[str, Any], missing: tuple[str, ...]) -> Any:
    import pyarrow as pa
    import pyarrow.csv

    return pyarrow.csv.open_csv(
        given if isinstance(given, str) else pa.BufferReader(given),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict(types), null_values=[*missing, ""]),
    )


def _wider(kind: Any) -> Any:
    """The next type that holds more; text holds everything."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.int64()
    return pa.float64() if pa.types.is_integer(kind) else pa.string()


def _delimiter(given: str | bytes) -> str:
    import pyarrow as pa

    with pa.input_stream(given if isinstance(given, str) else pa.py_buffer(given)) as stream:
        header = stream.read(65_536).split(b"\n", 1)[0].decode("utf-8-sig")
    return max(_DELIMITERS, key=header.count)
