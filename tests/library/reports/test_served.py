"""The report on a model of a service: what the service found is in its title, its words and its exit code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET, UnsetType

from modelwatch.library.reports.served import ServedReport, served_report
from modelwatch.monitoring.checks.performance.report import (
    ArrivalsReport,
    ConfusionReport,
    EarlyReport,
    LabelledWindowReport,
    MetricReport,
    PerformanceReport,
)
from modelwatch.views.newest_verdicts import shown_window

CHECK = {
    "summary": {
        "model_name": "m",
        "model_version": "1",
        "environment": "production",
        "false_alarm_budget": 1.0,
        "predictions": 5_000,
        "alpha": 0.001,
    }
}


def accuracy(severity: str, labelled: int, loss: float = 0.0) -> MetricReport:
    if not labelled:
        return MetricReport(None, None, None, 0, 0.0, severity="no_data", reason="No labelled predictions.")
    now = 0.9 - loss
    return MetricReport(
        now,
        now - 0.01,
        now + 0.01,
        labelled,
        0.0,
        severity,
        0.9,
        -loss,
        loss,
        0.02,
        0.5,
        0.001,  # type: ignore[arg-type]
    )


def coverage(severity: str, share: float) -> MetricReport:
    lost = 1 - share / 0.9
    return MetricReport(share, None, None, 1_000, 0.0, severity, 0.9, share - 0.9, lost, 0.8, 1e-9, 0.001)  # type: ignore[arg-type]


def window(lookback: str, severity: str, metric: MetricReport, came: MetricReport | None) -> LabelledWindowReport:
    start = "2026-01-06T00:00:00Z" if lookback == "24h" else "2026-01-01T00:00:00Z"
    return LabelledWindowReport(
        lookback,
        start,
        "2026-01-07T00:00:00Z",
        True,
        1_000,
        metric.n,
        metric.n / 1_000,
        1.0,
        None,
        severity,  # type: ignore[arg-type]
        {"accuracy": metric},
        label_coverage=came,
        confusion=ConfusionReport(["no", "yes"], [[0] * 3] * 3) if not metric.n else None,
    )


def report_of(
    *windows: LabelledWindowReport, reference_labels: int = 500, early: EarlyReport | UnsetType = UNSET
) -> PerformanceReport:
    return PerformanceReport(
        "m",
        "1",
        "production",
        "binary",
        ["no", "yes"],
        "yes",
        "yes",
        "2026-01-07T00:00:00Z",
        "alert",
        [],
        "r",
        reference_labels,
        "active",
        0.001,
        ArrivalsReport(0, None, None, None, 0, None, 0, 0),
        list(windows),
        None,
        early=early,
    )


def served(*windows: LabelledWindowReport, **given: Any) -> ServedReport:
    answer: list[dict[str, Any]] = [msgspec.to_builtins(report_of(*windows, **given))]
    return served_report(CHECK, [], [], answer)


@pytest.mark.parametrize("reference_labels", [500, 0])
def test_labels_that_stopped_coming_are_in_the_report(reference_labels: int) -> None:
    none = window("24h", "alert", accuracy("no_data", 0), coverage("alert", 0.0))
    week = window("7d", "stable", accuracy("stable", 4_000), coverage("stable", 0.8))
    report = served(none, week, reference_labels=reference_labels)
    assert report.severity == "alert"
    assert "Labels are missing: 0 labels" in report.summary()
    assert "alert: only 0 % of predictions have a label; 90.0 % is usual" in report.summary()
    assert "not worse" not in report.summary()
    page = report.to_html()
    assert "; labels are missing</h1>" in page
    assert "Label coverage" in page


def test_few_labels_by_which_performance_holds_are_not_a_calm_report() -> None:
    report = served(window("24h", "alert", accuracy("stable", 100), coverage("alert", 0.1)))
    assert report.performance is not None
    assert report.performance.severity == "alert"
    assert report.summary().splitlines()[1:] == [
        "Labels are missing: 100 labels compared with 500 of the reference.",
        "  alert: only 10.0 % of predictions have a label; 90.0 % is usual",
    ]


def test_missing_labels_of_a_day_are_said_beside_the_loss_of_a_week() -> None:
    day = window("24h", "alert", accuracy("no_data", 0), coverage("alert", 0.0))
    week = window("7d", "alert", accuracy("alert", 4_000, loss=0.1), coverage("stable", 0.8))
    report = served(day, week)
    assert "Performance is worse: 4,000 labels" in report.summary()
    assert "alert: only 0 % of predictions have a label" in report.summary()
    assert "; performance is worse; labels are missing</h1>" in report.to_html()


def test_usual_labels_are_not_called_missing() -> None:
    report = served(window("24h", "stable", accuracy("stable", 900), coverage("stable", 0.9)))
    assert report.severity == "stable"
    assert "missing" not in report.summary()


def judged_early(severity: str, *, decides: bool) -> EarlyReport:
    found = window("24h", severity, accuracy(severity, 300, loss=0.1), None)
    return EarlyReport(msgspec.structs.replace(found, matured=False), 0.623, decides, None, 900, 500, None, None, 0.3)


def test_a_loss_that_is_found_before_most_labels_have_come_is_the_verdict_of_the_report() -> None:
    week = window("7d", "stable", accuracy("stable", 4_000), coverage("stable", 0.9))
    report = served(week, early=judged_early("alert", decides=True))
    assert report.severity == "alert"
    assert report.performance is not None
    assert (report.performance.severity, report.performance.current.labelled) == ("alert", 300)
    assert "Performance is worse: 300 labels" in report.summary()
    assert "Judged early, on 62.3 % of the usual labels." in report.summary()
    assert "performance is worse</h1>" in report.to_html()


def test_a_matured_window_that_is_as_bad_decides_before_an_early_one() -> None:
    week = window("7d", "alert", accuracy("alert", 4_000, loss=0.1), coverage("stable", 0.9))
    report = served(week, early=judged_early("alert", decides=False))
    assert report.performance is not None
    assert report.performance.current.labelled == 4_000
    assert "early" not in report.summary()


def test_the_window_that_is_judged_early_is_shown_where_it_decides() -> None:
    week = window("7d", "stable", accuracy("stable", 4_000), None)
    early = judged_early("alert", decides=True)
    assert shown_window(report_of(week, early=early)) is early.window
    assert shown_window(report_of(week, early=judged_early("alert", decides=False))) is week
