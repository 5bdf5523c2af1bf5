"""One p-value of a subject in a window, by all tests that suit it, and which of them says most.

Ordered features: location and scale (directed.py), all cells together (homogeneity.py) and each by itself
(single_cell.py). Categories: all cells, each by itself, and unseen names together (names.py). Each test may use a fixed
share of the level, so that the smallest p-value for its share is a p-value, however the tests depend on one another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.directed import DirectedTests, directed_tests
from modelwatch.stats.drift.significance.homogeneity import OMNIBUS_WEIGHT, Homogeneity, Part, parts_of_tests
from modelwatch.stats.drift.significance.names import WEIGHTS as SPLIT
from modelwatch.stats.drift.significance.names import (
    Split,
    beside,
    comparison,
    expected_new,
    names_are_unknown,
    names_p_value,
)
from modelwatch.stats.drift.significance.power import DetectablePsi, samples_needed, smallest_window
from modelwatch.stats.drift.variation.overdispersion import (
    AT_MOST,
    LOCATION,
    ON_AVERAGE,
    SCALE,
    Dispersion,
    level_of_normal,
    widened,
)
from modelwatch.stats.errors import EmptySample

Floats = NDArray[np.float64]
# A reference, how it was split, and windows.
Case = tuple[Profile, Split | None, Sequence[Profile]]

# The shares of the level; those of each kind of subject add up to 1.
ORDERED: Mapping[Part, float] = {"location": 0.4, "scale": 0.2, "all cells": 0.3, "single cell": 0.1}
# Categories that were not chosen from a sample: booleans, and classes that were declared.
DECLARED: Mapping[Part, float] = {"all cells": 0.5, "single cell": 0.5}

# The tests that the largest shift is looked for with, and the places of their statistics.
REACHING: Mapping[Part, int] = {"location": LOCATION, "scale": SCALE, "all cells": AT_MOST}


def weights_of(reference: Profile, split: Split | None) -> Mapping[Part, float]:
    """The share of the level of each test of a subject."""
    if isinstance(reference.binning, NumericBinning):
        return ORDERED
    return DECLARED if split is None else SPLIT


def combined_test(reference: Profile, current: Profile, split: Split | None = None) -> Homogeneity:
    """The test of a window against its reference, with all its parts.

    `p_value` is of all together; `strongest` says which part it comes from, `location` and `scale` in which direction
    an ordered feature has moved, `cell` which category is the most unusual (`cell_name` has its name).
    Raises EmptySample when a side has no valid values.

    >>> from modelwatch.stats.counting.binning import numeric_binning
    >>> sample = np.arange(1_000.0)
    >>> binning = numeric_binning(sample)
    >>> found = combined_test(Profile.of(binning, sample), Profile.of(binning, sample[600::4]))
    >>> found.strongest, found.p_value < 1e-9, round(found.location.z, 1)
    ('all cells', True, 9.1)
    """
    if not reference.n or not current.n:
        raise EmptySample(f"the {'current' if reference.n else 'reference'} sample has no observations")
    [[found]] = combined_tests([(reference, split, [current])])
    return found


def combined_tests(
    cases: Sequence[Case],
    dispersions: Sequence[Sequence[Dispersion | None]] = (),
) -> list[list[Homogeneity]]:
    """`combined_test` of many references, how each was split, and windows of each; none without valid values.

    dispersions: of the windows of each; none at all where the values of all are independent.
    """
    of_cases = dispersions or [[None] * len(windows) for _, _, windows in cases]
    parts = parts_of_tests([comparison(*case, of_case) for case, of_case in zip(cases, of_cases, strict=True)])
    weights = [weights_of(reference, split) for reference, split, _ in cases]
    found = parts.together(
        weights,
        new=_new_names(cases, of_cases),
        directed=_directions(cases, of_cases),
        effective_n=_effective(cases, of_cases) if any(map(any, of_cases)) else (),
    )
    return [list(islice(found, len(windows))) for _, _, windows in cases]


def _new_names(cases: Sequence[Case], dispersions: Sequence[Sequence[Dispersion | None]]) -> Floats | None:
    """The p-value of unseen names in each window; NaN where they are not tested, None where they are in none."""
    if all(split is None for _, split, _ in cases):
        return None
    found = []
    for (reference, split, windows), of_case in zip(cases, dispersions, strict=True):
        if split is None:
            found += [math.nan] * len(windows)
            continue
        expected, tested = expected_new(reference, split), reference.n - int(split.naming.sum())
        found += [
            1.0
            if names_are_unknown(split, dispersion)
            else names_p_value(expected, window, beside(split, dispersion), tested)
            for window, dispersion in zip(windows, of_case, strict=True)
        ]
    return np.array(found)


def _effective(cases: Sequence[Case], dispersions: Sequence[Sequence[Dispersion | None]]) -> list[float | None]:
    """For how many independent values each window counts; None where all are independent."""
    return [
        None if dispersion is None else float(dispersion.effective[statistic])
        for (reference, _, _), of_case in zip(cases, dispersions, strict=True)
        for statistic in (LOCATION if isinstance(reference.binning, NumericBinning) else ON_AVERAGE,)
        for dispersion in of_case
    ]


def cell_name(reference: Profile, found: Homogeneity) -> str | None:
    """The name of the category, or of the group of them, that is the most unusual: of unseen names together where these
    say most. None for ordered features, and where no category is unusual."""
    binning = reference.binning
    if isinstance(binning, NumericBinning):
        return None
    *_, other, unseen = binning.coarse_labels()
    if found.strongest == "new names":
        return unseen
    if found.cell is None:
        return None
    if binning.naming is None:
        return binning.coarse_labels()[found.cell]
    named = binning.naming.named
    return (*named, other, unseen)[found.cell]


def combined_needed(reference: Profile, alpha: float, split: Split | None = None) -> int | None:
    """The smallest window for which the tests can reach `alpha` at all, when all its values are in one of the
    reference's rarest cells, or beyond most of the reference. None when no window is large enough."""
    needed = [_needed(reference, part, alpha, split) for part in _reaching(reference)]
    return min((each for each in needed if each is not None), default=None)


