"""A webhook gets what Alertmanager would send, the notification, and what it takes to trust and to deduplicate it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from modelwatch.alerting.channels.webhook import WebhookChannel, payload
from modelwatch.alerting.notification import Notification, NotificationMember
from tests.support.alerts.notifications import FINDING, NOTIFICATION, notification
from tests.support.events import NOON, Clock
from tests.support.servers.doubles import Receiver, Request

SECRET = "canary"


def sent(secret: str | None = SECRET) -> Request:
    with Receiver() as receiver:
        channel = WebhookChannel("hook", receiver.url + "/alerts?token=x", secret, clock=Clock())
        assert channel.send(NOTIFICATION, "a1:1:hook").status == "delivered"
    [request] = receiver.requests
    return request


def second_member() -> NotificationMember:
    return NotificationMember("2.2.0", "v2", msgspec.structs.replace(FINDING, subject="country", severity="warning"))


def test_the_body_has_the_shape_of_alertmanagers() -> None:
    body = payload(notification(members=(*NOTIFICATION.members, second_member())), "hook")
    assert {name: body[name] for name in ("version", "receiver", "status", "truncatedAlerts")} == {
        "version": "4",
        "receiver": "hook",
        "status": "firing",
        "truncatedAlerts": 0,
    }
    group = {
        "alertname": "ModelFeatureDrift",
        "model_name": "fraud",
        "environment": "production",
        "kind": "feature_drift",
    }
    assert body["groupLabels"] == group
    assert body["commonLabels"] == {**group, "team": "risk"}
    assert body["commonAnnotations"]["summary"] == NOTIFICATION.title
    assert body["externalURL"] == "https://mw.example.org"
    assert NOTIFICATION.fingerprint in body["groupKey"]
    first, second = body["alerts"]
    assert first["labels"] == {
        **group,
        "team": "risk",
        "severity": "alert",
        "model_version": "2.1.0",
        "subject": "amount",
    }
    assert (second["labels"]["severity"], second["labels"]["subject"]) == ("warning", "country")
    assert (first["startsAt"], first["endsAt"]) == ("2025-06-15T15:05:00Z", "0001-01-01T00:00:00Z")
    assert (first["generatorURL"], first["annotations"]["description"]) == (NOTIFICATION.page_url, FINDING.detail)
    assert first["fingerprint"] != second["fingerprint"]


def test_a_member_keeps_its_fingerprint_while_its_numbers_change() -> None:
    worse = NotificationMember("2.1.0", "v9", msgspec.structs.replace(FINDING, score=0.9, severity="warning"))
    prints = {payload(told, "x")["alerts"][0]["fingerprint"] for told in (NOTIFICATION, notification(members=(worse,)))}
    [only] = prints
    assert re.fullmatch("[0-9a-f]{16}", only)


def test_the_end_is_sent_with_its_time() -> None:
    body = payload(notification(event="resolved", state="resolved", ended_at=NOON + 1_000_000), "x")
    assert {body["status"], *(alert["status"] for alert in body["alerts"])} == {"resolved"}
    assert body["alerts"][0]["endsAt"] == "2025-06-15T15:05:01Z"


def test_an_alert_without_members_is_told_as_itself() -> None:
    [alert] = payload(notification(members=(), page_url=""), "x")["alerts"]
    assert (alert["labels"]["severity"], alert["annotations"]["description"]) == ("alert", NOTIFICATION.summary)
    assert payload(notification(page_url=""), "x")["externalURL"] == ""


def test_the_whole_notification_comes_along() -> None:
    body = sent().json
    assert msgspec.convert(body["modelwatch"], Notification) == NOTIFICATION


def test_a_test_has_a_name_of_its_own() -> None:
    assert payload(notification(event="test"), "x")["groupLabels"]["alertname"] == "ModelwatchTest"


def test_a_delivery_can_be_told_from_its_repeat_and_from_others() -> None:
    clock = Clock()
    with Receiver() as receiver:
        channel = WebhookChannel("hook", receiver.url, clock=clock)
        for _ in range(2):
            channel.send(NOTIFICATION, "a1:1:hook")
            clock.advance(1)
    assert receiver.keys == ["a1:1:hook"] * 2
    assert len({request.headers["X-Modelwatch-Delivery"] for request in receiver.requests}) == 2
    assert "X-Modelwatch-Signature" not in receiver.requests[0].headers


def test_the_documented_check_accepts_what_is_sent_and_nothing_else(repository: Path) -> None:
    page = (repository / "docs" / "channels.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    request = sent()
    headers, body, now = dict(request.headers), request.body, NOON / 1_000_000
    assert names["is_genuine"](SECRET, headers, body, now)
    assert not names["is_genuine"]("another", headers, body, now)
    assert not names["is_genuine"](SECRET, headers, body + b" ", now)
    assert not names["is_genuine"](SECRET, headers, body, now + 301)
    assert not names["is_genuine"](SECRET, {**headers, "X-Modelwatch-Timestamp": "1"}, body, now)
    assert not names["is_genuine"](SECRET, {}, body, now)
