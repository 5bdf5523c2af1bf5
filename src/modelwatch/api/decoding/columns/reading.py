"""Arrow IPC streams, Parquet and CSV files: bytes to a checked table, and its columns to Python lists.

pyarrow is imported when the first such body arrives: JSON alone must not pay for it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelwatch.api.decoding.columns.arrow_bounds import claimed_bytes
from modelwatch.api.decoding.columns.csv_table import shape_of
from modelwatch.api.decoding.columns.parquet_bounds import claimed_size
from modelwatch.api.decoding.columns.schema import check_schema, is_dictionary, is_text
from modelwatch.api.decoding.values import Limits, pointer_to
from modelwatch.errors import BodyTooLarge, FieldError, InvalidInput, MalformedBody, first_line
from modelwatch.events import Scalar
from modelwatch.stats.counting.binning import category_name
from modelwatch.stats.counting.columns import MISSING, Column, FloatColumn, IntegerColumn, TextColumn, missing_column

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_FILE_MAGIC = b"ARROW1"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of a table, and the columns that it must have."""

    limits: Limits
    max_rows: int
    max_cells: int
    required: tuple[str, ...] = ()

    def check_size(self, rows: int, columns: int) -> None:
        """Raises BodyTooLarge when there are more rows or values than the limits allow."""
        if rows > self.max_rows:
            raise BodyTooLarge(f"The table has more than {self.max_rows} rows, which is MAX_BATCH_ROWS.")
        if rows * columns > self.max_cells:
            raise BodyTooLarge(
                f"The table has {rows} rows of {columns} columns; MAX_BODY_BYTES allows {self.max_cells} values."
            )

    def check_bytes(self, size: int) -> None:
        """Raises BodyTooLarge when the content is longer than a body may be."""
        if size > self.limits.max_body_bytes:
            raise BodyTooLarge(
                f"The table is longer than {self.limits.max_body_bytes} bytes when decompressed,"
                " which is MAX_BODY_BYTES."
            )

    def check_schema(self, schema: pa.Schema, rows: Iterable[int]) -> None:
        """Raises InvalidInput that names the columns that are wrong or missing. rows: numbers of the rows, which are
        looked at only then."""
        try:
            check_schema(schema, self.limits, self.required)
        except InvalidInput as error:
            error.rows = min(max(sum(rows), 1), self.max_rows)
            raise


def read_table(body: bytes, kind: str, bounds: Bounds) -> pa.Table:
    """The table of a body, `kind` "arrow", "parquet" or "csv"; names and types are checked, and the content is valid.

    Raises MalformedBody, InvalidInput naming the columns, and BodyTooLarge beyond the limits; before anything is
    reserved for content that is larger than the limits.
    """
    with arrow_errors(kind):
        table = _READERS[kind](body, bounds)
        table.validate()
        bounds.check_bytes(sum(_text_bytes(column) for column in table.columns))
        table.validate(full=True)
    return table


@contextmanager
def arrow_errors(kind: str) -> Iterator[None]:
    """Raises MalformedBody in place of any error that pyarrow raises about a body."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, IndexError, TypeError) as error:
        raise MalformedBody(f"The body is not {_NAMES[kind]} that can be read: {first_line(error)[:200]}") from None


def _read_arrow(body: bytes, bounds: Bounds) -> pa.Table:
    import pyarrow as pa

    if body.startswith(ARROW_FILE_MAGIC):
        raise MalformedBody("The body is an Arrow file; send the IPC stream format (pyarrow.ipc.new_stream).")
    if not body:
        raise MalformedBody("The body is empty; an Arrow IPC stream was expected.")
    bounds.check_bytes(claimed_bytes(body))
    with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
        bounds.check_schema(reader.schema, (batch.num_rows for batch in reader))
        batches, rows = [], 0
        for batch in reader:
            rows += batch.num_rows
            bounds.check_size(rows, len(reader.schema))
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _read_parquet(body: bytes, bounds: Bounds) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not body:
        raise MalformedBody("The body is empty; a Parquet file was expected.")
    rows, size = claimed_size(body, bounds.limits.max_body_bytes)
    bounds.check_size(rows, 0)
    file = pq.ParquetFile(pa.BufferReader(body))
    # The file may carry an Arrow schema that says something else than its own: both must be fine.
    stored = file.metadata.schema.to_arrow_schema()
    bounds.check_schema(stored, (rows,))
    bounds.check_schema(file.schema_arrow, (rows,))
    for field in stored:
        if pa.types.is_map(field.type):
            message = "In Parquet, give the probabilities of the classes as a struct, not as a map"
            raise InvalidInput(
                "The table has columns that are not valid.", (FieldError(pointer_to(field.name), message),), rows
            )
    bounds.check_size(max(rows, file.metadata.num_rows), len(stored))
    bounds.check_bytes(size)
    # A text that is repeated in a million rows is written once: it must stay one.
    texts = [field.name for field in stored if is_text(field.type)]
    reading = pq.ParquetFile(pa.BufferReader(body), metadata=file.metadata, read_dictionary=texts)
    table = reading.read(use_threads=False)
    bounds.check_size(table.num_rows, len(stored))
    return _with_dictionaries(table, file.metadata.metadata)


def _with_dictionaries(table: pa.Table, metadata: dict[bytes, bytes] | None) -> pa.Table:
    """The table with the columns that were written as dictionaries as such: of numbers, pyarrow reads them as plain."""
    import pyarrow as pa

    written = (metadata or {}).get(b"ARROW:schema")
    if written is None:
        return table
    for field in pa.ipc.read_schema(pa.py_buffer(base64.b64decode(written))):
        index = table.schema.get_field_index(field.name)
        if is_dictionary(field.type) and index >= 0 and not is_dictionary(table.schema.field(index).type):
            table = table.set_column(index, field.name, table.column(index).dictionary_encode())
    return table


def _read_csv(body: bytes, bounds: Bounds) -> pa.Table:
    import pyarrow as pa

    if not body.strip():
        raise MalformedBody("The body is empty; a CSV file was expected.")
    shape = shape_of(body, {})
    schema = pa.schema(list(shape.types.items()))
    bounds.check_schema(schema, (shape.rows,))
    bounds.check_size(shape.rows, len(schema))
    return pa.Table.from_batches(list(shape.open(body)), schema)


_READERS: dict[str, Callable[[bytes, Bounds], Any]] = {
    "arrow": _read_arrow,
    "parquet": _read_parquet,
    "csv": _read_csv,
}
_NAMES = {"arrow": "an Arrow IPC stream", "parquet": "a Parquet file", "csv": "a CSV file"}


def _text_bytes(column: pa.ChunkedArray) -> int:
    """The bytes of all texts: columns may share buffers, so that together they may be many times the body."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for chunk in column.chunks:
        if pa.types.is_map(chunk.type):
            chunk = chunk.keys
        texts = chunk.dictionary if is_dictionary(chunk.type) else chunk
        if pa.types.is_string_view(texts.type) and len(texts):
            # A view is 16 bytes, of which the first four are the length.
            lengths = np.frombuffer(texts.buffers()[1], np.int32)[::4][texts.offset : texts.offset + len(texts)]
            size += int(np.abs(lengths.astype(np.int64)).sum())
        elif is_text(texts.type):
            size += pc.sum(pc.abs(pc.binary_length(texts))).as_py() or 0
    return size


