"""The omnibus test: all cells of a window and of its reference together, in groups that depend on the reference and on
the size of the window, never on what the window holds: so more data of the same shift never weakens the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.drift.evidence import Counts
from modelwatch.stats.special import special

Floats = NDArray[np.float64]

# A group holds so many reference values, and so many times N/n of them.
MIN_GROUP, MIN_GROUP_SHARES = 5.0, 2.0
# What small references add to the tail of both approximations: 1 + SMALL_REFERENCE / N.
SMALL_REFERENCE = 10.0
# Keeps quotients of empty groups finite.
TINY = 1e-300


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """Grouping of a reference's cells for the test: the smaller the window, the more are merged.

    total: reference values. least: how large each group is at least. merged: by stage, where each group of neighbouring
    cells begins; from all cells to one group. sums: by stage, the reference values in each group. smallest: by stage,
    the size of the smallest group, ascending. corrections: by stage, Williams' divisor of the likelihood ratio.
    """

    total: float
    least: float
    merged: tuple[NDArray[np.intp], ...]
    sums: tuple[Floats, ...]
    smallest: Floats
    corrections: tuple[float, ...]

    @classmethod
    def of(cls, reference: NDArray[np.int64], sizes: Floats | None = None, least: float = MIN_GROUP) -> Groups:
        """Step by step, the smallest cell is merged with the smaller of its neighbours.

        sizes: what makes a cell small, where that is not the reference's own counts; shape (cells,).
        """
        return _groups(reference.tobytes(), None if sizes is None else sizes.tobytes(), least)

    def stages(self, n: NDArray[np.int64] | Floats) -> NDArray[np.intp]:
        """For windows of n values each, more than 0, which of the stages of merging is theirs; shape as n."""
        needed = least_group(self.least, self.total, n)
        return np.minimum(self.smallest.searchsorted(needed), len(self.merged) - 1)

    def df(self, stage: int) -> int:
        """The degrees of freedom at a stage: groups less one."""
        return len(self.merged[stage]) - 1

    def merge(self, stage: int, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The counts of windows, shape (..., cells), by group at a stage: shape (..., groups)."""
        starts = self.merged[stage]
        return windows if len(starts) == windows.shape[-1] else np.add.reduceat(windows, starts, axis=-1)

    def test(self, stage: int, windows: NDArray[np.int64], n: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Pearson's X², the likelihood ratio G, and the p-value of the omnibus test; each of shape (windows,).

        windows: shape (windows, cells), of n values each, none of them empty. Groups that are empty on both sides do
        not count. With a single group X² and G are 0, and p is 1.
        """
        if not self.df(stage):
            nothing = np.zeros(len(windows))
            return nothing, nothing, np.ones(len(windows))
        merged = self.merge(stage, windows).astype(np.float64)
        return omnibus(self.sums[stage], merged, self.total, n, self.corrections[stage])


def least_group(least: Floats | float, total: Floats | float, n: NDArray[np.int64] | Floats) -> Floats:
    """How many reference values a group holds at least, of `total` that windows of n values are compared with."""
    return np.asarray(np.maximum(least, MIN_GROUP_SHARES * total / n))


def omnibus(
    r: Floats, c: Floats, total: Floats | float, n: NDArray[np.int64] | Floats, correction: Floats | float
) -> tuple[Floats, Floats, Floats]:
    """Pearson's X², the likelihood ratio G, and the larger p-value of both, each of shape (windows,).

    c: counts by group, or effective ones, shape (windows, groups), at least two groups; n: their sums. r: those of the
    reference, the same shape or (groups,); total: their sum. correction: Williams' divisor of G.
    """
    share = (n / (total + n))[:, None]
    together = c + r
    expected = np.maximum(together * share, TINY)
    difference = c - together * share
    statistic = (difference * difference / expected).sum(axis=1) / (1.0 - share[:, 0])
    functions = special()
    information = functions.xlogy(c, c / expected) + functions.xlogy(r, r / np.maximum(together - expected, TINY))
    likelihood_ratio = np.maximum(0.0, 2.0 * information.sum(axis=1))
    # With one group left chdtrc(0, x) is 0, which would be the opposite of what it says.
    df = np.maximum(np.count_nonzero(together, axis=1) - 1, 1)
    p_values = np.maximum(functions.chdtrc(df, statistic), functions.chdtrc(df, likelihood_ratio / correction))
    return statistic, likelihood_ratio, np.minimum(1.0, (1.0 + SMALL_REFERENCE / total) * p_values)


def degrees_of_freedom(reference: Counts, n: int) -> int:
    """Those of the omnibus test for a window of n values: groups less one.

    >>> degrees_of_freedom([1000] * 10, 100), degrees_of_freedom([1000] * 10, 10), degrees_of_freedom([3] * 10, 1_000)
    (9, 4, 4)
    """
    groups = Groups.of(np.asarray(reference, dtype=np.int64))
    return groups.df(int(groups.stages(np.array([n]))[0]))


@lru_cache(maxsize=4_096)
def _groups(counts: bytes, given_sizes: bytes | None, least: float) -> Groups:
    reference = np.frombuffer(counts, dtype=np.int64).astype(np.float64)
    sizes: list[float] = (reference if given_sizes is None else np.frombuffer(given_sizes)).tolist()
    starts = list(range(len(sizes)))
    merged, held, smallest = [np.array(starts, dtype=np.intp)], [np.array(sizes)], [min(sizes)]
    while len(sizes) > 1:
        i, last = sizes.index(smallest[-1]), len(sizes) - 1
        j = i + 1 if i == 0 or (i < last and sizes[i + 1] <= sizes[i - 1]) else i - 1
        left, right = min(i, j), max(i, j)
        sizes[left] += sizes.pop(right)
        starts.pop(right)
        merged.append(np.array(starts, dtype=np.intp))
        held.append(np.array(sizes))
        smallest.append(min(sizes))
    sums = tuple(np.add.reduceat(reference, each) for each in merged)
    total = float(reference.sum())
    return Groups(total, least, tuple(merged), sums, np.array(smallest), tuple(_williams(each, total) for each in held))


def _williams(sizes: Floats, total: float) -> float:
    """Williams' correction, the reference's part only; 1 where a group is empty, or the only one."""
    if len(sizes) < 2 or not sizes.all():
        return 1.0
    return 1.0 + (float((total / sizes).sum()) - 1.0) / (6.0 * total * (len(sizes) - 1))
