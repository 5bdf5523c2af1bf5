"""Gauges of performance: the newest judged windows of each stream, whose labels should have come."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from modelwatch.monitoring.checks.performance.reports import PerformanceReport, WindowReport
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

log = logging.getLogger(__name__)


def performance_families(verdicts: Sequence[StoredVerdict], streams_a_model: int) -> list[Metric]:
    """The families of a scrape. streams_a_model: how many streams of a model are exported, the newest first."""
    families = _families()
    for verdict in newest_streams(verdicts, streams_a_model):
        report = _read(verdict)
        if report is None:
            continue
        stream = (verdict.model, verdict.version, verdict.environment)
        for window in report.windows:
            if window.matured and window.lookback is not None and window.immature is None:
                _add(families, (*stream, window.lookback), window)
        families["ml_model_label_lag_seconds"].add_metric(stream, report.arrivals.lag_seconds)
    return list(families.values())


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


def _add(families: dict[str, GaugeMetricFamily], labels: tuple[str, ...], window: WindowReport) -> None:
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


def newest_streams(verdicts: Sequence[StoredVerdict], streams_a_model: int) -> Iterable[StoredVerdict]:
    """Verdicts on so many streams of each model, those with the newest data first."""
    by_model: dict[str, list[StoredVerdict]] = {}
    for verdict in verdicts:
        by_model.setdefault(verdict.model, []).append(verdict)
    for streams in by_model.values():
        yield from sorted(streams, key=lambda each: (-each.window_end, each.version, each.environment))[
            :streams_a_model
        ]


def _read(verdict: StoredVerdict) -> PerformanceReport | None:
    """The verdict as a report; None when another release wrote it in a form that can't be read here."""
    try:
        return _decode(verdict.result)
    except msgspec.DecodeError as error:
        log.warning("The performance verdict %s can't be read and has no gauges: %s", verdict.id, error)
        return None