def feature_column(column: pa.ChunkedArray) -> Column:
    """The values of a column for which `is_scalar` holds. Those of dictionaries, and booleans, are text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_float64(kind):
        return FloatColumn(column.to_numpy())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return FloatColumn(_floats(column))
    if pa.types.is_integer(kind):
        missing = column.is_null().to_numpy() if column.null_count else None
        return IntegerColumn(column.fill_null(pa.scalar(0).cast(kind)).to_numpy(), missing)
    if pa.types.is_boolean(kind):
        codes = column.cast(pa.int8()).fill_null(MISSING).to_numpy().astype(np.intp)
        return TextColumn(codes, ("false", "true"))
    if pa.types.is_null(kind):
        return missing_column(len(column))
    if not is_dictionary(kind):
        # A dictionary of views of strings can't be made.
        column = (column.cast(pa.large_string()) if pa.types.is_string_view(kind) else column).dictionary_encode()
    names: dict[str, int] = {}
    parts = [np.empty(0, dtype=np.intp)]
    for chunk in column.chunks:
        own = map(category_name, scalars(pa.chunked_array([chunk.dictionary])))
        codes = [MISSING if name is None else names.setdefault(name, len(names)) for name in own]
        # The last one is that of nulls.
        indices = chunk.indices.cast(pa.int64()).fill_null(-1) if chunk.indices.null_count else chunk.indices
        places = indices.to_numpy()
        parts.append(np.array([*codes, MISSING], dtype=np.intp)[places])
    return TextColumn(np.concatenate(parts), tuple(names))


def scalars(column: pa.ChunkedArray) -> list[Scalar]:
    """The values of a column for which `is_scalar` holds; NaN and null are None, a dictionary's values are text."""
    import pyarrow as pa

    kind = column.type
    if is_dictionary(kind):
        return [value for chunk in column.chunks for value in _from_dictionary(chunk)]
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = _floats(column)
        return _with_gaps(numbers, np.isnan(numbers))
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        filler = pa.scalar(0).cast(kind) if pa.types.is_integer(kind) else pa.scalar(False)
        return _with_gaps(column.fill_null(filler).to_numpy(), column.is_null().to_numpy())
    values: list[Scalar] = column.to_pylist()
    return values


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Floats and decimals in double precision, NaN where one is missing; shape (rows,).

    Those of half precision are the decimals that they are written as: 0.1 is held as 0.09998, which no cell of a
    reference in another precision, that counts 0.1 by itself, would take for it.
    """
    import pyarrow as pa

    if not pa.types.is_float16(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    held, places = np.unique(column.to_numpy().astype(np.float16), return_inverse=True)
    return np.array([float(str(number)) for number in held], dtype=np.float64)[places]


def _from_dictionary(chunk: pa.DictionaryArray) -> Iterator[Scalar]:
    import pyarrow as pa

    names = [category_name(value) for value in scalars(pa.chunked_array([chunk.dictionary]))]
    return (None if index is None else names[index] for index in chunk.indices.to_pylist())


def _with_gaps(values: Any, gaps: Any) -> list[Scalar]:
    result: list[Scalar] = values.tolist()
    for index in np.flatnonzero(gaps).tolist():
        result[index] = None
    return result


def category_values(values: Sequence[Scalar]) -> list[Scalar]:
    """Booleans as text, everything else as it is."""
    return [category_name(value) if isinstance(value, bool) else value for value in values]
