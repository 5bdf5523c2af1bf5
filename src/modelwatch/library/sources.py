"""Data sets of many kinds as columns of Arrow, read one column at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwatch.errors import first_line

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds

KINDS = (
    "a frame of pandas, polars, pyarrow or DuckDB, a mapping from name to values, or a file or folder of Parquet or CSV"
)
CSV = (".csv", ".tsv", ".txt")
ARROW = (".arrow", ".feather", ".ipc")
# Those that pyarrow tells by the ends of names.
COMPRESSIONS = (".gz", ".bz2", ".zst", ".lz4")
FILES = (
    f"Parquet files, Arrow files ({', '.join(ARROW)}) and CSV files ({', '.join(CSV)}, each also compressed:"
    f" {', '.join(COMPRESSIONS)})"
)
LONGEST_TYPE = 60
# Whole numbers from this one on are none of Arrow's.
TOO_LARGE = 2**63


class UnreadableSource(ValueError):
    """A data set that can't be read; the message names it, and says why."""


class UnreadableColumn(ValueError):
    """A column whose values are of no type that can be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A data set. names: its columns, in their order. rows: how many. column: reads one, by its name, as Arrow's.

    column raises UnreadableColumn. untyped: its types follow from all values of a column, as those of a CSV file: one
    word makes numbers text.
    """

    names: tuple[str, ...]
    rows: int
    column: Callable[[str], pa.ChunkedArray]
    untyped: bool = False


def source_of(given: Any) -> Source:
    """The data set as a source. Raises UnreadableSource for a path that can't be read, TypeError for what is none."""
    if isinstance(given, Source):
        return given
    if isinstance(given, str | Path):
        return _of_path(Path(given))
    if isinstance(given, Mapping):
        return _of_mapping(given)
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # pandas
        return _of_pandas(given)
    if hasattr(given, "collect") and hasattr(given, "collect_schema"):  # polars, lazy
        return _of_lazy_frame(given)
    return _of_arrow(given)


def _of_path(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.dataset as ds

    from modelwatch.api.decoding.columns.csv_table import CsvError, shape_of

    if not path.exists():
        raise UnreadableSource(f"{path}: there is no such file or folder")
    try:
        if _is_csv(path):
            shape = shape_of(str(path), {})
            batches = list(shape.open(str(path)))
            return replace(_of_table(pa.Table.from_batches(batches, pa.schema(shape.types))), untyped=True)
        if path.suffix.lower() in ARROW:
            dataset = ds.dataset(path, format="feather")
        else:
            dataset = _parquet(path)
        rows = dataset.count_rows()
    except (CsvError, pa.ArrowException, OSError) as error:
        raise UnreadableSource(f"{path}: {first_line(error)}") from error
    if path.is_dir() and not dataset.files:
        raise UnreadableSource(f"{path}: there is no Parquet file in this folder")
    return Source(tuple(dataset.schema.names), rows, lambda name: _read(dataset, name))


def _is_csv(path: Path) -> bool:
    """True for a name of a CSV file, which may be compressed."""
    name = path.with_suffix("") if path.suffix in COMPRESSIONS else path
    return name.suffix.lower() in CSV


def _parquet(path: Path) -> ds.FileSystemDataset:
    """A file or folder whose texts are read as dictionaries: one that is repeated is decoded once."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    try:
        found = ds.dataset(path, format="parquet", exclude_invalid_files=path.is_dir())
    except pa.ArrowInvalid as error:
        if path.suffix.lower() == ".parquet":
            raise
        raise UnreadableSource(f"{path}: this is no Parquet file; what can be read: {FILES}") from error
    texts = [field.name for field in found.schema if pa.types.is_string(field.type)]
    if not texts:
        return found
    reading = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=texts))
    return ds.dataset(path, format=reading, exclude_invalid_files=path.is_dir())


def _read(dataset: ds.Dataset, name: str) -> pa.ChunkedArray:
    """A column. Columns are read by several threads; more of them for each would only wait for each other."""
    return dataset.to_table(columns=[name], use_threads=False).column(0)


def _of_mapping(given: Mapping[str, Any]) -> Source:
    lengths = {str(name): len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise UnreadableSource(f"columns of unequal length: {lengths}")
    by_name = {str(name): values for name, values in given.items()}
    return Source(tuple(by_name), next(iter(lengths.values()), 0), lambda name: _array(by_name[name]))


def _of_pandas(frame: Any) -> Source:
    names = [str(name) for name in frame.columns]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableSource(f"there are two columns named {twice!r}; give one of them another name")
    place = {name: index for index, name in enumerate(names)}
    return Source(tuple(names), len(frame), lambda name: _array(frame.iloc[:, place[name]]))


def _of_lazy_frame(frame: Any) -> Source:

    names = tuple(frame.collect_schema().names())
    rows = frame.select(names[0]).collect().height if names else 0

    def column(name: str) -> pa.ChunkedArray:
        return frame.select(name).collect().to_arrow().column(0)

    return Source(names, rows, column)


def _of_arrow(given: Any) -> Source:
    import pyarrow as pa
    import pyarrow.dataset as ds

    if isinstance(given, ds.Dataset):
        return Source(tuple(given.schema.names), given.count_rows(), lambda name: _read(given, name))
    if isinstance(given, pa.Table):
        return _of_table(given)
    if hasattr(given, "__arrow_c_stream__") or hasattr(given, "__arrow_c_array__"):
        try:
            return _of_table(pa.table(given))
        except (pa.ArrowException, TypeError, ValueError) as error:
            if isinstance(error, UnreadableSource):
                raise
            # One column without a name, such as a series of pandas or polars.
            raise TypeError(f"a {type(given).__name__} is no data set: expected {KINDS}") from error
    if hasattr(given, "to_arrow_table"):  # DuckDB
        return _of_table(given.to_arrow_table())
    raise TypeError(f"a {type(given).__name__} is no data set: expected {KINDS}")


def _of_table(table: pa.Table) -> Source:
    names = tuple(table.column_names)
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableSource(f"there are two columns named {twice!r}; give one of them another name")
    return Source(names, table.num_rows, table.column)


def _array(values: Any) -> pa.ChunkedArray:
    """Values of Python, NumPy or pandas. A column of numbers and text mixed can't be one of Arrow's."""
    import pyarrow as pa

    try:
        found = pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise UnreadableColumn(_why_unreadable(values, error)) from error
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _why_unreadable(values: Any, error: Exception) -> str:
    """Why values can't be a column: they are of several types or too large, if they are; else what Arrow says."""
    kinds = {type(each).__name__ for each in values if not _is_missing(each)}
    if len(kinds) > 1:
        return f"it mixes values of different types: {', '.join(sorted(kinds)[:5])}; give it one type"
    if any(isinstance(each, int) and not -TOO_LARGE <= each < TOO_LARGE for each in values):
        return "it holds whole numbers beyond signed 64 bits; give floats, or texts where they are ids"
    return first_line(error)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def type_name(kind: pa.DataType) -> str:
    """The name of a type of Arrow, without its fields where these are many.

    >>> import pyarrow as pa
    >>> type_name(pa.struct([(f"class_{number}", pa.float64()) for number in range(300)])), type_name(pa.int8())
    ('struct', 'int8')
    """
    name = str(kind)
    return name if len(name) <= LONGEST_TYPE else name.partition("<")[0]
