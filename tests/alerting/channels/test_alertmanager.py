"""What is pushed to Alertmanager, and to which of its replicas."""

from __future__ import annotations

import pytest

from modelwatch.alerting.channels.alertmanager import ALERTS_A_PUSH, AlertmanagerChannel, labels_of
from modelwatch.alerting.notification import Notification
from tests.support.alerts.notifications import NOTIFICATION, notification
from tests.support.events import NOON, Clock
from tests.support.servers.doubles import Receiver, Reply
from tests.support.servers.live_service import free_port

MINUTE = 60_000_000
PAST = "2025-06-15T15:04:00Z"
LAPSES = "2025-06-15T15:08:00Z"


def channel(*urls: str) -> AlertmanagerChannel:
    return AlertmanagerChannel("am", urls, clock=Clock())


def pushed(*told: Notification) -> list[dict[str, str]]:
    """For each notification that is sent, the end of every alert that is pushed, by its severity and team."""
    with Receiver() as receiver:
        sender = channel(receiver.url)
        for each in told:
            assert sender.send(each, "k").status == "delivered"
    return [
        {f"{alert['labels']['severity']} {alert['labels'].get('team')}": alert["endsAt"] for alert in request.json}
        for request in receiver.requests
    ]


def test_labels_hold_what_the_alert_is_and_annotations_what_it_says() -> None:
    with Receiver() as receiver:
        assert channel(receiver.url + "/").send(NOTIFICATION, "a1:1:am").status == "delivered"
    [request] = receiver.requests
    assert request.path == "/api/v2/alerts"
    [alert] = request.json
    assert alert == {
        "labels": {
            "alertname": "ModelFeatureDrift",
            "model_name": "fraud",
            "environment": "production",
            "kind": "feature_drift",
            "severity": "alert",
            "team": "risk",
        },
        "annotations": {
            "summary": NOTIFICATION.title,
            "description": NOTIFICATION.summary,
            "state": "firing",
            "page_url": NOTIFICATION.page_url,
            "evidence_url": NOTIFICATION.evidence_url,
            "bad_data": "2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC",
            "detected_at": "2025-06-15 15:05 UTC",
            "newest_data_judged": "2025-06-15 15:05 UTC",
        },
        "startsAt": PAST,
        "endsAt": LAPSES,
        "generatorURL": NOTIFICATION.page_url,
    }


def test_a_change_of_severity_ends_the_alert_under_the_one_before() -> None:
    warning, alert = notification(severity="warning"), notification(event="updated")
    assert pushed(
        warning, alert, notification(event="reminder"), notification(event="updated", severity="warning")
    ) == [
        {"warning risk": LAPSES},
        {"alert risk": LAPSES, "warning risk": PAST},
        {"alert risk": LAPSES},
        {"warning risk": LAPSES, "alert risk": PAST},
    ]


def test_a_change_of_the_monitors_labels_ends_the_alert_under_those_before() -> None:
    assert pushed(NOTIFICATION, notification(event="updated", labels={"team": "ml"})) == [
        {"alert risk": LAPSES},
        {"alert ml": LAPSES, "alert risk": PAST},
    ]


def test_what_another_process_has_sent_is_known_from_a_refresh_or_assumed() -> None:
    with Receiver() as receiver:
        successor = channel(receiver.url)
        successor.refresh([notification(severity="warning")])
        successor.send(notification(event="updated"), "k")
        assert [len(request.json) for request in receiver.requests] == [1, 2]
    assert pushed(notification(event="resolved")) == [{"alert risk": PAST, "warning risk": PAST}]


def test_what_is_not_open_any_more_is_forgotten_with_a_refresh() -> None:
    """Another process has sent its end; were it sent here, every label it may be known by would be ended."""
    with Receiver() as receiver:
        sender = channel(receiver.url)
        for event in ("resolved", "firing", "resolved"):
            sender.send(notification(event="firing"), "k")
            sender.refresh([] if event == "resolved" else [notification(event=event)])
            sender.send(notification(event="resolved"), "k")
        ended = [len(request.json) for request in receiver.requests if request.json[0]["endsAt"] == PAST]
    assert ended == [2, 1, 2]


