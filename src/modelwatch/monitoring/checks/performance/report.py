"""From counts to what is shown of a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from modelwatch.monitoring.checks.performance.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.early.check import EarlyResult
from modelwatch.monitoring.checks.performance.early.estimates import (
    ASSUMPTION,
    contradiction,
    expected_performance,
)
from modelwatch.monitoring.checks.performance.interpretation import UNNAMED, strange_labels, without_common_class
from modelwatch.monitoring.checks.performance.judge import Judgement, Severity, Window, metrics_of
from modelwatch.monitoring.checks.performance.label_shift import LABELS
from modelwatch.monitoring.checks.performance.maturity import LabelArrivals, immaturity
from modelwatch.monitoring.checks.performance.reports import (
    CalibrationReport,
    ClassReport,
    ConfusionReport,
    EarlyReport,
    EstimatedValue,
    EstimateReport,
    MetricReport,
    WindowReport,
)
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of
from modelwatch.stats.outcomes.estimation import Estimate as Expected
from modelwatch.stats.outcomes.estimation import Refusal
from modelwatch.stats.outcomes.outcome_layout import OutcomeLayout
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.predicted_scores import ScoreByPredictedClass, ScoreByPredictedClassCounts
from modelwatch.stats.performance import (
    OTHER,
    ConfusionCounts,
    Estimate,
    ScoreCounts,
    calibration_curve,
    class_metrics,
    performance,
    worsening_metrics,
)
from modelwatch.times import iso_of_seconds

if TYPE_CHECKING:
    from modelwatch.storage.references.layouts import Counts


def window_of(
    found: WindowCounts, layout: OutcomeLayout, arrivals: LabelArrivals, reference: OutcomeCounts | None = None
) -> Window:
    """The window with its metrics; those of scores only where the scores mean what the layout says, and those of
    classes only where predictions and labels have any in common. reference: what it is compared with."""
    counts, known = measured(layout, found.outcomes)
    metrics = dict(known)
    wrong = wrong_scores(layout, counts_of(found.calls))
    apart = without_common_class(counts, reference)
    if apart is not None:
        metrics = {name: Estimate(None, reason=apart) for name in metrics}
    elif unnamed_of(layout, found) and (counts.class_scores or counts.scores) is not None:
        for scored in (counts.scores, counts.class_scores):
            if scored is not None and not scored.n and counts.n:
                metrics |= {name: Estimate(None, reason=UNNAMED) for name in performance(scored)}
    if wrong is not None and counts.scores is not None:
        refused = {name: Estimate(None, reason=wrong) for name in (*worsening_metrics(counts.scores), "ece")}
        metrics |= {name: estimate for name, estimate in refused.items() if name in metrics}
    return Window(counts, metrics, immaturity(arrivals, found.age, found.predictions, counts.n))


def unnamed_of(layout: OutcomeLayout, found: WindowCounts) -> int:
    """Number of predictions of a window whose probabilities by class don't name the predicted class."""
    calls = counts_of(found.calls)
    return (
        0
        if calls is None or layout.task not in ("binary", "multiclass")
        else ScoreByPredictedClassCounts(ScoreByPredictedClass(layout), calls).nameless
    )


@lru_cache(maxsize=64)
def measured(layout: OutcomeLayout, outcomes: bytes) -> tuple[OutcomeCounts, Mapping[str, Estimate]]:
    """The counts of a window, from their sparse bytes, and its metrics.

    Several windows, and those of the next evaluation, hold the same rows.
    """
    vector = counts_of(outcomes)
    counts = OutcomeCounts.empty(layout) if vector is None else OutcomeCounts(layout, vector)
    return counts, metrics_of(counts)


def wrong_scores(layout: OutcomeLayout, calls: Counts | None) -> str | None:
    """Why the scores of a window are not to be used; None when they are fine."""
    if calls is None or layout.task != "binary":
        return None
    return contradiction(ScoreByPredictedClassCounts(ScoreByPredictedClass(layout), calls))


