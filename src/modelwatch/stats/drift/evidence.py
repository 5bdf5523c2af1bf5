"""Evidence: p-values of rates and of Kolmogorov-Smirnov, and the level that a look may spend.

The tests compare two samples: the reference's own sampling error counts. Comparing with the reference as if it were the
truth alarms far too often, which is why no goodness-of-fit test is here. `drift_tests` has the test that decides about
drift.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.kolmogorov import survival
from modelwatch.stats.errors import EmptySample, StatsError
from modelwatch.stats.special import special

Counts = Sequence[int] | NDArray[np.int64]


def ks_p_value(d: float, n_reference: int, n_current: int) -> float:
    """Asymptotic two-sided p-value of the two-sample Kolmogorov-Smirnov statistic `d`, as `scipy.stats.ks_2samp`.

    Raises EmptySample when a side has no observations.
    Source: Simard and L'Ecuyer (2011) for the distribution; effective size n·N/(n+N).

    >>> ks_p_value(0.0, 10, 10)
    1.0
    >>> round(ks_p_value(0.1, 1000, 1000), 8)
    8.342e-05
    """
    if n_reference <= 0 or n_current <= 0:
        raise EmptySample(f"a p-value needs observations on both sides, got {n_reference} and {n_current}")
    n = round(n_reference * n_current / (n_reference + n_current))
    return survival(d, n) if n >= 1 else 1.0


def rate_increase_p_value(reference_hits: int, reference_n: int, current_hits: int, current_n: int) -> float:
    """One-sided p-value of Fisher's exact test that the current rate is higher than the reference rate.

    Returns the probability of at least `current_hits` hits in the current sample, given all margins; 1 when a sample is
    empty or there are no hits to speak of. Raises StatsError when there are more hits than observations.

    >>> round(rate_increase_p_value(1, 10, 5, 10), 6)
    0.070433
    """
    for hits, n in ((reference_hits, reference_n), (current_hits, current_n)):
        if not 0 <= hits <= n:
            raise StatsError(f"hits are between 0 and the number of observations, got {hits} of {n}")
    all_hits, both = reference_hits + current_hits, reference_n + current_n
    if current_hits == 0 or current_n == 0 or reference_n == 0:
        return 1.0
    fewest, most = max(0, all_hits - reference_n), min(all_hits, current_n)
    mode = min(max((all_hits + 1) * (current_n + 1) // (both + 2), fewest), most)
    variance = current_n * (all_hits / both) * (1.0 - all_hits / both) * reference_n / max(both - 1, 1)
    # Beyond this many steps from the mode every probability is below the smallest double.
    reach = 200 + int(40.0 * math.sqrt(variance))
    up = np.arange(mode, min(most, mode + reach), dtype=np.float64)
    down = np.arange(mode, max(fewest, mode - reach), -1, dtype=np.float64)
    rest = reference_n - all_hits
    rising = np.cumprod((all_hits - up) * (current_n - up) / ((up + 1.0) * (rest + up + 1.0)))
    falling = np.cumprod(down * (rest + down) / ((all_hits - down + 1.0) * (current_n - down + 1.0)))
    # Probabilities relative to that of the mode: no factorials, so no loss of digits for large samples.
    total = 1.0 + float(rising.sum()) + float(falling.sum())
    if current_hits > mode:
        return float(rising[current_hits - mode - 1 :].sum()) / total
    below = float(falling[mode - current_hits :].sum())
    return (total - below) / total


def effective_rate_increase_p_value(
    reference_hits: float, reference_n: float, current_hits: float, current_n: float
) -> float:
    """The same of effective counts, which are no whole numbers: gamma functions in the place of factorials. 1 where the
    current rate is not higher.

    >>> round(effective_rate_increase_p_value(1, 10, 5.0, 10.0), 6)
    0.070433
    >>> round(effective_rate_increase_p_value(1, 10, 4.5, 9.0), 6)
    0.078306
    """
    if reference_n <= 0.0 or current_hits * reference_n <= reference_hits * current_n:
        return 1.0
    functions = special()
    rest, missed = reference_n - reference_hits, current_n - current_hits
    margins = np.array([reference_n, current_n, reference_hits + current_hits, rest + missed])
    counts = np.array([reference_hits, rest, current_hits, missed, reference_n + current_n])
    point = math.exp(float(functions.gammaln(margins + 1.0).sum() - functions.gammaln(counts + 1.0).sum()))
    # Beyond this many steps every probability is below the smallest double.
    reach = 200.0 + 40.0 * math.sqrt(float(np.prod(margins / counts[4])) * counts[4])
    steps = np.arange(0.0, min(reference_hits, missed, reach))
    ratios = (reference_hits - steps) * (missed - steps) / ((current_hits + steps + 1.0) * (rest + steps + 1.0))
    return min(1.0, point * (1.0 + float(np.cumprod(ratios).sum())))


def alpha_per_look(budget: float, subjects: int, lookbacks: int, evaluations_per_30_days: float) -> float:
    """The significance level of one look, so that `budget` false alarms are expected in 30 days over all looks.

    Never more than 1. Raises StatsError unless every argument is positive.

    >>> alpha_per_look(1.0, subjects=50, lookbacks=3, evaluations_per_30_days=720)
    9.259259259259259e-06
    """
    if min(budget, subjects, lookbacks, evaluations_per_30_days) <= 0:
        raise StatsError(
            "budget, subjects, look-backs and evaluations are positive, "
            f"got {budget}, {subjects}, {lookbacks}, {evaluations_per_30_days}"
        )
    return min(1.0, budget / (subjects * lookbacks * evaluations_per_30_days))


def benjamini_yekutieli(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values adjusted for their number under any dependence, in the order given; shape as the input.

    Calling every adjusted value <= q a discovery keeps the expected share of false discoveries at or below q.
    Source: Benjamini and Yekutieli (2001).

    >>> benjamini_yekutieli([0.01, 0.02, 0.5]).round(4).tolist()
    [0.055, 0.055, 0.9167]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not len(p):
        return p
    order = np.argsort(-p, kind="stable")
    ranks = np.arange(len(p), 0, -1)
    harmonic = float((1.0 / ranks).sum())
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(p[order] * len(p) * harmonic / ranks))
    return adjusted
