"""Margins of a confusion matrix: hits, rows and predictions of every class, and what follows from these alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelwatch.stats.performance.mergeable import Floats, Integers

OTHER = "(other)"
# Of pairs of an independent truth and prediction, those of which it is not known whether they are of one class, as far
# as Matthews' correlation can bear them.
MOST_UNKNOWN_PAIRS = 0.01


@dataclass(frozen=True, slots=True)
class Margins:
    """Hits, rows and predictions a class, of one confusion matrix or of a stack of them; the last class is `other`.

    hits: (..., classes), without other. truth, predicted: (..., classes + 1). correct, n: (...).
    """

    hits: Floats
    truth: Floats
    predicted: Floats
    correct: Floats
    n: Floats

    @classmethod
    def of(cls, cells: Floats | Integers, classes: int) -> Margins:
        """cells: (..., (classes + 1)² + 1), laid out as the vector of `ConfusionCounts`."""
        matrix = cells[..., :-1].reshape(*cells.shape[:-1], classes + 1, classes + 1)
        alike = cells[..., -1]
        hits = np.diagonal(matrix, axis1=-2, axis2=-1)[..., :classes].astype(np.float64)
        truth, predicted = matrix.sum(axis=-1, dtype=np.float64), matrix.sum(axis=-2, dtype=np.float64)
        truth[..., -1] += alike
        predicted[..., -1] += alike
        return cls(hits, truth, predicted, hits.sum(axis=-1) + alike, truth.sum(axis=-1))

    def precision(self) -> Floats:
        """Per class, 0 where undefined."""
        return ratio(self.hits, self.predicted[..., :-1])

    def recall(self) -> Floats:
        """Per class, 0 where undefined."""
        return ratio(self.hits, self.truth[..., :-1])

    def f1(self) -> Floats:
        """Per class, 0 where undefined."""
        return ratio(2.0 * self.hits, self.truth[..., :-1] + self.predicted[..., :-1])

    def without_mcc(self) -> str | None:
        """Why one matrix has no Matthews' correlation; None where it has.

        The chance of agreement within `other` is not known: it holds one class or thousands.
        """
        if max(self.truth.max(), self.predicted.max()) == self.n:
            return "the truth or the predictions are of one class only"
        if self.truth[-1] * self.predicted[-1] > MOST_UNKNOWN_PAIRS * self.n**2:
            return f"too many rows are of classes that are counted together, as {OTHER}"
        return None

    def mcc(self) -> Floats:
        """Matthews' correlation of all classes (Gorodkin's R_K), 0 where undefined."""
        covariance = self.correct * self.n - (self.truth * self.predicted).sum(axis=-1)
        spread_truth = self.n**2 - (self.truth**2).sum(axis=-1)
        spread_predicted = self.n**2 - (self.predicted**2).sum(axis=-1)
        return ratio(covariance, np.sqrt(np.maximum(spread_truth, 0.0)) * np.sqrt(np.maximum(spread_predicted, 0.0)))


def ratio(above: Floats, below: Floats) -> Floats:
    """above / below, 0 where below is not positive."""
    return np.divide(above, below, out=np.zeros(np.broadcast_shapes(above.shape, below.shape)), where=below > 0.0)
