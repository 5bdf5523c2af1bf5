"""Columns of a data set read and counted, several at a time, with a progress bar; times of its rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from modelwatch.errors import first_line
from modelwatch.events import LATEST_TIME
from modelwatch.library.sources import Source, UnreadableColumn, type_name
from modelwatch.stats.counting.binning import Binning, NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, iso_of_seconds

if TYPE_CHECKING:
    import pyarrow as pa

    from modelwatch.stats.counting.columns import Column

# Values that take some seconds to count.
LONG = 50_000_000
# The year 1, and the last day of 9999.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, LATEST_TIME // MICROS_PER_SECOND
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
T = TypeVar("T")


def column_counts(source: Source, name: str, reference: Profile) -> Profile:
    """The counts of a column in the cells of a reference. Raises UnreadableColumn."""
    binning = reference.binning
    column = read_column(source, name, numbers=isinstance(binning, NumericBinning))
    if isinstance(binning, NumericBinning):
        return Profile(binning, binning.count_floats(column.numbers()))
    return Profile(binning, np.bincount(binning.cells(column).places, minlength=binning.size))


def all_missing(binning: Binning, rows: int) -> Profile:
    """The counts of a column that a data set of so many rows does not have: all of its values are missing."""
    counts = np.zeros(binning.size, dtype=np.int64)
    counts[binning.n_fine] = rows
    return Profile(binning, counts)


def read_column(source: Source, name: str, *, numbers: bool = False) -> Column:
    """A column as the service decodes it. Raises UnreadableColumn for one that is no number, text or boolean.

    numbers: the reference has numbers in it. Then the texts of a CSV that are numbers are read as such: what is not,
    a "-" between them, is invalid alone.
    """
    found = source.column(name)
    if numbers and source.untyped:
        found = _numbers_of(found)
    return decoded(found)


def _numbers_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers of a column of texts, infinite where one is none; another column as it is, and one without a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type):
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    is_number = pc.match_substring_regex(trimmed, NUMBER)
    if not pc.any(is_number).as_py():
        return column
    found = pc.if_else(is_number, trimmed, pa.scalar(None, column.type)).cast(pa.float64())
    return pc.if_else(pc.or_(is_number, column.is_null()), found, pa.scalar(np.inf))


def decoded(found: pa.ChunkedArray) -> Column:
    """The values of a column as the service decodes them. Raises UnreadableColumn for other than numbers, text and
    booleans."""
    from modelwatch.api.decoding.columns.reading import feature_column
    from modelwatch.api.decoding.columns.schema import is_scalar

    if not is_scalar(found.type):
        raise UnreadableColumn(f"its type is {type_name(found.type)}; numbers, text and booleans can be compared")
    return feature_column(found)


def in_threads(work: Callable[[Subject], T], subjects: Sequence[Subject], done: Callable[[], None]) -> list[T]:
    """The results of work on each subject, in their order: sorting and counting leave Python's lock to others.

    done: called after each.
    """

    def step(subject: Subject) -> T:
        result = work(subject)
        done()
        return result

    with ThreadPoolExecutor(min(len(subjects) or 1, os.cpu_count() or 1)) as pool:
        return list(pool.map(step, subjects))


def quiet() -> None:
    """A step that nobody is shown."""


@contextmanager
def progress_bar(wanted: bool | None, about: str, columns: int, rows: int) -> Iterator[Callable[[], None]]:
    """Shows how many of so many columns are done; gives what is to be called after each.

    wanted: whether it is shown; None: on a terminal or in a notebook, for many values.
    """
    if wanted is False or (wanted is None and columns * rows < LONG):
        yield quiet
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if wanted is None and not (console.is_terminal or console.is_jupyter):
        yield quiet
        return
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=console, transient=wanted is None) as bar:
        task = bar.add_task(about, total=columns)
        yield lambda: bar.advance(task)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Times of rows in seconds since 1970. values: shape (rows,), 0 where there is none; known: where there is one."""

    values: NDArray[np.int64]
    known: NDArray[np.bool_]

    @property
    def all_known(self) -> bool:
        """True when each row has a time."""
        return bool(self.known.all())

    @property
    def of_known(self) -> NDArray[np.int64]:
        """Times of the rows that have one."""
        return self.values if self.all_known else self.values[self.known]

    def listed(self) -> list[int | None]:
        """Time of each row; None where there is none."""
        pairs = zip(self.values.tolist(), self.known.tolist(), strict=True)
        return [value if known else None for value, known in pairs]


def seconds_of(source: Source, name: str) -> Seconds | None:
    """The times of the rows; None without such a column. Raises ValueError for a column that holds no times, or one
    that no date can tell, counting rows from 0."""
    import pyarrow as pa

    from modelwatch.api.decoding.columns.schema import is_number

    if name not in source.names:
        return None
    try:
        column = source.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if is_number(column.type) or pa.types.is_boolean(column.type):
            raise UnreadableColumn(f"its type is {column.type}; times, or text as RFC 3339 writes them, are expected")
        found = _in_utc(column).cast(pa.int64())
    except (pa.ArrowException, UnreadableColumn) as error:
        raise ValueError(f"the column {name!r} holds no times: {first_line(error)}") from error
    times = Seconds(found.fill_null(0).to_numpy() // MICROS_PER_SECOND, found.is_valid().to_numpy())
    wrong = np.flatnonzero((times.values < FIRST_SECOND) | (times.values > LAST_SECOND))
    if len(wrong):
        given = f"row {wrong[0]:,} has one {times.values[wrong[0]]:,} s after 1970"
        expected = f"from {iso_of_seconds(FIRST_SECOND)} to {iso_of_seconds(LAST_SECOND)}"
        raise ValueError(f"the column {name!r} holds no times {expected}: {given}")
    return times


def _in_utc(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times of a column in microseconds; those without a zone are UTC, as in the service."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with_zone = pa.timestamp("us", tz="UTC")
    try:
        # Nanoseconds may go; what is too far off for 64 bits must not come out as another time.
        return column.cast(options=pc.CastOptions(with_zone, allow_time_truncate=True))
    except pa.ArrowInvalid:
        if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            raise
        return column.cast(pa.timestamp("us"), safe=False).cast(with_zone)
