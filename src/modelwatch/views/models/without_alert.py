"""Drift of a newest verdict while no alert is open: a person has resolved the findings, or it has still to persist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.alerting.alert import readable_alerts
from modelwatch.config.monitors.monitor import MonitorConfig
from modelwatch.monitoring.checks.drift.observations import DRIFT_KINDS
from modelwatch.monitoring.checks.headline import decode_headline
from modelwatch.storage.alerts.alerts import newest_resolved
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.headlines import newest_of
from modelwatch.storage.verdicts.verdicts import DRIFT


@dataclass(frozen=True, slots=True)
class DriftWithoutAlert:
    """Numbers of subjects. found: that drift by the newest verdict, of those that it compared (`checked`). resolved:
    whose finding a person has resolved or accepted, and which drift still. A finding needs `alarms` of the last `of`
    evaluations."""

    found: int
    checked: int
    resolved: int = 0
    alarms: int = 1
    of: int = 1

    @property
    def is_resolved(self) -> bool:
        """True where a person has resolved all that is found."""
        return 0 < self.resolved >= self.found

    def clause(self) -> str:
        """Clause on what drifts, and why no alert is open for it.

        >>> DriftWithoutAlert(1, 2, alarms=2, of=3).clause()
        '1 of 2 subjects drifts; no finding yet: it needs 2 of the last 3 evaluations'
        >>> DriftWithoutAlert(4, 9, resolved=3).clause()
        '4 of 9 subjects drift, 3 are resolved by a person; no alert is open for the other'
        """
        found = self.found
        text = f"{found:,} of {self.checked:,} subjects {'drifts' if found == 1 else 'drift'}" if found else "drift"
        if 0 < self.resolved < found:
            text += f", {self.resolved:,} {'is' if self.resolved == 1 else 'are'} resolved by a person"
        return f"{text}; {self.why}"

    @property
    def why(self) -> str:
        """Clause on why no alert is open.

        >>> DriftWithoutAlert(1, 2, alarms=2, of=3).why
        'no finding yet: it needs 2 of the last 3 evaluations'
        """
        if self.is_resolved:
            return "a person has resolved the findings"
        left = self.found - self.resolved
        others = "" if not self.resolved else " for the other" if left == 1 else f" for the other {left:,}"
        if self.alarms == 1:
            return f"no alert is open{others}"
        return f"no finding yet{others}: it needs {self.alarms} of the last {self.of} evaluations"


def drift_without_alert(
    connection: Connection, streams: Collection[StreamKey], monitors: Mapping[str, MonitorConfig]
) -> dict[StreamKey, DriftWithoutAlert]:
    """Of each of these streams, whose newest verdict is drift and of which no alert is open. monitors: by model."""
    if not streams:
        return {}
    resolved = _resolved(connection, {each.model for each in streams})
    found = {}
    for stream, (newest, stored) in newest_of(connection, streams, DRIFT).items():
        headline, monitor = decode_headline(stored, newest.id), monitors.get(stream.model)
        persistence = None if monitor is None else monitor.drift.persistence
        found[stream] = DriftWithoutAlert(
            found=0 if headline is None else headline.found,
            checked=0 if headline is None else headline.checked,
            resolved=resolved[stream],
            alarms=1 if persistence is None else persistence.alarms,
            of=1 if persistence is None else persistence.of,
        )
    return found


def _resolved(connection: Connection, models: Collection[str]) -> Counter[StreamKey]:
    """Number of subjects of each stream whose findings a person has resolved, and that the newest evaluation found."""
    found: Counter[StreamKey] = Counter()
    for alert in readable_alerts(newest_resolved(connection, models, DRIFT_KINDS)):
        for each in alert.dismissed:
            # One that only holds on does not drift by the newest verdict, and a small one is none of those that do.
            if not (each.member.finding.holding or each.member.finding.small):
                found[StreamKey(alert.model, each.member.version, alert.environment)] += 1
    return found
