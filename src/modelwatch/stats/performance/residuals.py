"""Errors of a regression as they are distributed, and what was true where how much was predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from modelwatch.stats.performance.intervals import student_quantile
from modelwatch.stats.performance.mergeable import Floats, Integers

# Edges on each side of 0, the outermost about where 19 of 20 errors lie within.
EDGES_A_SIDE = 5
WITHIN = 0.95
CELLS = 10


@dataclass(frozen=True, slots=True)
class PredictionCell:
    """Rows with similar predictions: how many, the mean of what was predicted and of what was true, and the 95 %
    interval of the latter by Student's t; None for one row."""

    n: int
    predicted: float
    truth: float
    low: float | None
    high: float | None


def error_edges(errors: Floats) -> Floats:
    """Round edges, as many below 0 as above, for a histogram of errors; the outermost cells are open.

    errors: finite, not empty.

    >>> error_edges(np.array([-3.0, -1.0, 0.5, 2.0, 4.0])).tolist()
    [-5.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    reach = float(np.quantile(np.abs(errors), WITHIN)) or 1.0
    size = reach / EDGES_A_SIDE
    power = 10.0 ** math.floor(math.log10(size))
    width = next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= size * (1.0 - 1e-9))
    edges: Floats = np.arange(-EDGES_A_SIDE, EDGES_A_SIDE + 1, dtype=np.float64) * width
    return edges


def error_counts(errors: Floats, edges: Floats) -> Integers:
    """Number of errors in each right-closed cell between edges, the outer two open; shape (len(edges) + 1,).

    >>> error_counts(np.array([-9.0, 0.0, 0.5, 9.0]), np.array([-1.0, 0.0, 1.0])).tolist()
    [1, 1, 1, 1]
    """
    return np.bincount(edges.searchsorted(errors, side="left"), minlength=len(edges) + 1)


def prediction_edges(predicted: Floats) -> Floats:
    """Edges between about ten cells with equally many of these predictions; fewer where values are frequent."""
    edges: Floats = np.unique(np.quantile(predicted, np.arange(1, CELLS) / CELLS)).astype(np.float64)
    return edges


def prediction_cells(predicted: Floats, truth: Floats, edges: Floats) -> tuple[PredictionCell, ...]:
    """Targets in each cell of predictions that has rows, by ascending prediction.

    >>> cells = prediction_cells(np.array([1.0, 1.0, 5.0]), np.array([2.0, 4.0, 5.0]), np.array([3.0]))
    >>> [(each.n, each.predicted, each.truth) for each in cells]
    [(2, 1.0, 3.0), (1, 5.0, 5.0)]
    """
    place = edges.searchsorted(predicted, side="left")
    found = []
    for cell in range(len(edges) + 1):
        own = place == cell
        n = int(own.sum())
        if n:
            mean, half = float(truth[own].mean()), None
            if n > 1:
                half = student_quantile(n - 1) * float(truth[own].std(ddof=1)) / math.sqrt(n)
            bounds = (None, None) if half is None else (mean - half, mean + half)
            found.append(PredictionCell(n, float(predicted[own].mean()), mean, *bounds))
    return tuple(found)
