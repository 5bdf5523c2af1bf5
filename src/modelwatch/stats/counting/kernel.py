"""Counting float arrays into right-closed cells.

An array is sorted, some thousand values at a time, and the edges are searched in it: for 200 cells 11 ns a value of
1,000, 5 of 16,000, by the vector instructions that numpy sorts with (numpy 2.4 on AVX-512). A binary search for each
value takes 42, for the processor guesses half of its steps wrong, which a benchmark that counts the same values again
does not show. Few edges are compared with each of many values instead, in 0.2 ns an edge.
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Places = NDArray[np.intp]

CHUNK = 16_384
FEW_BOUNDS, MANY_VALUES = 21, 4_096
LARGEST, LARGEST_SINGLE = float(np.finfo(np.float64).max), float(np.finfo(np.float32).max)
# Counted beside the cells: missing, invalid, below, above.
BESIDE_CELLS = 4
# Entries that are added up at once: more would not be faster, only larger.
MOST_ENTRIES = 1 << 20
MOST_SMALL = 1 << 16

_NO_PLACES: Places = np.empty(0, dtype=np.intp)


def _no_places() -> Places:
    return _NO_PLACES


@dataclass(frozen=True, slots=True, eq=False)
class CellPlaces:
    """The cell of each value in a count vector of `size` cells.

    places: shape (values,). below, above: which values count in those two cells of a numeric binning as well.
    """

    places: Places
    size: int
    below: Places = field(default_factory=_no_places)
    above: Places = field(default_factory=_no_places)


class CountsByGroup:
    """Counts of rows by their group, filled subject by subject.

    groups: of each row, from 0 on; number: of groups; size: of each vector of counts.

    >>> counts = CountsByGroup(np.array([0, 1, 1]), 2, 4)
    >>> counts.add(1, CellPlaces(np.array([0, 2, 2]), 3))
    >>> [vector.tolist() for vector in counts.totals()]
    [[0, 1, 0, 0], [0, 0, 0, 2]]
    """

    def __init__(self, groups: Places, number: int, size: int) -> None:
        # Small numbers are sorted several times faster.
        self._groups = groups.astype(np.uint16) if number < MOST_SMALL else groups
        self._number, self._size = number, size
        self._all_rows = np.arange(len(groups))
        self._rows: list[Places] = []
        self._cells: list[Places] = []
        self._totals: list[NDArray[np.int64]] | None = None

    def add(self, start: int, cells: CellPlaces) -> None:
        """Counts the values of a subject, one of each row, whose cells begin at `start`."""
        self._rows.append(self._all_rows)
        self._cells.append(cells.places + start)
        for rows, place in ((cells.below, cells.size - 2), (cells.above, cells.size - 1)):
            if len(rows):
                self._rows.append(rows)
                self._cells.append(np.full(len(rows), start + place))
        if len(self._cells) * len(self._all_rows) > MOST_ENTRIES:
            self._add_up()

    def totals(self) -> list[NDArray[np.int64]]:
        """The counts of each group, shape (size,)."""
        self._add_up()
        if self._totals is None:
            return [np.zeros(self._size, dtype=np.int64) for _ in range(self._number)]
        return self._totals

    def _add_up(self) -> None:
        if not self._cells:
            return
        cells = np.concatenate(self._cells)
        ends = [0, len(cells)]
        if self._number > 1:
            groups = self._groups[np.concatenate(self._rows)]
            cells = cells[np.argsort(groups, kind="stable")]
            ends = [0, *np.cumsum(np.bincount(groups, minlength=self._number)).tolist()]
        counts = [np.bincount(cells[start:end], minlength=self._size) for start, end in pairwise(ends)]
        known = self._totals
        self._totals = counts if known is None else [sum_ + more for sum_, more in zip(known, counts, strict=True)]
        self._rows, self._cells = [], []


def bounds_of(edges: Floats, low: float, high: float) -> Floats:
    """What counting in the cells (-inf, e0], (e0, e1], … (e_last, inf) asks an array for, how many values are at or
    below each: -inf, the edges, the largest float, inf, what is just below `low`, and `high`.

    edges: finite and ascending, may be empty. low, high: values below low or above high are counted beside the cells.
    """
    return np.concatenate(((-np.inf,), edges, (LARGEST, np.inf, math.nextafter(low, -math.inf), high)))


def count_values(values: Floats, bounds: Floats) -> NDArray[np.int64]:
    """Counts of `values` in the cells of these bounds, then beside them: missing, invalid, below, above.

    values: one-dimensional, in any order; NaN is counted as missing, ±inf as invalid, neither in a cell. Those below
    and above are counted in their cell too. bounds: of `bounds_of`; the counts have as many entries.

    >>> count_values(np.array([1.0, 2.0, 2.5, np.nan]), bounds_of(np.array([2.0]), 1.5, 3.0)).tolist()
    [2, 1, 1, 0, 1, 0]
    """
    if len(bounds) <= FEW_BOUNDS and len(values) >= MANY_VALUES:
        return counts_between(_by_comparison(values, bounds), len(values))
    at_or_below = np.zeros(len(bounds), dtype=np.int64)
    for start in range(0, len(values), CHUNK):
        # NaN sorts last, so it is at or below no bound.
        at_or_below += np.sort(values[start : start + CHUNK]).searchsorted(bounds, side="right")
    return counts_between(at_or_below, len(values))


def rounded(values: Floats) -> Floats:
    """The values as single precision has them; what it can't hold stays as it is. Shape as given."""
    with np.errstate(over="ignore", under="ignore"):
        singles = values.astype(np.float32).astype(np.float64)
    return np.where(np.abs(values) <= LARGEST_SINGLE, singles, values)


