"""Performance without labels: performance expected by the scores of a window, beside the realised one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelwatch.monitoring.checks.performance.labels.interpretation import contradiction
from modelwatch.stats.outcomes.estimation import Calibration, Estimate, Refusal, calibrate, estimate, estimate_accuracy
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoreByPredictedClassCounts

if TYPE_CHECKING:
    from modelwatch.storage.references.layouts import Counts

ASSUMPTION = (
    "Assumes that a score means what it meant in the reference: shifts of the inputs are seen, a change of the relation"
    " between inputs and truth (concept drift) is not."
)
NO_REFERENCE = "the reference has no labels: upload a labelled reference"
NOT_CLASSES = "only classifiers with probabilities are estimated: the model predicts numbers"
SEED = 20_210_901

Integers = NDArray[np.int64]


def expected_performance(reference: OutcomeCounts | None, calls: Counts | None) -> Estimate | Refusal:
    """The metrics that are expected of a window from its scores, or why there can be no estimate.

    calls: scores of all of its predictions by call; None for a window without predictions.
    """
    if reference is None or not reference.n:
        return Refusal(NO_REFERENCE)
    layout = reference.layout
    if layout.task not in ("binary", "multiclass"):
        return Refusal(NOT_CLASSES)
    cells = ScoreByPredictedClass(layout)
    counts = ScoreByPredictedClassCounts.empty(cells) if calls is None else ScoreByPredictedClassCounts(cells, calls)
    refused = contradiction(counts)
    if refused is not None:
        return Refusal(refused)
    scores = reference.scores if layout.task == "binary" else reference.confidence
    assert scores is not None, "classifiers have scores or confidences"
    sides = _frozen(scores.positives, scores.negatives)
    if layout.task == "binary":
        return _estimate(sides, _frozen(counts.predicted_positive, counts.predicted_negative))
    return _estimate(sides, _frozen(counts.top))


def _frozen(*sides: Integers) -> tuple[bytes, ...]:
    return tuple(side.astype(np.int64).tobytes() for side in sides)


@lru_cache(maxsize=256)
def _estimate(reference: tuple[bytes, ...], window: tuple[bytes, ...]) -> Estimate | Refusal:
    """Metrics expected from the scores of a window: several windows, and those of later evaluations, hold the same.

    reference: scores of right and of wrong. window: scores of those predicted positive and negative; of the predicted
    class alone where there are more than two.
    """
    calibration = _calibration(*reference)
    sides = [np.frombuffer(side, dtype=np.int64) for side in window]
    return estimate(calibration, *sides) if len(sides) == 2 else estimate_accuracy(calibration, *sides)


# Each holds a third of a megabyte of covariances.
@lru_cache(maxsize=32)
def _calibration(positives: bytes, negatives: bytes) -> Calibration | Refusal:
    """Calibration of a reference's scores, cached by its counts: computing it takes longer than every use of it."""
    sides = [np.frombuffer(side, dtype=np.int64) for side in (positives, negatives)]
    return calibrate(*sides, rng=np.random.default_rng(SEED))
