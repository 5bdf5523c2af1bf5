"""Silence: one incident, however long it lasts; a replay that ends and a version that is replaced are none."""

from __future__ import annotations

from sqlalchemy import Connection

from modelwatch.errors import DamagedData
from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.scheduler.jobs.freshness import Freshness, freshness_of
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.leases import acquire
from modelwatch.storage.engine.store import Store
from tests.support.background import Taken, new_id
from tests.support.events import NOON, Clock, event, open_ledger

MINUTE, HOUR, DAY = 60, 3_600, 86_400
GAP = 2 * HOUR
# Hours, by which two weeks of arrivals are known.
SETTLED = 15 * 24
RULES = QualityRules(1.0, 3_600)


class Watch:
    """A stream that gets a prediction every two hours, and the watch over it."""

    def __init__(self, store: Store, rules: QualityRules = RULES) -> None:
        self.store, self.clock, self.taken, self.rules = store, Clock(NOON), Taken(), rules
        self.ledger = open_ledger(store, self.clock)
        self.sent = 0
        self.restart()

    def restart(self) -> None:
        self.freshness = Freshness(self.store, lambda connection, model: self.rules, self.taken, new_id=new_id)

    def send(self, hours: float, *, version: str = "1", behind: int = 0) -> None:
        for _ in range(int(hours * HOUR / GAP)):
            self.clock.advance(GAP)
            self.sent += 1
            time = self.clock() - behind * 1_000_000
            self.ledger.commit([event(f"{self.sent}", version=version, timestamp=time)])

    def look(self) -> list[Assessment]:
        """What is told by a look now."""
        self.clock.advance(20)
        fence = acquire(self.store, "chores", "me", now=self.clock(), ttl=15_000_000)
        assert fence is not None
        before = len(self.taken.assessments)
        self.freshness(Lease("chores", "me", fence), self.clock())
        return self.taken.assessments[before:]


def test_a_stream_that_falls_silent_is_one_incident_until_something_arrives(store: Store) -> None:
    watch = Watch(store)
    watch.send(SETTLED)
    assert [each.findings for each in watch.look()] == [()]
    watch.clock.advance(2 * GAP)
    assert watch.look() == [], "twice the usual gap"
    watch.clock.advance(GAP)
    [told] = watch.look()
    [finding] = told.findings
    assert (finding.kind, finding.subject, finding.severity) == ("freshness", "predictions", "alert")
    assert finding.score >= finding.threshold == 3 * GAP
    assert "usually one arrives within 2 hours" in finding.detail
    for _ in range(5):
        watch.clock.advance(50 * HOUR)
        assert watch.look() == [], "however long it lasts"
    watch.send(2)
    assert [each.findings for each in watch.look()] == [()]


def test_another_process_tells_the_same_of_a_silence(store: Store) -> None:
    watch = Watch(store)
    watch.send(SETTLED)
    watch.look()
    watch.clock.advance(4 * GAP)
    [first] = watch.look()
    watch.restart()
    [again] = watch.look()
    assert again.window_end == first.window_end
    assert again.findings[0].since == first.findings[0].since


def test_a_replay_that_ends_is_no_silence(store: Store) -> None:
    watch = Watch(store)
    watch.send(30, behind=48 * HOUR)
    watch.clock.advance(10 * HOUR)
    assert watch.look() == []
    with store.read() as connection:
        found = freshness_of(connection, "m", "production", RULES, watch.clock())
    assert (found.silent, found.reason) == (
        None,
        "the newest predictions are of an earlier time: a replay, not live traffic",
    )


def test_a_day_of_history_is_needed(store: Store) -> None:
    watch = Watch(store)
    watch.send(20)
    watch.clock.advance(10 * HOUR)
    assert watch.look() == []


def test_who_has_not_seen_two_weeks_takes_days_off_for_no_silence(store: Store) -> None:
    watch = Watch(store)
    watch.send(30)
    watch.look()
    watch.clock.advance(6 * DAY)
    assert watch.look() == []
    watch.clock.advance(DAY)
    [told] = watch.look()
    assert told.findings[0].threshold == 7 * DAY


def test_a_version_that_another_has_replaced_is_not_missed(store: Store) -> None:
    watch = Watch(store)
    watch.send(SETTLED)
    watch.look()
    watch.send(30, version="2")
    assert watch.look() == []


def test_a_monitor_may_say_how_long_silence_may_last_or_not_to_watch(store: Store) -> None:
    watch = Watch(store, QualityRules(1.0, 3_600, freshness=2 * HOUR))
    watch.send(2)
    watch.look()
    watch.clock.advance(HOUR)
    assert watch.look() == []
    watch.clock.advance(HOUR)
    assert len(watch.look()) == 1
    with store.read() as connection:
        off = freshness_of(connection, "m", "production", QualityRules(1.0, 3_600, freshness=False), watch.clock())
    assert (off.silent, off.reason) == (None, "the monitor disables it")


def test_what_is_told_of_now(store: Store) -> None:
    watch = Watch(store)
    with store.read() as connection:
        nothing = freshness_of(connection, "m", "production", RULES, watch.clock())
    assert (nothing.silent, nothing.last_arrival) == (None, None)
    watch.send(30)
    watch.clock.advance(5 * MINUTE)
    with store.read() as connection:
        found = freshness_of(connection, "m", "production", RULES, watch.clock())
    assert (found.silent, found.silent_seconds, found.usual_gap_seconds) == (False, 5 * MINUTE, GAP)


def test_a_model_whose_monitor_is_damaged_does_not_keep_the_others(store: Store) -> None:
    watch = Watch(store)
    watch.send(SETTLED)
    watch.ledger.commit([event("bad", model="bad", timestamp=watch.clock())])
    asked = []

    def rules(_connection: Connection, model: str) -> QualityRules:
        asked.append(model)
        if model == "bad":
            raise DamagedData("The stored monitor of 'bad' can't be read.")
        return RULES

    watch.freshness = Freshness(store, rules, watch.taken, new_id=new_id)
    watch.look()
    watch.clock.advance(8 * DAY)
    assert [each.model for each in watch.look()] == ["m"]
    assert asked == ["bad", "m"] * 2


def test_a_model_whose_alert_is_damaged_does_not_keep_the_others(store: Store) -> None:
    class Picky(Taken):
        damaged = True

        def apply(self, connection: Connection, assessment: Assessment) -> None:
            if self.damaged and assessment.model == "bad":
                raise DamagedData("The stored alert id-1 can't be read.")
            super().apply(connection, assessment)

    watch = Watch(store)
    watch.taken = Picky()
    watch.restart()
    for index in range(SETTLED * HOUR // GAP):
        watch.send(GAP / HOUR)
        watch.ledger.commit([event(f"bad {index}", model="bad", timestamp=watch.clock())])
    watch.clock.advance(8 * DAY)
    assert [each.model for each in watch.look()] == ["m"]
    watch.taken.damaged = False
    assert [each.model for each in watch.look()] == ["bad"], "it is tried again until it can be read"
