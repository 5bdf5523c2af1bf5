"""Alertmanager channel, by its API v2: every open alert is sent again and again, and lapses when it is not.

To Alertmanager another label set is another alert, so labels hold what the alert is and never a number. Severity and
the monitor's own labels are among them, because routes and inhibitions are written on them: when they change while the
alert is open, the same push also ends the alert under the labels before. If that was missed, it lapses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from modelwatch.alerting.channels.channel import DELIVERED, Outcome
from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import alert_name, cut, times_of
from modelwatch.alerting.notification import Notification
from modelwatch.findings import SEVERITIES
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros

PATH = "/api/v2/alerts"
REFRESH_SECONDS = 60.0
# An alert outlives two refreshes that failed.
LIVES_REFRESHES = 3
ALERTS_A_PUSH = 500
TEXT = 4096
# An end that Alertmanager's clock has not reached yet would not count: the later end of the push before wins.
CLOCKS_DIFFER = 60 * MICROS_PER_SECOND


class AlertmanagerChannel:
    """Pushes to every replica of one Alertmanager cluster, which shares silences and what was sent, but not alerts.

    A push is delivered when at least one replica took it: with the next refresh the others get it, too, and an end that
    they missed lapses. So one replica that is down delays nothing and repeats nothing.
    """

    kind = "alertmanager"

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        *,
        clock: Callable[[], int],
        refresh_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self.name = name
        self.refresh_seconds = refresh_seconds
        self._urls = [url.rstrip("/") + PATH for url in urls]
        self._clock = clock
        self._poster = Poster(clock)
        # The labels under which Alertmanager knows each alert, as far as this process has sent it.
        self._known: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        return f"AlertmanagerChannel({self.name!r})"

    def send(self, notification: Notification, key: str) -> Outcome:
        now = self._clock()
        labels = labels_of(notification)
        over = [other for other in self._others(notification, labels) if other != labels]
        outcome = self._push(
            [self._alert(notification, now), *(alert_of(notification, other, now, ended=True) for other in over)]
        )
        if outcome.status == "delivered":
            self._known[notification.alert_id] = labels
        if notification.event in {"resolved", "test"}:
            self._known.pop(notification.alert_id, None)
        return outcome

    def refresh(self, notifications: Sequence[Notification]) -> Outcome:
        now = self._clock()
        active = [notification for notification in notifications if notification.event != "resolved"]
        # An end may have been sent by another process: the alert is not to be remembered here for ever.
        self._known = {notification.alert_id: labels_of(notification) for notification in active}
        alerts = [self._alert(notification, now) for notification in active]
        pushes = [self._push(alerts[start : start + ALERTS_A_PUSH]) for start in range(0, len(alerts), ALERTS_A_PUSH)]
        return max(pushes, key=_rank, default=DELIVERED)

    def _others(self, notification: Notification, labels: dict[str, str]) -> list[dict[str, str]]:
        """Other labels under which it may be known: those sent last, or if these are not known, any severity."""
        if notification.alert_id in self._known:
            return [self._known[notification.alert_id]]
        if notification.event in {"firing", "test"}:
            return []
        return [{**labels, "severity": severity} for severity in SEVERITIES]

    def _alert(self, notification: Notification, now: int) -> dict[str, Any]:
        life = int(self.refresh_seconds * LIVES_REFRESHES * MICROS_PER_SECOND)
        return alert_of(notification, labels_of(notification), now, ended=notification.event == "resolved", life=life)

    def _push(self, alerts: list[dict[str, Any]]) -> Outcome:
        body = msgspec.json.encode(alerts)
        return best(judge(self._poster.post(url, body, {})) for url in self._urls)


def best(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of the replicas that counts: any that took it, else any that may take it later."""
    return min(list(outcomes), key=_rank)


def _rank(outcome: Outcome) -> int:
    return ("delivered", "retry", "permanent").index(outcome.status)


def labels_of(notification: Notification) -> dict[str, str]:
    """Labels that identify the alert in Alertmanager: the same while only its numbers and its state change."""
    monitor_labels = {
        _label_name(name): value for name, value in notification.labels.items() if name not in {"", "model"} and value
    }
    return {
        **monitor_labels,
        "alertname": alert_name(notification),
        "model_name": notification.model,
        "environment": notification.environment,
        "kind": notification.kind,
        "severity": notification.severity,
    }


def alert_of(
    notification: Notification, labels: dict[str, str], now: int, *, ended: bool = False, life: int = 0
) -> dict[str, Any]:
    """Body of the alert under these labels, ended or alive until now + life (microseconds)."""
    over = now - CLOCKS_DIFFER
    annotations = {
        "summary": notification.title,
        "description": cut(notification.summary, TEXT),
        "state": notification.state,
        "page_url": notification.page_url,
        "evidence_url": notification.evidence_url,
        **times_of(notification),
    }
    return {
        "labels": labels,
        "annotations": {name: text for name, text in annotations.items() if text},
        "startsAt": iso_of_micros(min(notification.started_at, over)),
        "endsAt": iso_of_micros(over if ended else now + life),
        "generatorURL": notification.page_url,
    }


def _label_name(name: str) -> str:
    """Name that Alertmanager takes as a label.

    >>> _label_name("cost-centre"), _label_name("2nd")
    ('cost_centre', '_2nd')
    """
    safe = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"_{safe}" if safe[:1].isdigit() else safe
