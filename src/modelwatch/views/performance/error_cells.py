"""Cells of the errors of a regression, and of what was true by predicted value."""

from __future__ import annotations

import msgspec

from modelwatch.stats.performance.mergeable import Floats
from modelwatch.stats.performance.residuals import error_counts, prediction_cells


class TruthByPrediction(msgspec.Struct, frozen=True):
    """Rows with similar predictions: how many, the means of both, and the 95 % interval of the mean truth."""

    n: int
    predicted: float
    truth: float
    low: float | None
    high: float | None


class RegressionErrors(msgspec.Struct, frozen=True):
    """Errors (prediction less truth) of the matured part, from stored rows. rows: how many were read, of `labelled`.

    edges: between right-closed cells of the error, the outer two open. counts, reference_counts: errors by cell.
    by_prediction, reference_by_prediction: by cell of the prediction, ascending. Those of the reference are empty where
    its rows are not kept, and for a segment.
    """

    rows: int
    labelled: int
    edges: list[float]
    counts: list[int]
    reference_counts: list[int]
    by_prediction: list[TruthByPrediction]
    reference_by_prediction: list[TruthByPrediction]


def errors_by_cell(predicted: Floats, truth: Floats, edges: Floats) -> list[int]:
    """Number of rows by cell of the error, between edges as those of `RegressionErrors`."""
    counts: list[int] = error_counts(predicted - truth, edges).tolist()
    return counts


def truths_by_cell(predicted: Floats, truth: Floats, edges: Floats) -> list[TruthByPrediction]:
    """Rows by cell of the prediction, ascending."""
    return [
        TruthByPrediction(each.n, each.predicted, each.truth, each.low, each.high)
        for each in prediction_cells(predicted, truth, edges)
    ]
