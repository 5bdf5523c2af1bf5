"""State gauges of alerts: open alerts, findings so far, the outbox of the channels, silences in force.

All of it is read from the store, so every replica serves the same and nothing is forgotten over a restart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection

from modelwatch.findings import SEVERITIES
from modelwatch.storage.alerts.alerts import FLAPPING, StoredAlert, unfinished_alerts
from modelwatch.storage.alerts.finding_counters import FindingKey, finding_counts
from modelwatch.storage.alerts.outbox import DEAD, PENDING, OutboxState, backlog, retried
from modelwatch.storage.alerts.silences import silences_in_force

WORST = SEVERITIES[-1]
# A model that gets a new environment with every deployment would otherwise add series for ever.
ALERTS_A_MODEL = 60


@dataclass(frozen=True, slots=True)
class AlertFacts:
    """State of alerts in the store at one moment. findings: by model, then by subject and severity. retried: number of
    pending notifications that have failed at least once, by channel."""

    alerts: tuple[StoredAlert, ...]
    findings: Mapping[str, Mapping[FindingKey, int]]
    outbox: Mapping[tuple[str, OutboxState], int]
    retried: Mapping[str, int]
    silences: int


def read_alert_facts(connection: Connection, now: int) -> AlertFacts:
    """State as of now, in microseconds."""
    # What is flapping and resolved at the moment is not over, but it is not open either.
    alerts = tuple(alert for alert in unfinished_alerts(connection) if alert.state != FLAPPING)
    return AlertFacts(
        alerts,
        finding_counts(connection),
        backlog(connection),
        retried(connection),
        len(silences_in_force(connection, now)),
    )


def alerts_by_model(alerts: Iterable[StoredAlert]) -> dict[str, list[StoredAlert]]:
    """Alerts by model, the worst first and of those the oldest: those that are left out are the last."""
    grouped: dict[str, list[StoredAlert]] = {}
    for alert in sorted(alerts, key=lambda alert: (alert.severity != WORST, alert.opened_at, alert.id)):
        grouped.setdefault(alert.model, []).append(alert)
    return grouped


def alert_families(alerts: Sequence[StoredAlert]) -> tuple[Metric, int]:
    """Metric family of the states of a model's alerts, and the number of series that were left out."""
    states = GaugeMetricFamily(
        "ml_alert_state",
        "1 for every unresolved alert, by state: firing, acknowledged or silenced.",
        labels=("model_name", "environment", "kind", "severity", "state"),
    )
    for alert in alerts[:ALERTS_A_MODEL]:
        states.add_metric((alert.model, alert.environment, alert.kind, alert.severity, alert.state), 1)
    return states, max(len(alerts) - ALERTS_A_MODEL, 0)


def finding_counters(
    model: str, found: Mapping[FindingKey, int], subjects: Collection[str], most: int
) -> tuple[Metric, int]:
    """Metric family of the findings of a model so far, and the number of series that were left out.

    subjects: those that are watched now; they count from 0 on, so that `increase` sees a first finding. most: how many
    subjects are exported, those with the most findings first.
    """
    findings = CounterMetricFamily(
        "ml_drift_alerts_total",
        "Findings that started, or rose to this severity, since the store was created; the same on every replica.",
        labels=("model_name", "feature_name", "severity"),
    )
    counts = {**{(subject, severity): 0 for subject in sorted(subjects) for severity in SEVERITIES}, **found}
    exported, left_out = _most_found(counts, most), 0
    for (subject, severity), count in counts.items():
        if subject in exported:
            findings.add_metric((model, subject, severity), count)
        else:
            left_out += 1
    return findings, left_out


def delivery_families(facts: AlertFacts, channels: Iterable[str]) -> list[Metric]:
    """Metric families of the outbox and of silences. channels: those that are configured; they have numbers even when
    nothing waits."""
    silences = GaugeMetricFamily("ml_silences_active", "Active silences.", value=facts.silences)
    return [*_outbox(facts.outbox, channels), _retried(facts.retried, channels), silences]


def _most_found(counts: Mapping[FindingKey, int], most: int) -> set[str]:
    totals: dict[str, int] = {}
    for (subject, _), count in counts.items():
        totals[subject] = totals.get(subject, 0) + count
    return set(sorted(totals, key=lambda subject: (-totals[subject], subject))[:most])


def _outbox(waiting: Mapping[tuple[str, OutboxState], int], channels: Iterable[str]) -> list[Metric]:
    pending = GaugeMetricFamily(
        "ml_outbox_pending",
        "Notifications pending delivery, including those that wait for the end of quiet hours.",
        labels=("channel",),
    )
    dead = GaugeMetricFamily("ml_outbox_dead", "Notifications that failed for good.", labels=("channel",))
    for channel in sorted({*channels, *(name for name, _ in waiting)}):
        pending.add_metric((channel,), waiting.get((channel, PENDING), 0))
        dead.add_metric((channel,), waiting.get((channel, DEAD), 0))
    return [pending, dead]


def _retried(counts: Mapping[str, int], channels: Iterable[str]) -> Metric:
    """Of configured channels alone: nothing tries to send to others."""
    retrying = GaugeMetricFamily(
        "ml_outbox_retrying", "Pending notifications that have failed at least once.", labels=("channel",)
    )
    for channel in sorted(channels):
        retrying.add_metric((channel,), counts.get(channel, 0))
    return retrying
