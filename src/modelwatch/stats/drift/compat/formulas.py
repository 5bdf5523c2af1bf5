"""Divergences of share vectors, with the ways other tools fill empty cells.

A share vector holds the part of a sample in every cell, shape (cells,); it sums to 1 unless values were left out.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def shares(counts: NDArray[np.int64]) -> Floats:
    """Counts divided by their sum.

    >>> shares(np.array([1, 3])).tolist()
    [0.25, 0.75]
    """
    result: Floats = counts / counts.sum()
    return result


def psi(p: Floats, q: Floats) -> float:
    """sum (q - p)·ln(q / p) of positive shares.

    >>> round(psi(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 4)
    0.0405
    """
    return float(((q - p) * np.log(q / p)).sum())


def kullback_leibler(p: Floats, q: Floats) -> float:
    """sum p·ln(p / q) after both are scaled to sum to 1; a cell with p = 0 adds nothing. q is positive where p is.

    >>> round(kullback_leibler(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 6)
    0.020411
    """
    p, q = p / p.sum(), q / q.sum()
    held = p > 0.0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def jensen_shannon_distance(p: Floats, q: Floats, *, base: float) -> float:
    """Square root of the Jensen-Shannon divergence in the given base, after both are scaled to sum to 1.

    >>> jensen_shannon_distance(np.array([1.0, 0.0]), np.array([0.0, 1.0]), base=2.0)
    1.0
    """
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2.0
    divergence = (kullback_leibler(p, middle) + kullback_leibler(q, middle)) / (2.0 * math.log(base))
    return math.sqrt(max(divergence, 0.0))


def hellinger(p: Floats, q: Floats) -> float:
    """(1/sqrt 2)·|sqrt p - sqrt q|, as given, not scaled.

    >>> hellinger(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    1.0
    """
    difference = np.sqrt(p) - np.sqrt(q)
    return math.sqrt(float(difference @ difference) / 2.0)


def total_variation(p: Floats, q: Floats) -> float:
    """Half the summed absolute difference.

    >>> round(total_variation(np.array([0.5, 0.5]), np.array([0.4, 0.6])), 12)
    0.1
    """
    return float(np.abs(q - p).sum()) / 2.0


def fill_zeros_relative(p: Floats) -> Floats:
    """Evidently's rule: an empty cell gets 1e-4, or a millionth of the smallest other share where that is <= 1e-4.

    >>> fill_zeros_relative(np.array([0.0, 0.5, 0.5])).tolist()
    [0.0001, 0.5, 0.5]
    """
    smallest = float(p[p > 0.0].min())
    return np.where(p == 0.0, smallest / 1e6 if smallest <= 1e-4 else 1e-4, p)


def fill_zeros(p: Floats, value: float) -> Floats:
    """Empty cells get `value`; the others are left as they are.

    >>> fill_zeros(np.array([0.0, 1.0]), 1e-4).tolist()
    [0.0001, 1.0]
    """
    return np.where(p == 0.0, value, p)


def laplace_shares(counts: NDArray[np.int64]) -> Floats:
    """(c + 1) / (n + cells), the share with one imaginary value in every cell.

    >>> laplace_shares(np.array([0, 2])).tolist()
    [0.25, 0.75]
    """
    result: Floats = (counts + 1.0) / (counts.sum() + len(counts))
    return result
