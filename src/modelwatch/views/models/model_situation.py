"""Situation of a model's stream, read without computing anything: open findings, headlines, standing, reference."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Member, alert_from_row
from modelwatch.monitoring.checks.headline import Headline, decode_headline
from modelwatch.storage.alerts.alerts import unfinished_alerts
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.references import newest_references
from modelwatch.storage.verdicts.headlines import NewestState, newest_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY


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
    alerts = tuple(
        alert
        for alert in map(alert_from_row, unfinished_alerts(connection))
        if alert.is_open and (alert.model, alert.environment) == (stream.model, stream.environment)
    )
    verdicts = {}
    for check in (DRIFT, PERFORMANCE, QUALITY):
        found = newest_of(connection, [stream], check).get(stream)
        if found is not None:
            verdicts[check] = (found[0], decode_headline(found[1]))
    reference = newest_references(connection, [stream.model]).get(stream.model)
    return ModelSituation(alerts, verdicts, reference)
