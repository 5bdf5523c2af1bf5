"""The report on a model of a service, made of what its API answers: the same page as that of two data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from modelwatch.charts.drawing.numbers import percent
from modelwatch.library.drift import SubjectComparison, by_severity
from modelwatch.library.performance import LabelledSide, MetricComparison, PerformanceComparison
from modelwatch.library.quality import UnsoundValues
from modelwatch.library.reports.report import Report, ServedModel, Side
from modelwatch.measures import plain
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE
from modelwatch.monitoring.checks.performance.report import (
    EarlyReport,
    LabelledWindowReport,
    MetricReport,
    PerformanceReport,
)
from modelwatch.monitoring.checks.performance.report_building import finite
from modelwatch.views.performance.outcomes import MetricValue, OutcomesView, RegressionErrors, ScoreCurves

NO_SIDE = dict.fromkeys(("n", "missing", "invalid", "unseen", "below_range", "above_range"), 0)
WORST_FIRST: tuple[str, ...] = PRECEDENCE
PAIRS = ("missing", "invalid", "unseen", "below_range", "above_range")


@dataclass(frozen=True, repr=False)
class ServedReport(Report):
    """A report whose columns were compared by a service. compared: the columns."""

    compared: Sequence[SubjectComparison] = ()

    @cached_property
    def subjects(self) -> list[SubjectComparison]:
        """The subjects of the model, worst first."""
        return sorted(self.compared, key=by_severity)


def served_report(
    check: Mapping[str, Any],
    comparisons: Iterable[Mapping[str, Any]],
    quality: Iterable[Mapping[str, Any]],
    performance: Iterable[Mapping[str, Any]] = (),
    stretch: Mapping[str, Any] | None = None,
) -> ServedReport:
    """The report on a model.

    check: answer to POST /drift/check. comparisons: of GET /models/{model}/comparison, one for each of its subjects.
    quality, performance: the reports in `current` of GET /models/{model}/quality and /performance. stretch: answer to
    GET /models/{model}/performance/stretch, asked with `stretch_of`: it has the results of the reference.
    """
    summary = check["summary"]
    found = list(comparisons)
    results = [msgspec.convert(each["report"], SubjectReport) for each in found]
    windows = [result.window for result in results if result.window is not None]
    model = ServedModel(
        summary["model_name"],
        summary["model_version"],
        summary["environment"],
        min((window.start for window in windows), default=None),
        max((window.end for window in windows), default=None),
        summary["false_alarm_budget"],
    )
    return ServedReport(
        results=results,
        quality=_unsound(quality),
        profiles={},
        reference=Side(max((result.reference_size for result in results), default=0)),
        current=Side(summary["predictions"]),
        alpha=summary["alpha"],
        left_out={},
        performance=_performance(_reports(performance), stretch),
        model=model,
        compared=[_compared(result, each) for result, each in zip(results, found, strict=True)],
    )


def _compared(result: SubjectReport, found: Mapping[str, Any]) -> SubjectComparison:
    before, after, pattern = (found[name] or {} for name in ("before", "after", "pattern"))
    before, after = NO_SIDE | before, NO_SIDE | after
    pairs = {name: (before[name], after[name]) for name in PAIRS}
    drifted = result.severity in DRIFTED
    return SubjectComparison.of(
        result,
        type=result.feature_type or "",
        sizes=(before["n"], after["n"]),
        cells=found["cells"],
        reference_counts=before.get("counts", []),
        current_counts=after.get("counts", []),
        edges=found["edges"],
        pattern=pattern.get("kind") if drifted else None,
        factor=pattern.get("factor") if drifted else None,
        cell=pattern.get("cell") if drifted else None,
        **pairs,
    )


def stretch_of(performance: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """What to ask GET /models/{model}/performance/stretch for: the window that decides; None where none does."""
    decided = _deciding(_reports(performance))
    if decided is None:
        return None
    report, window = decided
    return {
        "version": report.model_version,
        "environment": report.environment,
        "start": window.start,
        "end": window.end,
    }


def _reports(performance: Iterable[Mapping[str, Any]]) -> list[PerformanceReport]:
    return [msgspec.convert(each, PerformanceReport) for each in performance]


def _deciding(reports: Sequence[PerformanceReport]) -> tuple[PerformanceReport, LabelledWindowReport] | None:
    """The version that does worst, and its window that decides; None without one that is judged and has labels, or
    lacks those that are usual."""
    candidates = [
        (report, window)
        for report in reports
        for window in report.windows
        if window.matured and window.severity and (window.labelled or window.severity in DRIFTED)
    ]
    # A loss that is found before most labels have come decides only where no matured window is as bad.
    candidates += [(report, report.early.window) for report in reports if report.early and report.early.decides]
    return min(
        candidates, key=lambda each: (_place(each[1].severity), each[1].start, each[0].model_version), default=None
    )


def _performance(
    reports: Sequence[PerformanceReport], stretch: Mapping[str, Any] | None
) -> PerformanceComparison | None:
    """The performance of the version that does worst, in the window that decides; None where none does."""
    decided = _deciding(reports)
    if decided is None:
        return None
    report, window = decided
    found = _stretch(report, window, stretch)
    judged_early = report.early if report.early and report.early.window is window else None
    # A shorter window may be the one that lacks labels, while a longer one decides.
    coverage = [each.label_coverage for each in report.windows if each.matured and each.label_coverage is not None]
    known = {} if found.reference is None else found.reference.metrics
    metrics = [_metric(name, each, known.get(name), report.reference_labels) for name, each in window.metrics.items()]
    span = f"{window.start[:16]} to {window.end[:16]}".replace("T", " ")
    of_version = f"version {report.model_version}, " if len(reports) > 1 else ""
    return PerformanceComparison(
        task=report.task or "",
        classes=report.classes,
        positive_class=report.positive_class,
        severity=window.severity or "no_data",
        metrics=sorted(metrics, key=lambda each: each.severity is None),
        label_drift=window.label_drift,
        reference=_reference_side(report, found.reference),
        current=LabelledSide(window.labelled, window.confusion, window.per_class, window.calibration, found.curves),
        errors=found.errors,
        task_reason=report.task_reason,
        positive_class_reason=report.positive_class_reason,
        warnings=[*_early(judged_early), *report.warnings],
        reason=f"Labels of {of_version}{span} UTC. {report.reason or ''}".strip(),
        label_coverage=min(coverage, key=lambda each: _place(each.severity), default=None),
    )


def _early(found: EarlyReport | None) -> list[str]:
    return [] if found is None else [f"Judged early, on {plain(percent(found.labelled_share))} of the usual labels."]


@dataclass(frozen=True, slots=True)
class _Stretch:
    """What the report of a window does not have: the results of the reference, and the curves and errors of now."""

    reference: OutcomesView | None = None
    curves: list[ScoreCurves] = field(default_factory=list)
    errors: RegressionErrors | None = None


def _stretch(report: PerformanceReport, window: LabelledWindowReport, answer: Mapping[str, Any] | None) -> _Stretch:
    """That of the stream of the report, by the same reference; empty where it is not known."""
    stream = (report.model_version, report.environment, report.reference_id)
    streams = [] if answer is None else answer["streams"]
    known = (each for each in streams if (each["model_version"], each["environment"], each["reference_id"]) == stream)
    found = next(known, None)
    if found is None:
        return _Stretch()
    reference = msgspec.convert(found["reference"], OutcomesView | None)
    matured, outcomes = found["matured"], msgspec.convert(found["outcomes"], OutcomesView | None)
    if matured is None or outcomes is None or (matured["start"], matured["end"]) != (window.start, window.end):
        # The labels of a part of the window, where that is judged early.
        return _Stretch(reference)
    return _Stretch(reference, outcomes.curves, msgspec.convert(found["errors"], RegressionErrors | None))


def _reference_side(report: PerformanceReport, found: OutcomesView | None) -> LabelledSide | None:
    if found is not None:
        return LabelledSide(found.labelled, found.confusion, found.per_class, found.calibration, found.curves)
    return LabelledSide(report.reference_labels, None, None, None, []) if report.reference_labels else None


def _metric(name: str, found: MetricReport, known: MetricValue | None, reference_labels: int) -> MetricComparison:
    """known: the metric of the reference, where that was asked for; a report has its value for what it judges."""
    before = known
    if before is None and found.reference is not None:
        before = MetricValue(found.reference, None, None, reference_labels)
    change = found.change
    if change is None and found.value is not None and before is not None and before.value is not None:
        change = finite(found.value - before.value)
    return MetricComparison(
        name=name,
        severity=found.severity,
        reference=before,
        current=MetricValue(found.value, found.low, found.high, found.n, found.bound, found.reason),
        change=change,
        loss=found.loss,
        threshold=found.threshold,
        p_value=found.p_value,
        alpha=found.alpha,
        natural=found.natural,
        reason=found.reason,
    )


def _place(severity: str | None) -> int:
    return WORST_FIRST.index(severity) if severity in WORST_FIRST else len(WORST_FIRST)


def _unsound(reports: Iterable[Mapping[str, Any]]) -> list[UnsoundValues]:
    """Shares that have risen, the worst first; of several versions the worst of each."""
    found: dict[tuple[str, str], UnsoundValues] = {}
    for report in reports:
        for feature in report["features"]:
            for rule in feature["rules"]:
                if rule["severity"] not in DRIFTED:
                    continue
                name = feature["feature_name"]
                each = UnsoundValues(
                    name,
                    rule["rule"],
                    rule["severity"],
                    rule["reference_rate"] or 0.0,
                    rule["rate"] or 0.0,
                    rule["p_value"] if rule["p_value"] is not None else 1.0,
                )
                key = (name, rule["rule"])
                found[key] = min(found.get(key, each), each, key=_rank)
    return sorted(found.values(), key=_rank)


def _rank(each: UnsoundValues) -> tuple[bool, float, str]:
    return each.severity != "alert", each.reference_rate - each.rate, each.name
