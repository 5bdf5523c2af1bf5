"""The test that decides about drift: do a window and its reference come from one distribution?

Two parts, over the same cells and for any two sample sizes, as docs/statistics.md defines them. The *omnibus test*
looks at all cells together, in groups that depend on the reference and on the size of the window, never on what the
window holds: so more data of the same shift never weakens the evidence. The *single-cell test* is exact, cell by cell:
it sees what groups hide, such as one value that the reference never had.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import Counts, rate_increase_p_value
from modelwatch.stats.drift.overdispersion import AT_MOST, Dispersion, widened_chi_square, widened_tail
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

Floats = NDArray[np.float64]
Part = Literal["all cells", "single cell", "new names", "location", "scale"]

# A group holds so many reference values, and so many times N/n of them.
MIN_GROUP, MIN_GROUP_SHARES = 5.0, 2.0
# What small references add to the tail of both approximations: 1 + SMALL_REFERENCE / N.
SMALL_REFERENCE = 10.0
# Below so many standard deviations no cell's exact tail is small enough to matter, and none is computed.
SCREEN = 3.0
# How much of the level each part may use. Their sum is 1, so their minimum keeps the level under any dependence.
OMNIBUS_WEIGHT, CELL_WEIGHT = 0.75, 0.25
WEIGHTS: Mapping[Part, float] = {"all cells": OMNIBUS_WEIGHT, "single cell": CELL_WEIGHT}
# Keeps quotients of empty groups finite.
TINY = 1e-300
MAX_WINDOW = 1 << 40
# Logarithms of probabilities are right to so much.
ROUNDING = 0.001
RAREST = 4


@dataclass(frozen=True, slots=True)
class Direction:
    """A directed test. z: its statistic in standard deviations; above 0, values are larger, or further out."""

    z: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """The evidence that a window does not come from the distribution of its reference.

    statistic, likelihood_ratio: Pearson's X² and the likelihood ratio G of the grouped cells. df: degrees of freedom,
    groups less one; with a single group there is nothing to compare there, and the single-cell test alone decides.
    omnibus_p_value: the larger p-value of the two forms; 1 with a single group. cell_p_value: of the most unusual cell,
    for the number of cells. p_value: of all parts together. new_names_p_value: of categories, that there are so many
    unseen names; None where the test has no such part. location, scale: of ordered features, the directed tests; None
    where the test has none. strongest: the part whose p-value, for its share of the level, is the smallest. cell: the
    place of the most unusual cell among the cells of the tests; None when none is unusual. cell_has_more: whether it
    holds more of the window than of the reference. effective_n: for how many independent values the window counts;
    None where all of its values are taken for independent.
    """

    statistic: float
    likelihood_ratio: float
    df: int
    omnibus_p_value: float
    cell_p_value: float
    p_value: float
    new_names_p_value: float | None = None
    location: Direction | None = None
    scale: Direction | None = None
    strongest: Part = "all cells"
    cell: int | None = None
    cell_has_more: bool = False
    effective_n: float | None = None


def homogeneity(reference: Counts, current: Counts, *, screen: float = SCREEN) -> Homogeneity:
    """The test of one window.

    reference, current: shape (cells,), non-negative integers over the same cells, not all zero.
    screen: cells nearer to what is expected than so many standard deviations are not tested by themselves.
    Raises EmptySample when a side has no observations, IncompatibleProfiles when the shapes differ.
    Source: Pearson (1911); Williams (1976), Improved likelihood ratio tests; Fisher's exact test for single cells.

    >>> found = homogeneity([1000] * 10, [50, 40, 60, 45, 55, 30, 70, 50, 52, 48])
    >>> round(found.statistic, 6), round(found.likelihood_ratio, 6), found.df, found.cell_p_value
    (20.158279, 20.637726, 9, 1.0)
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    if r.shape != c.shape or r.ndim != 1:
        raise IncompatibleProfiles(f"two count vectors over the same cells are needed, got {r.shape} and {c.shape}")
    if r.sum() <= 0 or c.sum() <= 0:
        raise EmptySample(f"the {'reference' if r.sum() <= 0 else 'current'} sample has no observations")
    [part] = parts_of_tests([Comparison(r, c[None], Groups.of(r))], screen=screen)
    return part.together(0, WEIGHTS)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Windows to test against one reference, over the same cells.

    reference: shape (cells,). windows: shape (windows, cells), none of them empty. groups: of the reference.
    dispersions: of each window, over these cells; None, or none at all, where its values are independent.
    """

    reference: NDArray[np.int64]
    windows: NDArray[np.int64]
    groups: Groups
    dispersions: Sequence[Dispersion | None] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PartsOfTest:
    """Both parts of the test of some windows against one reference; each of shape (windows,). most_unusual: the place
    of the most unusual cell, -1 when none is; has_more: whether it holds more of the window than of the reference."""

    statistics: list[float]
    likelihood_ratios: list[float]
    df: list[int]
    omnibus: list[float]
    cells: list[float]
    most_unusual: list[int]
    has_more: list[bool]

    def together(
        self,
        window: int,
        weights: Mapping[Part, float],
        *,
        new: float | None = None,
        location: Direction | None = None,
        scale: Direction | None = None,
        effective_n: float | None = None,
    ) -> Homogeneity:
        """The test of a window. weights: how much of the level each part may use. new: the p-value of unseen names;
        location, scale: the directed tests. With a single group of cells there is nothing to compare there, and the
        single cells have its share, too. effective_n: as in the test."""
        df, omnibus, cell = self.df[window], self.omnibus[window], self.cells[window]
        alone = not df and new is None
        of_cells = weights["single cell"] + (weights["all cells"] if alone else 0.0)
        weighted: dict[Part, float] = {"single cell": cell / of_cells}
        if df:
            weighted["all cells"] = omnibus / weights["all cells"]
        if new is not None:
            weighted["new names"] = new / weights["new names"]
        if location is not None:
            weighted["location"] = location.p_value / weights["location"]
        if scale is not None:
            weighted["scale"] = scale.p_value / weights["scale"]
        strongest = min(weighted, key=lambda part: weighted[part])
        place = self.most_unusual[window]
        return Homogeneity(
            self.statistics[window],
            self.likelihood_ratios[window],
            df,
            omnibus,
            cell,
            min(1.0, weighted[strongest]),
            new,
            location,
            scale,
            strongest,
            None if place < 0 else place,
            self.has_more[window],
            effective_n,
        )


def parts_of_tests(tests: Sequence[Comparison], *, screen: float = SCREEN) -> list[PartsOfTest]:
    """Both parts of many tests, in their order: those over as many cells, or groups of cells, at once."""
    lengths = [len(test.windows) for test in tests]
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.intp)
    found = np.zeros((3, offsets[-1]))
    cells, most, more = np.ones(offsets[-1]), np.full(offsets[-1], -1), np.zeros(offsets[-1], dtype=np.bool_)
    df = np.zeros(offsets[-1], dtype=np.int64)
    n = np.concatenate([test.windows.sum(axis=1) for test in tests]) if tests else np.zeros(0, dtype=np.int64)
    grouped: dict[int, list[tuple[int, Groups, int, NDArray[np.int64]]]] = {}
    by_cells: dict[int, list[int]] = {}
    dispersed = {
        int(offsets[place]) + window: dispersion
        for place, test in enumerate(tests)
        for window, dispersion in enumerate(test.dispersions)
        if dispersion is not None
    }
    for place, test in enumerate(tests):
        by_cells.setdefault(len(test.reference), []).append(place)
        rows = range(int(offsets[place]), int(offsets[place + 1]))
        for row, stage in zip(rows, test.groups.stages(n[rows]).tolist(), strict=True):
            df[row] = test.groups.df(stage)
            grouped.setdefault(int(df[row]), []).append((row, test.groups, stage, test.windows[row - rows.start]))
    for degrees, some in grouped.items():
        which = np.array([row for row, _, _, _ in some], dtype=np.intp)
        if not degrees:
            found[2, which] = 1.0
            continue
        found[:3, which] = _omnibus(
            np.stack([groups.sums[stage] for _, groups, stage, _ in some]),
            np.stack([groups.merge(stage, window) for _, groups, stage, window in some]).astype(np.float64),
            np.array([groups.total for _, groups, _, _ in some]),
            n[which],
            np.array([groups.corrections[stage] for _, groups, stage, _ in some]),
        )
    _widen(found[2], df, dispersed)
    for places in by_cells.values():
        which = np.concatenate([np.arange(offsets[place], offsets[place + 1]) for place in places])
        references = np.repeat(
            [tests[place].reference for place in places], [lengths[place] for place in places], axis=0
        )
        windows = np.concatenate([tests[place].windows for place in places])
        unusual = _unusual(references, windows, n[which], screen)
        for row in np.flatnonzero(unusual.any(axis=1)).tolist():
            place = which[row]
            cells[place], most[place], more[place] = _most_unusual(
                references[row], windows[row], unusual[row], dispersed.get(int(place))
            )
    columns = (
        *(found[0].tolist(), found[1].tolist(), df.tolist(), found[2].tolist()),
        *(cells.tolist(), most.tolist(), more.tolist()),
    )
    return [
        PartsOfTest(*(column[start:stop] for column in columns)) for start, stop in itertools.pairwise(offsets.tolist())
    ]


def _widen(p_values: Floats, df: NDArray[np.int64], dispersed: Mapping[int, Dispersion]) -> None:
    """Makes the p-values of all cells together those of windows that vary more than by chance, by their place."""
    places = [place for place in dispersed if df[place]]
    if places:
        of_places = [dispersed[place] for place in places]
        factors = np.array([each.factors[AT_MOST] for each in of_places])
        freedom = np.array([each.freedom[AT_MOST] for each in of_places])
        p_values[places] = widened_chi_square(p_values[places], df[places], factors, freedom)


def homogeneity_p_values(reference: Counts, windows: NDArray[np.int64], enough: Floats | float = 0.0) -> Floats:
    """`homogeneity(...).p_value` of many windows against one reference; shape (windows,).

    windows: shape (windows, cells). A window without values has 1. enough: p-values that decide, one or one for each
    window: where the omnibus part is below, the cells are not tested, and p may be smaller than what is returned.

    >>> homogeneity_p_values([50, 50], np.array([[40, 60], [0, 0], [0, 100]])).round(4).tolist()
    [0.2286, 1.0, 0.0]
    """
    r = np.asarray(reference, dtype=np.int64)
    p_values, n = np.ones(len(windows)), windows.sum(axis=1)
    groups, filled = Groups.of(r), n > 0
    stages = groups.stages(np.maximum(n, 1))
    for stage in np.unique(stages[filled]).tolist():
        if groups.df(stage):
            rows = np.flatnonzero((stages == stage) & filled)
            p_values[rows] = groups.test(stage, windows[rows], n[rows])[2] / OMNIBUS_WEIGHT
    unusual = _unusual(r, windows, n, SCREEN)
    for row in np.flatnonzero(unusual.any(axis=1) & (p_values >= enough)).tolist():
        weight = CELL_WEIGHT if groups.df(int(stages[row])) else 1.0
        p_values[row] = min(p_values[row], _cell_p_value(r, windows[row], unusual[row]) / weight)
    return np.minimum(p_values, 1.0)


def cell_p_value(reference: Counts, current: Counts, *, screen: float = SCREEN) -> float:
    """The single-cell test: Fisher's exact tails of every cell, the smallest times twice the number of cells.

    Cells that are empty on both sides do not count. 1 when no cell is `screen` standard deviations from what is
    expected. Exact for cells that are fixed; on the safe side for cells at the reference's own quantiles.
    Source: Fisher (1935) for the tails; Altham (1969) for cells at quantiles.

    >>> cell_p_value([100, 0], [0, 100]) < 5e-59
    True
    >>> round(cell_p_value([98, 2], [92, 8], screen=0.0), 5), cell_p_value([98, 2], [92, 8])
    (0.20109, 1.0)
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    return _cell_p_value(r, c, _unusual(r, c[None, :], c.sum(keepdims=True), screen)[0])


