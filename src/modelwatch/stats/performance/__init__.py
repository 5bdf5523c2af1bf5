"""Performance against the labels: mergeable counts, metrics with 95 % intervals, and evidence that one got worse.

Counts come in four kinds, each a vector of non-negative integers with a frozen layout: confusion counts, scores by
label (two classes), class scores (more classes) and regression errors. Windows add and subtract exactly; every metric
is a function of the sum.

>>> layout = ConfusionLayout(("no", "yes"), positive="yes")
>>> monday = ConfusionCounts.of(layout, ["yes", "no", "no"], ["yes", "yes", "no"])
>>> tuesday = ConfusionCounts.of(layout, ["no"], ["no"])
>>> performance(monday + tuesday)["accuracy"].value
0.75
"""

from modelwatch.stats.performance.confusion import (
    ClassMetrics,
    ConfusionCounts,
    ConfusionLayout,
    class_metrics,
    confusion_metrics,
)
from modelwatch.stats.performance.intervals import Estimate, wilson
from modelwatch.stats.performance.margins import OTHER
from modelwatch.stats.performance.regression import RegressionCounts, RegressionLayout, mean_target, regression_metrics
from modelwatch.stats.performance.score_metrics import (
    CalibrationBin,
    calibration_curve,
    class_score_metrics,
    score_metrics,
)
from modelwatch.stats.performance.scores import ClassScoreCounts, ClassScoreLayout, ScoreCounts, ScoreLayout
from modelwatch.stats.performance.worsening import (
    PerformanceCounts,
    Worsening,
    mean_error_moved,
    worsening,
    worsening_metrics,
)

__all__ = [
    "OTHER",
    "CalibrationBin",
    "ClassMetrics",
    "ClassScoreCounts",
    "ClassScoreLayout",
    "ConfusionCounts",
    "ConfusionLayout",
    "Estimate",
    "PerformanceCounts",
    "RegressionCounts",
    "RegressionLayout",
    "ScoreCounts",
    "ScoreLayout",
    "Worsening",
    "calibration_curve",
    "class_metrics",
    "class_score_metrics",
    "confusion_metrics",
    "mean_error_moved",
    "mean_target",
    "performance",
    "regression_metrics",
    "score_metrics",
    "wilson",
    "worsening",
    "worsening_metrics",
]


def performance(counts: PerformanceCounts) -> dict[str, Estimate]:
    """Every metric that counts of this kind give, by its name.

    >>> import numpy as np
    >>> list(performance(ScoreCounts.of(np.array([0.5]), np.array([True]))))
    ['roc_auc', 'pr_auc', 'log_loss', 'brier', 'ece']
    """
    if isinstance(counts, ConfusionCounts):
        return confusion_metrics(counts)
    if isinstance(counts, ScoreCounts):
        return score_metrics(counts)
    return class_score_metrics(counts) if isinstance(counts, ClassScoreCounts) else regression_metrics(counts)
