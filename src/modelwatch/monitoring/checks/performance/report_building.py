"""Report of a performance evaluation, and of the metrics, tables and curves of one window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from msgspec import UNSET
from msgspec.structs import replace

from modelwatch.monitoring.checks.not_judged import NotJudged, not_judged
from modelwatch.monitoring.checks.performance.early.check import EarlyResult
from modelwatch.monitoring.checks.performance.early.estimates import ASSUMPTION, expected_performance
from modelwatch.monitoring.checks.performance.evaluation import FOUND, PerformanceEvaluation, deciding_window
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE, Judgement, LabelledWindow, Severity
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.labels.interpretation import (
    UNNAMED,
    beyond_classes,
    meaning_warnings,
    positive_class_reason,
    strange_labels,
    task_reason,
    without_common_class,
)
from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals
from modelwatch.monitoring.checks.performance.labels.shift import LABELS
from modelwatch.monitoring.checks.performance.report import (
    ArrivalsReport,
    CalibrationReport,
    ClassReport,
    ConfusionReport,
    EarlyReport,
    EstimatedValue,
    EstimateReport,
    LabelledWindowReport,
    MetricReport,
    PerformanceReport,
)
from modelwatch.monitoring.checks.performance.rules import MOST_ALPHA
from modelwatch.monitoring.checks.performance.window_counts import WindowCounts, counts_of, unnamed_of, wrong_scores
from modelwatch.monitoring.checks.rules import AlphaReport, share_of
from modelwatch.stats.outcomes.estimation import Estimate as Expected
from modelwatch.stats.outcomes.estimation import Refusal
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.tasks import StatedTask
from modelwatch.stats.performance import (
    OTHER,
    ConfusionCounts,
    Estimate,
    ScoreCounts,
    calibration_curve,
    class_metrics,
)
from modelwatch.times import iso_of_seconds


def window_report(
    found: WindowCounts,
    window: LabelledWindow,
    arrivals: LabelArrivals,
    judgements: Mapping[str, Judgement],
    severity: Severity | None,
    reference: OutcomeCounts | None,
    *,
    details: bool = True,
) -> LabelledWindowReport:
    """Report of a window. details: with the tables and the estimate."""
    counts = window.counts
    metrics = {name: metric_report(estimate, judgements.get(name)) for name, estimate in window.metrics.items()}
    labels, came = judgements.get(LABELS), judgements.get(COVERAGE)
    confusion = counts.confusion
    scores = counts.scores if details and wrong_scores(counts.layout, counts_of(found.calls)) is None else None
    return LabelledWindowReport(
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
        odds_class=judgement.odds_class if judgement.by_odds and judgement.odds_class else UNSET,
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


def performance_report(evaluation: PerformanceEvaluation) -> PerformanceReport:
    """Report of an evaluation, as it is shown and kept."""
    return replace(brief_performance_report(evaluation), windows=_window_reports(evaluation))


def _window_reports(evaluation: PerformanceEvaluation) -> list[LabelledWindowReport]:
    reference, arrivals = evaluation.inputs.reference, evaluation.inputs.evidence.arrivals
    counts = None if reference is None else reference.counts
    return [
        window_report(each.found, each.window, arrivals, each.judgements, each.severity, counts)
        for each in evaluation.windows
    ]


def brief_performance_report(evaluation: PerformanceEvaluation) -> PerformanceReport:
    """Report without its windows, whose intervals and estimates take longer than everything else."""
    inputs, evidence, layout = evaluation.inputs, evaluation.inputs.evidence, evaluation.inputs.layout
    reference, arrivals = inputs.reference, evidence.arrivals
    counts = None if reference is None else reference.counts
    matured, early = evaluation.matured, evaluation.early
    judged = [*(each.judgements for each in matured), *(() if early is None else (early.judgements,))]
    worst = {name for each in judged for name, judgement in each.items() if judgement.severity in FOUND}
    mature: Severity = min((each.severity or "no_data" for each in matured), key=PRECEDENCE.index, default="no_data")
    severity = mature
    if early is not None and early.severity is not None:
        severity = min(mature, early.severity, key=PRECEDENCE.index)
    model, version, environment = evidence.stream
    stated = StatedTask(evidence.rules.task, evidence.rules.positive_class)
    return PerformanceReport(
        model_name=model,
        model_version=version,
        environment=environment,
        task=layout.task,
        classes=list(layout.classes),
        positive_class=layout.positive,
        score_of=layout.score_of if layout.task == "binary" else None,
        as_of=iso_of_seconds(evidence.as_of),
        severity=severity,
        worst=sorted(worst),
        reference_id=evidence.reference,
        reference_labels=0 if counts is None else counts.n,
        reference_state=None if reference is None else reference.state,
        alpha=evaluation.alpha,
        alpha_from=AlphaReport(
            false_alarm_budget=evidence.rules.budget,
            share=share_of("performance"),
            subjects=evaluation.subjects,
            streams=max(evidence.streams, 1),
            lookbacks=max(evaluation.lookbacks, 1),
            seconds=evidence.rules.accrued(evidence.elapsed),
            capped=evaluation.alpha >= MOST_ALPHA,
        ),
        arrivals=ArrivalsReport(
            labels=arrivals.labels,
            median_seconds=arrivals.median,
            p90_seconds=arrivals.p90,
            p99_seconds=arrivals.p99,
            lag_seconds=arrivals.lag,
            coverage=arrivals.coverage,
            waiting=evidence.waiting,
            orphaned=evidence.orphaned,
            expired=evidence.expired,
            unknown=arrivals.unknown,
        ),
        windows=[],
        reason=_why(evaluation),
        not_judged=_not_judged(evaluation),
        task_reason=task_reason(layout, stated),
        positive_class_reason=positive_class_reason(layout, stated),
        warnings=[*meaning_warnings(layout, stated), *_warnings(evaluation)],
        early=UNSET if early is None else early_report(early, arrivals, counts, decides=severity != mature),
    )


def _not_judged(evaluation: PerformanceEvaluation) -> list[NotJudged]:
    """Watched metrics and labels that their deciding window does not judge."""
    matured = evaluation.matured
    names = sorted({name for each in matured for name in each.judgements} - {COVERAGE})
    judgements = [deciding_window(matured, name).judgements[name] for name in names]
    return not_judged((each.name, each.severity, each.reason) for each in judgements)


def _warnings(evaluation: PerformanceEvaluation) -> list[str]:
    """Warnings about labels and scores of the longest windows that mean nothing."""
    inputs = evaluation.inputs
    reference = None if inputs.reference is None else inputs.reference.counts
    found = []
    longest = sorted(evaluation.windows, key=lambda each: each.found.window.start - each.found.window.end)[:2]
    labelled = max(longest, key=lambda each: each.window.counts.n, default=None)
    if labelled is not None:
        beyond = beyond_classes(labelled.window.counts)
        if beyond is not None:
            found.append(beyond)
        strange = strange_labels(labelled.window.counts, reference)
        if strange.n:
            names = f" ({', '.join(map(repr, strange.names[:5]))})" if strange.names else ""
            found.append(
                f"{strange.n:,} of {strange.of:,} labels in the {labelled.found.window.lookback} are of classes{names}"
                " that were never predicted and are not in the reference."
            )
        apart = without_common_class(labelled.window.counts, reference)
        if apart is not None:
            found.append(f"Nothing can be compared: {apart}.")
    scored = max(longest, key=lambda each: each.found.predictions, default=None)
    if scored is not None:
        unnamed = unnamed_of(inputs.layout, scored.found)
        if unnamed:
            found.append(
                f"{unnamed:,} of {scored.found.predictions:,} predictions in the {scored.found.window.lookback} have"
                f" no score: {UNNAMED}."
            )
        wrong = wrong_scores(inputs.layout, counts_of(scored.found.calls))
        if wrong is not None:
            found.append(f"The metrics of scores can't be computed: {wrong}.")
    return found


def _why(evaluation: PerformanceEvaluation) -> str | None:
    evidence, layout = evaluation.inputs.evidence, evaluation.inputs.layout
    if not evidence.arrivals.labels and not any(window.outcomes for window in evidence.windows):
        return "No labels have been received for this model's predictions: POST them to /api/v1/ground-truth."
    if layout.task is None:
        return "Too few labels to infer the task of the model; 20 are needed, of two classes, or of numbers."
    if evaluation.inputs.reference is not None and not evaluation.inputs.reference.counts.n:
        return (
            "The reference has no labels, so nothing is compared: set one with the columns prediction and ground_truth,"
            " or limits in the model's monitor."
        )
    return None
