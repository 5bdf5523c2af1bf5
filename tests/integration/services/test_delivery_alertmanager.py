"""A real Alertmanager: an alert stays in it for as long as it is open, and no longer."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from modelwatch.alerting.channels.alertmanager import AlertmanagerChannel
from modelwatch.alerting.delivery.threads import Delivery
from modelwatch.alerting.delivery.worker import Pacing
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.alerts.delivering import Observed
from tests.support.alerts.notifications import open_alerts, put, row, states
from tests.support.servers.alertmanager import Alertmanager, alertmanager
from tests.support.servers.doubles import Receiver, eventually
from tests.support.servers.live_service import free_port

REFRESH_SECONDS = 0.5
RESOLVE_SECONDS = 2


def now() -> int:
    return time.time_ns() // 1_000


@pytest.fixture
def notified() -> Iterator[Receiver]:
    """Where Alertmanager sends what it makes of the alerts."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def manager(tmp_path: Path, notified: Receiver) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path / "am", notified.url, resolve_timeout=f"{RESOLVE_SECONDS}s") as running:
        yield running


@pytest.fixture
def sender(store: Store, manager: Alertmanager) -> Iterator[Delivery]:
    """Delivers to it, and to a replica that is down."""
    urls = [f"http://127.0.0.1:{free_port()}", manager.url]
    channel = AlertmanagerChannel("am", urls, clock=now, refresh_seconds=REFRESH_SECONDS)
    running = Delivery(
        store,
        {"am": channel},
        holder="me",
        clock=now,
        timer=time.monotonic,
        rng=random.Random(1),
        observer=Observed(),
        pacing=Pacing(poll=0.05),
    )
    running.start()
    yield running
    running.close()


def change(store: Store, sequence: int, event: str, state: str = "firing", **more: Any) -> None:
    """A step of the alert, as the book writes it: its row in `alert` and its notice in the outbox, at once."""
    if sequence == 1:
        open_alerts(store, ["a1"], state)
    with store.write() as connection:
        connection.execute(update(tables.alert).values(state=state))
    put(store, row("am", sequence=sequence, at=now(), started_at=now(), event=event, state=state, **more))
    eventually(lambda: states(store)[f"a1:{sequence}:am"] == "delivered", f"the delivery of {event}")


def labels(manager: Alertmanager) -> list[tuple[str, str]]:
    return [(each["labels"]["model_name"], each["labels"]["severity"]) for each in manager.alerts()]


def statuses(notified: Receiver) -> list[str]:
    return [request.json["status"] for request in notified.requests]


@pytest.mark.usefixtures("sender")
def test_an_alert_lives_in_alertmanager_as_long_as_it_is_open(
    store: Store, manager: Alertmanager, notified: Receiver
) -> None:
    change(store, 1, "firing")
    assert labels(manager) == [("fraud", "alert")]
    eventually(lambda: statuses(notified) == ["firing"], "the notification")
    [alert] = notified.requests[0].json["alerts"]
    assert alert["labels"]["alertname"] == "ModelFeatureDrift"
    assert alert["generatorURL"] == "https://mw.example.org/ui/alerts/a1"

    change(store, 2, "acknowledged", "acknowledged")
    began = manager.alerts()[0]["updatedAt"]
    lapses = time.monotonic() + 3 * REFRESH_SECONDS + RESOLVE_SECONDS
    while time.monotonic() < lapses:
        assert labels(manager) == [("fraud", "alert")]
        time.sleep(0.1)
    [still] = manager.alerts()
    assert still["updatedAt"] > began
    assert still["annotations"]["state"] == "acknowledged"
    assert statuses(notified) == ["firing"]

    change(store, 3, "resolved", "resolved")
    assert labels(manager) == []
    eventually(lambda: statuses(notified) == ["firing", "resolved"], "the notification of the end")


@pytest.mark.usefixtures("sender")
def test_another_severity_takes_the_place_of_the_one_before(store: Store, manager: Alertmanager) -> None:
    change(store, 1, "firing", severity="warning")
    assert labels(manager) == [("fraud", "warning")]
    change(store, 2, "updated", severity="alert")
    assert labels(manager) == [("fraud", "alert")]
    change(store, 3, "updated", severity="warning")
    assert labels(manager) == [("fraud", "warning")]


def test_an_alert_lapses_when_nobody_tells_of_it_any_more(
    store: Store, manager: Alertmanager, sender: Delivery
) -> None:
    change(store, 1, "firing")
    sender.close()
    assert labels(manager) == [("fraud", "alert")]
    eventually(lambda: labels(manager) == [], "the end of the alert", 3 * REFRESH_SECONDS + RESOLVE_SECONDS + 5)


def test_a_test_reaches_alertmanager(manager: Alertmanager, sender: Delivery) -> None:
    assert sender.send_test("am").status == "delivered"
    assert [each["labels"]["alertname"] for each in manager.alerts()] == ["ModelwatchTest"]
