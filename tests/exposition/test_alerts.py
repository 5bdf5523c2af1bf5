"""Alerts in an exposition: what is open, what was found so far, what waits and what was sent."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.exposition import StateCollector, alerts
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.exposition.scraping import Scrape, evaluate, exposition, scrape, set_reference, traffic
from tests.support.alerts.assessments import Desk, assessment, finding
from tests.support.alerts.delivering import RecordingChannel, delivery
from tests.support.events import Clock, open_ledger

HOUR = 3_600_000_000


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def collect(desk: Desk, channels: tuple[str, ...] = (), max_features: int = 100) -> Scrape:
    return scrape(StateCollector(desk.store, max_features, desk.clock, channels))


def states(found: Scrape) -> set[tuple[str, str, str]]:
    assert all(value == 1 for _, value in found["ml_alert_state"])
    return {(each["model_name"], each["severity"], each["state"]) for each, _ in found["ml_alert_state"]}


def findings(found: Scrape) -> dict[tuple[str, str, str], float]:
    return {
        (each["model_name"], each["feature_name"], each["severity"]): value
        for each, value in found["ml_drift_alerts_total"]
    }


def test_every_open_alert_is_there_in_its_state(desk: Desk) -> None:
    for model in ("m0", "m1", "m2", "m3"):
        desk.clock.advance(1)
        desk.take(assessment(0, {"amount": "warning"}, model=model))
    ids = [alert.id for alert in desk.alerts()]
    desk.book.acknowledge(ids[1], actor="ann", note=None)
    desk.book.silence(SilenceRequest((Matcher("model", "m2"),), desk.clock.now + HOUR, "x"), actor="ann")
    desk.take(assessment(1, model="m3"))
    found = collect(desk)
    assert found.types["ml_alert_state"] == "gauge"
    assert found.labels("ml_alert_state") == {"model_name", "environment", "kind", "severity", "state"}
    assert states(found) == {
        ("m0", "warning", "firing"),
        ("m1", "warning", "acknowledged"),
        ("m2", "warning", "silenced"),
    }
    assert found.value("ml_silences_active") == 1
    desk.clock.advance(3_601)
    assert collect(desk).value("ml_silences_active") == 0


def test_what_flaps_and_is_resolved_at_the_moment_is_not_open(desk: Desk) -> None:
    for hour in range(9):
        desk.take(assessment(hour, {} if hour % 2 else {"amount": "warning"}))
    assert states(collect(desk)) == {("fraud", "warning", "firing")}
    desk.take(assessment(9))
    assert desk.alert().flapping
    assert states(collect(desk)) == set()


def test_findings_are_counted_when_they_begin_and_when_they_get_worse(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning", "country": "alert"}))
    desk.take(assessment(1, {"amount": "warning", "country": "warning"}))
    desk.take(assessment(2, {"amount": "alert", "country": "warning"}))
    desk.take(assessment(3, {"country": "warning"}))
    desk.take(assessment(4, {"amount": "warning", "country": "warning"}))
    found = collect(desk)
    assert found.types["ml_drift_alerts"] == "counter"
    assert findings(found) == {
        ("fraud", "amount", "warning"): 2,
        ("fraud", "amount", "alert"): 1,
        ("fraud", "country", "alert"): 1,
    }


def test_what_is_watched_counts_from_zero_on(desk: Desk) -> None:
    set_reference(desk.store)
    open_ledger(desk.store).commit(traffic(400))
    evaluate(desk.store, desk.clock)
    found = findings(collect(desk))
    assert {subject for _, subject, _ in found} == {"amount", "merchant", "prediction", "score", "latency"}
    assert {severity for _, _, severity in found} == {"warning", "alert"}
    assert set(found.values()) == {0}


def test_versions_and_environments_add_up(desk: Desk) -> None:
    for version in ("1", "2"):
        for environment in ("production", "staging"):
            desk.take(assessment(0, {"amount": "warning"}, version=version, environment=environment))
    assert findings(collect(desk)) == {("fraud", "amount", "warning"): 4}


def test_findings_are_counted_once_whoever_asks_and_however_often_they_are_applied(desk: Desk) -> None:
    once = assessment(0, {"amount": "warning"})
    desk.take(once, once)
    desk.another_book().tick(desk.clock.now)
    assert findings(collect(desk)) == findings(collect(desk)) == {("fraud", "amount", "warning"): 1}


def test_nothing_is_counted_when_the_verdict_is_rolled_back(desk: Desk) -> None:
    with desk.store.write() as connection:
        desk.book.apply(connection, assessment(0, {"amount": "warning"}))
        connection.rollback()
    assert findings(collect(desk)) == {}


def test_what_a_person_resolved_and_goes_on_is_not_counted_again(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.book.resolve(desk.alert().id, actor="ann", note=None)
    desk.take(assessment(1, {"amount": "warning"}))
    assert findings(collect(desk)) == {("fraud", "amount", "warning"): 1}
    # Something new opens it again, with all that is found.
    desk.take(assessment(2, {"amount": "warning", "country": "warning"}))
    assert findings(collect(desk)) == {("fraud", "amount", "warning"): 1, ("fraud", "country", "warning"): 1}


def test_the_subjects_with_the_most_findings_are_exported_and_the_rest_is_counted(desk: Desk) -> None:
    desk.take(assessment(0, {f"f{index}": "warning" for index in range(4)}))
    desk.take(assessment(1, {"f2": "warning"}))
    desk.take(assessment(2, {"f0": "alert", "f2": "alert", "f3": "warning"}))
    found = collect(desk, max_features=2)
    assert {name for _, name, _ in findings(found)} == {"f0", "f2"}
    # One of the counter for each of f1 and f3, and two gauges of the finding about f3.
    assert found.value("ml_series_dropped_total", model_name="fraud") == 4


def test_a_model_with_ever_more_environments_does_not_add_series_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "ALERTS_A_MODEL", 2)
    for index in range(3):
        desk.take(assessment(0, {"amount": "alert" if index == 2 else "warning"}, environment=f"e{index}"))
    found = collect(desk)
    assert {each["environment"] for each, _ in found["ml_alert_state"]} == {"e0", "e2"}
    assert found.value("ml_series_dropped_total", model_name="fraud") == 1


def test_what_waits_and_what_was_given_up_is_shown_by_channel(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    with desk.store.write() as connection:
        connection.execute(update(tables.outbox).values(state="dead"))
    desk.take(assessment(1, {"amount": "alert"}))
    found = collect(desk, channels=("chat", "mail"))
    assert found.values("ml_outbox_pending", "channel") == {"chat": 1, "mail": 0}
    assert found.values("ml_outbox_dead", "channel") == {"chat": 1, "mail": 0}
    assert found.values("ml_outbox_retrying", "channel") == {"chat": 0, "mail": 0}


def test_what_is_retried_is_shown_until_it_is_delivered_and_of_configured_channels_alone(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    chat = RecordingChannel("chat", Outcome("retry", "HTTP 503", retry_after=3_600.0))
    sender = delivery(desk.store, desk.clock, chat)
    sender.once()
    for _ in range(2):
        assert collect(desk, channels=("chat", "mail")).values("ml_outbox_retrying", "channel") == {
            "chat": 1,
            "mail": 0,
        }
        desk.clock.advance(1_800)
    assert collect(desk, channels=("mail",)).values("ml_outbox_retrying", "channel") == {"mail": 0}
    sender.once()
    assert collect(desk, channels=("chat",)).values("ml_outbox_retrying", "channel") == {"chat": 0}


def test_deliveries_are_counted_by_their_outcome_from_zero_on(store: Store) -> None:
    served = exposition(store, Clock(), channels=("chat",))
    before = scrape(served)
    assert before.values("ml_notifications_total", "outcome", channel="chat") == {
        "delivered": 0,
        "retry": 0,
        "permanent": 0,
        "dead": 0,
        "refresh_failed": 0,
    }
    assert before.value("ml_notification_seconds_count", channel="chat") == 0
    served.notifications.delivered("chat", 0.2)
    served.notifications.failed("chat", False)
    served.notifications.failed("chat", True)
    served.notifications.dead("chat")
    served.notifications.refresh_failed("chat")
    served.notifications.dead("gone")
    after = scrape(served)
    assert set(after.values("ml_notifications_total", "outcome", channel="chat").values()) == {1}
    assert after.values("ml_notifications_total", "outcome", channel="gone") == {"dead": 1}
    assert after.value("ml_notification_seconds_sum", channel="chat") == pytest.approx(0.2)


def test_no_id_is_a_label(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    alert = desk.alert()
    text = exposition(desk.store, desk.clock, channels=("chat",)).render(None)[0].decode()
    assert alert.fingerprint not in text
    assert f'"{alert.id}' not in text


def test_a_subject_that_is_no_feature_goes_by_its_own_name(desk: Desk) -> None:
    seen = assessment(0, kinds=("latency_drift",))
    found = (finding("latency", kind="latency_drift"),)
    desk.take(type(seen)(**{name: getattr(seen, name) for name in seen.__struct_fields__} | {"findings": found}))
    assert findings(collect(desk)) == {("fraud", "latency", "warning"): 1}
