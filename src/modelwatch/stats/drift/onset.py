"""Onset of a shift: the window from which on the counts come from another distribution than before."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modelwatch.stats.errors import IncompatibleProfiles

# The chance, over all windows that are tried, of naming one where nothing has changed.
CHANCE = 1e-3


def onset(reference: ArrayLike, windows: ArrayLike) -> int | None:
    """The place of the window with which a shift began; None when nothing stands out beyond chance.

    reference: counts of what was before, shape (cells,). windows: counts of the windows in question over the same
    cells, oldest first, shape (windows, cells). The estimate is the place that maximises the likelihood ratio of two
    distributions, one of the reference with the windows before it and one of the windows from it on, against a single
    one. Raises IncompatibleProfiles when the cells differ.
    Source: Hinkley (1970), Inference about the change-point in a sequence of random variables.

    >>> onset([500, 500], [[10, 10], [11, 9], [9, 11], [2, 18], [0, 0], [1, 19]])
    3
    >>> onset([500, 500], [[10, 10], [11, 9], [9, 11]]) is None
    True
    """
    before, counts = np.asarray(reference, dtype=np.int64), np.asarray(windows, dtype=np.int64)
    if before.ndim != 1 or counts.ndim != 2 or counts.shape[1:] != before.shape:
        raise IncompatibleProfiles(
            f"counts of windows over the cells of the reference are needed, got {before.shape} and {counts.shape}"
        )
    if not counts.any():
        return None
    after = np.cumsum(counts[::-1], axis=0)[::-1]
    everything = before + after[0]
    ratios = _likelihood(everything - after) + _likelihood(after) - _likelihood(everything[None])
    # Of windows without data the shift did not begin in any: the last of equal places is the one that has some.
    place = len(ratios) - 1 - int(np.argmax(ratios[::-1]))
    freedom = int(np.count_nonzero(everything)) - 1
    if freedom < 1:
        return None
    from scipy.special import chdtrc  # loaded on first use: it takes a third of a second

    return place if float(chdtrc(freedom, 2.0 * ratios[place])) * len(ratios) < CHANCE else None


def _likelihood(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """The log-likelihood of each row under its own shares, shape (rows,); 0 of a row without counts."""
    total = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(total, 1)
    found: NDArray[np.float64] = (counts * np.log(np.where(counts > 0, shares, 1.0))).sum(axis=1)
    return found
