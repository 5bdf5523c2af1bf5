"""Webhook channel: the body that Alertmanager sends (version 4), so existing receivers work, and the notification.

With a secret, `X-Modelwatch-Signature: v1=<hex>` is the HMAC-SHA256 of `<X-Modelwatch-Timestamp>.<body>`; a receiver
refuses what is not signed or too old. `Idempotency-Key` is the same for every attempt at one notification,
`X-Modelwatch-Delivery` another one for each.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from modelwatch.alerting.channels.channel import Outcome
from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import alert_name
from modelwatch.alerting.notification import Notification, NotificationMember
from modelwatch.times import MICROS_PER_SECOND, iso_of_micros

NOT_ENDED = "0001-01-01T00:00:00Z"
FINGERPRINT_LENGTH = 16


class WebhookChannel:
    """Posts every change to one address."""

    kind = "webhook"

    def __init__(self, name: str, url: str, secret: str | None = None, *, clock: Callable[[], int]) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._clock = clock
        self._poster = Poster(clock)

    def __repr__(self) -> str:
        return f"WebhookChannel({self.name!r})"

    def send(self, notification: Notification, key: str) -> Outcome:
        now = self._clock()
        body = msgspec.json.encode(payload(notification, self.name))
        timestamp = str(now // MICROS_PER_SECOND)
        headers = {
            "Idempotency-Key": key,
            "X-Modelwatch-Timestamp": timestamp,
            "X-Modelwatch-Delivery": hashlib.sha256(f"{key}.{now}".encode()).hexdigest()[:32],
        }
        if self._secret is not None:
            headers["X-Modelwatch-Signature"] = signature(self._secret, timestamp, body)
        return judge(self._poster.post(self._url, body, headers))


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Value of X-Modelwatch-Signature.

    >>> signature("s3cret", "1750000000", b"{}")[:20]
    'v1=7ed071297999979c3'
    """
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def payload(notification: Notification, receiver: str) -> dict[str, Any]:
    """Body with one alert for each member; when the alert has none left, one for the alert itself."""
    group = {
        "alertname": alert_name(notification),
        "model_name": notification.model,
        "environment": notification.environment,
        "kind": notification.kind,
    }
    monitor_labels = {
        name: value for name, value in notification.labels.items() if name not in {"model", "severity", *group}
    }
    resolved = notification.event == "resolved"
    times = {
        "status": "resolved" if resolved else "firing",
        "endsAt": iso_of_micros(notification.ended_at or notification.occurred_at) if resolved else NOT_ENDED,
    }
    common = {"page_url": notification.page_url, "evidence_url": notification.evidence_url}
    alerts = [
        _entry(notification, member, {**monitor_labels, **group}, common, times) for member in notification.members
    ] or [
        {
            **times,
            "labels": {**monitor_labels, **group, "severity": notification.severity},
            "annotations": {"summary": notification.title, "description": notification.summary, **common},
            "startsAt": iso_of_micros(notification.started_at),
            "generatorURL": notification.page_url,
            "fingerprint": notification.fingerprint[:FINGERPRINT_LENGTH],
        }
    ]
    return {
        "version": "4",
        "receiver": receiver,
        "status": times["status"],
        "alerts": alerts,
        "groupLabels": group,
        "commonLabels": _common([alert["labels"] for alert in alerts]),
        "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
        "externalURL": _origin(notification.page_url),
        "groupKey": f"modelwatch/{notification.fingerprint}",
        "truncatedAlerts": 0,
        "modelwatch": msgspec.to_builtins(notification),
    }


def _entry(
    notification: Notification,
    member: NotificationMember,
    labels: dict[str, str],
    annotations: dict[str, str],
    times: dict[str, str],
) -> dict[str, Any]:
    finding = member.finding
    identity = msgspec.json.encode([notification.fingerprint, member.version, finding.subject])
    return {
        **times,
        "labels": {
            **labels,
            "severity": finding.severity,
            "model_version": member.version,
            "subject": finding.subject,
        },
        "annotations": {"summary": notification.title, "description": finding.detail, **annotations},
        "startsAt": iso_of_micros(finding.since * MICROS_PER_SECOND),
        "generatorURL": notification.page_url,
        "fingerprint": hashlib.sha256(identity).hexdigest()[:FINGERPRINT_LENGTH],
    }


def _common(sets: list[dict[str, str]]) -> dict[str, str]:
    """Entries that all have with the same value."""
    first, *others = sets
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme else ""
