"""Texts that all channels share: headings, times, members, and texts that are cut to fit."""

from __future__ import annotations

from collections.abc import Callable

from modelwatch.alerting.notification import Event, Notification, NotificationMember
from modelwatch.findings import Kind
from modelwatch.measures import quality_title
from modelwatch.text import sparkline
from modelwatch.times import minute_of_micros

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
# Names of the times for people, by their annotation.
TIMES = {
    "began": "Began about",
    "since": "Since",
    "data_until": "Data up to",
    "ended": "Ended",
    "bad_data": "Bad data",
    "detected_at": "Detected at",
    "newest_data_judged": "Data evaluated up to",
    "not_certain_since": "No longer certain since",
}


def heading(notification: Notification) -> str:
    """Heading in one line: what changed, and the alert's title."""
    return one_line(f"{CHANGES[notification.event]}: {notification.title}")


def alert_name(notification: Notification) -> str:
    """Value of `alertname` for receivers that know alerts as Alertmanager does."""
    return TEST_NAME if notification.event == "test" else ALERT_NAMES[notification.kind]


def times_of(notification: Notification) -> dict[str, str]:
    """Times of a notification by their annotation; one that an earlier release has put in the outbox has two."""
    until = notification.data_until if notification.ended_at is None else notification.ended_at
    last = {"data_until" if notification.ended_at is None else "ended": minute_of_micros(until)}
    known = notification.bad_from, notification.bad_until, notification.detected_at, notification.judged_until
    if notification.kind == "freshness" or None in known:
        # Data came since the start of one that was opened again.
        since = notification.started_at if notification.bad_from is None else notification.bad_from
        return {"since": minute_of_micros(since), **last}
    bad_from, bad_until, detected_at, judged_until = (minute_of_micros(each or 0) for each in known)
    doubted = notification.uncertain_since
    doubt = {} if doubted is None else {"not_certain_since": minute_of_micros(doubted)}
    judged = last if notification.ended_at is not None else {"newest_data_judged": judged_until}
    began = {} if notification.began is None else {"began": minute_of_micros(notification.began)}
    return {**began, "bad_data": f"{bad_from} to {bad_until}", "detected_at": detected_at, **judged, **doubt}


def named_times(notification: Notification) -> dict[str, str]:
    """Times of a notification by their names for people."""
    return {TIMES[annotation]: text for annotation, text in times_of(notification).items()}


def member_line(member: NotificationMember) -> str:
    """Member in one line: the subject, the version, the severity and what moved."""
    finding = member.finding
    subject = quality_title(finding.subject) if finding.kind == "data_quality" else finding.subject
    return one_line(f"{subject} (version {member.version}, {finding.severity}): {finding.detail}")


def actor_line(notification: Notification) -> str:
    """Actor of the change and the note, or an empty text."""
    if notification.actor is None and notification.note is None:
        return ""
    who = f"By {notification.actor}" if notification.actor is not None else "Note"
    return one_line(who if notification.note is None else f"{who}: {notification.note}")


def trend_text(notification: Notification) -> tuple[str, str] | None:
    """Text of the trend: its subject, and the values as blocks with the last one; None without a trend."""
    trend = notification.trend
    if trend is None:
        return None
    now = trend.text(trend.values[-1])
    return trend.title, f"{sparkline(trend.values)} {now}"


def links(notification: Notification) -> list[tuple[str, str]]:
    """Links that are known, as (address, text)."""
    known = [(notification.page_url, "Open the alert"), (notification.evidence_url, "Evidence as JSON")]
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
