"""Resamples of a confusion matrix of many classes: drawn for the pairs of classes that occur, not for every cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from modelwatch.stats.performance.intervals import BATCH_VALUES, BOOTSTRAP_DRAWS
from modelwatch.stats.performance.margins import Margins
from modelwatch.stats.performance.mergeable import Floats, Integers

# So many parts of what the prior gives to cells without rows are drawn: beyond them less than 1e-8 of it is left.
STICKS = 50


def sparse_bootstrap(
    counts: Integers,
    prior: Floats,
    classes: int,
    statistics: Callable[[Margins], Floats],
    *,
    seed: int,
    draws: int = BOOTSTRAP_DRAWS,
) -> Floats:
    """Statistics of Dirichlet draws of a confusion matrix, shape (draws, statistics), as `bootstrap` has them, with as
    much work as there are cells with rows.

    counts, prior: vectors laid out as that of `ConfusionCounts`, counts not all zero; all cells without rows that have
    a prior have the same. statistics: from the margins of a stack of matrices to values of shape (draws, statistics).

    The cells without rows share a gamma variable of all their priors; its parts fall on cells at random, by breaking a
    stick, which is the same distribution as a draw for each cell.
    Source: Sethuraman (1994), A constructive definition of Dirichlet priors.
    """
    rng = np.random.default_rng(seed)
    held = np.flatnonzero(counts)
    empty = np.flatnonzero((counts == 0) & (prior > 0.0))
    spread = _Spread(held, classes)
    weights, mass = counts[held] + prior[held], float(prior[empty].sum())
    batch = max(1, BATCH_VALUES // (len(held) + classes))
    values = []
    for start in range(0, draws, batch):
        size = min(batch, draws - start)
        drawn = [spread.margins(rng.standard_gamma(weights, size=(size, len(held))))]
        if len(empty):
            parts = rng.standard_gamma(mass, size=(size, 1)) * _sticks(rng, mass, size)
            drawn.append(_margins(empty[rng.integers(len(empty), size=parts.shape)], parts, classes))
        values.append(statistics(_shares(drawn)))
    return np.concatenate(values)


class _Spread:
    """Sums of weights of some cells by class: of the diagonal, by row and by column.

    held: indices of the cells, ascending.
    """

    def __init__(self, held: Integers, classes: int) -> None:
        self._classes = classes
        rows, columns = _places(held, classes)
        # Those of unknown classes that agree are no hits of a known one.
        self._on_diagonal = np.flatnonzero((rows == columns) & (rows < classes))
        self._hit = rows[self._on_diagonal]
        self._alike = np.flatnonzero(held == (classes + 1) ** 2)
        self._by_column = np.argsort(columns, kind="stable")
        self._rows, self._row_starts = np.unique(rows, return_index=True)
        self._columns, self._column_starts = np.unique(columns[self._by_column], return_index=True)

    def margins(self, weights: Floats) -> Margins:
        """The margins of matrices that have these weights in the cells, shape (matrices, cells)."""
        size = len(weights)
        hits = np.zeros((size, self._classes))
        truth, predicted = np.zeros((2, size, self._classes + 1))
        hits[:, self._hit] = weights[:, self._on_diagonal]
        truth[:, self._rows] = np.add.reduceat(weights, self._row_starts, axis=1)
        predicted[:, self._columns] = np.add.reduceat(weights[:, self._by_column], self._column_starts, axis=1)
        correct = hits.sum(axis=1) + weights[:, self._alike].sum(axis=1)
        return Margins(hits, truth, predicted, correct, truth.sum(axis=1))


def _places(cells: Integers, classes: int) -> tuple[Integers, Integers]:
    """Rows and columns of cells; unknown classes that agree are in the last of both."""
    side = classes + 1
    alike = cells == side * side
    return np.where(alike, classes, cells // side), np.where(alike, classes, cells % side)


def _sticks(rng: np.random.Generator, mass: float, size: int) -> Floats:
    """Shares that breaking a stick leaves, shape (size, STICKS); the last one is the rest."""
    broken = rng.beta(1.0, mass, size=(size, STICKS))
    broken[:, -1] = 1.0
    left = np.cumprod(1.0 - broken, axis=1)
    broken[:, 1:] *= left[:, :-1]
    return broken


def _margins(cells: Integers, weights: Floats, classes: int) -> Margins:
    """The margins of matrices that have such weights in such cells; both of shape (matrices, weights)."""
    rows, columns = _places(cells, classes)
    truth, predicted = (_summed(places, weights, classes + 1) for places in (rows, columns))
    hits = _summed(rows, np.where(rows == columns, weights, 0.0), classes + 1)[:, :classes]
    return Margins(hits, truth, predicted, hits.sum(axis=1), weights.sum(axis=1))


def _summed(places: Integers, weights: Floats, width: int) -> Floats:
    """Sums of weights by place, shape (matrices, width)."""
    size = len(places)
    flat = places + width * np.arange(size)[:, None]
    sums = np.bincount(flat.ravel(), weights.ravel(), minlength=size * width)
    return sums.reshape(size, width).astype(np.float64, copy=False)


def _shares(drawn: Sequence[Margins]) -> Margins:
    """The margins of the sum of matrices, as shares of all of its weight."""
    whole = np.sum([each.n for each in drawn], axis=0)
    parts = ([each.hits for each in drawn], [each.truth for each in drawn], [each.predicted for each in drawn])
    hits, truth, predicted = (np.sum(part, axis=0) / whole[:, None] for part in parts)
    correct = np.sum([each.correct for each in drawn], axis=0) / whole
    return Margins(hits, truth, predicted, correct, truth.sum(axis=-1))
