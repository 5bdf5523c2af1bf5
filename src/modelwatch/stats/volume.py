"""Volume and freshness: does as much arrive as usual, and has anything arrived lately.

Volume is compared with the same hours of earlier weeks, so that nights and weekends are no news. Arrivals that come in
bursts vary more than independent ones; how much more is estimated, and an estimate from a few weeks is trusted as
little as it deserves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import StatsError

MIN_WEEKS = 4
RANGE = 0.99
LEAST_CHANGE = 0.2
# A ratio below 1 is believed only when independent arrivals give one like it less often than this.
REGULAR = 1e-6

MIN_GAPS = 10
USUAL_SHARE = 0.99
RECURRENCES = 3
SILENCE_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much more than independent arrivals the counts of the same hours vary from week to week.

    ratio: variance over mean; 1 for independent arrivals, below 1 only for what is plainly sent by schedule.
    growth: the part of the variance that grows with the square of the mean, as a share of that square: traffic whose
        level itself changes from week to week. A mean m has the variance m · max(ratio, 1 + growth · m).
    df: degrees of freedom of the estimate.
    """

    ratio: float
    growth: float
    df: int

    def at(self, mean: float) -> float:
        """Variance over mean of a count that is expected to be `mean`."""
        return max(self.ratio, 1.0 + self.growth * mean if self.growth else 0.0)


@dataclass(frozen=True, slots=True)
class VolumeCheck:
    """The volume of a span beside the same span of earlier weeks; None where it can't be told, and then `reason` says why.

    weeks: the number of earlier weeks. expected: their mean. ratio: current over expected; None when expected is 0.
    low, high: the range that `RANGE` of all usual spans fall into, both included. p_value: two-sided.
    large: whether the ratio is far enough from 1 to matter, whatever the p-value.
    """

    current: int
    weeks: int
    expected: float | None
    ratio: float | None
    low: int | None
    high: int | None
    p_value: float | None
    large: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a stream has gone silent; None where it can't be told, and then `reason` says why.

    usual_gap, limit, silent_for: in the unit of the times given. limit: a silence this long is no usual one.
    since: the last arrival when silent, else None. It stays the same however long the silence lasts: one incident.
    """

    silent: bool | None
    since: float | None
    silent_for: float | None
    usual_gap: float | None
    limit: float | None
    reason: str | None = None


def dispersion_of(weeks: Sequence[Sequence[int]] | NDArray[np.int64]) -> Dispersion | None:
    """The dispersion of counts around the mean of their hour of the week.

    weeks: shape (weeks, hours), counts of the same hours (all 168 of a week, or one) in every row. The more hours, the
        surer the estimate; rows that are known to be incidents should be left out.
    Returns None when there are less than two rows, or nothing but zeros. Raises StatsError for negative counts or
    another shape.
    Source: Pearson's dispersion estimate, McCullagh and Nelder, Generalized Linear Models (1989), ch. 4.5.

    >>> dispersion_of([[100, 10], [140, 12], [60, 8]])
    Dispersion(ratio=8.2, growth=0.14745520245520246, df=4)
    """
    counts = np.asarray(weeks, dtype=np.float64)
    if counts.ndim != 2 or (counts.size and counts.min() < 0):
        raise StatsError(f"counts of weeks by hours are needed, none negative, got shape {counts.shape}")
    k = len(counts)
    means = counts.mean(axis=0) if k else counts
    counts = counts[:, means > 0.0] if k else counts
    if k < 2 or not counts.size:
        return None
    means = counts.mean(axis=0)
    squares = ((counts - means) ** 2).sum(axis=0)
    df = (k - 1) * len(means)
    pearson = float((squares / means).sum())
    variances = squares / (k - 1)
    # The square of a mean of k counts is larger than the square of what it estimates by the variance over k.
    growth = max(0.0, float((variances - means).sum()) / max(float((means**2 - variances / k).sum()), 1.0))
    ratio = pearson / df
    if ratio < 1.0 and float(_special().chdtr(df, pearson)) >= REGULAR:
        ratio = 1.0
    return Dispersion(ratio, growth if len(means) > 1 and ratio > 1.0 else 0.0, df)


def volume_check(
    current: int,
    earlier: Sequence[int],
    *,
    dispersion: Dispersion | None = None,
    min_weeks: int = MIN_WEEKS,
    least_change: float = LEAST_CHANGE,
) -> VolumeCheck:
    """Is this span's volume unusual beside the same span of earlier weeks?

    current: arrivals in the span. earlier: shape (weeks,), arrivals in the same span of every earlier week, zeros too.
    dispersion: from all hours of those weeks (`dispersion_of`); without it, from `earlier` alone, and then only gross
        changes can be told in few weeks.
    least_change: a volume is far from usual when it is off by at least this share.
    Given the sum of all weeks, independent arrivals fall into this one as a binomial, and negative binomial ones with
    variance ratio φ as a beta-binomial: the error of the mean counts. The deviate of that tail is referred to
    Student's t with the degrees of freedom of the dispersion, so that its error counts too.
    Raises StatsError for a negative count.
    Source: Przyborowski and Wilenski (1940) for the conditional test.

    >>> check = volume_check(10, [102, 95, 99, 110, 94], dispersion=Dispersion(1.0, 0.0, 800))
    >>> check.expected, check.low, check.high, check.p_value < 1e-12, check.large
    (100.0, 73, 130, True, True)
    >>> volume_check(10, [102, 95]).reason
    'the same hours of at least 4 earlier weeks are needed, there are 2'
    """
    k = len(earlier)
    if min((current, *earlier)) < 0:
        raise StatsError(f"volumes are never negative, got {current} now and {list(earlier)} before")
    if k < max(2, min_weeks):
        reason = f"the same hours of at least {max(2, min_weeks)} earlier weeks are needed, there are {k}"
        return VolumeCheck(current, k, None, None, None, None, None, False, reason)
    total = int(sum(earlier))
    expected = total / k
    own = dispersion or dispersion_of([[count] for count in earlier]) or Dispersion(1.0, 0.0, k - 1)

    def p_value(count: int, upper: bool) -> float:
        return _tail(count, total, k, own, upper=upper)

    tail = (1.0 - RANGE) / 2.0
    above = max(1, math.ceil(expected))
    while p_value(above, True) > tail:
        above *= 2
    return VolumeCheck(
        current,
        k,
        expected,
        current / expected if total else None,
        _smallest(0, math.floor(expected), lambda count: p_value(count, False) > tail),
        _smallest(math.floor(expected), above, lambda count: p_value(count, True) <= tail) - 1,
        min(1.0, 2.0 * min(p_value(current, True), p_value(current, False))),
        abs(current - expected) >= least_change * expected and current != expected,
    )
