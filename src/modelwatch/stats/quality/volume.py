"""Volume and freshness: does as much arrive as usual, and has anything arrived lately.

Volume is compared with the same hours of earlier weeks, so that nights and weekends are no news. Arrivals that come in
bursts vary more than independent ones; how much more is estimated, and an estimate from a few weeks is trusted as
little as it deserves.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.onset import onset
from modelwatch.stats.errors import StatsError
from modelwatch.stats.special import special

MIN_WEEKS = 4
RANGE = 0.99
LEAST_CHANGE = 0.2
# A ratio below 1 is believed only from this many degrees of freedom, and when independent arrivals give one like it
# less often than this.
REGULAR_DF = 10
REGULAR = 1e-6

# A standard normal distribution, as points and weights.
LEVELS = np.linspace(-6.5, 6.5, 27)
WEIGHTS = np.exp(-(LEVELS**2) / 2.0) / np.exp(-(LEVELS**2) / 2.0).sum()

MIN_GAPS = 10
# Of how many of the longest gaps the tail of the others is told: the most careful counts.
LONGEST_GAPS = (5, 10, 20)
USUAL_SHARE = 0.99
RECURRENCES = 3
SILENCE_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class Dispersion:
    """Variance of the counts of the same hours from week to week, over that of independent arrivals.

    ratio: variance over mean; 1 for independent arrivals, below 1 only for what is plainly sent by schedule.
    growth: the part of the variance that grows with the square of the mean, as a share of that square: traffic whose
        level itself changes. A mean m has the variance m · max(ratio, 1 + growth · m).
    shared: what of `growth` all hours of a week have in common.
    df: degrees of freedom of the estimate over all hours. weeks: the number of weeks.
    """

    ratio: float
    growth: float
    shared: float
    df: int
    weeks: int

    def at(self, mean: float) -> float:
        """Variance over mean of a count that is expected to be `mean`."""
        return max(self.ratio, 1.0 + self.growth * mean if self.growth else 0.0)

    def df_at(self, mean: float) -> float:
        """Degrees of freedom of `at(mean)`: what all hours of a week share is known from the weeks alone.

        Source: Satterthwaite (1946), An approximate distribution of estimates of variance components.
        """
        if not self.shared:
            return float(self.df)
        whole = self.at(mean)
        part = min(self.shared * mean, whole)
        return whole**2 / ((whole - part) ** 2 / self.df + part**2 / (self.weeks - 1))


@dataclass(frozen=True, slots=True)
class VolumeCheck:
    """Volume of a span compared with the same span of earlier weeks; None where it is unknown; `reason` says why.

    weeks: the number of earlier weeks. expected: their mean. ratio: current over expected; None when expected is 0.
    low, high: the range that `RANGE` of all usual spans fall into, both included. p_value: two-sided.
    large: whether the ratio is far enough from 1 to matter, regardless of the p-value.
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
    """The judgement whether a stream has gone silent; None where there is none, and then `reason` says why.

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

    >>> found = dispersion_of([[100, 10], [140, 12], [60, 8]])
    >>> found.df, round(found.ratio, 2), round(found.growth, 2), round(found.at(100.0), 1), round(found.at(10.0), 1)
    (4, 8.2, 0.16, 16.6, 8.2)
    """
    counts = np.asarray(weeks, dtype=np.float64)
    if not len(counts):
        return None
    if counts.ndim != 2 or (counts.size and counts.min() < 0):
        raise StatsError(f"counts of weeks by hours are needed, none negative, got shape {counts.shape}")
    k = len(counts)
    if k < 2 or not counts.any():
        return None
    counts = counts[:, counts.any(axis=0)]
    means = counts.mean(axis=0)
    squares = ((counts - means) ** 2).sum(axis=0)
    df = (k - 1) * len(means)
    pearson = float((squares / means).sum())
    ratio = pearson / df
    if ratio < 1.0 and (df < REGULAR_DF or float(special().chdtr(df, pearson)) >= REGULAR):
        ratio = 1.0
    if len(means) == 1 or ratio <= 1.0:
        return Dispersion(ratio, 0.0, 0.0, df, k)
    variances = squares / (k - 1)
    # The square of a mean of k counts is larger than the square of what it estimates by the variance over k.
    growth = max(0.0, float((variances - means).sum()) / max(float((means**2 - variances / k).sum()), 1.0))
    totals = counts.sum(axis=1)
    shared = (float(totals.var(ddof=1)) - float(variances.sum())) / float(totals.mean()) ** 2
    return Dispersion(ratio, growth, min(max(0.0, shared), growth), df, k)


