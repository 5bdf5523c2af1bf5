"""State gauges of findings: the members of open alerts, one by one. Alert rules read them.

A finding is in force by the verdict (large enough, and too large for chance), by persistence and by hysteresis. It goes
when a person has resolved the alert, and stays when its version has departed: a rule has nothing left to decide.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from modelwatch.alerting.alert import Member, alert_from_row
from modelwatch.findings import Finding
from modelwatch.storage.alerts.alerts import StoredAlert

LABELS = ("model_name", "model_version", "environment", "kind", "feature_name", "rule")
SEVERITY_NUMBERS = {"alert": 2, "warning": 1}

log = logging.getLogger(__name__)


def finding_families(alerts: Sequence[StoredAlert], most: int) -> tuple[tuple[Metric, ...], int]:
    """Metric families of the findings in force in these open alerts of a model, and the number of series that were
    left out.

    most: how many findings are exported: the severe ones first, and of those the oldest, so that a new one never takes
    the place of one that a rule fires on.
    """
    severity = GaugeMetricFamily(
        "ml_finding_severity",
        "Severity of a current finding of an unresolved alert: 2 alert, 1 warning.",
        labels=LABELS,
    )
    score = GaugeMetricFamily(
        "ml_finding_score",
        "Size of the finding: the PSI or the odds ratio of a drift, the loss of a metric, the missing share of usual"
        " labels, the rise of a rate, a share of the rows, of `extreme` how many times as far, the difference of a"
        " volume, the seconds of a silence when it was found.",
        labels=LABELS,
    )
    ordered = sorted(_members(alerts), key=_rank)
    for alert, member in ordered[:most]:
        finding = member.finding
        labels = (alert.model, member.version, alert.environment, finding.kind, *subject_labels(finding))
        severity.add_metric(labels, SEVERITY_NUMBERS[finding.severity])
        score.add_metric(labels, finding.score)
    families = (severity, score)
    return families, len(families) * len(ordered[most:])


def subject_labels(finding: Finding) -> tuple[str, str]:
    """Feature (or `prediction`, `accuracy`, …) of a finding, and the rule of data quality that is broken."""
    if finding.kind != "data_quality":
        return finding.subject, ""
    feature, separator, rule = finding.subject.rpartition(": ")
    return (feature, rule) if separator else (finding.subject, "")


def _members(alerts: Sequence[StoredAlert]) -> list[tuple[StoredAlert, Member]]:
    found: list[tuple[StoredAlert, Member]] = []
    for stored in alerts:
        try:
            found += ((stored, member) for member in alert_from_row(stored).members)
        except msgspec.DecodeError as error:
            log.warning("The alert %s can't be read here and its findings have no gauges: %s", stored.id, error)
    return found


def _rank(found: tuple[StoredAlert, Member]) -> tuple[int, int, str, str, str, str]:
    alert, member = found
    finding = member.finding
    severe = -SEVERITY_NUMBERS[finding.severity]
    return severe, finding.since, alert.environment, member.version, finding.kind, finding.subject
