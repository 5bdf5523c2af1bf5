"""Univariate drift as NannyML defines it, on raw samples.

A numeric reference with more than 50 distinct values, or with more than a tenth of its values distinct, is binned on
Doane edges of the reference; other features by value. Mass outside those cells is one more cell, of reference share 0.
NannyML's thresholds are three standard deviations over reference chunks, so none is fixed here. Above 10,000 reference
values it approximates Wasserstein and Kolmogorov-Smirnov on equal-width cells; the exact values are given here.
Source: nannyml, drift/univariate/methods.py.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.numeric import Scalar
from modelwatch.stats.drift.compat import formulas, samples

Kind = Literal["continuous", "categorical"]
Floats = NDArray[np.float64]
MANY_VALUES = 50
MANY_DISTINCT = 0.1


def jensen_shannon(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """Jensen-Shannon distance in base 2. Raises EmptySample when a sample has no usable value.

    >>> jensen_shannon(["a"], ["b"], "categorical")
    1.0
    """
    return formulas.jensen_shannon_distance(*_binned(reference, current, kind), base=2.0)


def hellinger(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> float:
    """Hellinger distance. Raises EmptySample when a sample has no usable value.

    >>> hellinger(["a"], ["b"], "categorical")
    1.0
    """
    return formulas.hellinger(*_binned(reference, current, kind))


def l_infinity(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """The largest difference of a category's share. Raises EmptySample when a sample has no usable value.

    >>> l_infinity(["a", "b"], ["a", "a"])
    0.5
    """
    r, c = samples.category_counts(reference, current)
    return float(np.abs(formulas.shares(r) - formulas.shares(c)).max())


def wasserstein(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """First Wasserstein distance in the unit of the feature. Raises EmptySample when a sample has no usable value.

    >>> wasserstein([0.0, 2.0], [1.0, 3.0])
    1.0
    """
    return samples.wasserstein(samples.numbers(reference), samples.numbers(current))


def ks_statistic(reference: Sequence[Scalar], current: Sequence[Scalar]) -> float:
    """The two-sample Kolmogorov-Smirnov statistic. Raises EmptySample when a sample has no usable value.

    >>> ks_statistic([1.0, 2.0], [2.0, 3.0])
    0.5
    """
    return samples.ks_statistic(samples.numbers(reference), samples.numbers(current))


def _binned(reference: Sequence[Scalar], current: Sequence[Scalar], kind: Kind) -> tuple[Floats, Floats]:
    if kind == "categorical":
        r, c = samples.category_counts(reference, current)
        return formulas.shares(r), formulas.shares(c)
    before, after = samples.numbers(reference), samples.numbers(current)
    distinct = len(np.unique(before))
    if distinct > MANY_VALUES or distinct / len(before) > MANY_DISTINCT:
        edges = np.histogram_bin_edges(before, bins="doane")
        p, q = samples.histogram_shares(before, edges), samples.histogram_shares(after, edges)
        return np.append(p, 0.0), np.append(q, max(0.0, 1.0 - float(q.sum())))
    r, c = samples.value_counts(before, after)
    return formulas.shares(r), formulas.shares(c)
