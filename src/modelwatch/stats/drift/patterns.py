"""Patterns of a shift: what single change of the values would explain how the counts have moved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.binning import NumericBinning
from modelwatch.stats.counting.categorical import CategoricalBinning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import IncompatibleProfiles

PatternKind = Literal["missing", "new_categories", "one_category", "one_factor", "larger", "smaller"]
Floats = NDArray[np.float64]

# What a pattern leaves unexplained of a shift is at most this share of it, or what chance leaves.
UNEXPLAINED = 0.2
# The 95 % point of the Kolmogorov distribution: what chance makes of the distance of two samples, times √(1/n + 1/N).
CHANCE = 1.36
# Factors nearer to one are no change of a unit.
LEAST_FACTOR = 1.05
LEAST_RISE_OF_MISSING = 0.05
QUANTILES = np.linspace(0.1, 0.9, 17)
FEWEST_QUANTILES = 5


@dataclass(frozen=True, slots=True)
class ShiftPattern:
    """Pattern that explains a shift.

    kind: `missing`: more values are missing, by more than the others have moved; `new_categories`: most of it is names
    that the reference does not have; `one_category`: one has grown or shrunk, the others are as before among
    themselves; `one_factor`: every value is multiplied by `factor`, as with another unit or currency; `larger`,
    `smaller`: the whole distribution is. cell: the category that moved; factor: of `one_factor`.
    """

    kind: PatternKind
    factor: float | None = None
    cell: str | None = None


def shift_pattern(reference: Profile, current: Profile) -> ShiftPattern | None:
    """The pattern of a shift from the reference to the current counts; None for one that is none of these, and where
    nothing has moved beyond chance. Raises IncompatibleProfiles when the binnings differ.

    >>> from modelwatch.stats.counting.numeric import numeric_binning
    >>> values = np.exp(np.linspace(-2.0, 2.0, 2_000))
    >>> cells = numeric_binning(values)
    >>> found = shift_pattern(Profile.of(cells, values), Profile.of(cells, values * 1.5))
    >>> found.kind, round(found.factor, 1)
    ('one_factor', 1.5)
    """
    if reference.binning.id != current.binning.id:
        raise IncompatibleProfiles(
            f"a pattern is looked for over one binning, got {reference.binning.id} and {current.binning.id}"
        )
    binning = reference.binning
    if not reference.n or not current.n:
        return None
    before, now = reference.fine / reference.n, current.fine / current.n
    noise = CHANCE * math.sqrt(1.0 / reference.n + 1.0 / current.n)
    moved = _moved(before, now, ordered=isinstance(binning, NumericBinning))
    risen = current.missing / current.total - reference.missing / reference.total
    if risen >= max(LEAST_RISE_OF_MISSING, moved):
        return ShiftPattern("missing")
    if moved <= noise:
        return None
    if isinstance(binning, CategoricalBinning):
        return _of_categories(binning, reference, current, moved, noise)
    return _of_numbers(binning, np.cumsum(before)[:-1], np.cumsum(now)[:-1], noise)


def _moved(before: Floats, now: Floats, *, ordered: bool) -> float:
    """Size of the shift of the shares: of numbers the largest distance of the distribution functions, of categories the
    total variation."""
    if ordered:
        return float(np.abs(np.cumsum(now - before)).max())
    return float(np.abs(now - before).sum()) / 2.0


def _of_categories(
    binning: CategoricalBinning, reference: Profile, current: Profile, moved: float, noise: float
) -> ShiftPattern | None:
    before, now = reference.coarse / reference.n, current.coarse / current.n
    if current.unseen / current.n - reference.unseen / reference.n >= (1.0 - UNEXPLAINED) * moved:
        return ShiftPattern("new_categories")
    cell = int(np.abs(now - before).argmax())
    others = np.arange(len(before)) != cell
    if not before[others].any() or not now[others].any():
        return ShiftPattern("one_category", cell=binning.coarse_labels()[cell])
    share = now[others].sum()
    unexplained = _moved(before[others] / before[others].sum() * share, now[others], ordered=False)
    if unexplained <= max(UNEXPLAINED * moved, noise / 2.0):
        return ShiftPattern("one_category", cell=binning.coarse_labels()[cell])
    return None


def _of_numbers(binning: NumericBinning, before: Floats, now: Floats, noise: float) -> ShiftPattern | None:
    """before, now: the distribution functions at the edges of the fine cells."""
    edges = binning.edges
    distance = float(np.abs(now - before).max())
    factor = _factor(edges, before, now)
    if factor is not None and abs(math.log(factor)) >= math.log(LEAST_FACTOR):
        places = edges / factor
        # Where the reference ends, all of it lies below, or nothing.
        known = (places > edges[0]) & (places < edges[-1])
        left = np.abs(now[known] - np.interp(places[known], edges, before))
        if known.sum() >= FEWEST_QUANTILES and float(left.max()) <= max(UNEXPLAINED * distance, noise):
            return ShiftPattern("one_factor", factor=factor)
    against = max(UNEXPLAINED * distance, noise)
    if float((now - before).max()) <= against / 2.0:
        return ShiftPattern("larger")
    if float((before - now).max()) <= against / 2.0:
        return ShiftPattern("smaller")
    return None


def _factor(edges: Floats, before: Floats, now: Floats) -> float | None:
    """The factor between the quantiles of both, as the median over those inside of the reference's edges; None where
    there are too few, or they are of different signs."""
    inside = (max(before[0], now[0]) < QUANTILES) & (min(before[-1], now[-1]) > QUANTILES)
    at = QUANTILES[inside]
    if len(at) < FEWEST_QUANTILES:
        return None
    old, new = np.interp(at, before, edges), np.interp(at, now, edges)
    usable = np.sign(old) * np.sign(new) > 0.0
    if usable.sum() < FEWEST_QUANTILES or not usable.all():
        return None
    return float(np.median(new / old))
