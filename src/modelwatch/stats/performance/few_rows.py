"""F1 of classes with few rows: what a model shows that is as good as its reference.

With few rows F1 is lower on average than with many: of a class with one row, recognised half of the time, it is 0 or 1,
and 0.5 on average, where that of many rows is 0.67. A mean over many such classes falls by as much in a short window,
whatever the model does. Precision and recall of a class have no such bias where they are defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from modelwatch.stats.performance.margins import Margins, ratio
from modelwatch.stats.performance.mergeable import Booleans, Floats

# Of up to so many rows moments are summed exactly; of more, the delta method's are off by less than 1e-4.
MOST_SUMMED = 200
# Rows of the model's average that each class of the reference gets for its variance: in few rows a class may be
# recognised always by chance.
PRIOR_ROWS = 2.0


@dataclass(frozen=True, slots=True)
class FewRows:
    """The macro F1 that the reference's model shows in the rows of the current sample.

    expected: its mean. lacking: of the reference and of the current sample, the sampling variance that the delta method
    leaves out of the mean.
    """

    expected: float
    lacking: tuple[float, float]

    @classmethod
    def of(cls, reference: Margins, current: Margins, mask: Booleans) -> FewRows:
        """mask: the classes that the mean runs over; each has rows or predictions on both sides.

        F1 is 2h / (n + h) of h hits in n rows that are of the class or called so. Given n, h is binomial, with the
        share of the reference.
        """
        before, now = ((side.truth + side.predicted)[:-1][mask] - side.hits[mask] for side in (reference, current))
        hits = reference.hits[mask]
        expected, _ = f1_moments(ratio(hits, before), now)
        smooth = (hits + PRIOR_ROWS * hits.sum() / before.sum()) / (before + PRIOR_ROWS)
        lacking = [np.maximum(f1_moments(smooth, rows)[1] - _delta(smooth, rows), 0.0) for rows in (before, now)]
        classes = len(hits)
        first, last = (float(each.sum()) / classes**2 for each in lacking)
        return cls(float(expected.mean()), (first, last))


def f1_moments(share: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of 2h / (n + h), with h binomial of `rows` n >= 1 and `share`; shape (classes,) each.

    >>> mean, variance = f1_moments(np.array([0.5, 0.5]), np.array([1.0, 1e6]))
    >>> mean.round(4).tolist(), variance.round(4).tolist()
    ([0.5, 0.6667], [0.25, 0.0])
    """
    from scipy import special

    n = np.minimum(rows, MOST_SUMMED).astype(np.intp)[:, None]
    hits = np.arange(MOST_SUMMED + 1)[: int(n.max()) + 1]
    misses = np.maximum(n - hits, 0)
    factorials = _log_factorials()
    logarithm = factorials[n] - factorials[hits] - factorials[misses]
    logarithm += special.xlogy(hits, share[:, None]) + special.xlog1py(misses, -share[:, None])
    chance = np.where(hits <= n, np.exp(logarithm), 0.0)
    f1 = 2.0 * hits / (n + hits)
    mean = (chance * f1).sum(axis=1)
    variance = (chance * np.square(f1 - mean[:, None])).sum(axis=1)
    many = rows > MOST_SUMMED
    limit = 2.0 * share / (1.0 + share) - 2.0 * share * (1.0 - share) / (rows * (1.0 + share) ** 3)
    return np.where(many, limit, mean), np.where(many, _delta(share, rows), variance)


def _delta(share: Floats, rows: Floats) -> Floats:
    """The delta method's variance of an F1."""
    variance: Floats = 4.0 * share * (1.0 - share) / (rows * (1.0 + share) ** 4)
    return variance


@cache
def _log_factorials() -> Floats:
    from scipy import special

    found: Floats = special.gammaln(np.arange(MOST_SUMMED + 1) + 1.0)
    return found
