"""Scores of many windows at once, all against one reference; each equals what `modelwatch.stats` says of one window.

reference: shape (cells,), not all zero. windows: shape (windows, cells). A window without values has NaN, which is
above no threshold.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from modelwatch.simulation.traffic import Floats, Integers
from modelwatch.stats.drift.evidence import ks_p_value

PSI_FLOOR = 1e-4
HALVINGS = 50


def psi_of(reference: Integers, windows: Integers) -> Floats:
    """The population stability index of each window, shape (windows,)."""
    p = np.maximum(reference / reference.sum(), PSI_FLOOR)
    q = np.maximum(_shares(windows), PSI_FLOOR)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def jensen_shannon_of(reference: Integers, windows: Integers) -> Floats:
    """The Jensen-Shannon distance (base 2) of each window, shape (windows,)."""
    from scipy.special import rel_entr  # loaded on first use: it takes a third of a second

    p, q = reference / reference.sum(), _shares(windows)
    middle = (p + q) / 2.0
    divergence = (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2.0 / np.log(2.0)
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def ks_of(reference: Integers, windows: Integers) -> Floats:
    """The Kolmogorov-Smirnov statistic at the edges of each window, shape (windows,). Cells are in order."""
    distribution = np.cumsum(reference) / reference.sum()
    return np.asarray(np.abs(np.cumsum(_shares(windows), axis=1) - distribution).max(axis=1, initial=0.0))


def smallest_ks(alpha: float, n_reference: int, n_current: Integers) -> Floats:
    """From which Kolmogorov-Smirnov statistic on the p-value is below alpha; inf without values."""
    sizes, which = np.unique(n_current, return_inverse=True)
    limits = [_smallest_ks(alpha, round(n_reference * n / (n_reference + n))) for n in sizes.tolist()]
    return np.array(limits, dtype=np.float64)[which]


@lru_cache(maxsize=65_536)
def _smallest_ks(alpha: float, effective: int) -> float:
    if effective < 1:
        return np.inf
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        # Two samples of twice the size have the effective size in question.
        low, high = (low, middle) if ks_p_value(middle, 2 * effective, 2 * effective) < alpha else (middle, high)
    return high


def _shares(windows: Integers) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.asarray(windows / windows.sum(axis=1, keepdims=True))