def single_bounds_of(bounds: Floats) -> Singles:
    """The largest number of single precision at or below each bound: what is one is at or below both or neither."""
    with np.errstate(over="ignore", under="ignore"):
        nearest = bounds.astype(np.float32)
        return np.where(nearest > bounds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def count_rounded(values: Floats, bounds: Floats, single_bounds: Singles) -> NDArray[np.int64]:
    """The counts of the `rounded` values, as of `count_values`. single_bounds: of `single_bounds_of` the bounds.

    >>> bounds = bounds_of(np.array([0.1]), 0.0, 1.0)
    >>> count_rounded(np.array([0.1 - 1e-12, 0.1 + 1e-12]), bounds, single_bounds_of(bounds)).tolist()
    [0, 2, 0, 0, 0, 0]
    """
    counts = np.zeros(len(bounds), dtype=np.int64)
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        with np.errstate(over="ignore", under="ignore"):
            ascending = np.sort(chunk.astype(np.float32))
        found = counts_of_singles(ascending, single_bounds)
        counts += count_values(rounded(chunk), bounds) if found is None else found
    return counts


def counts_of_singles(ascending: Singles, single_bounds: Singles) -> NDArray[np.int64] | None:
    """The counts of numbers of single precision in ascending order; None when some may have been larger than it holds.

    They take half the time of others.
    """
    at_or_below = ascending.searchsorted(single_bounds, side="right")
    numbers = at_or_below[-3]
    if numbers and (ascending[0] <= -LARGEST_SINGLE or ascending[numbers - 1] >= LARGEST_SINGLE):
        return None
    return counts_between(at_or_below, len(ascending))


def counts_between(at_or_below: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """The counts of `count_values` of so many values. at_or_below: of each bound, how many are."""
    least, finite, orders = at_or_below[0], at_or_below[-4], at_or_below[-3]
    counts = np.empty(len(at_or_below), dtype=np.int64)
    np.subtract(at_or_below[1:-3], at_or_below[:-4], out=counts[:-BESIDE_CELLS])
    counts[-BESIDE_CELLS:] = (
        number - orders,
        least + orders - finite,
        at_or_below[-2] - least,
        finite - at_or_below[-1],
    )
    return counts


def _by_comparison(values: Floats, bounds: Floats) -> NDArray[np.int64]:
    totals = [0] * len(bounds)
    limits = bounds.tolist()
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        for i, limit in enumerate(limits):
            totals[i] += int(np.count_nonzero(chunk <= limit))
    return np.array(totals, dtype=np.int64)


def search_cells(values: Floats, bounds: Floats) -> CellPlaces:
    """The cell of each value, as of `count_values`.

    >>> search_cells(np.array([1.0, 2.5, np.nan, -np.inf]), bounds_of(np.array([2.0]), 1.5, 3.0))
    CellPlaces(places=array([0, 1, 2, 3]), size=6, below=array([0]), above=array([], dtype=int64))
    """
    size = len(bounds)
    # In ascending order values are below -inf never, in one of the cells, inf, or NaN.
    cells = np.arange(-1, size - 2)
    cells[[0, -2, -1]] = size - 3, size - 3, size - 4
    steps = np.empty(len(cells), dtype=np.intp)
    places = np.empty(len(values), dtype=np.intp)
    below, above = [_NO_PLACES], [_NO_PLACES]
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        order = np.argsort(chunk)
        ends = chunk[order].searchsorted(bounds, side="right")
        least, finite, orders, under_low, up_to_high = ends[[0, -4, -3, -2, -1]].tolist()
        steps[0], steps[-1] = least, len(chunk) - orders
        np.subtract(ends[1:-2], ends[:-3], out=steps[1:-1])
        places[start : start + CHUNK][order] = np.repeat(cells, steps)
        if under_low > least:
            below.append(order[least:under_low] + start)
        if finite > up_to_high:
            above.append(order[up_to_high:finite] + start)
    return CellPlaces(places, size, np.concatenate(below), np.concatenate(above))
