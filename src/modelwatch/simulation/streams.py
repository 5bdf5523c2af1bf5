"""One feature's values by base window: sums of any stretch at once, and its counts where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.simulation.features import Drawn
from modelwatch.simulation.shifts import Shift
from modelwatch.simulation.traffic import HOUR, Floats, Integers, Schedule, Traffic
from modelwatch.stats.drift.significance.screen import Screen, Sums

# With more values in a window than that on average, they are counted while they are drawn.
MANY = 20
# A value's place among shares is looked up in so many equal parts of [0, 1) first.
PARTS = 4_096
# The same of values that are counted: a part is a number of 16 bits, which are the fastest to draw. Windows that are
# counted at once: their counts stay in the processor's cache.
FINE_PARTS, AT_ONCE = 65_536, 64


@dataclass(frozen=True, slots=True)
class FeatureStream:
    """The values of a feature in some traffic. Windows are numbered from the first of the history on.

    history: windows before time 0. cumulated: sums of all windows before each border.
    """

    feature: Drawn
    screen: Screen
    history: int
    cumulated: Sums
    _windows: _Windows

    @classmethod
    def drawn(cls, feature: Drawn, traffic: Traffic, shift: Shift | None, rng: np.random.Generator) -> FeatureStream:
        """Values of this feature, which shifts at time 0."""
        screen = Screen.of([(feature.reference, feature.split)])
        arrived, history = traffic.arrived, len(traffic.arrived) if shift is None else traffic.history
        parts = [(arrived[:history], feature.shares()[None])]
        if shift is not None:
            # Of a shift that stays as it is, all windows have the same shares.
            middles = np.arange(len(arrived) - history, dtype=np.float64) + 0.5
            ages: Floats = middles * (BASE_WINDOW_SECONDS / HOUR)
            parts.append((arrived[history:], feature.shifted_shares(shift, ages if shift.kind == "ramp" else ages[:1])))
        many = arrived.sum() > MANY * len(arrived)
        windows: _Windows = _Counts.drawn(parts, rng) if many else _Values.drawn(parts, rng)
        size = feature.reference.binning.size
        of_value = screen.sums(np.eye(size, dtype=np.int64)[: feature.reference.binning.n_fine])
        columns = [each.reshape(len(each), -1) for each in of_value]
        # All at once, in doubles: sums of counts are exact in them.
        borders = np.cumsum([each.shape[1] for each in columns])[:-1]
        summed = np.split(windows.sums(np.concatenate(columns, axis=1, dtype=np.float64)), borders, axis=1)
        totals = (_totals(each.astype(like.dtype), like) for each, like in zip(summed, of_value, strict=True))
        return cls(feature, screen, traffic.history, Sums(*totals), windows)

    def sums(self, ends: Integers, span: int) -> Sums:
        """The sums of stretches of `span` windows that end at these borders. ends: shape (looks,)."""
        first = ends - span
        cells, scores, unseen = self.cumulated
        return Sums(cells[ends] - cells[first], scores[ends] - scores[first], unseen[ends] - unseen[first])

    def counts(self, end: int, span: int) -> Integers:
        """The counts of the stretch of `span` windows that ends at this border, shape (size of the binning,)."""
        binning = self.feature.reference.binning
        found = np.zeros(binning.size, dtype=np.int64)
        found[: binning.n_fine] = self._windows.between(end - span, end)
        return found

    def each(self, first: int, end: int) -> Integers:
        """The counts of each window between these borders, shape (windows, size of the binning)."""
        binning = self.feature.reference.binning
        found = np.zeros((end - first, binning.size), dtype=np.int64)
        found[:, : binning.n_fine] = self._windows.each(first, end)
        return found

    def looks(self, when: Schedule) -> Integers:
        """The counts of all looks of a schedule, shape (evaluations, spans, fine cells)."""
        ends = when.ends // BASE_WINDOW_SECONDS + self.history
        starts = ends[:, None] - np.array(when.spans, dtype=np.int64) // BASE_WINDOW_SECONDS
        borders = np.unique(np.concatenate((ends, starts.ravel())))
        totals = np.zeros((max(len(borders), 1), self.feature.reference.binning.n_fine), dtype=np.int64)
        for place, (start, end) in enumerate(zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)):
            totals[place + 1] = totals[place] + self._windows.between(start, end)
        return np.asarray(totals[borders.searchsorted(ends)][:, None, :] - totals[borders.searchsorted(starts)])


class _Windows(Protocol):
    """The values of all windows."""

    def sums(self, of_value: Floats) -> Floats:
        """The sum of what values of each cell add, by window: (cells, columns) -> (windows, columns)."""

    def between(self, start: int, end: int) -> Integers:
        """The counts of the windows from one border to another, shape (fine cells,)."""

    def each(self, start: int, end: int) -> Integers:
        """The counts of each window from one border to another, shape (windows, fine cells)."""


@dataclass(frozen=True, slots=True)
class _Values:
    """Values one by one, for little traffic. cells: shape (values,). before: how many come before each border."""

    cells: Integers
    before: Integers
    fine: int

    @classmethod
    def drawn(cls, parts: list[tuple[Integers, Floats]], rng: np.random.Generator) -> _Values:
        arrived = np.concatenate([sizes for sizes, _ in parts])
        cells = [
            _places(np.cumsum(shares[0])[:-1], values) if len(shares) == 1 else _places_of_each(sizes, shares, values)
            for sizes, shares in parts
            for values in (rng.random(int(sizes.sum())),)
        ]
        return cls(np.concatenate(cells), np.concatenate(([0], np.cumsum(arrived))), parts[0][1].shape[1])

    def sums(self, of_value: Floats) -> Floats:
        windows = len(self.before) - 1
        window = np.repeat(np.arange(windows), np.diff(self.before))
        found = np.zeros((windows, of_value.shape[1]))
        for place, column in enumerate(of_value.T):
            used = column[self.cells]
            found[:, place] = np.bincount(window, weights=used, minlength=windows)
        return found

    def between(self, start: int, end: int) -> Integers:
        return np.bincount(self.cells[self.before[start] : self.before[end]], minlength=self.fine)

    def each(self, start: int, end: int) -> Integers:
        borders = self.before[start : end + 1]
        window = np.repeat(np.arange(end - start), np.diff(borders))
        places = window * self.fine + self.cells[borders[0] : borders[-1]]
        return np.bincount(places, minlength=(end - start) * self.fine).reshape(-1, self.fine)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of each window, for much traffic; shape (windows, fine cells)."""

    counts: Integers

    @classmethod
    def drawn(cls, parts: list[tuple[Integers, Floats]], rng: np.random.Generator) -> _Counts:
        counts = [
            _multinomial(sizes, shares[0], rng) if len(shares) == 1 else rng.multinomial(sizes, shares)
            for sizes, shares in parts
        ]
        return cls(np.concatenate(counts))

    def sums(self, of_value: Floats) -> Floats:
        return np.asarray(self.counts.astype(np.float64) @ of_value)

    def between(self, start: int, end: int) -> Integers:
        return np.asarray(self.counts[start:end].sum(axis=0))

    def each(self, start: int, end: int) -> Integers:
        return self.counts[start:end]


