"""Which of many looks may say drift: `judge` need only be asked about those, for the others do not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelwatch.simulation.scores import psi_of
from modelwatch.simulation.traffic import Floats, Integers

MIN_EXPECTED = 5.0
# What rounding may take from a score, and from the difference of large sums in relation to them.
MARGIN = 1e-9
ROUNDING = 1e-13


@dataclass(frozen=True, slots=True)
class Screen:
    """What a look must reach. alphas: shape (looks,), each look's own chance of a false alarm."""

    alphas: Floats
    psi_warning: float
    min_samples: int
    _limits: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)

    def passing(self, reference: Integers, windows: Integers) -> NDArray[np.bool_]:
        """Whether each look may say drift; shape (looks,).

        reference: shape (cells,). windows: shape (looks, cells). Where no cells have to be merged this is exactly
        Pearson's test with the size of the shift. Merging cells makes Pearson's statistic smaller and leaves at least
        two, so where it is needed the statistic of all cells is held against one degree of freedom.
        """
        n, total = windows.sum(axis=1), int(reference.sum())
        statistic, merged = pearson_of(reference, windows)
        limit = np.where(merged, self._limit(1), self._limit(len(reference) - 1))
        slack = MARGIN * limit + ROUNDING * n * (1.0 + n / total)
        passing = np.asarray((n >= max(self.min_samples, 1)) & (statistic >= limit - slack))
        which = np.flatnonzero(passing)
        passing[which] = psi_of(reference, windows[which]) >= self.psi_warning - MARGIN
        return passing

    def _limit(self, df: int) -> Floats:
        """The chi-square statistic at which p is alpha, shape (looks,)."""
        if df not in self._limits:
            from scipy.special import chdtri  # loaded on first use: it takes a third of a second

            distinct, which = np.unique(self.alphas, return_inverse=True)
            self._limits[df] = np.asarray(chdtri(df, distinct))[which] if df else np.zeros_like(self.alphas)
        return self._limits[df]


def pearson_of(reference: Integers, windows: Integers) -> tuple[Floats, NDArray[np.bool_]]:
    """Pearson's chi-square statistic of each window over all cells, and whether cells would have to be merged first.

    Both have shape (windows,); the statistic of a window without values is 0.
    """
    current = windows.astype(np.float64)
    together = current + reference
    n, total = current.sum(axis=1), float(reference.sum())
    both = n + total
    merged = together.min(axis=1) < MIN_EXPECTED * both / np.maximum(np.minimum(n, total), 1.0)
    weight = np.einsum("ij,ij->i", current, current / np.maximum(together, 1.0))
    return both * (both * weight - n * n) / np.maximum(n * total, 1.0), merged
