"""Evidence: how surely a difference between two samples is no chance.

The tests compare two samples: the reference's own sampling error counts. Comparing with the reference as if it were the
truth alarms far too often, which is why no goodness-of-fit test is here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import EmptySample, IncompatibleProfiles, StatsError
from modelwatch.stats.kolmogorov import survival

Counts = Sequence[int] | NDArray[np.int64]
MIN_EXPECTED = 5.0
MAX_WINDOW = 1 << 40
RAREST = 4


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """The chi-square test that two samples share one distribution, in its two forms.

    statistic, p_value: Pearson's. likelihood_ratio: the statistic G of the likelihood-ratio test, with the same degrees
    of freedom. joint_p_value: the larger of the two p-values. Small samples show a p-value of one in a million several
    times too often by either form, each for shifts of another shape; rarely by both.
    df: degrees of freedom; 0 when too few cells are left to compare, and then the p-values are 1.
    pooled: the groups of neighbouring cells that were merged because too few values were expected in them.
    """

    statistic: float
    df: int
    p_value: float
    pooled: tuple[tuple[int, ...], ...]
    likelihood_ratio: float
    joint_p_value: float


def chi_square_homogeneity(reference: Counts, current: Counts, *, min_expected: float = MIN_EXPECTED) -> ChiSquare:
    """The two-sample chi-square test over the same cells, Pearson's and the likelihood-ratio form.

    reference, current: shape (cells,), non-negative integers, not all zero.
    min_expected: the smallest cell is merged with the smaller of its neighbours until every cell is expected to hold at
        least this many in the smaller sample. What is merged depends on the sum of both samples alone, so the test
        stays valid. Cells that are empty in both samples are left out.
    Raises EmptySample when a side has no observations, IncompatibleProfiles when the shapes differ.
    Source: Pearson (1911), On the probability that two independent distributions are samples of the same population;
    Wilks (1938) for the likelihood ratio.

    >>> test = chi_square_homogeneity([50, 50], [40, 60])
    >>> round(test.statistic, 4), test.df, round(test.p_value, 4), test.pooled
    (2.0202, 1, 0.1552, ())
    """
    r, c = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if r.shape != c.shape or r.ndim != 1:
        raise IncompatibleProfiles(f"two count vectors over the same cells are needed, got {r.shape} and {c.shape}")
    n_reference, n_current = float(r.sum()), float(c.sum())
    if n_reference <= 0.0 or n_current <= 0.0:
        raise EmptySample(f"the {'reference' if n_reference <= 0.0 else 'current'} sample has no observations")
    both = n_reference + n_current
    together = r + c
    pooled: tuple[tuple[int, ...], ...] = ()
    # A cell is expected to hold at least `min_expected` in the smaller sample when both hold this many together.
    needed = min_expected * both / min(n_reference, n_current)
    if float(together.min()) < needed or not together.all():
        groups = _pool(together, needed)
        pooled = tuple(tuple(group) for group in groups if len(group) > 1)
        r, c = _sum_groups(r, groups), _sum_groups(c, groups)
        together = r + c
    df = len(together) - 1
    if df < 1:
        return ChiSquare(0.0, 0, 1.0, pooled, 0.0, 1.0)
    # Both rows of the table in one sum: (R·n - C·N)² / (N·n·(R + C)).
    difference = r * (n_current / both) - c * (n_reference / both)
    statistic = float((difference * difference / together).sum()) * both * both / (n_reference * n_current)
    special = _special()
    p_value = float(special.chdtrc(df, statistic))
    likelihood_ratio = max(
        0.0,
        2.0 * (_information(r, together, n_reference / both) + _information(c, together, n_current / both)),
    )
    joint = max(p_value, float(special.chdtrc(df, likelihood_ratio)))
    return ChiSquare(statistic, df, p_value, pooled, likelihood_ratio, joint)


def _information(counts: NDArray[np.float64], together: NDArray[np.float64], share: float) -> float:
    """Sum of O ln(O / E), where an empty cell adds nothing."""
    expected = together * share
    if counts.all():
        ratio = counts / expected
    else:
        ratio = np.divide(counts, expected, out=np.ones(len(counts)), where=counts > 0.0)
    return float(counts @ np.log(ratio))


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


def minimum_detectable_psi(n_reference: int, n_current: int, df: int, alpha: float, power: float = 0.8) -> float:
    """The smallest population stability index that samples of these sizes show with probability `power`.

    From the non-central chi-square distribution with non-centrality PSI · nN/(n+N), good for small shifts.
    df: degrees of freedom of the test (cells that are compared, less one), at least 1.
    Raises StatsError when a size or df is below 1, or alpha and power are not 0 < alpha < power < 1.

    >>> round(minimum_detectable_psi(10_000, 1_000, 9, 1e-5), 4)
    0.0462
    """
    if n_reference < 1 or n_current < 1 or df < 1:
        raise StatsError(f"both samples and df are at least 1, got {n_reference}, {n_current}, {df}")
    if not 0.0 < alpha < power < 1.0:
        raise StatsError(f"0 < alpha < power < 1 is needed, got alpha {alpha}, power {power}")
    return _noncentrality(df, alpha, power) * (n_reference + n_current) / (n_reference * n_current)


def samples_needed(reference: Counts, alpha: float, *, min_expected: float = MIN_EXPECTED) -> int | None:
    """The smallest current sample for which the chi-square test can reach `alpha` at all.

    The shift looked for is the largest one: all current values in one of the reference's rarest cells. None when no
    sample is large enough, because the reference itself is too small. Raises EmptySample when the reference has no
    observations, StatsError unless 0 < alpha < 1.

    >>> samples_needed([1000] * 10, alpha=1e-5)
    14
    """
    if not 0.0 < alpha < 1.0:
        raise StatsError(f"0 < alpha < 1 is needed, got {alpha}")
    counts = tuple(np.asarray(reference, dtype=np.int64).tolist())
    if sum(counts) <= 0:
        raise EmptySample("the reference sample has no observations")
    return _samples_needed(counts, alpha, min_expected)


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


@lru_cache(maxsize=1)
def _special() -> ModuleType:
    import scipy.special  # loaded on first use: it takes a third of a second

    module: ModuleType = scipy.special
    return module


@lru_cache(maxsize=4_096)
def _noncentrality(df: int, alpha: float, power: float) -> float:
    """How far off chi-square must be to be beyond its `alpha` point with probability `power`. Found by iteration."""
    special = _special()
    return float(special.chndtrinc(special.chdtri(df, alpha), df, 1.0 - power))


def _pool(together: NDArray[np.float64], needed: float) -> list[list[int]]:
    groups = [[cell] for cell in np.flatnonzero(together).tolist()]
    sizes = [float(together[cell]) for (cell,) in groups]
    while len(sizes) > 1 and (smallest := min(sizes)) < needed:
        i = sizes.index(smallest)
        last = len(sizes) - 1
        j = i + 1 if i == 0 or (i < last and sizes[i + 1] <= sizes[i - 1]) else i - 1
        left, right = min(i, j), max(i, j)
        sizes[left] += sizes.pop(right)
        groups[left] += groups.pop(right)
    return groups


def _sum_groups(counts: NDArray[np.float64], groups: list[list[int]]) -> NDArray[np.float64]:
    return np.array([counts[group[0]] if len(group) == 1 else counts[group].sum() for group in groups])


@lru_cache(maxsize=4096)
def _samples_needed(reference: tuple[int, ...], alpha: float, min_expected: float) -> int | None:
    counts = np.array(reference, dtype=np.int64)
    candidates = np.argsort(counts, kind="stable")[:RAREST].tolist()

    def reaches(n: int) -> bool:
        current = np.zeros_like(counts)
        for cell in candidates:
            current[cell] = n
            if chi_square_homogeneity(counts, current, min_expected=min_expected).joint_p_value < alpha:
                return True
            current[cell] = 0
        return False

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
