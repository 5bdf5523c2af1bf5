"""Metrics of alerts: gauges of the store, of what is open and what waits to be sent, and counters of deliveries.

Gauges are read from the store, so every replica serves the same and nothing is forgotten over a restart. A finding is a
member of an open alert, one by one: alert rules read them. It is in force by the verdict (large enough, and too large
for chance), by persistence and by hysteresis. It goes when a person has resolved the alert, and stays when its version
has departed: a rule has nothing left to decide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, Member, readable_alerts
from modelwatch.findings import SEVERITIES, Finding
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


FINDING_LABELS = ("model_name", "model_version", "environment", "kind", "feature_name", "rule")
FINDING_SEVERITIES = {"alert": 2, "warning": 1}


def finding_families(alerts: Sequence[StoredAlert], most: int) -> tuple[tuple[Metric, ...], int]:
    """Metric families of the findings in force in these open alerts of a model, and the number of series that were
    left out.

    most: how many findings are exported: the severe ones first, and of those the oldest, so that a new one never takes
    the place of one that a rule fires on.
    """
    severity = GaugeMetricFamily(
        "ml_finding_severity",
        "Severity of a current finding of an unresolved alert: 2 alert, 1 warning.",
        labels=FINDING_LABELS,
    )
    score = GaugeMetricFamily(
        "ml_finding_score",
        "Size of the finding: the PSI or the odds ratio of a drift, the loss of a metric, the missing share of usual"
        " labels, the rise of a rate, a share of the rows, of `extreme` how many times as far, the difference of a"
        " volume, the seconds of a silence when it was found.",
        labels=FINDING_LABELS,
    )
    ordered = sorted(_members(alerts), key=_rank)
    for alert, member in ordered[:most]:
        finding = member.finding
        labels = (alert.model, member.version, alert.environment, finding.kind, *subject_labels(finding))
        severity.add_metric(labels, FINDING_SEVERITIES[finding.severity])
        score.add_metric(labels, finding.score)
    families = (severity, score)
    return families, len(families) * len(ordered[most:])


def subject_labels(finding: Finding) -> tuple[str, str]:
    """Feature (or `prediction`, `accuracy`, …) of a finding, and the rule of data quality that is broken."""
    if finding.kind != "data_quality":
        return finding.subject, ""
    feature, separator, rule = finding.subject.rpartition(": ")
    return (feature, rule) if separator else (finding.subject, "")


def _members(alerts: Sequence[StoredAlert]) -> list[tuple[Alert, Member]]:
    found = readable_alerts(alerts, "Its findings have no gauges.")
    return [(alert, member) for alert in found for member in alert.members]


def _rank(found: tuple[Alert, Member]) -> tuple[int, int, str, str, str, str]:
    alert, member = found
    finding = member.finding
    severe = -FINDING_SEVERITIES[finding.severity]
    return severe, finding.since, alert.environment, member.version, finding.kind, finding.subject


SEND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OUTCOMES = ("delivered", "retry", "permanent", "dead", "refresh_failed")


class NotificationCounters:
    """Counters that observe deliveries.

    channels: those that are configured; they have numbers from the start, so that rates are right.
    """

    def __init__(self, registry: CollectorRegistry, channels: Iterable[str]) -> None:
        self._attempts = Counter(
            "ml_notifications_total",
            "Delivery attempts: delivered, retry (failed, may work later), permanent (failed for good);"
            " and, beside its attempts, each notification that was given up: dead; and each refresh of open alerts that"
            " failed: refresh_failed.",
            ("channel", "outcome"),
            registry=registry,
        )
        self._seconds = Histogram(
            "ml_notification_seconds",
            "Duration of successful deliveries, in seconds.",
            ("channel",),
            registry=registry,
            buckets=SEND_BUCKETS,
        )
        for channel in channels:
            self._seconds.labels(channel)
            for outcome in OUTCOMES:
                self._attempts.labels(channel, outcome)

    def delivered(self, channel: str, seconds: float) -> None:
        """Counts a notification that a channel has taken. seconds: duration of the send."""
        self._attempts.labels(channel, "delivered").inc()
        self._seconds.labels(channel).observe(seconds)

    def failed(self, channel: str, permanent: bool) -> None:
        """Counts an attempt that failed."""
        self._attempts.labels(channel, "permanent" if permanent else "retry").inc()

    def dead(self, channel: str) -> None:
        """Counts a notification that was given up."""
        self._attempts.labels(channel, "dead").inc()

    def refresh_failed(self, channel: str) -> None:
        """Counts a refresh of the open alerts that failed: no attempt at a notification."""
        self._attempts.labels(channel, "refresh_failed").inc()
