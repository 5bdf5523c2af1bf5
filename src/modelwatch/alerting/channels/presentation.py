"""What every channel shows in the same words: what has changed, times, and texts that are cut to fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from modelwatch.alerting.notices import Event, Notice, NoticeMember
from modelwatch.findings import Kind

CHANGES: dict[Event, str] = {
    "firing": "Firing",
    "updated": "Updated",
    "escalated": "Escalated",
    "reminder": "Still firing",
    "acknowledged": "Acknowledged",
    "resolved": "Resolved",
    "test": "Test",
}
ALERT_NAMES: dict[Kind, str] = {
    "feature_drift": "ModelFeatureDrift",
    "prediction_drift": "ModelPredictionDrift",
    "latency_drift": "ModelLatencyDrift",
    "performance": "ModelPerformance",
    "label_drift": "ModelLabelDrift",
    "data_quality": "ModelDataQuality",
    "volume": "ModelVolume",
    "freshness": "ModelSilent",
}
TEST_NAME = "ModelwatchTest"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def heading(notice: Notice) -> str:
    """One line: what changed, and the alert's title."""
    return one_line(f"{CHANGES[notice.event]}: {notice.title}")


def alert_name(notice: Notice) -> str:
    """The value of `alertname` for receivers that know alerts as Alertmanager does."""
    return TEST_NAME if notice.event == "test" else ALERT_NAMES[notice.kind]


def iso_time(microseconds: int) -> str:
    """RFC 3339 in UTC.

    >>> iso_time(1_750_000_000_000_000), iso_time(1_750_000_000_000_001)
    ('2025-06-15T15:06:40Z', '2025-06-15T15:06:40.000001Z')
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")


def plain_time(microseconds: int) -> str:
    """For people.

    >>> plain_time(1_750_000_000_000_000)
    '2025-06-15 15:06 UTC'
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%d %H:%M UTC")


def times_of(notice: Notice) -> dict[str, str]:
    """The times of a notice by their names; one that an earlier release has put in the outbox knows two."""
    until = notice.data_until if notice.ended_at is None else notice.ended_at
    last = {"Data until" if notice.ended_at is None else "Ended": plain_time(until)}
    known = notice.bad_from, notice.bad_until, notice.detected_at, notice.judged_until
    if notice.kind == "freshness" or None in known:
        return {"Since": plain_time(notice.started_at), **last}
    bad_from, bad_until, detected_at, judged_until = (plain_time(each or 0) for each in known)
    doubt = {} if notice.uncertain_since is None else {"Not certain since": plain_time(notice.uncertain_since)}
    judged = last if notice.ended_at is not None else {"Newest data judged": judged_until}
    return {"Bad data": f"{bad_from} to {bad_until}", "Detected at": detected_at, **judged, **doubt}


def member_line(member: NoticeMember) -> str:
    """One member as a line: which version, which subject, and what moved."""
    finding = member.finding
    return one_line(f"{finding.subject} (version {member.version}, {finding.severity}): {finding.detail}")


def said_by(notice: Notice) -> str:
    """Who made the change and the note that was left, or nothing."""
    if notice.actor is None and notice.note is None:
        return ""
    who = f"By {notice.actor}" if notice.actor is not None else "Note"
    return one_line(who if notice.note is None else f"{who}: {notice.note}")


def links(notice: Notice) -> list[tuple[str, str]]:
    """(address, text) of each link that is known."""
    known = [(notice.page_url, "Open the alert"), (notice.evidence_url, "Evidence as JSON")]
    return [(address, text) for address, text in known if address]


def one_line(text: str) -> str:
    """Without line ends, tabs and other control characters.

    >>> one_line("a\\r\\nBcc: b\\x00")
    'a Bcc: b'
    """
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def cut(text: str, limit: int, length: Callable[[str], int] = len) -> str:
    """The text, or its start and an ellipsis; `length` measures what is to be at most `limit`.

    >>> cut("abcdef", 4), cut("abcd", 4)
    ('abc…', 'abcd')
    """
    if length(text) <= limit:
        return text
    low, high = 0, min(len(text), limit)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle] + "…") <= limit else (low, middle - 1)
    return text[:low] + "…"
