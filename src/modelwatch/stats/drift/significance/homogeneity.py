"""The test that decides about drift: do a window and its reference come from one distribution?

Two parts, over the same cells and for any two sample sizes, as docs/statistics.md defines them. The *omnibus test*
looks at all cells together, in groups that depend on the reference and on the size of the window, never on what the
window holds: so more data of the same shift never weakens the evidence. The *single-cell test* is exact, cell by cell:
it sees what groups hide, such as one value that the reference never had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.directed import DirectedTests
from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.drift.significance.omnibus import Groups, least_group, omnibus
from modelwatch.stats.drift.significance.single_cell import SCREEN, most_unusual, unusual_cells
from modelwatch.stats.drift.variation.overdispersion import AT_MOST, Dispersion, widened_chi_square
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

Floats = NDArray[np.float64]
Part = Literal["all cells", "single cell", "new names", "location", "scale"]

# How much of the level each part may use. Their sum is 1, so their minimum keeps the level under any dependence.
OMNIBUS_WEIGHT, CELL_WEIGHT = 0.75, 0.25
# In this order: of parts that say as much as one another, the first is the strongest.
PARTS: tuple[Part, ...] = ("single cell", "all cells", "new names", "location", "scale")
WEIGHTS: Mapping[Part, float] = {"all cells": OMNIBUS_WEIGHT, "single cell": CELL_WEIGHT}


class Direction(msgspec.Struct, frozen=True, gc=False):
    """A directed test. z: its statistic in standard deviations; above 0, values are larger, or further out."""

    z: float
    p_value: float


class Homogeneity(msgspec.Struct, frozen=True, gc=False):
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
    [found] = parts_of_tests([Comparison(r, c[None], Groups.of(r))], screen=screen).together([WEIGHTS])
    return found


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
class PartsOfTests:
    """Both parts of some tests, of one window after the other; each of shape (windows,). test: the place of each
    window's test. omnibus, cells: p-values. most_unusual: the place of the most unusual cell, -1 when none is;
    has_more: whether it holds more of the window than of the reference."""

    test: NDArray[np.intp]
    statistics: Floats
    likelihood_ratios: Floats
    df: NDArray[np.int64]
    omnibus: Floats
    cells: Floats
    most_unusual: NDArray[np.int64]
    has_more: NDArray[np.bool_]

    def together(
        self,
        weights: Sequence[Mapping[Part, float]],
        *,
        new: Floats | None = None,
        directed: DirectedTests | None = None,
        effective_n: Sequence[float | None] = (),
    ) -> Iterator[Homogeneity]:
        """The test of each window. weights: of each test, how much of the level each part may use. new: the p-values of
        unseen names, directed: the directed tests; NaN where a window has none. With a single group of cells there is
        nothing to compare there, and the single cells have its share, too. effective_n: as in the test."""
        number = len(self.df)
        absent = np.full(number, np.nan)
        of_names = absent if new is None else new
        none = DirectedTests(absent, absent, absent, absent)
        of_order = none if directed is None else directed
        of_cells = np.where(self.df > 0, self.omnibus, np.nan)
        p_values = np.stack((self.cells, of_cells, of_names, of_order.location_p_value, of_order.scale_p_value))
        shares = np.array([[each.get(part, 1.0) for part in PARTS] for each in weights])[self.test].T
        alone = (self.df == 0) & np.isnan(of_names)
        shares[0, alone] += shares[1, alone]
        p_values /= shares
        strongest = np.nanargmin(p_values, axis=0)
        smallest = np.minimum(1.0, p_values[strongest, np.arange(number)])
        return map(
            Homogeneity,
            self.statistics.tolist(),
            self.likelihood_ratios.tolist(),
            self.df.tolist(),
            self.omnibus.tolist(),
            self.cells.tolist(),
            smallest.tolist(),
            [None if each != each else each for each in of_names.tolist()],
            _directions(of_order.location_z, of_order.location_p_value),
            _directions(of_order.scale_z, of_order.scale_p_value),
            [PARTS[place] for place in strongest.tolist()],
            [None if place < 0 else place for place in self.most_unusual.tolist()],
            self.has_more.tolist(),
            effective_n or [None] * number,
        )


def _directions(z: Floats, p_values: Floats) -> Iterable[Direction | None]:
    pairs = zip(z.tolist(), p_values.tolist(), strict=True)
    return [None if p_value != p_value else Direction(each, p_value) for each, p_value in pairs]


def parts_of_tests(tests: Sequence[Comparison], *, screen: float = SCREEN) -> PartsOfTests:
    """Both parts of many tests, in their order: those over as many cells, or groups of cells, at once."""
    lengths = [len(test.windows) for test in tests]
    of_tests = np.repeat(np.arange(len(tests)), lengths)
    number = len(of_tests)
    found, df = np.zeros((3, number)), np.zeros(number, dtype=np.int64)
    found[2] = 1.0
    cells, most, more = np.ones(number), np.full(number, -1), np.zeros(number, dtype=np.bool_)
    offsets = np.cumsum(lengths) - lengths
    dispersed = {
        int(offsets[place]) + window: dispersion
        for place, test in enumerate(tests)
        for window, dispersion in enumerate(test.dispersions)
        if dispersion is not None
    }
    by_cells: dict[int, list[int]] = {}
    for place, test in enumerate(tests):
        by_cells.setdefault(len(test.reference), []).append(place)
    for places in by_cells.values():
        rows = np.flatnonzero(np.isin(of_tests, places))
        which = np.repeat(np.arange(len(places)), [lengths[place] for place in places])
        windows = np.concatenate([tests[place].windows for place in places])
        references = np.array([tests[place].reference for place in places])[which]
        n = windows.sum(axis=1)
        effective, known = n.astype(np.float64), references.sum(axis=1).astype(np.float64)
        n_references = known.copy()
        for row in np.flatnonzero(np.isin(rows, list(dispersed))).tolist():
            dispersion = dispersed[int(rows[row])]
            of_window = float(dispersion.effective[AT_MOST])
            effective[row], known[row] = dispersion.parted(of_window, int(n[row]), int(known[row]))
        found[:, rows], df[rows] = _together(
            [tests[place].groups for place in places],
            which,
            references,
            windows,
            effective / n,
            effective,
            known / n_references,
        )
        unusual = unusual_cells(references, windows, n, screen)
        for row in np.flatnonzero(unusual.any(axis=1)).tolist():
            place = rows[row]
            cells[place], most[place], more[place] = most_unusual(
                references[row], windows[row], unusual[row], dispersed.get(int(place))
            )
    _widen(found[2], df, dispersed)
    return PartsOfTests(of_tests, found[0], found[1], df, found[2], cells, most, more)


def _together(
    groups: Sequence[Groups],
    which: NDArray[np.intp],
    references: NDArray[np.int64],
    windows: NDArray[np.int64],
    parts: Floats,
    n: Floats,
    known: Floats,
) -> tuple[Floats, NDArray[np.int64]]:
    """X², G and p of all cells together, shape (3, windows), and their degrees of freedom; of windows over as many
    cells. groups: of each test. which: of which test each window is. parts: how much of each window counts; n: its
    number of effective values. known: how much of its reference counts."""
    total = np.array([each.total for each in groups])[which]
    needed = least_group(np.array([each.least for each in groups])[which], total, n)
    merged = np.array([each.smallest[0] for each in groups])[which] < needed
    found, df = np.zeros((3, len(n))), np.full(len(n), windows.shape[1] - 1)
    found[2] = 1.0
    whole = np.flatnonzero(~merged & (df > 0))
    if len(whole):
        corrections = np.array([each.corrections[0] for each in groups])[which]
        found[:, whole] = omnibus(
            references[whole] * known[whole, None],
            windows[whole] * parts[whole, None],
            total[whole] * known[whole],
            n[whole],
            _corrected(corrections[whole], known[whole]),
        )
    alike: dict[int, list[tuple[int, int]]] = {}
    rest = np.flatnonzero(merged)
    for place in np.unique(which[rest]).tolist():
        of_place = rest[which[rest] == place]
        for row, stage in zip(of_place.tolist(), groups[place].stages(n[of_place]).tolist(), strict=True):
            df[row] = groups[place].df(stage)
            alike.setdefault(int(df[row]), []).append((row, stage))
    for degrees, some in alike.items():
        if not degrees:
            continue
        chosen = [(groups[which[row]], row, stage) for row, stage in some]
        rows = [row for row, _ in some]
        found[:, rows] = omnibus(
            np.stack([each.sums[stage] for each, _, stage in chosen]) * known[rows, None],
            np.stack([each.merge(stage, windows[row]) for each, row, stage in chosen]) * parts[rows, None],
            total[rows] * known[rows],
            n[rows],
            _corrected(np.array([each.corrections[stage] for each, _, stage in chosen]), known[rows]),
        )
    return found, df


def _corrected(corrections: Floats, known: Floats) -> Floats:
    """Williams' divisors of references that count for such a part of their values."""
    return np.where(known < 1.0, 1.0 + (corrections - 1.0) / known, corrections)


def _widen(p_values: Floats, df: NDArray[np.int64], dispersed: Mapping[int, Dispersion]) -> None:
    """Makes the p-values of all cells together those of variances that are estimated, by the place of the window."""
    places = [place for place in dispersed if df[place]]
    if places:
        freedom = np.array([dispersed[place].freedom[AT_MOST] for place in places])
        p_values[places] = widened_chi_square(p_values[places], df[places], freedom)


def homogeneity_p_values(reference: Counts, windows: NDArray[np.int64]) -> Floats:
    """`homogeneity(...).p_value` of many windows against one reference; shape (windows,).

    windows: shape (windows, cells). A window without values has 1.

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
    unusual = unusual_cells(r, windows, n, SCREEN)
    for row in np.flatnonzero(unusual.any(axis=1)).tolist():
        weight = CELL_WEIGHT if groups.df(int(stages[row])) else 1.0
        p_values[row] = min(p_values[row], most_unusual(r, windows[row], unusual[row])[0] / weight)
    return np.minimum(p_values, 1.0)
