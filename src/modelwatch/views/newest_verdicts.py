"""Newest verdicts of a stream and its findings in force: read as they are stored, without computing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Member, readable_alerts
from modelwatch.alerting.views.alerts import MemberReport, member_report
from modelwatch.findings import Kind
from modelwatch.monitoring.checks.headline import Headline, decode_headline
from modelwatch.monitoring.checks.performance.judge import PRECEDENCE
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, PerformanceReport
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.storage.alerts.alerts import unfinished_alerts
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.references import newest_references
from modelwatch.storage.verdicts.headlines import NewestState, newest_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY, newest_verdict, report_of

_decode_performance = msgspec.json.Decoder(PerformanceReport).decode
_decode_quality = msgspec.json.Decoder(QualityReport).decode
SHOWN_LOOKBACK = "24h"
# Kind of the findings of drift, by the kind of their subject.
KINDS: dict[str, Kind] = {
    "feature": "feature_drift",
    "prediction": "prediction_drift",
    "score": "prediction_drift",
    "latency": "latency_drift",
}


class OpenFinding(NamedTuple):
    """A finding in force, with its kind and its alert."""

    kind: Kind
    alert_id: str
    finding: MemberReport


def open_alerts(connection: Connection, stream: StreamKey) -> tuple[Alert, ...]:
    """The open alerts of a stream's model and environment, of all its versions."""
    return tuple(
        alert
        for alert in readable_alerts(unfinished_alerts(connection))
        if alert.is_open and (alert.model, alert.environment) == (stream.model, stream.environment)
    )


def open_findings(connection: Connection, stream: StreamKey) -> list[OpenFinding]:
    """The findings in force about a version in its environment, the worst first."""
    found = [
        OpenFinding(alert.kind, alert.id, member_report(member))
        for alert in open_alerts(connection, stream)
        for member in alert.members
        if member.version == stream.version
    ]
    return sorted(found, key=lambda each: (each.finding.severity != "alert", -each.finding.score, each.finding.subject))


class JudgedPerformance(msgspec.Struct, frozen=True):
    """The verdict of an evaluation of performance. window_end: seconds. window: the one to show: that which
    is judged early where it decides, else the worst matured one, and of equally bad ones that of a day; null where the
    verdict is a summary without windows. full: whether its evidence
    is kept."""

    verdict_id: str
    window_end: int
    full: bool
    report: PerformanceReport
    window: LabelledWindowReport | None


def judged_performance(connection: Connection, stream: StreamKey, until: int) -> JudgedPerformance | None:
    """The newest verdict on a stream's performance up to a time, in seconds; None where it was never evaluated."""
    verdict = newest_verdict(connection, stream, PERFORMANCE, until=until)
    if verdict is None:
        return None
    report = report_of(verdict, _decode_performance)
    return JudgedPerformance(verdict.id, verdict.window_end, verdict.full, report, shown_window(report))


def shown_window(report: PerformanceReport) -> LabelledWindowReport | None:
    """The window of a report that is shown, see `JudgedPerformance`."""

    def rank(window: LabelledWindowReport) -> tuple[int, bool]:
        return PRECEDENCE.index(window.severity or "no_data"), window.lookback != SHOWN_LOOKBACK

    if report.early and report.early.decides:
        return report.early.window
    return min((window for window in report.windows if window.matured), key=rank, default=None)


class JudgedQuality(msgspec.Struct, frozen=True):
    """The verdict of an evaluation of data quality. window_end: seconds. full: whether its evidence is kept; of a
    summary the lists of the report are empty."""

    verdict_id: str
    window_end: int
    full: bool
    report: QualityReport


def judged_quality(connection: Connection, stream: StreamKey, until: int) -> JudgedQuality | None:
    """The newest verdict on a stream's data quality up to a time, in seconds; None where it was never evaluated."""
    verdict = newest_verdict(connection, stream, QUALITY, until=until)
    if verdict is None:
        return None
    return JudgedQuality(verdict.id, verdict.window_end, verdict.full, report_of(verdict, _decode_quality))


@dataclass(frozen=True, slots=True)
class ModelSituation:
    """Open alerts of the stream's model and environment; of each check the newest verdict and its headline, None where
    there is none; the reference in force: its state, and when its newest part was set (microseconds)."""

    alerts: tuple[Alert, ...]
    verdicts: dict[str, tuple[NewestState, Headline | None]]
    reference: tuple[str, int] | None

    def headline(self, check: str) -> Headline | None:
        """Headline of the newest verdict of a check."""
        found = self.verdicts.get(check)
        return None if found is None else found[1]

    def state(self, check: str) -> NewestState | None:
        """The newest verdict of a check."""
        found = self.verdicts.get(check)
        return None if found is None else found[0]

    def alert_of(self, member: Member) -> Alert:
        """The alert that a finding belongs to."""
        return next(each for each in self.alerts if member in each.members)


def model_situation(connection: Connection, stream: StreamKey) -> ModelSituation:
    """Situation of a stream by its alerts, its newest verdicts and its reference."""
    verdicts = {}
    for check in (DRIFT, PERFORMANCE, QUALITY):
        found = newest_of(connection, [stream], check).get(stream)
        if found is not None:
            verdicts[check] = (found[0], decode_headline(found[1], found[0].id))
    reference = newest_references(connection, [stream.model]).get(stream.model)
    return ModelSituation(open_alerts(connection, stream), verdicts, reference)