def window_report(
    found: WindowCounts,
    window: Window,
    arrivals: LabelArrivals,
    judgements: Mapping[str, Judgement],
    severity: Severity | None,
    reference: OutcomeCounts | None,
    *,
    details: bool = True,
) -> WindowReport:
    """Report of a window. details: with the tables and the estimate."""
    counts = window.counts
    metrics = {name: metric_report(estimate, judgements.get(name)) for name, estimate in window.metrics.items()}
    labels, came = judgements.get(LABELS), judgements.get(COVERAGE)
    confusion = counts.confusion
    scores = counts.scores if details and wrong_scores(counts.layout, counts_of(found.calls)) is None else None
    return WindowReport(
        lookback=found.window.lookback,
        start=iso_of_seconds(found.window.start),
        end=iso_of_seconds(found.window.end),
        matured=found.matured,
        predictions=found.predictions,
        labelled=counts.n,
        coverage=counts.n / found.predictions if found.predictions else None,
        expected_share=arrivals.share_within(found.age),
        immature=window.immature,
        severity=severity,
        metrics=metrics,
        label_drift=None if labels is None else metric_report(labels.estimate, labels),
        label_coverage=None if came is None else metric_report(came.estimate, came),
        confusion=None if confusion is None or not details else confusion_report(confusion),
        per_class=None if confusion is None or not details else class_reports(confusion),
        calibration=None if scores is None or not scores.n else calibration_report(scores),
        estimate=estimate_report(reference, found) if details else None,
        unknown_labels=strange_labels(counts, reference).n,
        unnamed_probabilities=unnamed_of(counts.layout, found),
    )


def early_report(
    early: EarlyResult, arrivals: LabelArrivals, reference: OutcomeCounts | None, *, decides: bool
) -> EarlyReport:
    """Report of the early window, whose labels are still coming. decides: it makes the severity of the stream."""
    counts = early.counts
    compared = counts.start < counts.end
    return EarlyReport(
        window=window_report(early.found, early.window, arrivals, early.judgements, early.severity, reference),
        labelled_share=early.share,
        decides=decides,
        reason=early.reason,
        compared_early=early.independence.early,
        compared_late=early.independence.late,
        compared_start=iso_of_seconds(counts.start) if compared else None,
        compared_end=iso_of_seconds(counts.end) if compared else None,
        p_value=early.independence.p_value,
    )


def metric_report(estimate: Estimate, judgement: Judgement | None) -> MetricReport:
    """A metric as it is shown; a judgement tells more of those that are watched."""
    if judgement is None:
        return MetricReport(
            finite(estimate.value),
            finite(estimate.low),
            finite(estimate.high),
            estimate.n,
            estimate.bound,
            reason=estimate.reason,
        )
    return MetricReport(
        value=finite(estimate.value),
        low=finite(estimate.low),
        high=finite(estimate.high),
        n=estimate.n,
        bound=estimate.bound,
        severity=judgement.severity,
        reference=finite(judgement.reference),
        change=finite(judgement.change),
        loss=finite(judgement.loss),
        threshold=judgement.threshold,
        p_value=judgement.p_value,
        alpha=judgement.alpha,
        by_limit=judgement.by_limit,
        reason=estimate.reason or judgement.reason,
        odds_ratio=judgement.odds_ratio,
        by_odds=judgement.by_odds,
        natural=judgement.natural,
        warning_threshold=judgement.warning_threshold,
        alert_threshold=judgement.alert_threshold,
    )


def estimate_report(reference: OutcomeCounts | None, found: WindowCounts) -> EstimateReport:
    """Metrics to be expected by the scores of a window."""
    expected = _expected(reference, found.calls)
    if isinstance(expected, Refusal):
        return EstimateReport(ASSUMPTION, found.predictions, {}, expected.reason)
    metrics: dict[str, EstimatedValue] = {
        name: EstimatedValue(metric.value, metric.low, metric.high, metric.reason)
        for name, metric in expected.metrics.items()
    }
    return EstimateReport(ASSUMPTION, expected.n, metrics)


@lru_cache(maxsize=128)
def _expected(reference: OutcomeCounts | None, calls: bytes) -> Expected | Refusal:
    """Of the same calls, the same: a page shows dozens of windows again and again."""
    return expected_performance(reference, counts_of(calls))


def finite(value: float | None) -> float | None:
    """The value, None where JSON has no number for it."""
    return value if value is not None and math.isfinite(value) else None


def confusion_report(counts: ConfusionCounts) -> ConfusionReport:
    """The confusion matrix as it is shown."""
    return ConfusionReport([*counts.layout.classes, OTHER], counts.matrix.tolist())


def class_reports(counts: ConfusionCounts) -> list[ClassReport]:
    """Each class against the rest."""
    return [
        ClassReport(
            each.name,
            each.support,
            each.predicted,
            each.precision.value,
            each.recall.value,
            each.specificity.value,
            each.f1.value,
        )
        for each in class_metrics(counts)
    ]


def calibration_report(scores: ScoreCounts) -> list[CalibrationReport]:
    """The calibration of scores, bin by bin."""
    return [
        CalibrationReport(part.low, part.high, part.n, part.score, part.observed, part.observed_low, part.observed_high)
        for part in calibration_curve(scores)
    ]
