"""Counting float arrays into right-closed cells.

Three ways, chosen by the number of edges and values; the figures are ns a value, measured with numpy 2.4 on AVX-512:
few edges (one comparison pass each, about 0.2 an edge), small batches (binary search, 17 at 100 values but 49 at
100,000), large batches (SIMD sort of cache-sized chunks, then the edges are searched in the sorted chunk, about 5
regardless of the edges).
"""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]

CHUNK = 16_384
FEW_EDGES = 16
# Counted beside the cells: missing, invalid, below, above.
BESIDE_CELLS = 4
SMALL_BATCH = 256
# Entries that are added up at once: more would not be faster, only larger.
MOST_ENTRIES = 1 << 20
MOST_SMALL = 1 << 16

_NO_PLACES: Places = np.empty(0, dtype=np.intp)


def _no_places() -> Places:
    return _NO_PLACES


@dataclass(frozen=True, slots=True)
class CellCounts:
    """Counts of values: `cells` has one entry more than there are edges; the rest is counted beside them."""

    cells: NDArray[np.int64]
    missing: int
    invalid: int
    below: int
    above: int


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


def count_cells(values: NDArray[np.float64], edges: NDArray[np.float64], low: float, high: float) -> CellCounts:
    """Counts of `values` in the cells (-inf, e0], (e0, e1], … (e_last, inf).

    values: one-dimensional, in any order; NaN is counted as missing, ±inf as invalid, neither in a cell.
    edges: finite and ascending, may be empty.
    low, high: values below low or above high are counted in their cell and in `below` or `above` too.

    >>> count_cells(np.array([1.0, 2.0, 2.5, np.nan]), np.array([2.0]), 1.5, 3.0)
    CellCounts(cells=array([2, 1]), missing=1, invalid=0, below=1, above=0)
    """
    # `queries[i]` becomes the number of values at or below it; the last four give the counts beside the cells.
    queries = np.concatenate((edges, (math.nextafter(low, -math.inf), high, -np.inf, np.finfo(np.float64).max)))
    if len(edges) <= FEW_EDGES:
        at_or_below = _by_comparison(values, queries)
    elif len(values) <= SMALL_BATCH:
        return _by_search(values, edges, low, high)
    else:
        at_or_below = _by_sorting(values, queries)
    missing = int(np.count_nonzero(np.isnan(values)))
    under_low, up_to_high, negative_infinite, finite_or_less = (int(count) for count in at_or_below[-4:])
    steps = np.empty(len(edges) + 2, dtype=np.int64)
    steps[0], steps[1:-1], steps[-1] = negative_infinite, at_or_below[:-4], finite_or_less
    positive_infinite = len(values) - missing - finite_or_less
    return CellCounts(
        cells=np.diff(steps),
        missing=missing,
        invalid=negative_infinite + positive_infinite,
        below=under_low - negative_infinite,
        above=finite_or_less - up_to_high,
    )


def _by_comparison(values: NDArray[np.float64], queries: NDArray[np.float64]) -> NDArray[np.int64]:
    totals = [0] * len(queries)
    limits = queries.tolist()
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        for i, limit in enumerate(limits):
            totals[i] += int(np.count_nonzero(chunk <= limit))
    return np.array(totals, dtype=np.int64)


def _by_sorting(values: NDArray[np.float64], queries: NDArray[np.float64]) -> NDArray[np.int64]:
    totals = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(values), CHUNK):
        # NaN sorts last, so it is at or below no query.
        totals += np.sort(values[start : start + CHUNK]).searchsorted(queries, side="right")
    return totals


def _by_search(values: NDArray[np.float64], edges: NDArray[np.float64], low: float, high: float) -> CellCounts:
    found = search_cells(values, edges, low, high)
    counts = np.bincount(found.places, minlength=found.size)
    missing, invalid = counts[-BESIDE_CELLS:-2].tolist()
    return CellCounts(counts[:-BESIDE_CELLS], missing, invalid, len(found.below), len(found.above))


def search_cells(values: NDArray[np.float64], edges: NDArray[np.float64], low: float, high: float) -> CellPlaces:
    """The cell of each value by binary search; arguments as of `count_cells`. Beside the cells come four more: missing,
    invalid, below, above.

    >>> search_cells(np.array([1.0, 2.5, np.nan, -np.inf]), np.array([2.0]), 1.5, 3.0)
    CellPlaces(places=array([0, 1, 2, 3]), size=6, below=array([0]), above=array([], dtype=int64))
    """
    places = edges.searchsorted(values, side="left")
    [outside] = np.nonzero(~np.isfinite(values))
    below, above = values < low, values > high
    if len(outside):
        places[outside] = len(edges) + 1 + ~np.isnan(values[outside])
        below[outside] = above[outside] = False
    return CellPlaces(places, len(edges) + 1 + BESIDE_CELLS, below.nonzero()[0], above.nonzero()[0])
