"""Performance of two labelled data sets: metrics with intervals, and judgements of their change as by the service."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from modelwatch import measures
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.library.labels import LabelledReference, LabelledRowsNow
from modelwatch.measures import plain
from modelwatch.monitoring.checks.drift.tolerance import ODDS
from modelwatch.monitoring.checks.performance.evaluation import judge_window
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE, Judgement, LabelledWindow, Severity, metrics_of
from modelwatch.monitoring.checks.performance.labels.interpretation import (
    POSITIVE,
    TASK,
    beyond_classes,
    meaning_warnings,
    positive_class_reason,
    strange_labels,
    task_reason,
    without_common_class,
)
from modelwatch.monitoring.checks.performance.labels.shift import LABELS
from modelwatch.monitoring.checks.performance.report import (
    CalibrationReport,
    ClassReport,
    ConfusionReport,
    MetricReport,
)
from modelwatch.monitoring.checks.performance.report_building import finite, metric_report
from modelwatch.monitoring.checks.performance.rules import MOST_ALPHA, PerformanceRules
from modelwatch.monitoring.checks.performance.window_counts import counts_of, wrong_scores
from modelwatch.monitoring.checks.windows import Window
from modelwatch.stats.outcomes.outcomes import OutcomeCounts
from modelwatch.stats.outcomes.tasks import NOT_STATED
from modelwatch.stats.performance import OTHER, Estimate, performance
from modelwatch.views.performance.outcomes import (
    MetricValue,
    RegressionErrors,
    ScoreCurves,
    metric_value,
    outcomes_view,
)

NO_LABELS = "The reference has no labels: nothing to compare with."


class MetricComparison(msgspec.Struct, frozen=True):
    """A metric of both data sets, with its 95 % intervals.

    severity: of those that are judged; else null. change: now less the reference. loss: how much worse that is;
    threshold: the loss that decided. p_value: one-sided, that chance alone makes the metric as much worse; it must be
    below alpha for a loss. natural: by how much the metric varies in the reference itself, as a standard deviation.
    """

    name: str
    severity: Severity | None
    reference: MetricValue | None
    current: MetricValue
    change: float | None
    loss: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    alpha: float | None = None
    natural: float | None = None
    reason: str | None = None


class LabelledSide(msgspec.Struct, frozen=True):
    """The labelled rows of one data set. confusion, per_class: of classes; calibration, curves: of scores; null or
    empty where there are none."""

    labelled: int
    confusion: ConfusionReport | None
    per_class: list[ClassReport] | None
    calibration: list[CalibrationReport] | None
    curves: list[ScoreCurves]


class PerformanceComparison(msgspec.Struct, frozen=True):
    """Performance on the labelled rows of both data sets.

    severity: the worst of the metrics, of label_drift and of label_coverage. metrics: those that are judged first.
    label_drift, label_coverage: whether the labels themselves have shifted, and whether the usual labels come (of a
    model of a service; else null), as in a performance report of the service. reference: null without labels. errors:
    of a regression. reason: why nothing is compared; else null.
    """

    task: str
    classes: list[str]
    positive_class: str | None
    severity: Severity
    metrics: list[MetricComparison]
    label_drift: MetricReport | None
    reference: LabelledSide | None
    current: LabelledSide
    errors: RegressionErrors | None = None
    task_reason: str | None = None
    positive_class_reason: str | None = None
    warnings: list[str] = []
    reason: str | None = None
    label_coverage: MetricReport | None = None


def performance_rules(
    *, tolerance: float, min_samples: int, psi_warning: float, psi_alert: float, natural_variation: bool
) -> PerformanceRules:
    """Rules of a comparison: the service's, of one look."""
    return PerformanceRules(
        budget=0.0,
        check_interval=0,
        tolerance=tolerance,
        min_samples=min_samples,
        psi_warning=psi_warning,
        psi_alert=psi_alert,
        natural_variation=natural_variation,
        label_coverage=False,
        early=False,
        names_shifted=True,
    )


