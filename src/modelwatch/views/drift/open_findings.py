"""Findings of drift that are in force for a stream, with the alerts that they belong to."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from modelwatch.alerting.alert import alert_from_row
from modelwatch.alerting.views.alerts import MemberReport, member_report
from modelwatch.findings import Kind
from modelwatch.storage.alerts.alerts import unfinished_alerts
from modelwatch.storage.engine.models import StreamKey

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


def open_findings(connection: Connection, stream: StreamKey) -> list[OpenFinding]:
    """The findings in force about a version in its environment, the worst first."""
    found = [
        OpenFinding(alert.kind, alert.id, member_report(member))
        for alert in map(alert_from_row, unfinished_alerts(connection))
        if alert.is_open and (alert.model, alert.environment) == (stream.model, stream.environment)
        for member in alert.members
        if member.version == stream.version
    ]
    return sorted(found, key=lambda each: (each.finding.severity != "alert", -each.finding.score, each.finding.subject))
