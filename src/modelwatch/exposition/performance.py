"""Gauges of performance: the newest judged windows of each stream, whose labels should have come."""

from __future__ import annotations

import msgspec
from prometheus_client.core import GaugeMetricFamily

from modelwatch.exposition.text import Written, written
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, PerformanceReport
from modelwatch.storage.verdicts.verdicts import StoredVerdict

STREAM = ("model_name", "model_version", "environment")
# The names that everybody knows, and the metric of a task that each of them shows.
KEPT: dict[str, tuple[str, ...]] = {
    "ml_model_accuracy": ("accuracy",),
    "ml_model_precision": ("precision", "precision_macro"),
    "ml_model_recall": ("recall", "recall_macro"),
    "ml_model_f1_score": ("f1", "f1_macro"),
}
SEVERITIES = {"alert": 2, "warning": 1, "stable": 0}

_decode = msgspec.json.Decoder(PerformanceReport).decode


def written_performance(verdict: StoredVerdict) -> tuple[Written, ...]:
    """Families of a stream. Raises msgspec.DecodeError for a report in another form."""
    report, families = _decode(verdict.result), _families()
    for window in report.windows:
        if window.matured and window.lookback is not None and window.immature is None:
            _add(families, (*verdict.stream, window.lookback), window)
    families["ml_model_label_lag_seconds"].add_metric(verdict.stream, report.arrivals.lag_seconds)
    return tuple(map(written, families.values()))


def no_performance() -> tuple[Written, ...]:
    """The families without samples."""
    return tuple(map(written, _families().values()))


def _families() -> dict[str, GaugeMetricFamily]:
    window, metric = (*STREAM, "metric_window"), (*STREAM, "metric_window", "metric")
    at = "over the newest matured window of this length"
    found = {
        name: GaugeMetricFamily(name, f"{metrics[0].capitalize()} {at}.", labels=window)
        for name, metrics in KEPT.items()
    }
    for name, text, labels in (
        ("ml_model_performance", f"A metric {at}.", metric),
        ("ml_model_performance_lower", "Lower end of the metric's 95 % interval.", metric),
        ("ml_model_performance_upper", "Upper end of the metric's 95 % interval.", metric),
        ("ml_model_performance_severity", "Verdict on the metric: 2 alert, 1 warning, 0 stable.", metric),
        ("ml_model_labeled_ratio", "Share of labelled predictions in the window.", window),
        ("ml_model_labeled_predictions", "Labelled predictions in the window.", window),
        ("ml_model_label_lag_seconds", "Delay of most labels; the windows end this far back.", STREAM),
    ):
        found[name] = GaugeMetricFamily(name, text, labels=labels)
    return found


def _add(families: dict[str, GaugeMetricFamily], labels: tuple[str, ...], window: LabelledWindowReport) -> None:
    for name, metrics in KEPT.items():
        value = next((window.metrics[each].value for each in metrics if each in window.metrics), None)
        if value is not None:
            families[name].add_metric(labels, value)
    for name, metric in window.metrics.items():
        for suffix, number in (("", metric.value), ("_lower", metric.low), ("_upper", metric.high)):
            if number is not None:
                families[f"ml_model_performance{suffix}"].add_metric((*labels, name), number)
        if metric.severity in SEVERITIES:
            families["ml_model_performance_severity"].add_metric((*labels, name), SEVERITIES[metric.severity])
    if window.coverage is not None:
        families["ml_model_labeled_ratio"].add_metric(labels, window.coverage)
    families["ml_model_labeled_predictions"].add_metric(labels, window.labelled)