def dispersion_of_span(weeks: Sequence[Sequence[int]] | NDArray[np.int64], hours: int) -> Dispersion | None:
    """The dispersion of the counts of a span of so many hours, from the same weeks of 168 hours.

    What lasts longer than an hour (a day that is busy as a whole) shows in sums over spans alone, what is shorter is
    better known from the hours: the larger of both variances is taken. Spans end where the weeks do; a remainder at
    their beginning is left out. None as `dispersion_of`.

    >>> busy_days = [[level] * 24 for level in (1, 3, 1, 1, 2, 0, 1, 2)]
    >>> by_hour, by_day = dispersion_of_span(busy_days, 1), dispersion_of_span(busy_days, 24)
    >>> round(by_hour.at(33.0), 2), round(by_day.at(33.0), 2)
    (1.0, 14.65)
    """
    counts = np.asarray(weeks, dtype=np.int64)
    by_hour = dispersion_of(counts)
    if by_hour is None or hours == 1:
        return by_hour
    whole = counts.shape[1] // hours * hours
    sums = counts[:, counts.shape[1] - whole :].reshape(len(counts), -1, hours).sum(axis=2)
    by_span = dispersion_of(sums)
    usual = float(sums.mean())
    return by_span if by_span is not None and by_span.at(usual) > by_hour.at(usual) else by_hour


