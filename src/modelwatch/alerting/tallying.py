"""Which findings an incident has got that it did not have before: what the count of drift alerts counts."""

from __future__ import annotations

from modelwatch.alerting.alerts import Alert, MemberKey, rank
from modelwatch.findings import FindingSeverity


def begun(before: Alert | None, after: Alert) -> list[tuple[str, FindingSeverity]]:
    """Subject and severity of each member that is new in an open alert, or worse than it was."""
    if not after.is_open:
        return []
    known = {} if before is None or before.id != after.id else _in_force(before)
    return [
        (member.finding.subject, member.finding.severity)
        for member in after.members
        if member.key not in known or rank(member.finding.severity) > rank(known[member.key])
    ]


def _in_force(alert: Alert) -> dict[MemberKey, FindingSeverity]:
    """The findings that were known, also those that a person has declared resolved."""
    if alert.is_open:
        return {member.key: member.finding.severity for member in alert.members}
    return {each.member.key: each.severity for each in alert.dismissed}