def _cell_p_value(r: NDArray[np.int64], c: NDArray[np.int64], unusual: NDArray[np.bool_]) -> float:
    return _most_unusual(r, c, unusual)[0]


def _most_unusual(
    r: NDArray[np.int64], c: NDArray[np.int64], unusual: NDArray[np.bool_], dispersion: Dispersion | None = None
) -> tuple[float, int, bool]:
    """The p-value of the most unusual cell, for the number of cells; which one it is, -1 when none is unusual; and
    whether it holds more of the window than of the reference."""
    n_reference, n_current = int(r.sum()), int(c.sum())
    smallest, place, more = 1.0, -1, False
    for cell, least in _likely_first(r, c, np.flatnonzero(unusual)):
        # A tail is at least the probability of what is found; in this order all others have larger ones.
        if place >= 0 and least > math.log(max(smallest, TINY)) + ROUNDING:
            break
        before, now = int(r[cell]), int(c[cell])
        # Too few values now are too many in the reference: P(H <= C) of one sample is P(H >= R) of the other.
        grown = now * n_reference > before * n_current
        if grown:
            tail = rate_increase_p_value(before, n_reference, now, n_current)
        else:
            tail = rate_increase_p_value(now, n_current, before, n_reference)
        if dispersion is not None:
            tail = widened_tail(tail, float(dispersion.cells[cell]), float(dispersion.cells_freedom[cell]))
        if place < 0 or (tail, cell) < (smallest, place):
            smallest, place, more = tail, cell, grown
    return min(1.0, 2.0 * int(np.count_nonzero(r + c)) * smallest), place, more


