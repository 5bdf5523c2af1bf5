"""The test that decides about drift: do a window and its reference come from one distribution?

Two parts, over the same cells and for any two sample sizes, as docs/statistics.md defines them. The *omnibus test*
looks at all cells together, in groups that depend on the reference and on the size of the window, never on what the
window holds: so more data of the same shift never weakens the evidence. The *single-cell test* is exact, cell by cell:
it sees what groups hide, such as one value that the reference never had.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.drift.omnibus import Groups, omnibus
from modelwatch.stats.drift.single_cell import SCREEN, most_unusual, unusual_cells
from modelwatch.stats.drift.variation.overdispersion import AT_MOST, Dispersion, widened_chi_square
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

Floats = NDArray[np.float64]
Part = Literal["all cells", "single cell", "new names", "location", "scale"]

# How much of the level each part may use. Their sum is 1, so their minimum keeps the level under any dependence.
OMNIBUS_WEIGHT, CELL_WEIGHT = 0.75, 0.25
WEIGHTS: Mapping[Part, float] = {"all cells": OMNIBUS_WEIGHT, "single cell": CELL_WEIGHT}


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
    effective = n.astype(np.float64)
    grouped: dict[int, list[tuple[int, Groups, int, NDArray[np.int64]]]] = {}
    by_cells: dict[int, list[int]] = {}
    dispersed = {
        int(offsets[place]) + window: dispersion
        for place, test in enumerate(tests)
        for window, dispersion in enumerate(test.dispersions)
        if dispersion is not None
    }
    for row, dispersion in dispersed.items():
        effective[row] = dispersion.effective[AT_MOST]
    for place, test in enumerate(tests):
        by_cells.setdefault(len(test.reference), []).append(place)
        rows = range(int(offsets[place]), int(offsets[place + 1]))
        for row, stage in zip(rows, test.groups.stages(effective[rows]).tolist(), strict=True):
            df[row] = test.groups.df(stage)
            grouped.setdefault(int(df[row]), []).append((row, test.groups, stage, test.windows[row - rows.start]))
    for degrees, some in grouped.items():
        which = np.array([row for row, _, _, _ in some], dtype=np.intp)
        if not degrees:
            found[2, which] = 1.0
            continue
        found[:3, which] = omnibus(
            np.stack([groups.sums[stage] for _, groups, stage, _ in some]),
            np.stack([groups.merge(stage, window) for _, groups, stage, window in some])
            * (effective[which] / n[which])[:, None],
            np.array([groups.total for _, groups, _, _ in some]),
            effective[which],
            np.array([groups.corrections[stage] for _, groups, stage, _ in some]),
        )
    _widen(found[2], df, dispersed)
    for places in by_cells.values():
        which = np.concatenate([np.arange(offsets[place], offsets[place + 1]) for place in places])
        references = np.repeat(
            [tests[place].reference for place in places], [lengths[place] for place in places], axis=0
        )
        windows = np.concatenate([tests[place].windows for place in places])
        unusual = unusual_cells(references, windows, n[which], screen)
        for row in np.flatnonzero(unusual.any(axis=1)).tolist():
            place = which[row]
            cells[place], most[place], more[place] = most_unusual(
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
