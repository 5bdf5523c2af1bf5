"""Shares of categories by their odds: what a rare class shows when the PSI of all classes is still small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import EmptySample, IncompatibleProfiles
from modelwatch.stats.evidence import Counts, rate_increase_p_value


@dataclass(frozen=True, slots=True)
class OddsShift:
    """The category whose odds have moved most.

    ratio: how many times larger, or smaller, its odds are now; at least 1. cell: which one. p_value: of the hypothesis
    that no share has moved, from exact tests of every category in both directions.
    """

    ratio: float
    cell: int
    p_value: float


def odds_shift(reference: Counts, current: Counts) -> OddsShift:
    """The largest change of odds between two samples over the same categories.

    Odds are those of counts with a half added, so that a category that is new, or gone, has a finite ratio. The p-value
    is the smallest of Fisher's one-sided tests, times their number.
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
    moved = np.abs(_log_odds(c, n_current) - _log_odds(r, n_reference))[occurring]
    tails = [
        rate_increase_p_value(before, n_reference, now, n_current)
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


def _log_odds(counts: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    return np.asarray(np.log((counts + 0.5) / (n - counts + 0.5)))
