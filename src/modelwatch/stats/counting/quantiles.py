"""Quantiles that are read off counts in cells: as exact as the cells are narrow, and unknown where a cell is open."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.counting.kernel import BESIDE_CELLS
from modelwatch.stats.counting.numeric import NumericBinning
from modelwatch.stats.errors import IncompatibleProfiles, StatsError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles_of_counts(
    binning: NumericBinning, counts: NDArray[np.int64], shares: Sequence[float] = QUANTILES
) -> NDArray[np.float64]:
    """The quantiles of samples that were counted in the cells of a binning, shape (samples, shares).

    counts: shape (samples, binning.size). shares: each in (0, 1).
    Values are taken to lie evenly in their fine cell, so a quantile is at most the width of that cell from the sample's
    own. The outer cells end at the smallest and the largest value of the reference, for what lies beyond these is
    counted apart. NaN where a quantile lies beyond, and where a sample has no values.
    Raises IncompatibleProfiles for counts of another shape and StatsError for shares that are none.

    >>> from modelwatch.stats.counting.numeric import numeric_binning
    >>> binning = numeric_binning(np.arange(1.0, 1001.0))
    >>> counts = np.stack([binning.count(np.arange(1.0, 1001.0)), binning.count([2000.0] * 3 + [10.0] * 7)])
    >>> quantiles_of_counts(binning, counts, (0.5, 0.9)).round().tolist()
    [[500.0, 900.0], [10.0, nan]]
    """
    wanted = np.asarray(shares, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != binning.size:
        raise IncompatibleProfiles(f"counts of {binning.size} cells are needed, got shape {counts.shape}")
    if wanted.ndim != 1 or not ((wanted > 0.0) & (wanted < 1.0)).all():
        raise StatsError(f"the shares of quantiles lie between 0 and 1, got {list(shares)}")
    below, above = counts[:, -2], counts[:, -1]
    inside = counts[:, :-BESIDE_CELLS].copy()
    n = inside.sum(axis=1)
    inside[:, 0] -= below
    inside[:, -1] -= above
    # An edge of an atom lies directly under it, and may lie directly under the smallest value.
    bounds = np.clip(np.concatenate(([binning.low], binning.edges, [binning.high])), binning.low, binning.high)
    upto = below[:, None] + np.cumsum(inside, axis=1)
    found = np.full((len(counts), len(wanted)), np.nan)
    for place, share in enumerate(wanted.tolist()):
        # Half a count is lost to rounding nowhere near 2^40 values.
        rank = share * n
        known = np.flatnonzero((n > 0) & (rank > below) & (rank <= n - above))
        cell = (upto[known] < rank[known, None]).sum(axis=1)
        held = inside[known, cell]
        into = (rank[known] - (upto[known, cell] - held)) / held
        lower, upper = bounds[cell], bounds[cell + 1]
        found[known, place] = np.where(binning.atomic[cell], upper, lower * (1.0 - into) + upper * into)
    return found