def _likely_first(r: NDArray[np.int64], c: NDArray[np.int64], cells: NDArray[np.intp]) -> Iterable[tuple[int, float]]:
    """Cells, and the logarithm of the probability of what is found in each given all margins, the smallest first."""
    if len(cells) < 2:
        return ((cell, -math.inf) for cell in cells.tolist())
    gammaln = _special().gammaln
    before, now, n_reference, n_current = r[cells], c[cells], r.sum(), c.sum()
    hits, both = before + now, n_reference + n_current
    some = np.stack([before, now, n_reference - before, n_current - now, hits, both - hits])
    of_cells = gammaln(some + 1.0)
    found = of_cells[4] + of_cells[5] - of_cells[:4].sum(axis=0)
    found += gammaln(n_reference + 1.0) + gammaln(n_current + 1.0) - gammaln(both + 1.0)
    order = np.argsort(found, kind="stable")
    return zip(cells[order].tolist(), found[order].tolist(), strict=True)


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Grouping of a reference's cells for the test: the smaller the window, the more are merged.

    total: reference values. least: how large each group is at least. merged: by stage, where each group of neighbouring
    cells begins; from all cells to one group. sums: by stage, the reference values in each group. smallest: by stage,
    the size of the smallest group, ascending. corrections: by stage, Williams' divisor of the likelihood ratio.
    """

    total: float
    least: float
    merged: tuple[NDArray[np.intp], ...]
    sums: tuple[Floats, ...]
    smallest: Floats
    corrections: tuple[float, ...]

    @classmethod
    def of(cls, reference: NDArray[np.int64], sizes: Floats | None = None, least: float = MIN_GROUP) -> Groups:
        """Step by step, the smallest cell is merged with the smaller of its neighbours.

        sizes: what makes a cell small, where that is not the reference's own counts; shape (cells,).
        """
        return _groups(reference.tobytes(), None if sizes is None else sizes.tobytes(), least)

    def stages(self, n: NDArray[np.int64]) -> NDArray[np.intp]:
        """For windows of n values each, at least 1, which of the stages of merging is theirs; shape as n."""
        needed = np.maximum(self.least, MIN_GROUP_SHARES * self.total / n)
        return np.minimum(self.smallest.searchsorted(needed), len(self.merged) - 1)

    def df(self, stage: int) -> int:
        """The degrees of freedom at a stage: groups less one."""
        return len(self.merged[stage]) - 1

    def merge(self, stage: int, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts of windows, shape (..., cells), by group at a stage: shape (..., groups)."""
        starts = self.merged[stage]
        return windows if len(starts) == windows.shape[-1] else np.add.reduceat(windows, starts, axis=-1)

    def test(self, stage: int, windows: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Pearson's X², the likelihood ratio G, and the p-value of the omnibus test; each of shape (windows,).

        windows: shape (windows, cells), of n values each, none of them empty. Groups that are empty on both sides do
        not count. With a single group X² and G are 0, and p is 1.
        """
        if not self.df(stage):
            nothing = np.zeros(len(windows))
            return nothing, nothing, np.ones(len(windows))
        merged = self.merge(stage, windows).astype(np.float64)
        return _omnibus(self.sums[stage], merged, self.total, n, self.corrections[stage])


def _omnibus(
    r: Floats, c: Floats, total: Floats | float, n: NDArray[np.int64], correction: Floats | float
) -> tuple[Floats, Floats, Floats]:
    """Pearson's X², the likelihood ratio G, and the larger p-value of both, each of shape (windows,).

    c: counts by group, shape (windows, groups), at least two groups; n: their sums. r: those of the reference, the same
    shape or (groups,); total: their sum. correction: Williams' divisor of G.
    """
    share = (n / (total + n))[:, None]
    together = c + r
    expected = np.maximum(together * share, TINY)
    difference = c - together * share
    statistic = (difference * difference / expected).sum(axis=1) / (1.0 - share[:, 0])
    special = _special()
    information = special.xlogy(c, c / expected) + special.xlogy(r, r / np.maximum(together - expected, TINY))
    likelihood_ratio = np.maximum(0.0, 2.0 * information.sum(axis=1))
    # With one group left chdtrc(0, x) is 0, which would be the opposite of what it says.
    df = np.maximum(np.count_nonzero(together, axis=1) - 1, 1)
    p_values = np.maximum(special.chdtrc(df, statistic), special.chdtrc(df, likelihood_ratio / correction))
    return statistic, likelihood_ratio, np.minimum(1.0, (1.0 + SMALL_REFERENCE / total) * p_values)


def degrees_of_freedom(reference: Counts, n: int) -> int:
    """Those of the omnibus test for a window of n values: groups less one.

    >>> degrees_of_freedom([1000] * 10, 100), degrees_of_freedom([1000] * 10, 10), degrees_of_freedom([3] * 10, 1_000)
    (9, 4, 4)
    """
    groups = Groups.of(np.asarray(reference, dtype=np.int64))
    return groups.df(int(groups.stages(np.array([n]))[0]))


def _unusual(
    r: NDArray[np.int64], windows: NDArray[np.int64], n: NDArray[np.int64], screen: float
) -> NDArray[np.bool_]:
    """Mask of the cells that are at least `screen` standard deviations from what is expected; shape as windows.

    r: of one reference, shape (cells,), or of one for each window, shape (windows, cells).
    """
    # In doubles: products of large counts leave the integers.
    n_reference = r.sum(axis=-1).astype(np.float64)
    share = (n / (n_reference + n))[:, None]
    together = r + windows
    expected = together * share
    difference = windows - expected
    # Of the hypergeometric distribution, but for a factor of at most 1 + 1/(M - 1).
    variance = expected * (1.0 - share) * (1.0 - together / (n_reference + n)[:, None])
    return np.asarray((difference * difference >= screen * screen * variance) & (together > 0) & (n > 0)[:, None])


@lru_cache(maxsize=4_096)
def _groups(counts: bytes, given_sizes: bytes | None, least: float) -> Groups:
    reference = np.frombuffer(counts, dtype=np.int64).astype(np.float64)
    sizes: list[float] = (reference if given_sizes is None else np.frombuffer(given_sizes)).tolist()
    starts = list(range(len(sizes)))
    merged, held, smallest = [np.array(starts, dtype=np.intp)], [np.array(sizes)], [min(sizes)]
    while len(sizes) > 1:
        i, last = sizes.index(smallest[-1]), len(sizes) - 1
        j = i + 1 if i == 0 or (i < last and sizes[i + 1] <= sizes[i - 1]) else i - 1
        left, right = min(i, j), max(i, j)
        sizes[left] += sizes.pop(right)
        starts.pop(right)
        merged.append(np.array(starts, dtype=np.intp))
        held.append(np.array(sizes))
        smallest.append(min(sizes))
    sums = tuple(np.add.reduceat(reference, each) for each in merged)
    total = float(reference.sum())
    return Groups(total, least, tuple(merged), sums, np.array(smallest), tuple(_williams(each, total) for each in held))


def _williams(sizes: Floats, total: float) -> float:
    """Williams' correction, the reference's part only; 1 where a group is empty, or the only one."""
    if len(sizes) < 2 or not sizes.all():
        return 1.0
    return 1.0 + (float((total / sizes).sum()) - 1.0) / (6.0 * total * (len(sizes) - 1))


@lru_cache(maxsize=1)
def _special() -> ModuleType:
    import scipy.special  # loaded on first use: it takes a third of a second

    module: ModuleType = scipy.special
    return module
