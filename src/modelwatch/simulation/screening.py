"""Which of many looks may say drift: `judge` need only be asked about those, for the others do not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modelwatch.simulation.scores import psi_of
from modelwatch.simulation.traffic import Floats, Integers

MIN_EXPECTED = 5.0
# What rounding may make of a score or a p-value.
MARGIN = 1e-9


@dataclass(frozen=True, slots=True)
class Screen:
    """What a look must reach. alphas: shape (looks,), each look's own chance of a false alarm."""

    alphas: Floats
    psi_warning: float
    min_samples: int
    _limits: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)

    def passing(self, reference: Integers, windows: Integers) -> NDArray[np.bool_]:
        """Whether each look holds enough values, is shifted enough, and has a p-value below alpha by Pearson's form.

        reference: shape (cells,). windows: shape (looks, cells). Returns shape (looks,). A verdict of drift needs the
        likelihood-ratio form too, so not everything that passes is one.
        """
        enough = windows.sum(axis=1) >= max(self.min_samples, 1)
        statistic, merged = pearson_of(reference, windows)
        # Merging cells makes the statistic smaller and leaves at least two: so much is needed for any outcome of it.
        limit = np.where(merged, self._limit(1), self._limit(len(reference) - 1))
        which = np.flatnonzero(enough & (statistic >= limit * (1.0 - MARGIN)))
        which = which[psi_of(reference, windows[which]) >= self.psi_warning - MARGIN]
        which = which[pearson_p_values(reference, windows[which]) < self.alphas[which] * (1.0 + MARGIN)]
        passing = np.zeros(len(windows), dtype=np.bool_)
        passing[which] = True
        return passing

    def _limit(self, df: int) -> Floats:
        """The chi-square statistic at which p is alpha, shape (looks,)."""
        if df not in self._limits:
            from scipy.special import chdtri  # loaded on first use: it takes a third of a second

            distinct, which = np.unique(self.alphas, return_inverse=True)
            self._limits[df] = np.asarray(chdtri(df, distinct))[which] if df else np.zeros_like(self.alphas)
        return self._limits[df]


def pearson_of(reference: Integers, windows: Integers) -> tuple[Floats, NDArray[np.bool_]]:
    """Pearson's chi-square statistic of each window over all cells, and whether cells have to be merged for the test.

    Both have shape (windows,); the statistic of a window without values is 0.
    """
    current = windows.astype(np.float64)
    together = current + reference
    statistic = _statistic(current, together, float(reference.sum()))
    return statistic, together.min(axis=1) < _needed(together, float(reference.sum()))


def pearson_p_values(reference: Integers, windows: Integers) -> Floats:
    """The p-value of Pearson's form of `chi_square_homogeneity`, cells merged as there; shape (windows,).

    Every window holds values. Each round merges one pair of cells in every window that still needs it, so all of them
    have the same number of cells left.
    """
    from scipy.special import chdtrc  # loaded on first use: it takes a third of a second

    p_values = np.ones(len(windows))
    total = float(reference.sum())
    current = windows.astype(np.float64)
    together = current + reference
    needed = _needed(together, total)
    left = np.arange(len(windows))
    for df in range(len(reference) - 1, 0, -1):
        smallest = together.argmin(axis=1)
        ready = together[np.arange(len(left)), smallest] >= needed
        p_values[left[ready]] = chdtrc(df, _statistic(current[ready], together[ready], total))
        left, needed, smallest = left[~ready], needed[~ready], smallest[~ready]
        current, together = current[~ready], together[~ready]
        pair = smallest - _merges_with_the_one_before(together, smallest)
        current, together = _merged(current, pair), _merged(together, pair)
    return p_values


def _statistic(current: Floats, together: Floats, total: float) -> Floats:
    n = current.sum(axis=1)
    both = n + total
    difference = current - together * (n / both)[:, None]
    scaled = difference / np.maximum(together, 1.0)
    return np.asarray(np.einsum("ij,ij->i", difference, scaled) * both * both / np.maximum(n * total, 1.0))


def _needed(together: Floats, total: float) -> Floats:
    """How many values a cell holds in both samples when it is expected to hold enough in the smaller one."""
    both = together.sum(axis=1)
    return np.asarray(MIN_EXPECTED * both / np.maximum(np.minimum(both - total, total), 1.0))


def _merges_with_the_one_before(together: Floats, cell: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the neighbour before the cell of each window is the smaller one, or the only one."""
    rows, last = np.arange(len(together)), together.shape[1] - 1
    before = together[rows, np.maximum(cell - 1, 0)]
    after = together[rows, np.minimum(cell + 1, last)]
    return np.asarray((cell > 0) & ((cell == last) | (before < after)))


def _merged(counts: Floats, pair: NDArray[np.intp]) -> Floats:
    """The counts with cell `pair` of each window and the one after it as one."""
    rows, cells = np.arange(len(counts)), np.arange(counts.shape[1] - 1)
    result = np.take_along_axis(counts, cells + (cells > pair[:, None]), axis=1)
    result[rows, pair] += counts[rows, pair + 1]
    return result
