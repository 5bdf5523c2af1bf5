"""Definitions of other tools on share or count vectors: what they do with empty cells, their base, their thresholds.

Cells are the caller's. Each function names the tool; the tools' own binning is part of the name only where it is a
formula of the samples.
"""

import math
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.drift.compat import formulas, samples
from modelwatch.stats.errors import StatsError

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def whylabs_psi(p: Floats, q: Floats) -> float:
    """Population stability index of shares clipped to [1e-7, 1].

    >>> round(whylabs_psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return formulas.psi(np.clip(p, 1e-7, 1.0), np.clip(q, 1e-7, 1.0))


def whylabs_kl(p: Floats, q: Floats) -> float:
    """Kullback-Leibler divergence of shares clipped to [1e-7, 1], in nats.

    >>> round(whylabs_kl(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 6)
    0.020411
    """
    return formulas.kullback_leibler(np.clip(p, 1e-7, 1.0), np.clip(q, 1e-7, 1.0))


def whylabs_jensen_shannon(p: Floats, q: Floats) -> float:
    """Jensen-Shannon distance in base e, which WhyLabs calls divergence.

    >>> round(whylabs_jensen_shannon(np.array([0.0, 1.0]), np.array([1.0, 0.0])), 7)
    0.8325546
    """
    return formulas.jensen_shannon_distance(p, q, base=math.e)


def whylogs_ks_p_value(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """Kolmogorov-Smirnov on 100 quantiles of both samples, with the asymptotic p-value; drift below 0.05.

    whylogs takes the quantiles from sketches; they are exact here.
    Raises EmptySample when a sample has no usable value.

    >>> whylogs_ks_p_value([1.0, 2.0], [1.0, 2.0])
    1.0
    """
    from modelwatch.stats.drift.evidence import ks_p_value

    r, c = samples.numbers(reference), samples.numbers(current)
    levels = np.linspace(0.0, 1.0, 100)
    points = np.unique(np.concatenate([np.quantile(sample, levels, method="inverted_cdf") for sample in (r, c)]))
    cdf_r, cdf_c = (np.sort(sample).searchsorted(points, "right") / len(sample) for sample in (r, c))
    return ks_p_value(float(np.abs(cdf_r - cdf_c).max()), len(r), len(c))


def whylogs_verdict(p_value: float) -> str:
    """DRIFT below 0.05, POSSIBLE_DRIFT below 0.15, else NO_DRIFT.

    >>> whylogs_verdict(0.1)
    'POSSIBLE_DRIFT'
    """
    return "DRIFT" if p_value < 0.05 else "POSSIBLE_DRIFT" if p_value < 0.15 else "NO_DRIFT"


def scouter_psi(p: Floats, q: Floats) -> float:
    """Population stability index with 1e-10 added to both shares.

    >>> round(scouter_psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return formulas.psi(p + 1e-10, q + 1e-10)


def scouter_threshold(cells: int, n_current: int, alpha: float = 0.05, *, normal: bool = False) -> float:
    """The index above which Scouter alarms: a one-sample chi-square quantile over n, or its normal approximation.

    Raises StatsError for fewer than 2 cells or no observations.

    >>> round(scouter_threshold(10, 400), 5), round(scouter_threshold(10, 400, normal=True), 5)
    (0.0423, 0.03995)
    """
    from scipy.special import chdtri, ndtri  # loaded on first use: it takes a third of a second

    if cells < 2 or n_current < 1:
        raise StatsError(f"a threshold needs at least 2 cells and 1 observation, got {cells} and {n_current}")
    df = cells - 1
    quantile = df + float(ndtri(1.0 - alpha)) * math.sqrt(2.0 * df) if normal else float(chdtri(df, alpha))
    return quantile / n_current


def azureml_psi(reference: Counts, current: Counts) -> float:
    """Population stability index of Laplace-smoothed shares; threshold 0.5.

    >>> round(azureml_psi(np.array([1, 1]), np.array([0, 2])), 4)
    0.2747
    """
    return formulas.psi(formulas.laplace_shares(reference), formulas.laplace_shares(current))


def popmon_psi(p: Floats, q: Floats) -> float:
    """Population stability index with 1e-5 added to both shares inside the logarithm.

    >>> round(popmon_psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return float(((q - p) * np.log((q + 1e-5) / (p + 1e-5))).sum())


def deepchecks_psi(p: Floats, q: Floats) -> float:
    """Population stability index of shares that are at least 0.01.

    >>> round(deepchecks_psi(np.array([0.0, 1.0]), np.array([1.0, 0.0])), 2)
    9.12
    """
    return formulas.psi(np.maximum(p, 0.01), np.maximum(q, 0.01))


def mlrun_symmetric_kl(p: Floats, q: Floats) -> float:
    """Kullback-Leibler divergence both ways, empty cells replaced by 1e-4 inside the logarithm only.

    >>> round(mlrun_symmetric_kl(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return float(((q - p) * np.log(formulas.fill_zeros(q, 1e-4) / formulas.fill_zeros(p, 1e-4))).sum())


def frouros_psi(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int = 10) -> float:
    """Population stability index on equal-width cells over both samples; an empty cell holds the smallest double.

    Raises EmptySample when a sample has no usable value.

    >>> round(frouros_psi([0.0, 1.0], [0.0, 1.0]), 4)
    0.0
    """
    p, q = _equal_width(reference, current, cells)
    tiny = sys.float_info.min
    return formulas.psi(formulas.fill_zeros(p, tiny), formulas.fill_zeros(q, tiny))


def frouros_hellinger(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int = 10) -> float:
    """Hellinger distance on equal-width cells over both samples. Raises EmptySample when a sample has no usable value.

    >>> frouros_hellinger([0.0, 1.0], [0.0, 1.0])
    0.0
    """
    return formulas.hellinger(*_equal_width(reference, current, cells))


def naive_psi(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int = 10) -> float:
    """Population stability index on reference quantiles, values outside the reference range dropped.

    1e-10 is added to both shares inside the logarithm. Left-closed cells between the smallest and the largest
    reference value. Unseen values are not seen at all, which is why this is kept for comparison only.
    Raises EmptySample when a sample has no usable value.

    >>> round(naive_psi(list(range(100)), list(range(1000, 1100))), 1)
    20.7
    """
    p, q = _reference_quantiles(reference, current, cells)
    return naive_psi_of_shares(p, q)


def naive_psi_of_shares(p: Floats, q: Floats) -> float:
    """sum (q - p)·ln((q + 1e-10) / (p + 1e-10)).

    >>> round(naive_psi_of_shares(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return float(((q - p) * np.log((q + 1e-10) / (p + 1e-10))).sum())


def naive_jensen_shannon(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int = 10) -> float:
    """Jensen-Shannon distance in base e on the cells of `naive_psi`.

    Raises EmptySample when a sample has no usable value.

    >>> naive_jensen_shannon(list(range(100)), list(range(100)))
    0.0
    """
    return formulas.jensen_shannon_distance(*_reference_quantiles(reference, current, cells), base=math.e)


def _equal_width(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int) -> tuple[Floats, Floats]:
    r, c = samples.numbers(reference), samples.numbers(current)
    edges = np.histogram_bin_edges(np.concatenate((r, c)), bins=cells)
    return samples.histogram_shares(r, edges), samples.histogram_shares(c, edges)


def _reference_quantiles(reference: Sequence[Scalar], current: Sequence[Scalar], cells: int) -> tuple[Floats, Floats]:
    r, c = samples.numbers(reference), samples.numbers(current)
    edges = np.unique(np.quantile(r, np.linspace(0.0, 1.0, cells + 1)))
    return samples.histogram_shares(r, edges), samples.histogram_shares(c, edges)
