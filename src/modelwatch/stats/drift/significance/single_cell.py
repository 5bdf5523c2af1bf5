"""The single-cell test: exact, cell by cell. It sees what groups of cells hide, such as one value that the reference
never had."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import Counts, effective_rate_increase_p_value, rate_increase_p_value
from modelwatch.stats.drift.significance.omnibus import TINY
from modelwatch.stats.drift.variation.overdispersion import Dispersion, widened_tail
from modelwatch.stats.special import special

# Below so many standard deviations no cell's exact tail is small enough to matter, and none is computed.
SCREEN = 3.0
# Logarithms of probabilities are right to so much.
ROUNDING = 0.001


def cell_p_value(reference: Counts, current: Counts, *, screen: float = SCREEN) -> float:
    """The single-cell test: Fisher's exact tails of every cell, the smallest times twice the number of cells.

    Cells that are empty on both sides do not count. 1 when no cell is `screen` standard deviations from what is
    expected. Exact for cells that are fixed; on the safe side for cells at the reference's own quantiles.
    Source: Fisher (1935) for the tails; Altham (1969) for cells at quantiles.

    >>> cell_p_value([100, 0], [0, 100]) < 5e-59
    True
    >>> round(cell_p_value([98, 2], [92, 8], screen=0.0), 5), cell_p_value([98, 2], [92, 8])
    (0.20109, 1.0)
    """
    r, c = np.asarray(reference, dtype=np.int64), np.asarray(current, dtype=np.int64)
    return most_unusual(r, c, unusual_cells(r, c[None, :], c.sum(keepdims=True), screen)[0])[0]


def most_unusual(
    r: NDArray[np.int64], c: NDArray[np.int64], unusual: NDArray[np.bool_], dispersion: Dispersion | None = None
) -> tuple[float, int, bool]:
    """The p-value of the most unusual cell, for the number of cells; which one it is, -1 when none is unusual; and
    whether it holds more of the window than of the reference."""
    n_reference, n_current = int(r.sum()), int(c.sum())
    smallest, place, more = 1.0, -1, False
    for cell, least in _likely_first(r, c, np.flatnonzero(unusual)):
        # A tail is at least the probability of what is found; in this order all others have larger ones.
        if place >= 0 and least > math.log(max(smallest, TINY)) + ROUNDING:
            break
        before, now = int(r[cell]), int(c[cell])
        # Too few values now are too many in the reference: P(H <= C) of one sample is P(H >= R) of the other.
        grown = now * n_reference > before * n_current
        if dispersion is None:
            of_reference, of_window = (before, n_reference), (now, n_current)
            tail = rate_increase_p_value(*(of_reference + of_window if grown else of_window + of_reference))
        else:
            n, of_both = dispersion.parted(float(dispersion.cells[cell]), n_current, n_reference)
            part, other = n / n_current, of_both / n_reference
            effective, known = (now * part, n_current * part), (before * other, n_reference * other)
            tail = effective_rate_increase_p_value(*(known + effective if grown else effective + known))
            tail = widened_tail(tail, float(dispersion.cells_freedom[cell]))
        if place < 0 or (tail, cell) < (smallest, place):
            smallest, place, more = tail, cell, grown
    return min(1.0, 2.0 * int(np.count_nonzero(r + c)) * smallest), place, more


def _likely_first(r: NDArray[np.int64], c: NDArray[np.int64], cells: NDArray[np.intp]) -> Iterable[tuple[int, float]]:
    """Cells, and the logarithm of the probability of what is found in each given all margins, the smallest first."""
    if len(cells) < 2:
        return ((cell, -math.inf) for cell in cells.tolist())
    gammaln = special().gammaln
    before, now, n_reference, n_current = r[cells], c[cells], r.sum(), c.sum()
    hits, both = before + now, n_reference + n_current
    some = np.stack([before, now, n_reference - before, n_current - now, hits, both - hits])
    of_cells = gammaln(some + 1.0)
    found = of_cells[4] + of_cells[5] - of_cells[:4].sum(axis=0)
    found += gammaln(n_reference + 1.0) + gammaln(n_current + 1.0) - gammaln(both + 1.0)
    order = np.argsort(found, kind="stable")
    return zip(cells[order].tolist(), found[order].tolist(), strict=True)


def unusual_cells(
    r: NDArray[np.int64], windows: NDArray[np.int64], n: NDArray[np.int64], screen: float
) -> NDArray[np.bool_]:
    """Mask of the cells that are at least `screen` standard deviations from what is expected; shape as windows.

    r: of one reference, shape (cells,), or of one for each window, shape (windows, cells).
    """
    # In doubles: products of large counts leave the integers.
    n_reference = r.sum(axis=-1).astype(np.float64)
    share = (n / (n_reference + n))[:, None]
    together = r + windows
    expected = together * share
    difference = windows - expected
    # Of the hypergeometric distribution, but for a factor of at most 1 + 1/(M - 1).
    variance = expected * (1.0 - share) * (1.0 - together / (n_reference + n)[:, None])
    return np.asarray((difference * difference >= screen * screen * variance) & (together > 0) & (n > 0)[:, None])
