"""PagerDuty channel, by Events API v2: one incident there for one incident here.

Every event of an alert carries the same dedup_key, so an update changes the incident, and an acknowledgement or the end
reaches the one that was opened. Source: developer.pagerduty.com, "Send an alert event".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from modelwatch.alerting.channels.channel import Outcome
from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import cut, heading, links, one_line, times_of
from modelwatch.alerting.notification import Notification
from modelwatch.times import iso_of_micros

PATH = "/v2/enqueue"
SUMMARY = 1024
TEXT = 4096
MEMBERS_SHOWN = 50
SEVERITIES = {"alert": "critical", "warning": "warning"}
ACTIONS = {"acknowledged": "acknowledge", "resolved": "resolve"}


class PagerDutyChannel:
    """Sends events to one integration of one service."""

    kind = "pagerduty"

    def __init__(self, name: str, integration_key: str, url: str, *, clock: Callable[[], int]) -> None:
        self.name = name
        self._integration_key = integration_key
        self._url = url.rstrip("/") + PATH
        self._poster = Poster(clock)

    def __repr__(self) -> str:
        return f"PagerDutyChannel({self.name!r})"

    def send(self, notification: Notification, key: str) -> Outcome:
        outcome = self._post(event(notification))
        if notification.event == "test" and outcome.status == "delivered":
            # A test must leave no incident behind.
            outcome = self._post(ended(notification))
        return outcome

    def _post(self, body: dict[str, Any]) -> Outcome:
        content = msgspec.json.encode({"routing_key": self._integration_key, **body})
        return judge(self._poster.post(self._url, content, {}))


def event(notification: Notification) -> dict[str, Any]:
    """Event without its routing key."""
    action = ACTIONS.get(notification.event, "trigger")
    base = {"event_action": action, "dedup_key": dedup_key(notification)}
    if action != "trigger":
        return base
    page = {"client_url": notification.page_url} if notification.page_url else {}
    return {
        **base,
        "payload": {
            "summary": cut(heading(notification), SUMMARY),
            "source": cut(one_line(f"{notification.model} ({notification.environment})"), SUMMARY),
            "severity": "info" if notification.event == "test" else SEVERITIES[notification.severity],
            "timestamp": iso_of_micros(notification.occurred_at),
            "component": notification.model,
            "group": notification.environment,
            "class": notification.kind,
            "custom_details": _details(notification),
        },
        "links": [{"href": address, "text": text} for address, text in links(notification)],
        "client": "modelwatch",
        **page,
    }


def ended(notification: Notification) -> dict[str, Any]:
    """Event that resolves what `event` has triggered."""
    return {"event_action": "resolve", "dedup_key": dedup_key(notification)}


def dedup_key(notification: Notification) -> str:
    """Deduplication key: the same for each change of the incident, replica and release; 64 characters."""
    return hashlib.sha256(notification.fingerprint.encode()).hexdigest()


def _details(notification: Notification) -> dict[str, Any]:
    details: dict[str, Any] = {
        "summary": cut(notification.summary, TEXT),
        "alert_id": notification.alert_id,
        "state": notification.state,
        "labels": notification.labels,
        "since": iso_of_micros(notification.started_at),
        "data_until": iso_of_micros(notification.data_until),
        **times_of(notification),
        "recovered": list(notification.recovered),
        "members": [
            {
                "subject": member.finding.subject,
                "version": member.version,
                "severity": member.finding.severity,
                member.finding.score_name: member.finding.score,
                "threshold": member.finding.threshold,
                "warning_threshold": member.finding.warning_threshold,
                "alert_threshold": member.finding.alert_threshold,
                "p_value": member.finding.p_value,
                "sample_size": member.finding.sample_size,
                "reference_size": member.finding.reference_size,
                "detail": member.finding.detail,
            }
            for member in notification.members[:MEMBERS_SHOWN]
        ],
    }
    if len(notification.members) > MEMBERS_SHOWN:
        details["members_not_shown"] = len(notification.members) - MEMBERS_SHOWN
    return details
