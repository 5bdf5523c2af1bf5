"""Drift as Evidently 0.7 defines it, on raw samples.

Nulls and infinities are dropped. A numeric reference with more than 20 distinct values is binned on Sturges edges of
both samples together, everything else by value; shares are not renormalised after empty cells are filled.
Source: evidently, legacy/calculations/stattests.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.drift.compat import formulas, samples

Kind = Literal["continuous", "categorical"]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
VALUE_LIMIT = 20
SMALLEST_SCALE = 0.001


def psi(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """Population stability index with Evidently's cells and zero handling; drift from 0.1 on.

    Raises EmptySample when a sample has no usable value.

    >>> round(psi([3, 2, 2], [1, 2, 3], "categorical"), 2)
    2.93
    """
    p, q = _binned(reference, current, kind)
    return formulas.psi(formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q))


def kl_divergence(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """Kullback-Leibler divergence of the reference from the current sample, in nats; drift from 0.1 on.

    Raises EmptySample when a sample has no usable value.

    >>> round(kl_divergence(["a", "b"], ["a", "b", "b"], "categorical"), 4)
    0.0589
    """
    p, q = _binned(reference, current, kind)
    return formulas.kullback_leibler(formulas.fill_zeros_relative(p), formulas.fill_zeros_relative(q))


def jensen_shannon(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """Jensen-Shannon distance in base e, empty cells left empty; drift from 0.1 on.

    Raises EmptySample when a sample has no usable value.

    >>> round(jensen_shannon(["a"], ["b"], "categorical"), 6)
    0.832555
    """
    return formulas.jensen_shannon_distance(*_binned(reference, current, kind), base=math.e)


def hellinger(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """sqrt(1 - sum sqrt(p·q)); a numeric feature on Sturges edges of its distinct values. Drift from 0.1 on.

    Raises EmptySample when a sample has no usable value.

    >>> hellinger(["a"], ["b"], "categorical")
    1.0
    """
    if kind == "categorical":
        p, q = map(formulas.shares, samples.category_counts(reference, current))
        overlap = float(np.sqrt(p * q).sum())
    else:
        r, c = samples.numbers(reference), samples.numbers(current)
        edges = np.histogram_bin_edges(np.union1d(r, c), bins="sturges")
        overlap = float(np.sqrt(samples.histogram_shares(r, edges) * samples.histogram_shares(c, edges)).sum())
    return math.sqrt(max(0.0, 1.0 - overlap))


def wasserstein(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """First Wasserstein distance over max(standard deviation of the reference with ddof=0, 0.001); drift from 0.1 on.

    Raises EmptySample when a sample has no usable value.

    >>> round(wasserstein([0.0, 2.0], [1.0, 3.0]), 6)
    1.0
    """
    r, c = samples.numbers(reference), samples.numbers(current)
    return samples.wasserstein(r, c) / max(float(np.std(r)), SMALLEST_SCALE)


def ks_p_value(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """p-value of scipy's two-sample Kolmogorov-Smirnov test with its own choice of method; drift up to 0.05.

    Raises EmptySample when a sample has no usable value.

    >>> ks_p_value([1.0, 2.0], [1.0, 2.0])
    1.0
    """
    from scipy.stats import ks_2samp  # loaded on first use: it takes half a second

    return float(ks_2samp(samples.numbers(reference), samples.numbers(current)).pvalue)


def chi_square_p_value(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """Goodness of fit of the current counts to the reference shares, as if those were the truth; drift below 0.05.

    A category that the reference does not have makes it 0.
    Raises EmptySample when a sample has no usable value.

    >>> chi_square_p_value(["a", "b"], ["a", "c"])
    0.0
    """
    return chi_square_p_value_of_counts(*samples.category_counts(reference, current))


def chi_square_p_value_of_counts(reference: Counts, current: Counts) -> float:
    """`chi_square_p_value` of counts over the same categories, none of them empty in both samples.

    >>> chi_square_p_value_of_counts(np.array([5, 5]), np.array([9, 9]))
    1.0
    """
    return _goodness_of_fit(reference, current, log_likelihood=False)


def g_test_p_value(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """As `chi_square_p_value`, with the log-likelihood ratio in place of Pearson's statistic.

    Raises EmptySample when a sample has no usable value.

    >>> g_test_p_value(["a", "b"], ["a", "b"])
    1.0
    """
    return _goodness_of_fit(*samples.category_counts(reference, current), log_likelihood=True)


def z_test_p_value(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """Two-sided p-value of the difference of two proportions, for a feature with at most two categories.

    Raises EmptySample when a sample has no usable value.

    >>> z_test_p_value(["a", "b"], ["a", "b"])
    1.0
    """
    r, c = samples.category_counts(reference, current)
    n_r, n_c = int(r.sum()), int(c.sum())
    share = float(r[0] + c[0]) / (n_r + n_c)
    error = math.sqrt(share * (1.0 - share) * (1.0 / n_r + 1.0 / n_c))
    if error == 0.0:
        return 1.0
    return math.erfc(abs(r[0] / n_r - c[0] / n_c) / error / math.sqrt(2.0))


def _binned(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> tuple[Floats, Floats]:
    if kind == "categorical":
        r, c = samples.category_counts(reference, current)
        return formulas.shares(r), formulas.shares(c)
    before, after = samples.numbers(reference), samples.numbers(current)
    if len(np.unique(before)) > VALUE_LIMIT:
        edges = np.histogram_bin_edges(np.concatenate((before, after)), bins="sturges")
        return samples.histogram_shares(before, edges), samples.histogram_shares(after, edges)
    r, c = samples.value_counts(before, after)
    return formulas.shares(r), formulas.shares(c)


def _goodness_of_fit(r: Counts, c: Counts, *, log_likelihood: bool) -> float:
    from scipy.special import chdtrc  # loaded on first use: it takes a third of a second

    if len(r) == 1:
        return 1.0
    if (r == 0).any():
        return 0.0
    expected = formulas.shares(r) * c.sum()
    if log_likelihood:
        held = c > 0
        statistic = 2.0 * float((c[held] * np.log(c[held] / expected[held])).sum())
    else:
        statistic = float(((c - expected) ** 2 / expected).sum())
    return float(chdtrc(len(r) - 1, max(statistic, 0.0)))
