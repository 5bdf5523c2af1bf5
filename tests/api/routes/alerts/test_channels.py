"""Channels and deliveries over HTTP."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from modelwatch.storage.engine import tables
from tests.support.alerts.assessments import assessment
from tests.support.app import App
from tests.support.events import NOON
from tests.support.servers.doubles import Receiver, Reply


def bury(app: App, **values: object) -> None:
    """Gives up everything in the outbox."""
    given = {"state": "dead", "attempts": 20, "finished_at": NOON, "last_error": "HTTP 500"} | values
    with app.store.write() as connection:
        connection.execute(update(tables.outbox).values(given))


def test_channels_are_listed_without_their_secrets(tmp_path: Path) -> None:
    settings = {
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T0/B0/secret",
        "PAGERDUTY_INTEGRATION_KEY": "secret",
        "ALERT_EMAIL": "ml@example.org",
        "SMTP_URL": "smtp://user:secret@mail.example.org:587",
        "ALERT_WEBHOOK_URL": "https://user:secret@example.org/secret?token=secret",
        "ALERT_WEBHOOK_SECRET": "secret",
        "ALERTMANAGER_URL": "http://am-0:9093,http://am-1:9093",
    }
    app = App(tmp_path, **settings)
    answer = app.request("GET", "/api/v1/channels")
    app.close()
    assert "secret" not in answer.text
    assert {each["name"]: (each["kind"], each["target"]) for each in answer.json()["channels"]} == {
        "alertmanager": ("alertmanager", "http://am-0:9093, http://am-1:9093"),
        "email": ("email", "ml@example.org via mail.example.org:587"),
        "pagerduty": ("pagerduty", "https://events.pagerduty.com"),
        "slack": ("slack", "https://hooks.slack.com/…"),
        "webhook": ("webhook", "https://example.org/…"),
    }


def test_a_channel_shows_what_waits_what_was_given_up_and_what_came_last(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "warning"}))
    bury(app)
    app.desk.take(assessment(1, {"amount": "alert"}))
    [slack] = app.get("channels")["channels"]
    assert (slack["pending"], slack["dead"]) == (1, 1)
    last = slack["last_delivery"]
    assert (last["state"], last["attempts"], last["last_error"], last["event"]) == ("dead", 20, "HTTP 500", "firing")
    assert last["alert_id"] == app.desk.alert().id


def test_a_test_notification_is_sent_now_and_says_what_became_of_it(tmp_path: Path) -> None:
    with Receiver(Reply(), Reply(status=403), Reply(status=503)) as receiver:
        app = App(tmp_path, ALERT_WEBHOOK_URL=receiver.url)
        trials = [app.post("channels/webhook/test", {"actor": "ann"}) for _ in range(3)]
        app.close()
    assert [(trial["outcome"], trial["detail"]) for trial in trials] == [
        ("delivered", ""),
        ("permanent", "HTTP 403"),
        ("retry", "HTTP 503"),
    ]
    assert all(trial["channel"] == "webhook" and trial["seconds"] >= 0 for trial in trials)
    assert len(receiver.requests) == 3
    entries = app.get("audit", action="channel.test")["entries"]
    assert [(each["actor"], each["target"], each["detail"]["outcome"]) for each in reversed(entries)] == [
        ("ann", "channel/webhook", "delivered"),
        ("ann", "channel/webhook", "permanent"),
        ("ann", "channel/webhook", "retry"),
    ]


def test_an_unknown_channel_names_those_that_there_are(app: App) -> None:
    problem = app.problem("POST", "channels/slak/test", 404)
    assert problem["detail"] == "There is no channel named 'slak' (channels: slack)."


def test_a_dead_letter_is_listed_and_sent_again(app: App) -> None:
    for model in ("m0", "m1"):
        app.desk.clock.advance(1)
        app.desk.take(assessment(0, {"amount": "warning"}, model=model))
    bury(app)
    first = app.get("deliveries", state="dead", limit=1)
    second = app.get("deliveries", state="dead", limit=1, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    [newest], [oldest] = first["deliveries"], second["deliveries"]
    assert newest["created_at"] > oldest["created_at"]
    assert app.get("deliveries", alert=oldest["alert_id"])["deliveries"] == [oldest]
    assert app.get("deliveries", channel="pagerduty")["deliveries"] == []

    again = app.post(f"deliveries/{oldest['key']}/retry", {"actor": "ann"})
    assert (again["state"], again["attempts"], again["finished_at"]) == ("pending", 0, None)
    assert app.get("deliveries", state="pending")["deliveries"] == [again]
    [entry] = app.get("audit")["entries"]
    assert (entry["actor"], entry["action"], entry["detail"]["last_error"]) == ("ann", "delivery.retry", "HTTP 500")


def test_only_what_was_given_up_and_is_not_out_of_date_is_sent_again(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "warning"}))
    app.desk.take(assessment(1, {"amount": "alert"}))
    first, second = (f"{app.desk.alert().id}:{sequence}:slack" for sequence in (1, 2))
    assert "pending" in app.problem("POST", f"deliveries/{first}/retry", 409)["detail"]
    with app.store.write() as connection:
        table = tables.outbox
        connection.execute(update(table).where(table.c.key == first).values(state="dead", finished_at=NOON))
        connection.execute(update(table).where(table.c.key == second).values(state="delivered", finished_at=NOON))
    assert "out of date" in app.problem("POST", f"deliveries/{first}/retry", 409)["detail"]
    assert "'nothing'" in app.problem("POST", "deliveries/nothing/retry", 404)["detail"]


def test_what_was_given_up_on_a_channel_that_is_gone_is_not_sent_again(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "warning"}))
    bury(app, channel="pigeon")
    key = f"{app.desk.alert().id}:1:slack"
    assert "'pigeon'" in app.problem("POST", f"deliveries/{key}/retry", 409)["detail"]
