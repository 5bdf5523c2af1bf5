"""One feature's values by base window: sums of any stretch at once, and its counts where they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.simulation.features import Drawn
from modelwatch.simulation.shifts import Shift
from modelwatch.simulation.traffic import HOUR, Floats, Integers, Schedule, Traffic
from modelwatch.stats.drift.screen import Screen, Sums


@dataclass(frozen=True, slots=True)
class FeatureStream:
    """The values of a feature in some traffic. Windows are numbered from the first of the history on.

    history: windows before time 0. cumulated: sums of all windows before each border. The fine cell of each value is
    kept in the order in which they come, and how many come before each border.
    """

    feature: Drawn
    screen: Screen
    history: int
    cumulated: Sums
    _cells: Integers
    _before: Integers

    @classmethod
    def drawn(cls, feature: Drawn, traffic: Traffic, shift: Shift | None, rng: np.random.Generator) -> FeatureStream:
        """Values of this feature, which shifts at time 0."""
        screen = Screen.of([(feature.reference, feature.split)])
        before = np.concatenate(([0], np.cumsum(traffic.arrived)))
        old = int(before[traffic.history]) if shift is not None else int(before[-1])
        cells = [feature.cells(old, rng)]
        if shift is not None:
            windows = np.arange(len(traffic.arrived) - traffic.history)
            ages = np.repeat((windows + 0.5) * (BASE_WINDOW_SECONDS / HOUR), traffic.arrived[traffic.history :])
            cells.append(feature.shifted_cells(shift, ages, rng))
        of_values = np.concatenate(cells)
        return cls(feature, screen, traffic.history, _cumulated(feature, screen, of_values, before), of_values, before)

    def sums(self, ends: Integers, span: int) -> Sums:
        """The sums of stretches of `span` windows that end at these borders."""
        first = ends - span
        cells, scores, unseen = self.cumulated
        return Sums(cells[ends] - cells[first], scores[ends] - scores[first], unseen[ends] - unseen[first])

    def counts(self, end: int, span: int) -> Integers:
        """The counts of the stretch of `span` windows that ends at this border, shape (size of the binning,)."""
        values = self._cells[self._before[end - span] : self._before[end]]
        return np.bincount(values, minlength=self.feature.reference.binning.size)

    def looks(self, when: Schedule) -> Integers:
        """The counts of all looks of a schedule, shape (evaluations, spans, fine cells)."""
        ends = when.ends // BASE_WINDOW_SECONDS + self.history
        spans = np.array(when.spans, dtype=np.int64) // BASE_WINDOW_SECONDS
        borders = np.unique(np.concatenate((ends, *(ends - span for span in spans))))
        stretch = np.repeat(np.arange(len(borders) - 1), np.diff(self._before[borders]))
        fine = self.feature.reference.binning.n_fine
        cells = self._cells[self._before[borders[0]] : self._before[borders[-1]]]
        counts = np.bincount(stretch * fine + cells, minlength=(len(borders) - 1) * fine)
        totals = _totals(counts.reshape(-1, fine))
        first = totals[borders.searchsorted(ends[:, None] - spans)]
        return np.asarray(totals[borders.searchsorted(ends)][:, None, :] - first)


def _cumulated(feature: Drawn, screen: Screen, cells: Integers, before: Integers) -> Sums:
    """The screen's sums of all windows before each border, from what a value of each cell adds."""
    size, windows = feature.reference.binning.size, len(before) - 1
    window = np.repeat(np.arange(windows), np.diff(before))
    of_value = screen.sums(np.eye(size, dtype=np.int64))
    tested = of_value.cells.shape[1]
    # Cells that count beside the values are of no tested cell, and none of them is drawn.
    counts = np.bincount(window * tested + of_value.cells.argmax(axis=1)[cells], minlength=windows * tested)
    return Sums(
        _totals(counts.reshape(windows, tested)),
        _totals(_by_window(of_value.scores, window, cells, windows)),
        _totals(_by_window(of_value.unseen, window, cells, windows).astype(np.int64)),
    )


def _by_window(of_value: Floats | Integers, window: Integers, cells: Integers, windows: int) -> Floats:
    """What values of these cells add to each window, shape (windows, ...); of_value: shape (size, ...)."""
    columns = of_value.reshape(len(of_value), -1).T
    found = np.zeros((len(columns), windows))
    for place, column in enumerate(columns):
        found[place] = np.bincount(window, weights=column[cells], minlength=windows)
    return found.T.reshape(windows, *of_value.shape[1:])


def _totals(of_windows: Floats | Integers) -> Any:
    """The sums before each border, shape (windows + 1, ...)."""
    return np.concatenate((np.zeros_like(of_windows[:1]), np.cumsum(of_windows, axis=0)))
