"""Shares of categories by their odds: what a rare class shows when the PSI of all classes is still small."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import Counts, rate_increase_p_value
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles

# From a category, how far the logarithm of its odds has moved, and the chance of that: the chance when what the
# category does by itself over time counts, too.
Beyond = Callable[[int, float, float], float]

# Logarithms of odds that are so near to each other are of one shift.
ABOUT_EQUAL = 0.02


def as_it_is(_cell: int, _moved: float, p_value: float) -> float:
    """The chance of categories that do nothing by themselves."""
    return p_value


@dataclass(frozen=True, slots=True)
class OddsShift:
    """The category whose odds have moved most.

    ratio: how many times larger, or smaller, its odds are now; at least 1. cell: which one. p_value: of the hypothesis
    that no share has moved, from exact tests of every category in both directions.
    """

    ratio: float
    cell: int
    p_value: float


def odds_shift(reference: Counts, current: Counts, beyond: Beyond = as_it_is) -> OddsShift:
    """The largest change of odds between two samples over the same categories.

    Odds are those of counts with a half added, so that a category that is new, or gone, has a finite ratio. The p-value
    is the smallest of Fisher's one-sided tests, times their number. beyond: their p-values with more than chance.
    Raises EmptySample when a side has no observations, IncompatibleProfiles when the shapes differ.
    Source: Haldane (1956), Anscombe (1956) for the half; Fisher (1935) with the bound of Bonferroni.

    >>> found = odds_shift([950, 50], [890, 110])
    >>> round(found.ratio, 2), found.cell, found.p_value < 1e-5
    (2.34, 1, True)
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    if r.shape != c.shape or r.ndim != 1:
        raise IncompatibleProfiles(f"two count vectors over the same cells are needed, got {r.shape} and {c.shape}")
    n_reference, n_current = int(r.sum()), int(c.sum())
    if not n_reference or not n_current:
        raise EmptySample(f"the {'current' if n_reference else 'reference'} sample has no observations")
    occurring = np.flatnonzero(r + c)
    if len(occurring) < 2:
        return OddsShift(1.0, int(occurring[0]), 1.0)
    distances = np.abs(log_odds(c, n_current) - log_odds(r, n_reference))
    moved = distances[occurring]
    tails = [
        beyond(cell, float(distances[cell]), rate_increase_p_value(before, n_reference, now, n_current))
        for cell in occurring.tolist()
        for before, now in (
            (int(r[cell]), int(c[cell])),
            (n_reference - int(r[cell]), n_current - int(c[cell])),
        )
    ]
    # Of two categories equally far the rarer one is what it is about.
    furthest = occurring[np.isclose(moved, moved.max())]
    cell = int(furthest[np.argmin(r[furthest])])
    return OddsShift(float(np.exp(moved.max())), cell, min(1.0, len(tails) * min(tails)))


@dataclass(frozen=True, slots=True)
class CategoryOdds:
    """The change of the odds of one category.

    ratio: how many times larger, or smaller, they are now; at least 1. cell: which category. p_value: that chance has
    moved it so far, or any other. error: of the logarithm of its odds in the current sample, as a standard deviation.
    """

    ratio: float
    cell: int
    p_value: float
    error: float


def furthest_odds(reference: Counts, current: Counts, level: float, beyond: Beyond = as_it_is) -> CategoryOdds | None:
    """The category whose odds have moved furthest, of those that a test of their own shows at this level; where it
    shows none, the furthest of all. None with less than two categories, or without observations on a side.

    The p-value is Fisher's exact tail, times the number of categories and of directions. Odds and `beyond` as in
    `odds_shift`.

    >>> found = furthest_odds([949, 50, 1], [890, 110, 0], 1e-4)
    >>> round(found.ratio, 2), found.cell, found.p_value < 1e-4
    (2.34, 1, True)
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    n_reference, n_current = int(r.sum()), int(c.sum())
    occurring = np.flatnonzero(r + c)
    if not n_reference or not n_current or len(occurring) < 2:
        return None
    before, now = log_odds(r, n_reference), log_odds(c, n_current)
    moved, errors = np.abs(now - before), log_odds_error(c, n_current)
    shown: list[CategoryOdds] = []
    furthest = None
    for cell in sorted(occurring.tolist(), key=lambda each: (-round(float(moved[each]), 9), int(r[each]))):
        if shown and moved[cell] < math.log(shown[0].ratio) - ABOUT_EQUAL:
            break
        hits, found = int(r[cell]), int(c[cell])
        if now[cell] < before[cell]:
            hits, found = n_reference - hits, n_current - found
        tail = beyond(cell, float(moved[cell]), rate_increase_p_value(hits, n_reference, found, n_current))
        p_value = min(1.0, 2.0 * len(occurring) * tail)
        odds = CategoryOdds(float(np.exp(moved[cell])), cell, p_value, float(errors[cell]))
        if p_value < level:
            shown.append(odds)
        furthest = furthest or odds
    # Of categories about equally far the rarer one is what it is about: what it gains the others lose.
    return min(shown, key=lambda each: int(r[each.cell]), default=furthest)


def log_odds(counts: NDArray[np.int64], n: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """The logarithms of the odds of counts among n, with a half added."""
    return np.asarray(np.log((counts + 0.5) / (n - counts + 0.5)))


def log_odds_error(counts: NDArray[np.int64], n: int | NDArray[np.int64]) -> NDArray[np.float64]:
    """Their standard deviations by chance. Source: Gart and Zweifel (1967)."""
    return np.asarray(np.sqrt(1.0 / (counts + 0.5) + 1.0 / (n - counts + 0.5)))