def _places(edges: Floats, values: Floats) -> Integers:
    """What `searchsorted` finds on the right for values in [0, 1), many times as fast for many values in no order.

    >>> _places(np.array([0.25, 0.25, 0.5]), np.array([0.1, 0.25, 0.6])).tolist()
    [0, 2, 3]
    """
    starts: Integers = np.searchsorted(edges, np.arange(PARTS) / PARTS, side="right")
    most = int(np.diff(np.append(starts, len(edges))).max())
    found: Integers = starts[(values * PARTS).astype(np.int64)]
    ends = np.append(edges, np.inf)
    for _ in range(most):
        found += values >= ends[found]
    return found


def _multinomial(sizes: Integers, shares: Floats, rng: np.random.Generator) -> Integers:
    """Multinomial counts of windows of so many values each, shape (windows, cells). Values are drawn one by one: with a
    few for each cell that takes a third of the time of a binomial count for each.

    >>> _multinomial(np.array([3, 0]), np.array([0.0, 1.0]), np.random.default_rng(0)).tolist()
    [[0, 3], [0, 0]]
    """
    edges, cells = np.cumsum(shares)[:-1], len(shares)
    borders = np.arange(FINE_PARTS + 1) / FINE_PARTS
    starts, ends = edges.searchsorted(borders[:-1], side="right"), edges.searchsorted(borders[1:], side="left")
    # What lies in a part with an edge is told by the rest of its digits.
    place_of = np.where(starts == ends, starts, cells).astype(np.int16)
    found = np.empty((len(sizes), cells), dtype=np.int64)
    for start in range(0, len(sizes), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        parts = rng.integers(0, FINE_PARTS, int(sizes[some].sum()), dtype=np.uint16)
        places = place_of[parts]
        windows = np.repeat(np.arange(len(sizes[some])), sizes[some])
        undecided = np.flatnonzero(places == cells)
        values = (parts[undecided] + rng.random(len(undecided))) / FINE_PARTS
        places[undecided] = edges.searchsorted(values, side="right")
        number = len(sizes[some]) * cells
        found[some] = np.bincount(windows * cells + places, minlength=number).reshape(-1, cells)
    return found


def _places_of_each(sizes: Integers, shares: Floats, values: Floats) -> Integers:
    """The cells of values in [0, 1), so many of each window one after the other, by the shares of the window's cells;
    shares: shape (windows, cells)."""
    edges = np.cumsum(shares, axis=1)[:, :-1]
    window = np.repeat(np.arange(len(sizes)), sizes)
    found = np.empty(len(values), dtype=np.int64)
    for start in range(0, len(values), PARTS):
        some = slice(start, start + PARTS)
        found[some] = (values[some, None] >= edges[window[some]]).sum(axis=1)
    return found


def _totals(of_windows: Any, like: Any) -> Any:
    """The sums before each border, of the shape that `like` has beside its first axis."""
    totals = np.concatenate((np.zeros_like(of_windows[:1]), np.cumsum(of_windows, axis=0)))
    return totals.reshape(len(totals), *like.shape[1:])
