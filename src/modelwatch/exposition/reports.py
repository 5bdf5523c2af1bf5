"""Gauges of performance and of data quality, from the newest report of each stream.

Those of performance are of the newest judged windows, whose labels should have come.
"""

from __future__ import annotations

import msgspec
from prometheus_client.core import GaugeMetricFamily

from modelwatch.exposition.text import Written, written
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, PerformanceReport
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.storage.verdicts.verdicts import StoredVerdict

STREAM = ("model_name", "model_version", "environment")
# The names that everybody knows, and the metric of a task that each of them shows.
KEPT: dict[str, tuple[str, ...]] = {
    "ml_model_accuracy": ("accuracy",),
    "ml_model_precision": ("precision", "precision_macro"),
    "ml_model_recall": ("recall", "recall_macro"),
    "ml_model_f1_score": ("f1", "f1_macro"),
}
VERDICTS = {"alert": 2, "warning": 1, "stable": 0}

_decode_performance = msgspec.json.Decoder(PerformanceReport).decode


def written_performance(verdict: StoredVerdict) -> tuple[Written, ...]:
    """Families of a stream. Raises msgspec.DecodeError for a report in another form."""
    report, families = _decode_performance(verdict.result), _performance_families()
    for window in report.windows:
        if window.matured and window.lookback is not None and window.immature is None:
            _add_window(families, (*verdict.stream, window.lookback), window)
    if report.arrivals.unknown is None:
        families["ml_model_label_lag_seconds"].add_metric(verdict.stream, report.arrivals.lag_seconds)
    return tuple(map(written, families.values()))


def no_performance() -> tuple[Written, ...]:
    """The families without samples."""
    return tuple(map(written, _performance_families().values()))


def _performance_families() -> dict[str, GaugeMetricFamily]:
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
        (
            "ml_model_label_lag_seconds",
            "Delay of most labels, once known; the windows end this far back.",
            STREAM,
        ),
    ):
        found[name] = GaugeMetricFamily(name, text, labels=labels)
    return found


def _add_window(families: dict[str, GaugeMetricFamily], labels: tuple[str, ...], window: LabelledWindowReport) -> None:
    for name, metrics in KEPT.items():
        value = next((window.metrics[each].value for each in metrics if each in window.metrics), None)
        if value is not None:
            families[name].add_metric(labels, value)
    for name, metric in window.metrics.items():
        for suffix, number in (("", metric.value), ("_lower", metric.low), ("_upper", metric.high)):
            if number is not None:
                families[f"ml_model_performance{suffix}"].add_metric((*labels, name), number)
        if metric.severity in VERDICTS:
            families["ml_model_performance_severity"].add_metric((*labels, name), VERDICTS[metric.severity])
    if window.coverage is not None:
        families["ml_model_labeled_ratio"].add_metric(labels, window.coverage)
    families["ml_model_labeled_predictions"].add_metric(labels, window.labelled)


_decode_quality = msgspec.json.Decoder(QualityReport).decode


def written_quality(verdict: StoredVerdict) -> tuple[Written, ...]:
    """Families of a stream. Raises msgspec.DecodeError for a report in another form."""
    report = _decode_quality(verdict.result)
    score, unsound, unjudged = families = _quality_families()
    for dimension, value in {"overall": report.score, **report.dimensions}.items():
        if value is not None:
            score.add_metric((*verdict.stream, dimension), value)
    unsound.add_metric(verdict.stream, len(report.unsound))
    unjudged.add_metric(verdict.stream, sum(each.severity not in KNOWN_STATES for each in report.features))
    return tuple(map(written, families))


def no_quality() -> tuple[Written, ...]:
    """The families without samples."""
    return tuple(map(written, _quality_families()))


def _quality_families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "ml_data_quality_score",
            "1 minus the mean share of values with an issue: overall, and of missing (completeness), wrongly typed"
            " (validity) and out-of-reference (consistency) ones.",
            labels=(*STREAM, "quality_dimension"),
        ),
        GaugeMetricFamily("ml_data_quality_unsound_features", "Features with a data quality issue.", labels=STREAM),
        GaugeMetricFamily(
            "ml_data_quality_not_judged_features",
            "Features without enough data to judge their quality.",
            labels=STREAM,
        ),
    )
