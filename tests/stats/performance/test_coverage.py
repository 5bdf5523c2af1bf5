"""95 % intervals hold the truth in 93 to 97 of 100 samples, at 100 rows as at 1,000."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from modelwatch.stats.performance import (
    ConfusionCounts,
    ConfusionLayout,
    Estimate,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
)
from modelwatch.stats.performance.confusion import confusion_metrics
from modelwatch.stats.performance.regression import regression_metrics
from modelwatch.stats.performance.score_metrics import average_precision, pr_auc, roc_auc
from modelwatch.stats.performance.scores import SCORE_EDGES
from tests.proofs.lock import Proofs

TRIALS = 1_000
Draw = Callable[[np.random.Generator, int], dict[str, Estimate]]


def of_confusion(rng: np.random.Generator, n: int) -> dict[str, Estimate]:
    tn, fp, fn, tp = rng.multinomial(n, [0.45, 0.05, 0.08, 0.42])
    counts = ConfusionCounts(ConfusionLayout(("0", "1"), "1"), np.array([tn, fp, 0, fn, tp, 0, 0, 0, 0, 0]))
    return confusion_metrics(counts)


def of_scores(rng: np.random.Generator, n: int) -> dict[str, Estimate]:
    label = rng.random(n) < 0.4
    logit = rng.normal(size=n) + 1.5 * (label - 0.5)
    counts = ScoreCounts.of(1.0 / (1.0 + np.exp(-logit)), label)
    return {"roc_auc": roc_auc(counts.positives, counts.negatives)}


def of_errors(rng: np.random.Generator, n: int) -> dict[str, Estimate]:
    truth = rng.normal(50.0, 5.0, size=n)
    return regression_metrics(RegressionCounts.of(RegressionLayout(8.0, 50.0), truth + rng.normal(size=n), truth))


CASES: dict[str, tuple[Draw, dict[str, float]]] = {
    "confusion": (
        of_confusion,
        {
            "accuracy": 0.87,
            "f1": 0.84 / 0.97,
            "balanced_accuracy": 0.87,
            "mcc": (0.42 * 0.45 - 0.05 * 0.08) / math.sqrt(0.5 * 0.5 * 0.47 * 0.53),
        },
    ),
    # The normal distribution function at 1.5 / √2.
    "scores": (of_scores, {"roc_auc": 0.5 * math.erfc(-0.75)}),
    "errors": (of_errors, {"mae": math.sqrt(2.0 / math.pi), "mean_error": 0.0, "rmse": 1.0}),
}


def intervals_with_the_truth(case: str, n: int) -> dict[str, float]:
    """The share of the samples of so many rows whose interval holds the truth, by metric."""
    draw, truth = CASES[case]
    rng = np.random.default_rng(2_024)
    held = dict.fromkeys(truth, 0)
    for _ in range(TRIALS):
        estimates = draw(rng, n)
        for name, value in truth.items():
            low, high = estimates[name].low, estimates[name].high
            assert low is not None
            assert high is not None
            held[name] += low <= value <= high
    return {name: count / TRIALS for name, count in held.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("n", [100, 1_000])
@pytest.mark.parametrize("case", CASES)
def test_intervals_hold_the_truth_as_often_as_they_say(proofs: Proofs, case: str, n: int) -> None:
    shares = proofs.figures(intervals_with_the_truth, case, n)
    assert set(shares) == set(CASES[case][1])
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


@pytest.mark.parametrize(("n", "share"), [(100, 0.4), (1_000, 0.4), (1_000, 0.1)])
def test_intervals_of_the_average_precision_hold_the_truth(n: int, share: float) -> None:
    rng = np.random.default_rng(2_013)
    # Scores are logistic in a normal variable, whose mean is 1.5 more for positive rows.
    edges = special.logit(SCORE_EDGES)
    cells = [np.diff(special.ndtr(edges - mean), prepend=0.0, append=1.0) for mean in (-0.75, 0.75)]
    truth = float(average_precision(np.concatenate((cells[0] * (1.0 - share), cells[1] * share))[None, :])[0])
    held = 0
    for _ in range(TRIALS):
        label = rng.random(n) < share
        estimate = pr_auc(ScoreCounts.of(special.expit(rng.normal(size=n) + 1.5 * (label - 0.5)), label))
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= truth <= estimate.high
    assert 0.93 <= held / TRIALS <= 0.97