def test_an_acknowledged_alert_stays_and_a_resolved_one_ends() -> None:
    assert pushed(NOTIFICATION, notification(event="acknowledged"), notification(event="resolved"), NOTIFICATION) == [
        {"alert risk": LAPSES},
        {"alert risk": LAPSES},
        {"alert risk": PAST},
        {"alert risk": LAPSES},
    ]


def test_nothing_ends_before_it_begins() -> None:
    with Receiver() as receiver:
        for told in (
            NOTIFICATION,
            notification(event="resolved"),
            notification(event="test"),
            notification(started_at=NOON + 9 * MINUTE),
        ):
            channel(receiver.url).send(told, "k")
    for request in receiver.requests:
        assert all(alert["startsAt"] <= alert["endsAt"] for alert in request.json)


def test_a_test_is_one_alert_that_lapses() -> None:
    with Receiver() as receiver:
        channel(receiver.url).send(notification(event="test"), "k")
    [[alert]] = [request.json for request in receiver.requests]
    assert (alert["labels"]["alertname"], alert["endsAt"]) == ("ModelwatchTest", LAPSES)


def test_labels_of_a_monitor_get_names_that_alertmanager_takes() -> None:
    own = {"cost-centre": "7", "2nd": "x", "": "y", "empty": "", "alertname": "mine", "severity": "none"}
    assert labels_of(notification(labels=own, severity="warning")) == {
        "cost_centre": "7",
        "_2nd": "x",
        "alertname": "ModelFeatureDrift",
        "model_name": "fraud",
        "environment": "production",
        "kind": "feature_drift",
        "severity": "warning",
    }


def test_a_refresh_sends_everything_that_is_open() -> None:
    open_ones = [notification(alert_id=f"{index}", model=f"m{index}") for index in range(ALERTS_A_PUSH + 1)]
    with Receiver() as receiver:
        outcome = channel(receiver.url).refresh([*open_ones, notification(event="resolved", model="over")])
    assert outcome.status == "delivered"
    told = [alert["labels"]["model_name"] for request in receiver.requests for alert in request.json]
    assert len(receiver.requests) == 2
    assert sorted(set(told)) == sorted(each.model for each in open_ones)


def test_a_refresh_of_nothing_asks_nobody() -> None:
    with Receiver() as receiver:
        assert channel(receiver.url).refresh([]).status == "delivered"
    assert receiver.requests == []


def test_what_one_push_is_refused_does_not_keep_back_the_next() -> None:
    with Receiver(Reply(400), Reply(200)) as receiver:
        outcome = channel(receiver.url).refresh(
            [notification(alert_id=f"{index}", model=f"m{index}") for index in range(ALERTS_A_PUSH + 1)]
        )
    assert (outcome.status, len(receiver.requests)) == ("permanent", 2)


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (200, 200, "delivered"),
        (200, 500, "delivered"),
        (500, 200, "delivered"),
        (400, 503, "retry"),
        (400, 400, "permanent"),
    ],
)
def test_every_replica_is_pushed_to_and_one_that_took_it_is_enough(first: int, second: int, status: str) -> None:
    with Receiver(Reply(first)) as one, Receiver(Reply(second)) as two:
        outcome = channel(one.url, two.url).send(NOTIFICATION, "a1:1:am")
    assert (outcome.status, len(one.requests), len(two.requests)) == (status, 1, 1)


def test_a_replica_that_is_down_does_not_matter() -> None:
    with Receiver() as receiver:
        assert channel(f"http://127.0.0.1:{free_port()}", receiver.url).send(NOTIFICATION, "k").status == "delivered"
