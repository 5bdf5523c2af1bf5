"""What labelled predictions show of a model: metrics, confusion matrix, classes, calibration, curves and errors."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch.monitoring.checks.performance.report import CalibrationReport, ClassReport, ConfusionReport
from modelwatch.monitoring.checks.performance.report_building import (
    calibration_report,
    class_reports,
    confusion_report,
    finite,
)
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.performance import Estimate
from modelwatch.stats.performance.curves import ThresholdCurve, threshold_curve
from modelwatch.stats.performance.intervals import Difference
from modelwatch.stats.performance.mergeable import Floats
from modelwatch.stats.performance.residuals import error_counts, prediction_cells
from modelwatch.stats.performance.score_metrics import mean_score, roc_auc


class MetricValue(msgspec.Struct, frozen=True):
    """A metric with its 95 % interval. value: null where it is undefined, and `reason` says why. n: the rows that it
    rests on. bound: how far the exact value may be away, because scores are known by cell."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    bound: float = 0.0
    reason: str | None = None


class MetricChange(msgspec.Struct, frozen=True):
    """Difference of a metric between two sides, with its 95 % interval; null where that is unknown, and `reason`
    says why. certain: the interval does not hold 0."""

    value: float | None
    low: float | None
    high: float | None
    certain: bool
    reason: str | None = None


class ScoreCurves(msgspec.Struct, frozen=True):
    """ROC curve, and precision and recall, of one class against the rest, point by point.

    class_name: the class that the scores are about. thresholds: descending; what has at least this score is
    predicted as the class; the first point predicts nothing as it. true_positive_rate is the recall. roc_auc: the area
    under the whole curve.
    """

    class_name: str
    positives: int
    negatives: int
    roc_auc: float | None
    thresholds: list[float]
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    precision: list[float]


class OutcomesView(msgspec.Struct, frozen=True):
    """Results of labelled predictions. labelled: number of them. confusion, per_class: of classes; calibration, curves:
    of scores; null or empty where there are none. mean_score, positive_share: of two classes, the mean score (from the
    middles of cells) and the share that is positive: equal where the scores are right on average."""

    labelled: int
    metrics: dict[str, MetricValue]
    confusion: ConfusionReport | None
    per_class: list[ClassReport] | None
    calibration: list[CalibrationReport] | None
    curves: list[ScoreCurves]
    mean_score: float | None = None
    positive_share: float | None = None


def outcomes_view(
    counts: OutcomeCounts, metrics: Mapping[str, Estimate], *, wrong_scores: str | None = None
) -> OutcomesView:
    """The counts as they are shown. metrics: theirs. wrong_scores: why the scores mean something else; else None."""
    scores = counts.scores if wrong_scores is None else None
    confusion = counts.confusion
    return OutcomesView(
        labelled=counts.n,
        metrics={name: metric_value(estimate) for name, estimate in metrics.items()},
        confusion=None if confusion is None else confusion_report(confusion),
        per_class=None if confusion is None else class_reports(confusion),
        calibration=None if scores is None or not scores.n else calibration_report(scores),
        curves=[] if wrong_scores is not None else _curves(counts),
        mean_score=None if scores is None else mean_score(scores),
        positive_share=None if scores is None or not scores.n else float(scores.positives.sum()) / scores.n,
    )


def metric_value(estimate: Estimate) -> MetricValue:
    """An estimate as it is shown."""
    return MetricValue(
        finite(estimate.value),
        finite(estimate.low),
        finite(estimate.high),
        estimate.n,
        estimate.bound,
        estimate.reason,
    )


def metric_change(found: Difference) -> MetricChange:
    """A difference as it is shown."""
    return MetricChange(finite(found.value), finite(found.low), finite(found.high), found.is_certain, found.reason)


def _curves(counts: OutcomeCounts) -> list[ScoreCurves]:
    """Of two classes that of the positive one, of more that of each whose probability is sent."""
    sides = []
    if counts.scores is not None and counts.layout.positive is not None:
        sides.append((counts.layout.positive, counts.scores.positives, counts.scores.negatives))
    if counts.class_scores is not None:
        histograms = counts.class_scores.histograms
        sides += [(name, own, others) for name, (others, own) in zip(counts.layout.classes, histograms, strict=True)]
    found = []
    for name, positives, negatives in sides:
        curve = threshold_curve(positives, negatives)
        if curve is not None:
            found.append(_curve(name, curve, roc_auc(positives, negatives).value))
    return found


def _curve(name: str, curve: ThresholdCurve, area: float | None) -> ScoreCurves:
    return ScoreCurves(
        class_name=name,
        positives=curve.positives,
        negatives=curve.negatives,
        roc_auc=area,
        thresholds=curve.thresholds.tolist(),
        false_positive_rate=curve.false_positive_rate.round(6).tolist(),
        true_positive_rate=curve.true_positive_rate.round(6).tolist(),
        precision=curve.precision.round(6).tolist(),
    )


class TruthByPrediction(msgspec.Struct, frozen=True):
    """Rows with similar predictions: how many, the means of both, and the 95 % interval of the mean truth."""

    n: int
    predicted: float
    truth: float
    low: float | None
    high: float | None


class RegressionErrors(msgspec.Struct, frozen=True):
    """Errors (prediction minus label) of the matured part, from stored rows. rows: how many were read, of `labelled`.

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
    """Number of rows by cell of the error. predicted, truth: shape (rows,). edges: as those of `RegressionErrors`."""
    counts: list[int] = error_counts(predicted - truth, edges).tolist()
    return counts


def truths_by_cell(predicted: Floats, truth: Floats, edges: Floats) -> list[TruthByPrediction]:
    """Rows by cell of the prediction, ascending. predicted, truth: shape (rows,). edges: shape (cells - 1,)."""
    return [
        TruthByPrediction(each.n, each.predicted, each.truth, each.low, each.high)
        for each in prediction_cells(predicted, truth, edges)
    ]
