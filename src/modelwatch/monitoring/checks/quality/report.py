"""Quality report, as it goes over the wire and as it is kept with a verdict."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwatch.monitoring.checks.not_judged import KNOWN_STATES, NotJudged, by_reason
from modelwatch.monitoring.checks.rules import AlphaReport

Severity = Literal["stable", "warning", "alert", "insufficient_data", "no_reference", "no_data"]

# Worst first: the order in which one of several look-backs speaks for a rule.
PRECEDENCE: tuple[Severity, ...] = ("alert", "warning", "stable", "insufficient_data", "no_data", "no_reference")


class RateReport(msgspec.Struct, frozen=True):
    """One rule of one feature: how often it is broken, and how often in the reference. lookback: its deciding window.
    rates are null where there is nothing to count. warning_threshold, alert_threshold: the change from which it is one
    or the other, if p_value is below alpha."""

    rule: str
    dimension: str
    severity: Severity
    lookback: str | None
    count: int
    n: int
    rate: float | None
    reference_rate: float | None
    change: float | None
    p_value: float | None
    reason: str | None = None
    warning_threshold: float | None = None
    alert_threshold: float | None = None


class SentinelReport(msgspec.Struct, frozen=True):
    """One value that seems to stand for a missing one. side: `below` or `above` the reference's range, a `text` that it
    does not have, or `known`: a code that the reference has itself. share, reference_share: of the valid values, now
    and then. n: how many were checked: up to 1,000 rows, but all of the longest window for a known one. severity:
    `stable` for a known one that has not risen."""

    value: float | str
    side: str
    count: int
    share: float
    p_value: float
    reference_share: float = 0.0
    severity: Severity = "warning"
    n: int = 0


class ExtremeReport(msgspec.Struct, frozen=True):
    """The farthest value of the last day on a side of the reference's range. times: its distance from the reference's
    median, over that of the reference's own end. count: how many values are as far as 3 times; n: number of valid
    values. p_value: that chance reaches as far, by the tail of the reference."""

    value: float
    side: str
    times: float
    count: int
    n: int
    p_value: float


class FeatureQuality(msgspec.Struct, frozen=True):
    """One feature. unsound: the share of its values that break a rule, in the longest window."""

    feature_name: str
    severity: Severity
    unsound: float | None
    rules: list[RateReport]
    sentinels: list[SentinelReport]
    extremes: list[ExtremeReport] = []


class SchemaReport(msgspec.Struct, frozen=True):
    """A feature that only the reference has, or only the traffic."""

    feature_name: str
    change: Literal["appeared", "disappeared"]
    severity: Severity
    reference_count: int
    count: int
    n: int
    p_value: float


class VolumeReport(msgspec.Struct, frozen=True):
    """Predictions in a span beside those of the same span in earlier weeks; null where that is unknown.
    warning_threshold, alert_threshold: differences, in predictions, from which it is one or the other."""

    span: Literal["1h", "24h", "7d"]
    severity: Severity
    start: str
    end: str
    predictions: int
    weeks: int
    expected: float | None
    low: int | None
    high: int | None
    p_value: float | None
    reason: str | None
    warning_threshold: float | None = None
    alert_threshold: float | None = None


class DuplicatesReport(msgspec.Struct, frozen=True):
    """Predictions that were sent again, of all that were sent. changed: those with another content than the first time,
    which alone are judged: severity and threshold are about changed_share."""

    severity: Severity
    count: int
    n: int
    share: float | None
    threshold: float
    changed: int = 0
    changed_share: float | None = None


class ClassUseReport(msgspec.Struct, frozen=True):
    """Labels of classes that were never predicted and are not in the reference, or probabilities by class that don't
    name the predicted class: count of n, from start to end. names: some of the unknown names. reference_share, p_value:
    null without a labelled reference."""

    what: Literal["ground_truth", "prediction_probability"]
    severity: Severity
    start: str
    end: str
    count: int
    n: int
    share: float | None
    reference_share: float | None
    names: list[str]
    p_value: float | None
    reason: str | None


class QualityReport(msgspec.Struct, frozen=True):
    """A model's data quality. score: 1 minus the mean share of values with an issue over the features, in the longest
    window; dimensions: the same for missing values, wrong types, and values outside of the reference. severity: the
    worst that is known; `stable` only where at least one feature was judged. not_judged: features, single rules of
    features (`age: missing`), changes of the schema and volumes that are not judged."""

    model_name: str
    model_version: str
    environment: str
    severity: Severity
    watermark: str | None
    predictions: int
    score: float | None
    dimensions: dict[str, float | None]
    unsound: list[str]
    features: list[FeatureQuality]
    schema: list[SchemaReport]
    volume: list[VolumeReport]
    duplicates: DuplicatesReport
    alpha: float
    reason: str | None
    not_judged: list[NotJudged] = []
    classes: list[ClassUseReport] = []
    alpha_from: AlphaReport | None = None


def unjudged_values(report: QualityReport) -> list[NotJudged]:
    """What the report does not judge, by state and by reason."""
    reasons: dict[str, str | None] = {f"volume of {each.span}": each.reason for each in report.volume}
    reasons |= {f"{each.feature_name}: {each.change}": None for each in report.schema}
    for feature in report.features:
        if feature.severity in KNOWN_STATES:
            reasons |= {f"{feature.feature_name}: {rule.rule}": rule.reason for rule in feature.rules}
        else:
            own = (rule.reason for rule in feature.rules if rule.severity == feature.severity)
            reasons[feature.feature_name] = next(own, None)
    return by_reason(report.not_judged, reasons)
