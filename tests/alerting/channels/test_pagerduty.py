"""PagerDuty: one incident there for one here, through its whole life."""

from __future__ import annotations

import hashlib

import pytest

from modelwatch.alerting.channels.pagerduty import PagerDutyChannel, event
from tests.support.alerts.notifications import NOTIFICATION, notification
from tests.support.events import Clock
from tests.support.servers.doubles import Receiver, Reply

ACCEPTED = Reply(202, body=b'{"status":"success"}')
LIFE = {
    "firing": "trigger",
    "updated": "trigger",
    "acknowledged": "acknowledge",
    "reminder": "trigger",
    "resolved": "resolve",
}


def channel(receiver: Receiver) -> PagerDutyChannel:
    return PagerDutyChannel("pagerduty", "canary", receiver.url + "/", clock=Clock())


def test_every_change_of_an_incident_has_one_dedup_key() -> None:
    with Receiver(ACCEPTED) as receiver:
        for sequence, each in enumerate(LIFE, start=1):
            # The severity, the members and the version may change; the incident is the same.
            told = notification(event=each, sequence=sequence, severity="warning", members=())
            assert channel(receiver).send(told, f"a1:{sequence}:pagerduty").status == "delivered"
    bodies = [request.json for request in receiver.requests]
    assert {request.path for request in receiver.requests} == {"/v2/enqueue"}
    assert [body["event_action"] for body in bodies] == list(LIFE.values())
    assert {body["dedup_key"] for body in bodies} == {hashlib.sha256(NOTIFICATION.fingerprint.encode()).hexdigest()}
    assert {body["routing_key"] for body in bodies} == {"canary"}


def test_a_trigger_carries_the_numbers_and_the_links() -> None:
    body = event(NOTIFICATION)
    payload = body["payload"]
    assert (payload["summary"], payload["severity"]) == ("Firing: fraud (production): amount has drifted", "critical")
    assert (payload["source"], payload["component"], payload["group"]) == ("fraud (production)", "fraud", "production")
    assert (payload["class"], payload["timestamp"]) == ("feature_drift", "2025-06-15T15:05:00Z")
    assert payload["custom_details"]["labels"]["team"] == "risk"
    [member] = payload["custom_details"]["members"]
    assert (member["subject"], member["version"], member["PSI"], member["threshold"]) == ("amount", "2.1.0", 0.31, 0.25)
    assert body["links"] == [
        {"href": NOTIFICATION.page_url, "text": "Open the alert"},
        {"href": NOTIFICATION.evidence_url, "text": "Evidence as JSON"},
    ]
    assert body["client_url"] == NOTIFICATION.page_url


def test_a_warning_is_a_warning_and_without_pages_there_are_no_links() -> None:
    body = event(notification(severity="warning", page_url="", evidence_url=""))
    assert (body["payload"]["severity"], body["links"], "client_url" in body) == ("warning", [], False)


def test_long_texts_are_cut_and_many_members_counted() -> None:
    body = event(
        notification(title="t" * 5_000, model="m" * 5_000, summary="s" * 9_000, members=NOTIFICATION.members * 60)
    )
    assert len(body["payload"]["summary"]) == len(body["payload"]["source"]) == 1_024
    details = body["payload"]["custom_details"]
    assert (len(details["members"]), details["members_not_shown"], len(details["summary"])) == (50, 10, 4_096)


def test_a_test_leaves_no_incident_behind() -> None:
    with Receiver(ACCEPTED) as receiver:
        assert channel(receiver).send(notification(event="test"), "t:1:pagerduty").status == "delivered"
    trigger, resolve = (request.json for request in receiver.requests)
    assert (trigger["event_action"], trigger["payload"]["severity"]) == ("trigger", "info")
    assert (resolve["event_action"], resolve["dedup_key"]) == ("resolve", trigger["dedup_key"])


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(400, body=b'{"errors":["canary"]}'), "permanent"),
        (Reply(401), "permanent"),
        (Reply(429), "retry"),
        (Reply(500), "retry"),
        (Reply(503, {"Retry-After": "7"}), "retry"),
    ],
)
def test_answers_are_judged_as_pagerduty_means_them(reply: Reply, status: str) -> None:
    with Receiver(reply) as receiver:
        outcome = channel(receiver).send(NOTIFICATION, "a1:1:pagerduty")
    assert (outcome.status, outcome.reason) == (status, f"HTTP {reply.status}")
    assert outcome.retry_after == (7.0 if reply.status == 503 else None)