def effective_reach(
    reference: Profile, alpha: float, split: Split | None, dispersion: Dispersion
) -> tuple[float, int | None]:
    """For how many independent values a window counts that varies more than by chance, and how many the tests need to
    reach `alpha` at all, as `combined_needed` has it: of the test that is the nearest to it. None when no number is
    enough, as too little is known of how much the reference varies."""
    found = []
    for part in _reaching(reference):
        level = level_of_normal(alpha, float(dispersion.freedom[REACHING[part]]))
        needed = None if level is None else _needed(reference, part, level, split)
        found.append((float(dispersion.effective[REACHING[part]]), needed))
    return max(found, key=lambda each: 0.0 if each[1] is None else each[0] / each[1])


def _reaching(reference: Profile) -> tuple[Part, ...]:
    ordered = isinstance(reference.binning, NumericBinning)
    return tuple(part for part in REACHING if ordered or part == "all cells")


def _needed(reference: Profile, part: Part, alpha: float, split: Split | None) -> int | None:
    """The smallest window for which a test can reach its share of `alpha`; of all cells, or of a single one."""
    if part == "all cells":
        tested = reference.tested if split is None else split.tested(reference)
        return samples_needed(tested, alpha * weights_of(reference, split)["all cells"] / OMNIBUS_WEIGHT)
    return _directed_needed(np.ascontiguousarray(reference.fine).tobytes(), part, alpha)


def combined_detectable(reference: Profile, alpha: float, split: Split | None = None) -> DetectablePsi:
    """The smallest PSI that windows show with probability 0.8, in any direction of the shift."""
    tested = reference.n if split is None else reference.n - int(split.naming.sum())
    return DetectablePsi(tested, alpha * (weights_of(reference, split)["all cells"] / OMNIBUS_WEIGHT))


def _directions(cases: Sequence[Case], dispersions: Sequence[Sequence[Dispersion | None]]) -> DirectedTests | None:
    """Location and scale of each window, those over as many cells at once; NaN where the values have no order, None
    where none have."""
    lengths = [len(windows) for _, _, windows in cases]
    by_cells: dict[int, list[int]] = {}
    for place, (reference, _, _) in enumerate(cases):
        if isinstance(reference.binning, NumericBinning):
            by_cells.setdefault(reference.binning.n_fine, []).append(place)
    if not by_cells:
        return None
    of_cases = np.repeat(np.arange(len(cases)), lengths)
    found = np.full((4, len(of_cases)), np.nan)
    for cells, places in by_cells.items():
        rows = np.flatnonzero(np.isin(of_cases, places))
        if not len(rows):
            continue
        references = np.stack([cases[place][0].fine for place in places])
        of = np.repeat(np.arange(len(places)), [lengths[place] for place in places])
        windows = np.concatenate([each.counts[:cells] for place in places for each in cases[place][2]])
        of_windows = [dispersion for place in places for dispersion in dispersions[place]]
        tests = _directed(references, of, windows.reshape(-1, cells), of_windows)
        found[:, rows] = tests.location_z, tests.location_p_value, tests.scale_z, tests.scale_p_value
    return DirectedTests(*found)


def _directed(
    references: NDArray[np.int64],
    of: NDArray[np.intp],
    windows: NDArray[np.int64],
    dispersions: Sequence[Dispersion | None],
) -> DirectedTests:
    """The directed tests of windows. of: the place of the reference of each. Of those that vary more than by chance
    the p-values are those of the values they count for; the deviations are as they are."""
    found = directed_tests(references, windows, of=of)
    places = [place for place, dispersion in enumerate(dispersions) if dispersion is not None]
    if not places:
        return found
    of_places = [dispersion for dispersion in dispersions if dispersion is not None]
    n = windows[places].sum(axis=1)
    p_values = [found.location_p_value.copy(), found.scale_p_value.copy()]
    for statistic, of_statistic in zip((LOCATION, SCALE), p_values, strict=True):
        effective = np.array([each.effective[statistic] for each in of_places])
        of_parts = directed_tests(references, windows[places] * (effective / n)[:, None], of=of[places])
        freedom = np.array([each.freedom[statistic] for each in of_places])
        of_statistic[places] = widened((of_parts.location_p_value, of_parts.scale_p_value)[statistic], freedom)
    return replace(found, location_p_value=p_values[0], scale_p_value=p_values[1])


@lru_cache(maxsize=4_096)
def _directed_needed(fine: bytes, part: Part, alpha: float) -> int | None:
    counts: NDArray[np.int64] = np.frombuffer(fine, dtype=np.int64)
    ends = np.zeros((2, len(counts)), dtype=np.int64)
    ends[0, 0] = ends[1, -1] = 1

    def reaches(n: int) -> bool:
        found = directed_tests(counts, ends * n)
        p_values = found.location_p_value if part == "location" else found.scale_p_value
        return bool((p_values / ORDERED[part] < alpha).any())

    return smallest_window(reaches)
