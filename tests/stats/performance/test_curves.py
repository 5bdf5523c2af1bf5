"""Curves from the cells of scores: against the definition, row by row, and against the metrics of the same counts."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.performance.curves import FLAT, threshold_curve
from modelwatch.stats.performance.score_metrics import average_precision_of, roc_auc
from modelwatch.stats.performance.scores import SCORE_EDGES, ScoreCounts


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores at edges of cells, so that cells lose nothing, and whether each row is positive."""
    rng = np.random.default_rng(seed)
    scores = rng.choice(SCORE_EDGES, n)
    return scores, rng.random(n) < scores


def test_each_point_is_what_is_called_at_its_threshold() -> None:
    scores, positive = sample(2_000, 1)
    counts = ScoreCounts.of(scores, positive)
    curve = threshold_curve(counts.positives, counts.negatives)
    assert curve is not None
    assert (curve.positives, curve.negatives) == (positive.sum(), (~positive).sum())
    for threshold, wrong, found, precision in zip(
        curve.thresholds[1:],
        curve.false_positive_rate[1:],
        curve.true_positive_rate[1:],
        curve.precision[1:],
        strict=True,
    ):
        called = scores >= threshold
        assert found == pytest.approx(positive[called].sum() / positive.sum())
        assert wrong == pytest.approx((~positive)[called].sum() / (~positive).sum())
        assert precision == pytest.approx(positive[called].mean())


def test_it_goes_from_nothing_to_everything() -> None:
    scores, positive = sample(500, 2)
    counts = ScoreCounts.of(scores, positive)
    curve = threshold_curve(counts.positives, counts.negatives)
    assert curve is not None
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0], curve.precision[0]) == (0.0, 0.0, 1.0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1.0, 1.0)
    assert curve.precision[-1] == pytest.approx(positive.mean())
    assert np.all(np.diff(curve.thresholds) < 0)
    assert np.all(np.diff(curve.false_positive_rate) >= 0)
    assert np.all(np.diff(curve.true_positive_rate) >= 0)


def test_the_areas_below_it_are_the_metrics() -> None:
    """To what thinning leaves out."""
    scores, positive = sample(20_000, 3)
    counts = ScoreCounts.of(scores, positive)
    curve = threshold_curve(counts.positives, counts.negatives)
    assert curve is not None
    area = float(np.trapezoid(curve.true_positive_rate, curve.false_positive_rate))
    assert area == pytest.approx(roc_auc(counts.positives, counts.negatives).value, abs=2 * FLAT)
    steps = np.diff(curve.true_positive_rate) * (curve.precision[1:] + curve.precision[:-1]) / 2
    assert float(steps.sum()) == pytest.approx(average_precision_of(counts), abs=0.01)
    assert len(curve.thresholds) < 120


@pytest.mark.parametrize("positive", [True, False])
def test_one_class_has_no_curve(positive: bool) -> None:
    counts = ScoreCounts.of(np.array([0.2, 0.8]), np.array([positive, positive]))
    assert threshold_curve(counts.positives, counts.negatives) is None
