"""Delays of labels: a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.performance.mergeable import Floats, Integers, MergeableCounts

# Four cells an octave, from a second to a year; the first holds what came at once, the last all that came later.
DELAY_EDGES: Floats = np.exp2(np.arange(0, 101) / 4.0)
DELAY_EDGES.flags.writeable = False
CELLS = len(DELAY_EDGES) + 1


@dataclass(frozen=True, slots=True)
class DelayLayout:
    """102 right-closed cells of seconds between `DELAY_EDGES`, the outer two open."""

    @property
    def size(self) -> int:
        """Length of a count vector."""
        return CELLS


@dataclass(frozen=True, eq=False)
class DelayCounts(MergeableCounts[DelayLayout]):
    """Counts of labels by their delay.

    >>> counts = DelayCounts.of(np.array([0.0, 60.0, 60.0, 86_400.0]))
    >>> counts.n, counts.quantile(0.5), counts.share_within(3_600)
    (4, 64.0, 0.75)
    """

    what: ClassVar[str] = "delay counts"

    @classmethod
    def of(cls, seconds: Floats) -> DelayCounts:
        """The counts of delays in seconds; a label from before its prediction has a delay of 0."""
        return cls(DelayLayout(), np.bincount(delay_cells(seconds), minlength=CELLS))

    @property
    def n(self) -> int:
        """Number of labels."""
        return int(self.vector.sum())

    def quantile(self, share: float) -> float | None:
        """The delay, in seconds, within which this share of the labels came: the upper edge of its cell, 0 for those
        that came at once, infinite beyond a year. None without labels."""
        if not self.n:
            return None
        cell = int(np.searchsorted(np.cumsum(self.vector), share * self.n))
        if cell == 0:
            return 0.0
        return float(DELAY_EDGES[cell]) if cell < len(DELAY_EDGES) else float("inf")

    def share_within(self, seconds: float) -> float:
        """The share of the labels that came within this time, in [0, 1]; labels of a cell that is cut are not counted.

        0 without labels.
        """
        if not self.n or seconds < 0.0:
            return 0.0
        whole = max(1, int(DELAY_EDGES.searchsorted(seconds, side="right")))
        return float(self.vector[:whole].sum()) / self.n


def delay_cells(seconds: Floats | Integers) -> NDArray[np.intp]:
    """The cell of each delay."""
    return DELAY_EDGES.searchsorted(seconds, side="left")


@dataclass(frozen=True, slots=True, eq=False)
class DelayCurve:
    """The share of labels that have come after a delay, of those that come at all.

    Young predictions can only have labels that came fast, so a plain histogram of delays knows the fast ones best. Here
    each cell is compared with the faster ones among predictions that are old enough for it alone.

    late, until: shape (102,), by cell: labels of this delay, and of this or a shorter one, both among predictions that
    are older than the cell's end.
    Source: Lynden-Bell (1971) for truncated samples; in insurance, the chain-ladder method.
    """

    late: Integers
    until: Integers

    @classmethod
    def of(cls, ages: Floats, delays: Integers) -> DelayCurve:
        """ages: seconds since each group of predictions, shape (groups,). delays: their labels, shape (groups, 102).

        >>> curve = DelayCurve.of(np.array([100.0, 4.0]), np.array([[2] + [0] * 101, [2] + [0] * 101]))
        >>> curve.n, curve.share_within(0.0)
        (4, 1.0)
        """
        ends = np.append(DELAY_EDGES, np.inf)
        old_enough = ages[:, None] >= ends[None, :]
        # Labels that came later than the age that is asked about belong to another moment.
        late = np.where(old_enough, delays, 0).sum(axis=0)
        until = np.where(old_enough, np.cumsum(delays, axis=1), 0).sum(axis=0)
        return cls(late.astype(np.int64), until.astype(np.int64))

    @property
    def n(self) -> int:
        """Number of labels that the curve rests on."""
        return int(self.until.max(initial=0))

    @property
    def shares(self) -> Floats:
        """The share that has come by the end of each cell, shape (102,), ascending to 1."""
        hazard = np.divide(self.late, self.until, out=np.zeros(CELLS), where=self.until > 0)
        kept = np.cumprod((1.0 - hazard)[::-1])[::-1]
        shares: Floats = np.append(kept[1:], 1.0)
        return shares

    def share_within(self, seconds: float) -> float:
        """The share of the labels that comes within this time, in [0, 1]; 0 for negative times, 1 without labels."""
        if seconds < 0.0:
            return 0.0
        whole = max(1, int(DELAY_EDGES.searchsorted(seconds, side="right")))
        return float(self.shares[whole - 1])

    def within(self, share: float) -> float:
        """The delay, in seconds, by which this share of the labels has come: 0 at once, infinite beyond a year."""
        cell = int(np.searchsorted(self.shares, share))
        if cell == 0 or not self.n:
            return 0.0
        return float(DELAY_EDGES[cell]) if cell < len(DELAY_EDGES) else float("inf")
