"""Gauges of data quality: the newest evaluation of each stream."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from modelwatch.exposition.performance import newest_streams
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.quality.reports import QualityReport
from modelwatch.storage.verdicts.verdicts import StoredVerdict

STREAM = ("model_name", "model_version", "environment")

_decode = msgspec.json.Decoder(QualityReport).decode

log = logging.getLogger(__name__)


def quality_families(verdicts: Sequence[StoredVerdict], streams_a_model: int) -> list[Metric]:
    """The families of a scrape. streams_a_model: how many streams of a model are exported, the newest first."""
    score = GaugeMetricFamily(
        "ml_data_quality_score",
        "1 minus the mean share of values with an issue: overall, and of missing (completeness), wrongly typed"
        " (validity) and"
        " out-of-reference (consistency) ones.",
        labels=(*STREAM, "quality_dimension"),
    )
    unsound = GaugeMetricFamily(
        "ml_data_quality_unsound_features", "Features with a data quality issue.", labels=STREAM
    )
    unjudged = GaugeMetricFamily(
        "ml_data_quality_not_judged_features",
        "Features without enough data to judge their quality.",
        labels=STREAM,
    )
    for verdict in newest_streams(verdicts, streams_a_model):
        try:
            report = _decode(verdict.result)
        except msgspec.DecodeError as error:
            log.warning("The quality verdict %s can't be read and has no gauges: %s", verdict.id, error)
            continue
        stream = (verdict.model, verdict.version, verdict.environment)
        for dimension, value in {"overall": report.score, **report.dimensions}.items():
            if value is not None:
                score.add_metric((*stream, dimension), value)
        unsound.add_metric(stream, len(report.unsound))
        unjudged.add_metric(stream, sum(each.severity not in KNOWN_STATES for each in report.features))
    return [score, unsound, unjudged]
