"""Gauges of data quality: the newest evaluation of each stream."""

from __future__ import annotations

import msgspec
from prometheus_client.core import GaugeMetricFamily

from modelwatch.exposition.text import Written, written
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.storage.verdicts.verdicts import StoredVerdict

STREAM = ("model_name", "model_version", "environment")

_decode = msgspec.json.Decoder(QualityReport).decode


def written_quality(verdict: StoredVerdict) -> tuple[Written, ...]:
    """Families of a stream. Raises msgspec.DecodeError for a report in another form."""
    report = _decode(verdict.result)
    score, unsound, unjudged = families = _families()
    for dimension, value in {"overall": report.score, **report.dimensions}.items():
        if value is not None:
            score.add_metric((*verdict.stream, dimension), value)
    unsound.add_metric(verdict.stream, len(report.unsound))
    unjudged.add_metric(verdict.stream, sum(each.severity not in KNOWN_STATES for each in report.features))
    return tuple(map(written, families))


def no_quality() -> tuple[Written, ...]:
    """The families without samples."""
    return tuple(map(written, _families()))


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
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
