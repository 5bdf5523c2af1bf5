"""Performance without labels: what the scores of a window lead one to expect, beside what its labels say."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from modelwatch.stats.outcomes.estimation import Calibration, Estimate, Refusal, calibrate, estimate, estimate_accuracy
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoreByPredictedClassCounts
from modelwatch.storage.references.layouts import Counts

ASSUMPTION = (
    "Assumes that a score means what it meant in the reference: shifts of the inputs are seen, a change of the relation"
    " between inputs and truth (concept drift) is not."
)
NO_REFERENCE = "the reference has no labels: upload a labelled reference"
NOT_CLASSES = "only classifiers with probabilities are estimated: the model predicts numbers"
NOT_OF_PREDICTED = (
    "prediction_probability is below one half for most predictions of {name!r}, so it is not that of the predicted"
    " class: set positive_class in the model's monitor"
)
SEED = 20_210_901
# With fewer calls it may be chance on which side of one half they lie.
ENOUGH_CALLS = 20


def contradiction(calls: ScoreByPredictedClassCounts) -> str | None:
    """Why the probabilities can't be those of the predicted class, although nobody said of which they are; else None.

    A classifier rarely predicts what it holds for less likely than not, not even with a threshold of its own.
    """
    outcome = calls.layout.outcome
    if outcome.task != "binary" or outcome.score_of != "predicted":
        return None
    negative = calls.predicted_negative
    total = int(negative.sum())
    likely_positive = int(negative[len(negative) // 2 :].sum())
    if total >= ENOUGH_CALLS and 2 * likely_positive > total:
        name = next(each for each in outcome.classes if each != outcome.positive)
        return NOT_OF_PREDICTED.format(name=name)
    return None


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
    sides = [side.astype(np.int64).tobytes() for side in (scores.positives, scores.negatives)]
    calibration, rng = _calibration(*sides), np.random.default_rng(SEED)
    if layout.task == "binary":
        return estimate(calibration, counts.predicted_positive, counts.predicted_negative, rng=rng)
    return estimate_accuracy(calibration, counts.top, rng=rng)


# Each holds a megabyte of draws.
@lru_cache(maxsize=32)
def _calibration(positives: bytes, negatives: bytes) -> Calibration | Refusal:
    """Calibration of a reference's scores, cached by its counts: computing it takes longer than every use of it."""
    sides = [np.frombuffer(side, dtype=np.int64) for side in (positives, negatives)]
    return calibrate(*sides, rng=np.random.default_rng(SEED))
