"""Quiet hours and channels, on a real store: what waits, what is taken back, and what goes out at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
from sqlalchemy import update

from modelwatch.alerting.channels import Outcome
from modelwatch.alerting.notification_plan import STILL_TRIED
from modelwatch.alerting.policy import AlertPolicy, QuietHours, Route
from modelwatch.alerting.queries import read_alert
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import HOUR, Desk, assessment
from tests.support.alerts.delivering import RecordingChannel, delivery
from tests.support.events import Clock


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


EVENING, NIGHT, MORNING = micros("2026-06-10 18:00"), micros("2026-06-10 23:00"), micros("2026-06-11 07:00")
QUIET = (QuietHours(time(22), time(7), "UTC"),)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store, AlertPolicy(channels=("chat",), quiet_hours=QUIET), Clock(NIGHT))


def planned(desk: Desk, channel: str = "chat") -> list[tuple[str, str, int]]:
    """Everything that was written for a channel: event, state, and when it goes out, in hours after the night began."""
    return [
        (sent.event, sent.state, (sent.not_before - NIGHT) // (HOUR * 1_000_000))
        for sent in desk.sent(channel, withheld=True)
    ]


def test_a_warning_waits_for_the_morning(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    assert planned(desk) == [("firing", "pending", 8)]


def test_what_is_over_by_then_is_never_sent_and_the_life_of_the_alert_says_so(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.clock.advance(HOUR)
    desk.take(assessment(1))
    assert planned(desk) == [("firing", "withheld", 8)]
    with desk.store.read() as connection:
        step = read_alert(connection, desk.alert().id).events[-1]
    assert (step.event, step.told, step.withheld, step.reason) == (
        "resolved",
        (),
        ("chat",),
        "no channel had been notified of the alert; the pending notification was recalled",
    )


def test_an_alert_goes_out_at_once(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "alert"}))
    assert planned(desk) == [("firing", "pending", 0)]


def test_a_rise_goes_out_at_once_in_place_of_what_waits(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.clock.advance(HOUR)
    desk.take(assessment(1, {"amount": "alert"}))
    assert planned(desk) == [("firing", "withheld", 8), ("firing", "pending", 1)]
    assert desk.sent()[0].notice.severity == "alert"


def test_what_is_newer_takes_the_place_of_what_waits(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.take(assessment(1, {"amount": "warning", "country": "warning"}))
    assert planned(desk) == [("firing", "withheld", 8), ("firing", "pending", 8)]
    assert len(desk.sent()[0].notice.members) == 2


def test_an_end_waits_too_and_takes_the_place_of_news(desk: Desk) -> None:
    desk.clock.now = EVENING
    desk.take(assessment(0, {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.take(assessment(1, {"amount": "warning", "country": "warning"}), assessment(2))
    assert planned(desk) == [("firing", "delivered", -5), ("updated", "withheld", 8), ("resolved", "pending", 8)]


def test_an_end_that_waits_is_taken_back_when_it_fires_again(desk: Desk) -> None:
    desk.clock.now = EVENING
    desk.take(assessment(0, {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.take(assessment(1), assessment(2, {"amount": "warning"}))
    assert planned(desk) == [("firing", "delivered", -5), ("resolved", "withheld", 8), ("updated", "pending", 8)]


def test_no_other_incident_opens_while_the_end_of_this_one_waits(desk: Desk) -> None:
    """Receivers know both by one fingerprint: the late end would close the new one."""
    desk.clock.now = EVENING
    desk.take(assessment(0, {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.take(assessment(1), assessment(100, {"amount": "alert"}))
    assert planned(desk) == [("firing", "delivered", -5), ("resolved", "withheld", 8), ("escalated", "pending", 0)]
    assert desk.alert().reopenings == 1


def test_an_end_of_flapping_that_waits_keeps_the_incident_too(desk: Desk) -> None:
    desk.clock.now = EVENING
    for hour in range(8):
        desk.take(assessment(hour, {} if hour % 2 else {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.take(assessment(100, {"amount": "warning"}))
    assert [event for event, *_ in planned(desk)][-3:] == ["updated", "resolved", "updated"]
    assert [state for _, state, _ in planned(desk)][-3:] == ["delivered", "withheld", "pending"]
    assert desk.alert().is_open


def test_an_acknowledgement_of_what_waits_follows_it(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
    assert planned(desk) == [("firing", "pending", 8), ("acknowledged", "pending", 8)]
    desk.take(assessment(1))
    assert planned(desk) == [("firing", "withheld", 8), ("acknowledged", "withheld", 8)]


def test_a_channel_that_is_down_is_not_sent_reminders_beside_what_it_has_not_taken(store: Store) -> None:
    policy = AlertPolicy(channels=("chat", "mail"), repeat_seconds=HOUR)
    desk = Desk(store, policy, Clock(NIGHT))
    desk.take(assessment(0, {"amount": "warning"}))
    down, works = RecordingChannel("chat", *[Outcome("retry", "no connection")] * 50), RecordingChannel("mail")
    sender = delivery(store, desk.clock, down, works)
    for _ in range(3):
        sender.once()
        desk.clock.advance(HOUR)
        desk.book.tick(desk.clock())
    assert [sent.event for sent in desk.sent("chat")] == ["firing"]
    assert [sent.event for sent in desk.sent("mail")] == ["firing", "reminder", "reminder", "reminder"]
    down.script.clear()
    sender.once()
    desk.clock.advance(HOUR)
    desk.book.tick(desk.clock())
    assert [sent.event for sent in desk.sent("chat")] == ["firing", "reminder"]


def test_the_life_of_an_alert_says_why_nobody_was_reminded_and_does_so_once_a_period(store: Store) -> None:
    desk = Desk(store, AlertPolicy(channels=("chat",), repeat_seconds=HOUR), Clock(NIGHT))
    desk.take(assessment(0, {"amount": "warning"}))
    delivery(store, desk.clock, RecordingChannel("chat", Outcome("retry", "no connection"))).once()
    for minutes in (60, 10, 49, 1):
        desk.clock.advance(minutes * 60)
        desk.book.tick(desk.clock())
    with store.read() as connection:
        steps = read_alert(connection, desk.alert().id).events
    assert [(step.event, step.reason) for step in steps[1:]] == [("reminder", STILL_TRIED)] * 2


def test_an_acknowledgement_takes_the_place_of_a_reminder_that_waits(desk: Desk) -> None:
    desk.clock.now = EVENING
    desk.policy = replace(desk.policy, repeat_seconds=5 * HOUR)
    desk.take(assessment(0, {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.book.tick(NIGHT)
    assert planned(desk)[1:] == [("reminder", "pending", 8)]
    desk.book.tick(NIGHT + 6 * HOUR * 1_000_000)
    desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
    assert planned(desk)[1:] == [("reminder", "withheld", 8), ("acknowledged", "pending", 8)]


def test_what_went_out_in_the_morning_has_been_sent(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    desk.clock.now = MORNING
    desk.deliver()
    desk.take(assessment(8))
    assert planned(desk) == [("firing", "delivered", 8), ("resolved", "pending", 8)]


def test_what_somebody_else_was_faster_to_send_has_been_sent(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    with desk.store.write() as connection:
        connection.execute(update(tables.outbox).values(attempts=1, state="delivered"))
    desk.take(assessment(1))
    assert planned(desk) == [("firing", "delivered", 8), ("resolved", "pending", 8)]


def test_a_silence_takes_back_what_waits_and_it_is_sent_when_it_ends(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}))
    ends = MORNING + 3 * HOUR * 1_000_000
    desk.book.silence(SilenceRequest((Matcher("model", "fraud"),), ends, "known"), actor="ann")
    assert planned(desk) == [("firing", "withheld", 8)]
    desk.clock.now = ends
    desk.book.tick(ends)
    assert planned(desk) == [("firing", "withheld", 8), ("firing", "pending", 11)]


def test_a_silence_leaves_what_has_been_sent_as_it_is(desk: Desk) -> None:
    desk.clock.now = EVENING
    desk.take(assessment(0, {"amount": "warning"}))
    desk.deliver()
    desk.clock.now = NIGHT
    desk.take(assessment(1, {"amount": "warning", "country": "warning"}))
    desk.book.silence(SilenceRequest((Matcher("model", "fraud"),), NIGHT + HOUR, "known"), actor="ann")
    assert planned(desk)[1:] == [("updated", "withheld", 8)]
    desk.take(assessment(2, {"amount": "warning"}))
    desk.clock.now = NIGHT + 2 * HOUR * 1_000_000
    desk.book.tick(desk.clock.now)
    assert planned(desk)[1:] == [("updated", "withheld", 8)]
    desk.take(assessment(3))
    assert planned(desk)[2:] == [("resolved", "pending", 8)]


def test_each_channel_is_sent_what_it_does_not_know(desk: Desk) -> None:
    desk.policy = AlertPolicy(channels=("chat",), routes=(Route(("pager",), severities=("alert",)),))
    desk.take(assessment(0, {"amount": "warning"}), assessment(1, {"amount": "alert"}), assessment(2))
    assert desk.events("chat") == ["firing", "resolved"]
    assert desk.events("pager") == ["firing", "resolved"]
