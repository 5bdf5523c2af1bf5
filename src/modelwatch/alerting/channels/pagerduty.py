"""PagerDuty, by Events API v2: one incident there for one incident here.

Every event of an alert carries the same dedup_key, so an update changes the incident, and an acknowledgement or the end
reaches the one that was opened. Source: developer.pagerduty.com, "Send an alert event".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import cut, heading, iso_time, links, one_line, times_of
from modelwatch.alerting.channels.protocol import Outcome
from modelwatch.alerting.notices import Notice

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

    def send(self, notice: Notice, key: str) -> Outcome:
        outcome = self._post(event(notice))
        if notice.event == "test" and outcome.status == "delivered":
            # A test must leave no incident behind.
            outcome = self._post(ended(notice))
        return outcome

    def _post(self, body: dict[str, Any]) -> Outcome:
        content = msgspec.json.encode({"routing_key": self._integration_key, **body})
        return judge(self._poster.post(self._url, content, {}))


def event(notice: Notice) -> dict[str, Any]:
    """The event without its routing key."""
    action = ACTIONS.get(notice.event, "trigger")
    base = {"event_action": action, "dedup_key": dedup_key(notice)}
    if action != "trigger":
        return base
    page = {"client_url": notice.page_url} if notice.page_url else {}
    return {
        **base,
        "payload": {
            "summary": cut(heading(notice), SUMMARY),
            "source": cut(one_line(f"{notice.model} ({notice.environment})"), SUMMARY),
            "severity": "info" if notice.event == "test" else SEVERITIES[notice.severity],
            "timestamp": iso_time(notice.occurred_at),
            "component": notice.model,
            "group": notice.environment,
            "class": notice.kind,
            "custom_details": _details(notice),
        },
        "links": [{"href": address, "text": text} for address, text in links(notice)],
        "client": "modelwatch",
        **page,
    }


def ended(notice: Notice) -> dict[str, Any]:
    """The event that ends what `event` has begun."""
    return {"event_action": "resolve", "dedup_key": dedup_key(notice)}


def dedup_key(notice: Notice) -> str:
    """The same for every change of the incident, on every replica and in every release; 64 characters."""
    return hashlib.sha256(notice.fingerprint.encode()).hexdigest()


def _details(notice: Notice) -> dict[str, Any]:
    details: dict[str, Any] = {
        "summary": cut(notice.summary, TEXT),
        "alert_id": notice.alert_id,
        "state": notice.state,
        "labels": notice.labels,
        "since": iso_time(notice.started_at),
        "data_until": iso_time(notice.data_until),
        **{name.lower().replace(" ", "_"): text for name, text in times_of(notice).items()},
        "recovered": list(notice.recovered),
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
            for member in notice.members[:MEMBERS_SHOWN]
        ],
    }
    if len(notice.members) > MEMBERS_SHOWN:
        details["members_not_shown"] = len(notice.members) - MEMBERS_SHOWN
    return details