def volume_check(
    current: int,
    earlier: Sequence[int],
    *,
    dispersion: Dispersion | None = None,
    min_weeks: int = MIN_WEEKS,
    least_change: float = LEAST_CHANGE,
) -> VolumeCheck:
    """Test whether this span's volume is unusual, compared with the same span of earlier weeks.

    current: arrivals in the span. earlier: shape (weeks,), arrivals in the same span of every earlier week, zeros too.
    dispersion: from all hours of those weeks (`dispersion_of`); without it, from `earlier` alone, and then few weeks
    only show gross changes. least_change: a volume is far from usual when it is off by at least this share. The count
    is taken for negative binomial, for bursts of equal size, or (a large one) for one of a level that varies
    log-normally, whichever makes it most usual, around the mean of the earlier weeks. Its variance holds the error of
    that mean too; for independent arrivals this is the exact predictive distribution. The deviate of the tail is
    referred to Student's t with the degrees of freedom of the dispersion, so that its error counts as well. Raises
    StatsError for a negative count. Source: Hahn and Meeker, Statistical Intervals (1991), ch. 7, for predicting one
    Poisson count from others.

    >>> check = volume_check(10, [102, 95, 99, 110, 94], dispersion=Dispersion(1.0, 0.0, 0.0, df=800, weeks=5))
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
    spread = dispersion or dispersion_of([[count] for count in earlier]) or Dispersion(1.0, 0.0, 0.0, k - 1, k)

    # Half an arrival (half a burst) more than were seen, as in Jeffreys' prior: a mean of 0 is never certain.
    mean = (total + 0.5 * max(1.0, spread.at(expected))) / k
    ratio, df = spread.at(mean), spread.df_at(mean)

    def tail(count: int, upper: bool) -> float:
        return _tail(count, mean, ratio, k, df, upper=upper)

    side = (1.0 - RANGE) / 2.0
    above = max(1, math.ceil(mean))
    while tail(above, True) > side:
        above *= 2
    return VolumeCheck(
        current,
        k,
        expected,
        current / expected if total else None,
        _first(0, math.ceil(mean), lambda count: tail(count, False) > side),
        _first(0, above, lambda count: tail(count, True) <= side) - 1,
        min(1.0, 2.0 * min(tail(current, True), tail(current, False))),
        current != expected and abs(current - expected) >= least_change * expected,
    )


def volume_onset(earlier: Sequence[Sequence[int]], week: Sequence[int]) -> int | None:
    """The hour of `week` from which on its volume has another ratio to that of the same hours of earlier weeks.

    earlier: shape (weeks, hours). week: shape (hours,). The arrivals of each hour, now and in earlier weeks, are two
    cells of `onset`, after a stretch in which nothing has changed; they are divided by the dispersion, as bursts tell
    less than independent arrivals. None where nothing stands out, and where the first hour is different already: then
    it began before. Source: quasi-likelihood as in McCullagh and Nelder, Generalized Linear Models (1989), ch. 9.

    >>> volume_onset([[100, 90, 110, 100], [104, 88, 108, 101], [97, 93, 112, 99]], [101, 92, 53, 51])
    2
    >>> volume_onset([[100, 90, 110, 100], [104, 88, 108, 101], [97, 93, 112, 99]], [50, 46, 53, 51]) is None
    True
    """
    counts = np.asarray(earlier, dtype=np.float64)
    spread = dispersion_of(earlier)
    if spread is None:
        return None
    usual = counts.sum(axis=0)
    ratio = max(1.0, spread.at(float(counts.mean())))
    unchanged = np.array([usual.sum() / len(counts), usual.sum()])
    pairs = np.column_stack((np.asarray(week, dtype=np.float64), usual))
    place = onset(np.rint(unchanged / ratio), np.rint(pairs / ratio))
    return place or None


def freshness(
    now: float,
    last_arrival: float | None,
    gaps: Sequence[float] | NDArray[np.float64],
    counts: Sequence[int] | NDArray[np.int64] | None = None,
    *,
    factor: float = SILENCE_FACTOR,
    min_gaps: int = MIN_GAPS,
    chance: float | None = None,
) -> Freshness:
    """Test whether the stream is silent for longer than `factor` times its usual gap, and than chance makes a gap.

    gaps: shape (gaps,), times between consecutive arrivals; with `counts` the upper edges of the cells of a histogram
        of them, and how many lie in each. The unit is that of `now` and `last_arrival`.
    last_arrival: None when nothing has arrived yet. An arrival later than `now` is no silence.
    min_gaps: with fewer nothing is called usual. chance: that a gap like the others is called a silence, see
        `chance_gap`; None: `factor` alone decides.
    Raises StatsError for a gap that is negative or not finite, and for counts that don't fit.

    >>> freshness(100.0, 95.0, [1.0] * 100)
    Freshness(silent=True, since=95.0, silent_for=5.0, usual_gap=1.0, limit=3.0, reason=None)
    >>> freshness(100.0, 95.0, [1.0] * 3).reason
    'at least 10 gaps between arrivals are needed to know the usual one, there are 3'
    """
    lengths = np.asarray(gaps, dtype=np.float64)
    weights = np.ones(len(lengths), dtype=np.int64) if counts is None else np.asarray(counts)
    if lengths.ndim != 1 or weights.shape != lengths.shape or (weights < 0).any():
        raise StatsError(f"a count >= 0 for every gap is needed, got {weights.shape} for {lengths.shape}")
    if not np.isfinite(lengths).all() or (lengths < 0.0).any():
        raise StatsError("gaps between arrivals are finite and never negative")
    silent_for = None if last_arrival is None else max(0.0, now - last_arrival)
    known = int(weights.sum())
    if last_arrival is None:
        return Freshness(None, None, None, None, None, "nothing has arrived yet")
    if known < min_gaps:
        reason = f"at least {min_gaps} gaps between arrivals are needed to know the usual one, there are {known}"
        return Freshness(None, None, silent_for, None, None, reason)
    usual = usual_gap(lengths, weights)
    if usual <= 0.0:
        reason = "everything arrived at once, so there is no usual gap"
        return Freshness(None, None, silent_for, None, None, reason)
    limit = factor * usual if chance is None else max(factor * usual, chance_gap(lengths, weights, chance))
    silent = silent_for is not None and silent_for >= limit
    return Freshness(silent, last_arrival if silent else None, silent_for, usual, limit)


def usual_gap(lengths: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """The gap that 99 % of all time is spent in or below, and that has happened at least 3 times; 0 without gaps.

    Gaps are weighed by their length, because a check meets a long gap more often than a short one: a nightly batch of a
    thousand rows has a thousand gaps of no length and one of a day, and the usual one is the day. A gap that is not
    repeated is an outage.

    >>> usual_gap(np.array([0.0, 24.0, 300.0]), np.array([29_000, 29, 1]))
    24.0
    """
    order = np.argsort(lengths, kind="stable")
    ascending, weights = lengths[order], counts[order]
    time = np.cumsum(ascending * weights)
    if not len(time) or time[-1] <= 0.0:
        return 0.0
    by_time = int(np.searchsorted(time, USUAL_SHARE * time[-1]))
    at_least = np.cumsum(weights[::-1])[::-1]
    repeated = np.flatnonzero(at_least >= RECURRENCES)
    return float(ascending[min(by_time, int(repeated[-1]) if len(repeated) else 0)])


def chance_gap(lengths: NDArray[np.float64], counts: NDArray[np.int64], chance: float) -> float:
    """The length that a further gap reaches with this chance, estimated from the longest ones so far; 0 without gaps.

    The excess of long gaps over a high threshold is taken for exponential, with a mean that is itself known from so few
    of them only: its predictive distribution is a Pareto. Of several thresholds the most careful one decides.
    Source: Pickands (1975), Statistical inference using extreme order statistics; Hahn and Meeker (1991), ch. 7.

    >>> lengths = -np.log((np.arange(28) + 0.5) / 28)
    >>> round(chance_gap(lengths, np.ones(28, dtype=np.int64), 1e-3), 1)
    11.0
    """
    order = np.argsort(-lengths, kind="stable")
    longest = np.repeat(lengths[order], np.minimum(counts[order], LONGEST_GAPS[-1] + 1))
    n, found = int(counts.sum()), 0.0
    for k in LONGEST_GAPS:
        if k < n:
            threshold = float(longest[k])
            mean = float(longest[:k].mean()) - threshold
            found = max(found, threshold + k * mean * max(0.0, (k / (n * chance)) ** (1.0 / k) - 1.0))
    return found


def _tail(count: int, mean: float, ratio: float, weeks: int, df: float, *, upper: bool) -> float:
    """One-sided p of a count at least (at most) this large, referred to Student's t.

    ratio: variance over mean of a count around its true mean; the mean of the weeks misses that by a share of it.
    """
    functions = special()
    if upper and count == 0:
        return 1.0
    spread = 1.0 + 1.0 / weeks
    if ratio >= 1.0:
        # Bursts of equal size and bursts of any size: the first leave more hours empty, the second fill more of them.
        p = max(
            _negative_binomial(count, mean, ratio * spread, upper=upper),
            _negative_binomial(count / ratio, mean / ratio, spread, upper=upper),
            _log_normal_level(count, mean, ratio, spread) if upper and ratio > 1.0 else 0.0,
        )
        deviate = functions.ndtri(p)
    else:
        # By schedule: less than Poisson, for which there is no discrete law; a count is still whole.
        off = (mean - count if upper else count - mean) + 0.5
        deviate = off / math.sqrt(max(ratio * spread * mean, 1.0))
    return float(functions.stdtr(df, deviate))


def _negative_binomial(count: float, mean: float, ratio: float, *, upper: bool) -> float:
    """The share of a negative binomial at or beyond `count`, of this mean and variance over mean."""
    functions = special()
    size = mean / (ratio - 1.0)
    if upper:
        return float(functions.betainc(count, size, 1.0 - 1.0 / ratio))
    return float(functions.betainc(size, count + 1.0, 1.0 / ratio))


def _log_normal_level(count: float, mean: float, ratio: float, spread: float) -> float:
    """The share at or beyond `count` where what is more than independent arrivals is a level that wanders.

    Levels multiply, so their tail is longer than the negative binomial's of the same variance.
    """
    sigma = math.sqrt(math.log1p((ratio - 1.0) * spread / mean))
    levels = mean * np.exp(sigma * LEVELS - sigma * sigma / 2.0)
    # The weights add up to 1 but for rounding, and what is above 1 has no deviate.
    return min(float(WEIGHTS @ special().betainc(count, levels / (spread - 1.0), 1.0 - 1.0 / spread)), 1.0)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The smallest number in [low, high] from which on the condition holds; `high` when it holds nowhere before."""
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
