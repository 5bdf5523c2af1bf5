"""Recovery: evidence of a sample, with confidence, that a loss or a shift is smaller than a limit.

That chance could explain a sample does not say that all is well: a few values can be explained by nearly everything.
So each question here is about the largest size that is still plausible, and few values never answer it with yes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.special import special

# The chance of calling a size smaller than the limit that is as large as the limit.
EPSILON = 2e-4
# The one-sided normal deviate of EPSILON.
DEVIATE = 3.5400837992061445
MIN_VALUES = 30
# The normal approximation of a mean needs more.
MIN_VALUES_OF_MEAN = 100


class Size(Protocol):
    """A loss or a shift as one sample shows it."""

    def is_below(self, limit: float) -> bool:
        """True when the size is smaller than `limit` for all that is plausible."""
        ...


@dataclass(frozen=True, slots=True)
class RateSize:
    """The rise of a rate: hits of n values, beside the hits of a reference.

    reference_n 0: the reference rate is exactly `reference_rate`, without an error of its own.
    """

    hits: int
    n: int
    reference_rate: float
    reference_n: int = 0

    def is_below(self, limit: float) -> bool:
        """By the exact binomial tail at the rate that is `limit` higher, less what the reference's own error adds.

        Wald's interval instead would be wrong in a quarter of the cases where n is small.

        >>> RateSize(10, 100, 0.1, 5_000).is_below(0.05), RateSize(240, 2_400, 0.1, 5_000).is_below(0.05)
        (False, True)
        """
        if self.n < MIN_VALUES or limit <= 0.0:
            return False
        rate = self.reference_rate
        highest = min(rate + limit, 1.0)
        current = highest * (1.0 - highest) / self.n
        before = rate * (1.0 - rate) / self.reference_n if self.reference_n else 0.0
        tested = highest - DEVIATE * (math.sqrt(current + before) - math.sqrt(current))
        return tested > 0.0 and float(special().bdtr(self.hits, self.n, tested)) < EPSILON


@dataclass(frozen=True, slots=True)
class F1Size:
    """The fall of F1; jaccard: the rise of 1 - TP / (TP + FP + FN), the rate that F1 falls with."""

    jaccard: RateSize

    def is_below(self, limit: float) -> bool:
        """True as for a rise of that rate.

        >>> F1Size(RateSize(40, 400, 0.1, 5_000)).is_below(0.05), F1Size(RateSize(40, 400, 0.1, 5_000)).is_below(0.02)
        (True, False)
        """
        before = 1.0 - self.jaccard.reference_rate
        lowest = max(2.0 * before / (1.0 + before) - limit, 0.0)
        return self.jaccard.is_below(before - lowest / (2.0 - lowest))


@dataclass(frozen=True, slots=True)
class MeanSize:
    """The growth of a mean or another metric; standard_error: of the growth, with the reference's own error."""

    growth: float
    standard_error: float
    n: int

    def is_below(self, limit: float) -> bool:
        """By the normal approximation.

        >>> MeanSize(0.01, 0.01, 400).is_below(0.05), MeanSize(0.01, 0.01, 400).is_below(0.04)
        (True, False)
        """
        return self.n >= MIN_VALUES_OF_MEAN and self.growth + DEVIATE * self.standard_error < limit


@dataclass(frozen=True, slots=True, eq=False)
class ShiftSize:
    """The population stability index between two samples over the same cells. Shape of both: (cells,)."""

    reference: NDArray[np.int64]
    current: NDArray[np.int64]
    psi: float

    def is_below(self, limit: float) -> bool:
        """By the non-central chi-square distribution: for small shifts its non-centrality is PSI / (1/n + 1/N).

        >>> reference, current = np.full(10, 1_000), np.array([8, 12] * 5)
        >>> ShiftSize(reference, current * 10, 0.04).is_below(0.1), ShiftSize(reference, current, 0.04).is_below(0.1)
        (True, False)
        """
        n, total = int(self.current.sum()), int(self.reference.sum())
        if n < MIN_VALUES or not total or limit <= 0.0:
            return False
        used = (self.reference + self.current) > 0
        df = int(used.sum()) - 1
        if df < 1:
            return True
        r, c = self.reference[used].astype(np.float64), self.current[used].astype(np.float64)
        unit = 1.0 / n + 1.0 / total
        pearson = float(((r * n - c * total) ** 2 / (r + c)).sum()) / (n * total)
        return float(special().chndtr(max(pearson, self.psi / unit), df, limit / unit)) < EPSILON


@dataclass(frozen=True, slots=True, eq=False)
class OddsSize:
    """The largest factor by which the odds of a category have grown or fallen. Shape of both: (cells,)."""

    reference: NDArray[np.int64]
    current: NDArray[np.int64]

    def is_below(self, limit: float) -> bool:
        """True when each share is, by its exact tail, where its odds have neither grown nor fallen so many times.

        >>> before, now = np.array([9_500, 500]), np.array([1_900, 100])
        >>> OddsSize(before, now).is_below(2.0), OddsSize(before, now // 20).is_below(2.0)
        (True, False)
        """
        n, total = int(self.current.sum()), int(self.reference.sum())
        if limit <= 1.0 or not total:
            return False
        for before, now in zip(self.reference.tolist(), self.current.tolist(), strict=True):
            # With a half added, as the ratio itself is: a category that is new has odds, too.
            rate = (before + 0.5) / (total + 1.0)
            for share, hits in ((rate, now), (1.0 - rate, n - now)):
                odds = limit * share / (1.0 - share)
                if (before or now) and not RateSize(hits, n, share, total).is_below(odds / (1.0 + odds) - share):
                    return False
        return True