def performance_comparison(
    now: LabelledRowsNow,
    known: LabelledReference | None,
    window: Window,
    rules: PerformanceRules,
    alpha: float,
    *,
    unusable: str | None = None,
) -> PerformanceComparison:
    """Judges every watched metric, and the labels. alpha: chance of a false alarm about any of them.

    window: the stretch of time of the data set; an empty one without times. unusable: why the labels of the reference
    are left out, if it has some.
    """
    layout = now.counts.layout
    reference = None if known is None else known.counts
    measured = now.window(reference)
    judgements = judged(measured, known, window, rules, alpha)
    before = {} if reference is None else metrics_of(reference)
    labels = judgements.pop(LABELS, None)
    metrics = [
        metric_comparison(name, measured.metrics[name], before.get(name), judgements.get(name))
        for name in sorted(measured.metrics, key=lambda name: name not in judgements)
    ]
    reason = None
    if reference is None:
        reason = NO_LABELS if unusable is None else f"The labels of the reference are left out: {unusable}."
        metrics = [
            msgspec.structs.replace(each, reason=reason) if each.severity == "no_reference" else each
            for each in metrics
        ]
    metrics = _without_scores(metrics, now, known)
    severities = [each.severity for each in (*judgements.values(), *(() if labels is None else (labels,)))]
    wrong = wrong_scores(layout, counts_of(now.calls))
    wrong = None if wrong is None else _here(wrong)
    stated = NOT_STATED if known is None else known.stated
    reasons = (task_reason(layout, stated), positive_class_reason(layout, stated))
    task, positive = (None if each is None else _here(each) for each in reasons)
    return PerformanceComparison(
        task=layout.task or "",
        classes=list(layout.classes),
        positive_class=layout.positive,
        severity=min(severities, key=PRECEDENCE.index, default="no_data"),
        metrics=metrics,
        label_drift=None if labels is None else metric_report(labels.estimate, labels),
        reference=None if reference is None else _side(reference, before, None),
        current=_side(now.counts, measured.metrics, wrong),
        errors=now.errors,
        task_reason=task,
        positive_class_reason=positive,
        warnings=_warnings(now, known, wrong),
        reason=reason,
    )


def judged(
    measured: LabelledWindow, known: LabelledReference | None, window: Window, rules: PerformanceRules, alpha: float
) -> dict[str, Judgement]:
    """Judgements on the metrics and the labels of a data set, at their share of alpha."""
    task = measured.counts.layout.task
    subjects = rules.label_drift + (0 if task is None else len(rules.watched(task)))
    length = window.end - window.start
    return judge_window(
        measured,
        length,
        None if known is None else known.counts,
        known.natural if known is not None and length and rules.natural_variation else None,
        rules,
        min(alpha / max(subjects, 1), MOST_ALPHA),
        few_decide=measured.counts.n < rules.min_samples,
    )


def metric_comparison(
    name: str, now: Estimate, before: Estimate | None, judgement: Judgement | None
) -> MetricComparison:
    """A metric of both sides, with its judgement where it is watched."""
    change = None
    if before is not None and before.value is not None and now.value is not None:
        change = finite(now.value - before.value)
    found = MetricComparison(
        name=name,
        severity=None,
        reference=None if before is None else metric_value(before),
        current=metric_value(now),
        change=change,
        reason=now.reason,
    )
    if judgement is None:
        return found
    return msgspec.structs.replace(
        found,
        severity=judgement.severity,
        change=change if judgement.change is None else finite(judgement.change),
        loss=finite(judgement.loss),
        threshold=judgement.threshold,
        p_value=judgement.p_value,
        alpha=judgement.alpha,
        natural=judgement.natural,
        reason=now.reason or judgement.reason,
    )


def _without_scores(
    metrics: list[MetricComparison], now: LabelledRowsNow, known: LabelledReference | None
) -> list[MetricComparison]:
    """The metrics, those of scores with the reason why these are left out."""
    why = _no_probabilities(now, known)
    if not why:
        return metrics
    scored = [each for each in (now.counts.scores, now.counts.class_scores) if each is not None]
    names = {name for each in scored for name in performance(each)}
    return [msgspec.structs.replace(each, reason=why[0]) if each.name in names else each for each in metrics]


