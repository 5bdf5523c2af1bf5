"""Raw samples brought to shares over common cells, for the definitions that need more than counts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.categorical import category_name
from modelwatch.stats.counting.numeric import Scalar, as_float
from modelwatch.stats.errors import EmptySample

Floats = NDArray[np.float64]


def numbers(values: Sequence[Scalar]) -> Floats:
    """The finite numbers among the values, in their order. Raises EmptySample when there are none.

    >>> numbers([1, None, float("nan"), 2.5]).tolist()
    [1.0, 2.5]
    """
    kept = np.array([number for number in map(as_float, values) if number is not None], dtype=np.float64)
    kept = kept[np.isfinite(kept)]
    if not len(kept):
        raise EmptySample("a numeric sample needs at least one finite value; there is none")
    return kept


def category_counts(
    reference: Sequence[Scalar], current: Sequence[Scalar]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of both samples over the union of their categories, nulls dropped. Raises EmptySample for an empty side.

    >>> [counts.tolist() for counts in category_counts(["a", "b", None], ["b", "c"])]
    [[1, 1, 0], [0, 1, 1]]
    """
    r, c = (Counter(name for name in map(category_name, sample) if name is not None) for sample in (reference, current))
    if not r or not c:
        raise EmptySample("a categorical sample needs at least one value that is not null; there is none")
    names = sorted(r.keys() | c.keys())
    return np.array([r[name] for name in names]), np.array([c[name] for name in names])


def value_counts(reference: Floats, current: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of both samples over the union of their distinct numbers.

    >>> [counts.tolist() for counts in value_counts(np.array([1.0, 2.0]), np.array([2.0, 2.0]))]
    [[1, 1], [0, 2]]
    """
    values = np.union1d(reference, current)
    r, c = (np.bincount(values.searchsorted(sample), minlength=len(values)) for sample in (reference, current))
    return r, c


def histogram_shares(sample: Floats, edges: Floats) -> Floats:
    """The part of the sample in each cell; values outside the edges are in none, so the sum may be below 1.

    >>> histogram_shares(np.array([0.5, 1.5, 9.0, 9.0]), np.array([0.0, 1.0, 2.0])).tolist()
    [0.25, 0.25]
    """
    result: Floats = np.histogram(sample, edges)[0] / len(sample)
    return result


def wasserstein(reference: Floats, current: Floats) -> float:
    """The exact first Wasserstein distance of two samples, in the unit of the values.

    >>> wasserstein(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    2.0
    """
    r, c = np.sort(reference), np.sort(current)
    values = np.sort(np.concatenate((r, c)))
    difference = r.searchsorted(values[:-1], "right") / len(r) - c.searchsorted(values[:-1], "right") / len(c)
    return float(np.abs(difference) @ np.diff(values))


def ks_statistic(reference: Floats, current: Floats) -> float:
    """The exact two-sample Kolmogorov-Smirnov statistic.

    >>> ks_statistic(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.5
    """
    r, c = np.sort(reference), np.sort(current)
    values = np.concatenate((r, c))
    difference = r.searchsorted(values, "right") / len(r) - c.searchsorted(values, "right") / len(c)
    return float(np.abs(difference).max())
