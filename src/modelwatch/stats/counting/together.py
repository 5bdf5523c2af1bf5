"""Counts of several subjects over the same rows, in one vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import Binning, NumericBinning
from modelwatch.stats.counting.columns import Column
from modelwatch.stats.counting.kernel import CHUNK, Floats, counts_between, counts_of_singles
from modelwatch.stats.counting.numeric import SCALAR_BATCH

# Values that are sorted together, some columns at a time: as many as stay in the processor's cache.
MOST_TOGETHER = 1 << 16

# Where the counts of a subject begin in the vector, its cells, and its values.
Counted = tuple[int, Binning, Column]


def count_together(subjects: Sequence[Counted], size: int) -> NDArray[np.int64]:
    """The counts of all subjects, each in its binning, shape (size,); subjects do not overlap.

    >>> from modelwatch.stats.counting.binning import categorical_binning
    >>> from modelwatch.stats.counting.columns import column_of
    >>> cells = categorical_binning(["a", "b"])
    >>> count_together([(0, cells, column_of(["b"])), (cells.size, cells, column_of(["a"]))], 2 * cells.size).tolist()
    [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    """
    if not subjects or len(subjects[0][2]) <= SCALAR_BATCH:
        cells: list[int] = []
        for start, binning, column in subjects:
            cells += [start + cell for cell in binning.cells_of_few(column.scalars())]
        return np.bincount(np.array(cells, dtype=np.intp), minlength=size)
    counts = np.zeros(size, dtype=np.int64)
    numeric: list[tuple[int, NumericBinning, Floats]] = []
    for start, binning, column in subjects:
        if isinstance(binning, NumericBinning):
            numeric.append((start, binning, column.numbers()))
        else:
            counts[start : start + binning.size] = np.bincount(binning.cells(column).places, minlength=binning.size)
    for some in _parts(numeric):
        _count_numbers(some, counts)
    return counts


def _parts(numeric: Sequence[tuple[int, NumericBinning, Floats]]) -> Iterator[list[tuple[int, NumericBinning, Floats]]]:
    """Subjects that are sorted together: of one version, so that they are rounded, all or none."""
    for version in sorted({binning.version for _, binning, _ in numeric}):
        alike = [each for each in numeric if each[1].version == version]
        at_once = max(MOST_TOGETHER // len(alike[0][2]), 1)
        yield from (alike[start : start + at_once] for start in range(0, len(alike), at_once))


def _count_numbers(numeric: Sequence[tuple[int, NumericBinning, Floats]], counts: NDArray[np.int64]) -> None:
    number = len(numeric[0][2])
    if number > CHUNK:
        for start, binning, values in numeric:
            counts[start : start + binning.size] = binning.count_floats(values)
        return
    in_single = numeric[0][1].version > 1
    with np.errstate(over="ignore", under="ignore"):
        matrix = np.stack(
            [values for _, _, values in numeric], dtype=np.float32 if in_single else np.float64, casting="same_kind"
        )
    # NaN sorts last, so it is at or below no bound.
    matrix.sort(axis=1)
    for (start, binning, values), ascending in zip(numeric, matrix, strict=True):
        if in_single:
            found = counts_of_singles(ascending, binning.single_bounds)
            found = binning.count_floats(values) if found is None else found
        else:
            found = counts_between(ascending.searchsorted(binning.bounds, side="right"), number)
        counts[start : start + binning.size] = found
