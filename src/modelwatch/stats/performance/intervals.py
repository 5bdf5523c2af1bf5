"""Estimates: a metric of a sample, its 95 % interval, or the reason why there is none; and differences of two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from modelwatch.stats.errors import StatsError
from modelwatch.stats.performance.mergeable import Floats, Integers, Sums

Z = 1.959963984540054
CONFIDENCE = 0.95
BOOTSTRAP_DRAWS = 2_000
BOOTSTRAP_SEED = 20_070_401
# Values that a batch of resamples holds at once: as many as stay in the cache of a processor.
BATCH_VALUES = 64_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric of a sample.

    value: None where the metric is undefined; 0.0 is a value.
    low, high: 95 % interval; None where there is no value or no interval is known.
    n: the rows that the value rests on (for a precision, the positive predictions).
    bound: how far the exact value may be away because the counts only know cells; 0 where they know all.
    reason: why there is no value or no interval, or that the value is a lower bound; else None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    bound: float = 0.0
    reason: str | None = None


class ResampledEstimate(Estimate):
    """An estimate whose interval takes long: it is computed when one of its ends is asked for.

    interval: computes both ends; it remembers them, since it is called for each.
    """

    __slots__ = ("_interval",)
    _interval: Callable[[], tuple[float, float]]

    def __init__(self, value: float, interval: Callable[[], tuple[float, float]], n: int, bound: float = 0.0) -> None:
        fields = {"value": value, "n": n, "bound": bound, "reason": None, "_interval": interval}
        for name, given in fields.items():
            object.__setattr__(self, name, given)

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self._interval()[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self._interval()[1]


def undefined(reason: str, n: int = 0) -> Estimate:
    """The estimate of a metric that has no value.

    >>> undefined("no rows")
    Estimate(value=None, low=None, high=None, n=0, bound=0.0, reason='no rows')
    """
    return Estimate(None, n=n, reason=reason)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion.

    Raises StatsError unless 0 <= hits <= n and n > 0.
    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson(8, 10)
    >>> round(low, 4), round(high, 4)
    (0.4902, 0.9433)
    """
    if not 0 <= hits <= n or n <= 0:
        raise StatsError(f"hits are between 0 and a positive number of observations, got {hits} of {n}")
    share, spread = hits / n, Z * Z / n
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = Z * math.sqrt(share * (1.0 - share) / n + spread / (4.0 * n)) / (1.0 + spread)
    return (0.0 if hits == 0 else max(0.0, middle - half)), (1.0 if hits == n else min(1.0, middle + half))


def proportion(hits: int, n: int, reason: str) -> Estimate:
    """The share of hits with Wilson's interval; undefined for `reason` when n is 0.

    Raises StatsError when hits are not between 0 and n.

    >>> proportion(0, 10, "no rows").value, proportion(0, 0, "no rows").value
    (0.0, None)
    """
    if n == 0:
        return undefined(reason)
    low, high = wilson(hits, n)
    return Estimate(hits / n, low, high, n)


def mean(sums: Sums, reason: str, scale: float = 1.0, *, least: float = -math.inf) -> Estimate:
    """The mean of the terms times `scale`, with Student's interval; undefined for `reason` when there are none.

    least: the smallest mean that there can be; the interval does not go below it.

    >>> from fractions import Fraction
    >>> estimate = mean(Sums(4, Fraction(10), Fraction(30)), "no rows")
    >>> estimate.value, round(estimate.low, 4), round(estimate.high, 4)
    (2.5, 0.4457, 4.5543)
    """
    if sums.n == 0:
        return undefined(reason)
    if sums.n == 1:
        return Estimate(sums.mean * scale, n=1, reason="one row has no interval")
    half = student_quantile(sums.n - 1) * math.sqrt(sums.variance / sums.n)
    return Estimate(sums.mean * scale, max(least, (sums.mean - half) * scale), (sums.mean + half) * scale, sums.n)


def student_quantile(df: float) -> float:
    """The 97.5 % quantile of Student's t with `df` degrees of freedom, positive.

    >>> round(student_quantile(10), 4)
    2.2281
    """
    from scipy import special

    return float(special.stdtrit(df, 0.5 + CONFIDENCE / 2.0))


def bootstrap(
    counts: Integers,
    prior: Floats,
    statistics: Callable[[Floats], Floats],
    *,
    seed: int = BOOTSTRAP_SEED,
    draws: int = BOOTSTRAP_DRAWS,
) -> Floats:
    """Statistics of resamples of a multinomial sample, shape (draws, statistics): Dirichlet draws of its cell shares.

    counts: shape (cells,), not all zero. prior: shape (cells,), added to the counts.
    statistics: from shares of shape (draws, cells) to values of shape (draws, statistics).
    The same seed gives the same resamples.
    Source: Rubin (1981), The Bayesian bootstrap.
    """
    rng = np.random.default_rng(seed)
    weights = counts + prior
    held = np.flatnonzero(weights > 0.0)
    batch = max(1, BATCH_VALUES // len(counts))
    values = []
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        shares = np.zeros((size, len(counts)))
        shares[:, held] = rng.standard_gamma(weights[held], size=(size, len(held)))
        shares /= shares.sum(axis=1, keepdims=True)
        values.append(statistics(shares))
    return np.concatenate(values)


def percentile_interval(values: Floats) -> tuple[Floats, Floats]:
    """The 2.5 % and 97.5 % quantiles of resampled statistics, each of shape (statistics,); NaN of one that a resample
    leaves undefined."""
    # As `np.quantile` has them, from columns that are sorted one by one: that takes a quarter of the time.
    ordered = np.sort(np.ascontiguousarray(values.T), axis=1)
    low, high = (_quantile(ordered, 0.5 + side * CONFIDENCE / 2.0) for side in (-1.0, 1.0))
    # NaN is sorted to the end.
    undefined = np.isnan(ordered[:, -1])
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)


def _quantile(ordered: Floats, share: float) -> Floats:
    """Quantile of each row of sorted values, between the two that are nearest."""
    last = ordered.shape[1] - 1
    place = share * last
    below, weight = int(place), place % 1.0
    one, other = ordered[:, below], ordered[:, min(below + 1, last)]
    found: Floats = one + (other - one) * weight if weight < 0.5 else other - (other - one) * (1.0 - weight)
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one sample less that of another, with its 95 % interval.

    value: None where a side is undefined. low, high: None where a side has no interval. reason: why something is
    missing; else None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def is_certain(self) -> bool:
        """True when the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


def difference(before: Estimate, after: Estimate) -> Difference:
    """after - before. The interval comes from those of both sides, so it is as lopsided as they are.

    Source: Newcombe (1998), Interval estimation for the difference between independent proportions, method 10, of
    Wilson's intervals; Zou and Donner (2008), Construction of confidence limits about effect measures, of any others.

    >>> from modelwatch.stats.performance.intervals import proportion
    >>> found = difference(proportion(48, 80, ""), proportion(56, 70, ""))
    >>> round(found.value, 4), round(found.low, 4), round(found.high, 4), found.is_certain
    (0.2, 0.0524, 0.3339, True)
    """
    if before.value is None or after.value is None:
        side, missing = ("before", before) if before.value is None else ("now", after)
        return Difference(None, reason=f"undefined {side}: {missing.reason or 'there is no value'}")
    value = after.value - before.value
    if before.low is None or before.high is None or after.low is None or after.high is None:
        missing = before if before.low is None or before.high is None else after
        return Difference(value, reason=missing.reason or "no interval is known")
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return Difference(value, value - below, value + above)
