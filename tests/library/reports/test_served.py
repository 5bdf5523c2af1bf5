"""The report on a model of a service: what the service found is in its title, its words and its exit code."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from modelwatch.library.reports.served import ServedReport, served_report
from modelwatch.monitoring.checks.performance.report import (
    ArrivalsReport,
    ConfusionReport,
    LabelledWindowReport,
    MetricReport,
    PerformanceReport,
)

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


def served(*windows: LabelledWindowReport, reference_labels: int = 500) -> ServedReport:
    found = PerformanceReport(
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
    )
    answer: list[dict[str, Any]] = [msgspec.to_builtins(found)]
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
