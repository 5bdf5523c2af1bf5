"""Power of the drift tests: the smallest shift that a window shows, and the smallest window that shows any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.drift.significance.homogeneity import OMNIBUS_WEIGHT, homogeneity_p_values
from modelwatch.stats.drift.significance.omnibus import SMALL_REFERENCE
from modelwatch.stats.drift.variation.overdispersion import AT_MOST, SMALLEST, Dispersion, chi_square_needed
from modelwatch.stats.errors import EmptySample, StatsError
from modelwatch.stats.special import special

MAX_WINDOW = 1 << 40
# Of the cells that hold least of the reference, so many are tried.
RAREST = 4


@dataclass(frozen=True, slots=True)
class DetectablePsi:
    """The smallest population stability index that windows show with probability `power`, at a level.

    By the omnibus test, from the non-central chi-square distribution with non-centrality PSI · nN/(n+N): good for small
    shifts. n_reference: N, at least 1. alpha: the level of both parts of the test together. Raises StatsError when N is
    below 1, or alpha and power are not 0 < alpha < power < 1.
    """

    n_reference: int
    alpha: float
    power: float = 0.8

    def __post_init__(self) -> None:
        if self.n_reference < 1:
            raise StatsError(f"the reference is at least 1, got {self.n_reference}")
        if not 0.0 < self.alpha < self.power < 1.0:
            raise StatsError(f"0 < alpha < power < 1 is needed, got alpha {self.alpha}, power {self.power}")

    def of(self, n: int, df: int) -> float:
        """That of a window of n values, in the test with df degrees of freedom; both at least 1."""
        share = OMNIBUS_WEIGHT * self.alpha / (1.0 + SMALL_REFERENCE / self.n_reference)
        return _noncentrality(df, share, self.power) * (self.n_reference + n) / (self.n_reference * n)

    def of_dispersed(self, n: int, df: int, dispersion: Dispersion) -> float | None:
        """The same of a window that varies more than by chance: in the test of the values it counts for, whose variance
        is known with some degrees of freedom only. None where too little is known for any shift to be seen."""
        effective = max(1.0, float(dispersion.effective[AT_MOST]))
        _, known = dispersion.parted(effective, n, self.n_reference)
        statistic = chi_square_needed(OMNIBUS_WEIGHT * self.alpha, df, float(dispersion.freedom[AT_MOST]))
        functions = special()
        level = float(functions.chdtrc(df, statistic)) / (1.0 + SMALL_REFERENCE / known)
        if level <= SMALLEST:
            return None
        return _noncentrality(df, level, self.power) * (1.0 / effective + 1.0 / self.n_reference)


def minimum_detectable_psi(n_reference: int, n_current: int, df: int, alpha: float, power: float = 0.8) -> float:
    """The smallest population stability index that samples of these sizes show with probability `power`, as
    `DetectablePsi` has it. df: degrees of freedom of the omnibus test. Raises StatsError when a size or df is below 1,
    or as there.

    >>> round(minimum_detectable_psi(10_000, 1_000, 9, 1e-5), 4)
    0.0471
    """
    if n_reference < 1 or n_current < 1 or df < 1:
        raise StatsError(f"both samples and df are at least 1, got {n_reference}, {n_current}, {df}")
    return DetectablePsi(n_reference, alpha, power).of(n_current, df)


def samples_needed(reference: Counts, alpha: float) -> int | None:
    """The smallest current sample for which the test can reach `alpha` at all.

    The shift looked for is the largest one: all current values in one of the reference's rarest cells. None when no
    sample is large enough, because the reference itself is too small. Raises EmptySample when the reference has no
    observations, StatsError unless 0 < alpha < 1.

    >>> samples_needed([1000] * 10, alpha=1e-5)
    7
    """
    if not 0.0 < alpha < 1.0:
        raise StatsError(f"0 < alpha < 1 is needed, got {alpha}")
    counts = tuple(np.asarray(reference, dtype=np.int64).tolist())
    if sum(counts) <= 0:
        raise EmptySample("the reference sample has no observations")
    return _samples_needed(counts, alpha)


@lru_cache(maxsize=4_096)
def _samples_needed(reference: tuple[int, ...], alpha: float) -> int | None:
    counts = np.array(reference, dtype=np.int64)
    rarest = np.argsort(counts, kind="stable")[:RAREST]
    shifts = np.zeros((len(rarest), len(counts)), dtype=np.int64)
    shifts[np.arange(len(rarest)), rarest] = 1

    def reaches(n: int) -> bool:
        return bool((homogeneity_p_values(counts, shifts * n) < alpha).any())

    return smallest_window(reaches)


def smallest_window(reaches: Callable[[int], bool]) -> int | None:
    """The smallest number of values that reaches something, where all larger ones do, too; None for more than 2**40.

    >>> smallest_window(lambda n: n >= 7), smallest_window(lambda n: False)
    (7, None)
    """
    upper = 1
    while not reaches(upper):
        upper *= 2
        if upper > MAX_WINDOW:
            return None
    lower = upper // 2
    while upper - lower > 1:
        middle = (lower + upper) // 2
        lower, upper = (lower, middle) if reaches(middle) else (middle, upper)
    return upper


@lru_cache(maxsize=4_096)
def _noncentrality(df: int, alpha: float, power: float) -> float:
    """Noncentrality with which chi-square is beyond its `alpha` point with probability `power`. Found by iteration."""
    functions = special()
    return float(functions.chndtrinc(functions.chdtri(df, alpha), df, 1.0 - power))