def _no_probabilities(now: LabelledRowsNow, known: LabelledReference | None) -> list[str]:
    """Clauses on the scores of both sides that are no probabilities."""
    of_reference = None if known is None else known.no_probabilities
    sides = (("the data set to compare", now.no_probabilities), ("the reference", of_reference))
    return [f"in {where}, {why}" for where, why in sides if why is not None]


def _side(counts: OutcomeCounts, metrics: Mapping[str, Estimate], wrong: str | None) -> LabelledSide:
    found = outcomes_view(counts, metrics, wrong_scores=wrong)
    return LabelledSide(found.labelled, found.confusion, found.per_class, found.calibration, found.curves)


def _warnings(now: LabelledRowsNow, known: LabelledReference | None, wrong: str | None) -> list[str]:
    counts, reference = now.counts, None if known is None else known.counts
    found = [_here(each) for each in meaning_warnings(counts.layout, NOT_STATED)]
    beyond = beyond_classes(counts)
    if beyond is not None:
        found.append(beyond)
    found += [f"The metrics of scores are left out: {each}." for each in _no_probabilities(now, known)]
    for where, values in (
        ("the data set to compare", now.odd_values),
        ("the reference", () if known is None else known.odd_values),
    ):
        found += [f"In {where}, {each}, and left out of the metrics." for each in values]
    strange = strange_labels(counts, reference)
    if strange.n:
        of_them = "is of a class that was" if strange.n == 1 else "are of classes that were"
        found.append(f"{strange.n:,} of {strange.of:,} labels {of_them} never predicted and are not in the reference.")
    apart = without_common_class(counts, reference)
    if apart is not None:
        found.append(f"Nothing can be compared: {apart}.")
    if wrong is not None:
        found.append(f"The metrics of scores can't be computed: {wrong}.")
    return found


def _here(text: str) -> str:
    """A sentence of the service, with what to do about it here."""
    text = text.replace(POSITIVE, "give positive_class").replace(TASK, "give task")
    return text.replace("Set in the model's monitor.", "Set with the reference.")


def performance_in_words(found: MetricComparison) -> str:
    """Clause on a metric that got worse: from which value to which."""
    before = None if found.reference is None else found.reference.value
    values = f"{measures.metric_value(found.name, before)} → {measures.metric_value(found.name, found.current.value)}"
    interval = measures.metric_interval(found.name, found.current)
    known = f" (95 % interval {interval})" if interval else ""
    return measures.plain(f"{measures.metric_name(found.name)}: {values}{known}")


def labels_in_words(found: PerformanceComparison) -> str:
    """Clause on labels that have shifted."""
    if found.label_drift is None or found.reference is None:
        return "the labels"
    drift = found.label_drift
    if drift.reference is not None:
        return f"mean of the labels: {_value(drift.reference)} → {_value(drift.value)}"
    if found.reference.confusion is None or found.current.confusion is None:
        return "the shares of the classes have shifted"
    before, now = map(_class_shares, (found.reference.confusion, found.current.confusion))
    name, score = drift.odds_class, ""
    if isinstance(name, str):
        score = f", {ODDS} {_value(drift.loss)}"
    else:
        name = max(now, key=lambda each: abs(now[each] - before.get(each, 0.0)))
    shares = plain(f"{percent(before.get(name, 0.0))} → {percent(now.get(name, 0.0))}")
    return f"labels that are {'of any other class' if name == OTHER else name}: {shares}{score}"


def _class_shares(found: ConfusionReport) -> dict[str, float]:
    """Share of each class, and of all others, among the labels."""
    labels = {name: sum(row) for name, row in zip(found.classes, found.matrix, strict=True)}
    return {name: count / max(sum(labels.values()), 1) for name, count in labels.items()}


def coverage_in_words(found: PerformanceComparison) -> str:
    """Clause on labels that are missing."""
    came = found.label_coverage
    if came is None or came.value is None or came.reference is None:
        return "the usual labels"
    return f"only {plain(percent(came.value))} of predictions have a label; {plain(percent(came.reference))} is usual"


def _value(value: float | None) -> str:
    return "undefined" if value is None else plain(number(value))
