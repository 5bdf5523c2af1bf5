"""The alert service on a real store: what is recorded, and which notifications are planned."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from msgspec import structs
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from modelwatch.alerting.policy import AlertPolicy, FlapRule, Route
from modelwatch.alerting.queries import list_audit
from modelwatch.alerting.service import AlertService
from modelwatch.alerting.silences import Matcher, Silence, SilenceRequest
from modelwatch.errors import Conflict, DamagedData, InvalidInput, UnknownResource
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, save_verdict
from tests.support.alerts.assessments import HOUR, T0, Desk, assessment, finding
from tests.support.events import NOON

pytestmark = pytest.mark.both_engines

DAY = 24 * HOUR
FRAUD = (Matcher("model", "fraud"),)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def silence(desk: Desk, hours: float, *matchers: Matcher, starts_in: float = 0) -> Silence:
    begins = desk.clock.now + int(starts_in * HOUR * 1_000_000)
    request = SilenceRequest(matchers or FRAUD, begins + int(hours * HOUR * 1_000_000), "known", begins)
    return desk.book.silence(request, actor="ann")


def pass_hours(desk: Desk, hours: float) -> None:
    desk.clock.advance(hours * HOUR)
    desk.book.tick(desk.clock.now)


def test_a_shift_is_sent_once_and_so_is_its_end(desk: Desk) -> None:
    for found in ({"amount": "warning"}, {"amount": "warning"}, {}, {}):
        desk.found(found)
    assert desk.events() == desk.steps() == ["firing", "resolved"]
    alert = desk.alert()
    assert (alert.state, alert.sequence, alert.revision) == ("resolved", 2, 4)


def test_nothing_is_written_while_all_is_well(desk: Desk) -> None:
    desk.found({})
    assert desk.alerts() == []


def test_each_kind_and_environment_has_an_alert_of_its_own(desk: Desk) -> None:
    kinds: tuple[Kind, ...] = ("feature_drift", "latency_drift", "prediction_drift")
    what = assessment(0, kinds=kinds)
    both = structs.replace(what, findings=(finding("amount"), finding("latency", kind="latency_drift")))
    desk.take(both, structs.replace(both, environment="staging"))
    assert [(alert.environment, alert.kind) for alert in desk.alerts()] == [
        ("production", "feature_drift"),
        ("production", "latency_drift"),
        ("staging", "feature_drift"),
        ("staging", "latency_drift"),
    ]
    assert len({alert.fingerprint for alert in desk.alerts()}) == 4


def test_what_a_transaction_takes_back_was_never_sent(desk: Desk) -> None:
    with desk.store.open_write() as connection:
        desk.book.apply(connection, assessment(0, {"amount": "warning"}))
    assert (desk.alerts(), desk.sent()) == ([], [])


def test_the_notification_says_what_moved(desk: Desk) -> None:
    desk.policy = AlertPolicy(channels=("chat",), labels={"team": "risk", "model": "not this"})
    desk.found({"amount": "alert"})
    [sent] = desk.sent()
    notification = sent.notice
    assert notification.title == "Feature drift in fraud (production): amount"
    assert notification.labels == {
        "team": "risk",
        "model": "fraud",
        "environment": "production",
        "kind": "feature_drift",
        "severity": "alert",
    }
    assert notification.page_url == f"https://modelwatch.example/ui/alerts/{sent.alert_id}"
    assert notification.evidence_url == f"https://modelwatch.example/api/v1/alerts/{sent.alert_id}"
    assert [member.verdict_id for member in notification.members] == ["1@0"]
    assert (notification.actor, notification.ended_at, notification.recovered) == (None, None, ())


def test_a_repeat_writes_nothing(desk: Desk) -> None:
    desk.take(assessment(0, {"amount": "warning"}), assessment(2, {"amount": "warning", "country": "warning"}))
    before = desk.dump()
    desk.take(
        assessment(2, {"amount": "warning", "country": "warning"}), assessment(1, {}), assessment(0, {"z": "alert"})
    )
    assert desk.dump() == before


def test_older_data_than_the_newest_verdict_opens_nothing(desk: Desk) -> None:
    verdict = StoredVerdict(
        id="v", model="fraud", version="1", environment="production", check="drift", window_end=T0 + 2 * HOUR,
        generation=1, evaluated_at=NOON, fence=1, severity="stable", inputs_hash="", conditions=b"", result=b"{}",
    )  # fmt: skip
    with desk.store.write() as connection:
        save_verdict(connection, verdict, b"")
    desk.take(assessment(1, {"amount": "warning"}))
    assert desk.alerts() == []
    desk.take(assessment(2, {"amount": "warning"}))
    assert desk.events() == ["firing"]


def test_another_book_goes_on_where_this_one_stopped(desk: Desk) -> None:
    desk.found({"amount": "warning"})
    desk.book = desk.another_book()
    desk.found({"amount": "warning", "country": "warning"})
    desk.book = desk.another_book()
    desk.found({})
    assert desk.events() == ["firing", "updated", "resolved"]


class TestAcknowledgement:
    def test_is_sent_where_the_alert_was_sent_and_ends_the_reminders(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        desk.policy = replace(desk.policy, channels=("mail",))
        alert = desk.book.acknowledge(desk.alert().id, actor="ann", note="on it\r\nreally")
        assert (alert.state, desk.events(), desk.events("mail")) == ("acknowledged", ["firing", "acknowledged"], [])
        assert (desk.sent()[-1].notice.actor, desk.sent()[-1].notice.note) == ("ann", "on it really")
        pass_hours(desk, 100)
        assert len(desk.sent()) == 2

    def test_holds_for_new_members_and_falls_with_an_escalation(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
        desk.found({"amount": "warning", "country": "warning"})
        assert desk.alert().state == "acknowledged"
        desk.found({"amount": "alert", "country": "warning"})
        assert desk.alert().state == "firing"
        assert desk.events() == ["firing", "acknowledged", "updated", "escalated"]
        assert desk.sent()[-1].notice.severity == "alert"

    def test_of_what_is_resolved_is_a_conflict(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        desk.found({})
        before = desk.dump()
        for action in (desk.book.acknowledge, desk.book.resolve):
            with pytest.raises(Conflict) as caught:
                action(desk.alert().id, actor="ann", note=None)
            assert (caught.value.status, caught.value.slug) == (409, "conflict")
        assert desk.dump() == before

    def test_a_repeat_of_the_request_writes_nothing(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
        before = desk.dump()
        desk.book.acknowledge(desk.alert().id, actor="ann", note=None)
        assert desk.dump() == before


@pytest.mark.parametrize(
    ("actor", "note", "pointer"),
    [("", None, "/actor"), ("\n", None, "/actor"), ("a" * 201, None, "/actor"), ("ann", "x" * 2_001, "/note")],
)
def test_actor_and_note_have_bounds(desk: Desk, actor: str, note: str | None, pointer: str) -> None:
    desk.found({"amount": "warning"})
    with pytest.raises(InvalidInput) as caught:
        desk.book.acknowledge(desk.alert().id, actor=actor, note=note)
    assert [error.pointer for error in caught.value.errors] == [pointer]


def test_what_is_not_there_can_not_be_changed(desk: Desk) -> None:
    for action in (desk.book.acknowledge, desk.book.resolve):
        with pytest.raises(UnknownResource):
            action("nothing", actor="ann", note=None)
    with pytest.raises(UnknownResource):
        desk.book.end_silence("nothing", actor="ann")


def test_resolved_by_a_person_it_stays_so_until_something_is_new(desk: Desk) -> None:
    desk.found({"amount": "warning"})
    desk.book.resolve(desk.alert().id, actor="ann", note="expected")
    desk.found({"amount": "warning"})
    desk.found({"amount": "warning"})
    assert desk.events() == ["firing", "resolved"]
    assert "Resolved by ann: “expected”." in desk.sent()[-1].notice.summary
    desk.found({"amount": "warning", "country": "warning"})
    assert desk.events() == ["firing", "resolved", "firing"]
    assert len(desk.sent()[-1].notice.members) == 2


class TestSilence:
    def test_what_fires_while_it_is_silenced_is_sent_when_the_silence_ends(self, desk: Desk) -> None:
        silence(desk, 3)
        desk.found({"amount": "warning"})
        assert (desk.alert().state, desk.events()) == ("silenced", [])
        pass_hours(desk, 2)
        assert desk.events() == []
        pass_hours(desk, 1)
        pass_hours(desk, 1)
        assert (desk.alert().state, desk.events()) == ("firing", ["firing"])
        assert desk.sent()[0].notice.summary.startswith("No longer silenced. amount (version 1): ")
        assert desk.steps() == ["firing", "silenced", "unsilenced"]

    def test_what_is_over_before_the_silence_ends_is_never_sent(self, desk: Desk) -> None:
        silence(desk, 3)
        desk.found({"amount": "warning"})
        desk.found({})
        pass_hours(desk, 5)
        assert (desk.alert().state, desk.sent(withheld=True)) == ("resolved", [])

    def test_the_end_of_what_had_been_sent_is_sent(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        silence(desk, 5)
        assert desk.alert().state == "silenced"
        desk.found({})
        assert desk.events() == ["firing", "resolved"]

    def test_what_had_been_sent_is_not_sent_again(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        silence(desk, 3)
        desk.found({"amount": "warning"})
        pass_hours(desk, 5)
        assert (desk.alert().state, desk.events()) == ("firing", ["firing"])

    @pytest.mark.parametrize(
        ("worse", "told"),
        [({"amount": "alert"}, "escalated"), ({"amount": "warning", "country": "warning"}, "updated")],
    )
    def test_what_got_worse_meanwhile_is_sent_once_when_it_ends(
        self, desk: Desk, worse: dict[str, FindingSeverity], told: str
    ) -> None:
        desk.found({"amount": "warning"})
        silence(desk, 3)
        desk.found(worse)
        assert desk.events() == ["firing"]
        pass_hours(desk, 5)
        pass_hours(desk, 1)
        assert desk.events() == ["firing", told]

    def test_what_got_worse_and_better_again_is_not_sent(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        silence(desk, 3)
        desk.found({"amount": "alert", "country": "warning"})
        desk.found({"amount": "warning"})
        pass_hours(desk, 5)
        assert desk.events() == ["firing"]

    def test_ended_early_by_a_person_it_is_sent_at_once(self, desk: Desk) -> None:
        given = silence(desk, 100)
        desk.found({"amount": "warning"})
        desk.clock.advance(60)
        ended = desk.book.end_silence(given.id, actor="bob")
        assert (ended.ends_at, desk.events()) == (desk.clock.now, ["firing"])
        before = desk.dump()
        assert desk.book.end_silence(given.id, actor="bob") == ended
        assert desk.dump() == before

    def test_one_that_has_not_begun_can_be_ended_too(self, desk: Desk) -> None:
        given = silence(desk, 1, starts_in=5)
        ended = desk.book.end_silence(given.id, actor="bob")
        assert (ended.starts_at, ended.ends_at, ended.state(desk.clock.now)) == (NOON, NOON, "expired")

    def test_begins_when_it_is_to_begin(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        silence(desk, 1, starts_in=1)
        assert desk.alert().state == "firing"
        pass_hours(desk, 1)
        assert desk.alert().state == "silenced"

    def test_does_not_match_after_an_escalation_and_it_is_sent(self, desk: Desk) -> None:
        silence(desk, 10, Matcher("severity", "warning"))
        desk.found({"amount": "warning"})
        assert desk.alert().state == "silenced"
        desk.found({"amount": "alert"})
        assert (desk.alert().state, desk.events()) == ("firing", ["firing"])

    def test_of_one_member_silences_the_alert(self, desk: Desk) -> None:
        silence(desk, 10, Matcher("subject", "amount"))
        desk.found({"country": "warning"})
        assert desk.events() == ["firing"]
        desk.found({"amount": "warning", "country": "warning"})
        assert desk.alert().state == "silenced"
        assert desk.events() == ["firing"]

    def test_two_that_overlap_count_as_one(self, desk: Desk) -> None:
        silence(desk, 2)
        silence(desk, 4)
        desk.found({"amount": "warning"})
        pass_hours(desk, 3)
        assert (desk.alert().state, len(desk.alert().silenced_by)) == ("silenced", 1)
        pass_hours(desk, 1)
        assert desk.events() == ["firing"]

    def test_no_reminder_is_sent_meanwhile(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, repeat_seconds=HOUR)
        silence(desk, 10)
        desk.found({"amount": "warning"})
        pass_hours(desk, 5)
        assert desk.events() == []

    def test_that_is_not_valid_is_refused(self, desk: Desk) -> None:
        with pytest.raises(InvalidInput) as caught:
            silence(desk, 1, Matcher("model", "(", is_regex=True))
        assert [error.pointer for error in caught.value.errors] == ["/matchers/0/value"]


class TestEscalation:
    def found(self, desk: Desk, hour: int, size: float, **more: float) -> None:
        sizes = {"amount": size, **more}
        found = tuple(finding(name, score=score, window_end=T0 + hour * HOUR) for name, score in sizes.items())
        desk.take(structs.replace(assessment(hour), findings=found))

    def test_each_doubling_is_sent_once_on_every_channel(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, channels=("chat", "mail"))
        for hour, size in enumerate([0.5, 0.9, 4.0, 1.0, 4.1, 8.5]):
            self.found(desk, hour, size)
        told = ["firing", "escalated", "escalated"]
        assert (desk.events("chat"), desk.events("mail"), desk.steps()) == (told, told, told)
        assert "Much larger: amount (version 1), PSI 0.500 → 4.00." in desk.sent("chat")[1].notice.summary

    def test_a_new_member_beside_a_large_one_is_sent_too(self, desk: Desk) -> None:
        self.found(desk, 0, 4.0)
        self.found(desk, 1, 4.0, country=0.11)
        assert desk.events() == ["firing", "updated"]

    def test_the_monitor_may_want_none(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, escalation_factor=0.0)
        self.found(desk, 0, 0.5)
        self.found(desk, 1, 50.0)
        assert desk.events() == ["firing"]

    def test_a_silence_keeps_it_back_until_its_end(self, desk: Desk) -> None:
        self.found(desk, 0, 0.5)
        silence(desk, 3)
        self.found(desk, 1, 4.0)
        assert desk.events() == ["firing"]
        pass_hours(desk, 4)
        assert desk.events() == ["firing", "escalated"]

    def test_what_has_shrunk_again_when_a_silence_ends_is_not_sent(self, desk: Desk) -> None:
        self.found(desk, 0, 0.5)
        silence(desk, 3)
        self.found(desk, 1, 4.0)
        self.found(desk, 2, 0.4)
        pass_hours(desk, 4)
        assert desk.events() == ["firing"]


class TestReminders:
    def test_come_after_each_stretch_in_which_nothing_was_sent(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        for _ in range(49):
            pass_hours(desk, 1)
        assert desk.events() == ["firing", "reminder", "reminder"]

    def test_wait_after_every_news(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        pass_hours(desk, 20)
        desk.take(assessment(1, {"amount": "alert"}))
        pass_hours(desk, 10)
        assert desk.events() == ["firing", "escalated"]

    def test_come_after_a_week_of_what_somebody_has_taken_on_and_that_never_ends(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        pass_hours(desk, 20)
        desk.book.acknowledge(desk.alert().id, actor="ann", note="known")
        pass_hours(desk, 7 * 24 - 1)
        assert desk.events() == ["firing", "acknowledged"]
        pass_hours(desk, 1)
        assert desk.events() == ["firing", "acknowledged", "reminder"]
        assert desk.alert().state == "acknowledged"
        said = desk.sent()[-1].notice.summary
        assert said.startswith("Still firing since 2025-06-15 15:05 UTC. Acknowledged by ann: “known”.")
        pass_hours(desk, 7 * 24)
        assert desk.events()[2:] == ["reminder"] * 2
        silence(desk, 30 * 24)
        pass_hours(desk, 15 * 24)
        assert desk.events()[2:] == ["reminder"] * 2

    def test_never_come_when_they_are_not_wanted(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, repeat_seconds=0)
        desk.found({"amount": "warning"})
        pass_hours(desk, 1_000)
        assert desk.events() == ["firing"]

    def test_reach_a_channel_that_was_added_later_as_its_first_news(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, channels=())
        desk.found({"amount": "warning"})
        pass_hours(desk, 30)
        assert desk.steps() == ["firing"]
        desk.policy = replace(desk.policy, channels=("mail",))
        pass_hours(desk, 1)
        assert desk.events("mail") == ["firing"]


class TestRouting:
    ROUTES = (
        Route(("pager", "chat"), severities=("alert",), labels={"team": "risk"}),
        Route(("archive",), kinds=("feature_drift",), environments=("production",), continue_=True),
        Route(("desk",), severities=("warning",)),
    )

    def policy(self, team: str = "risk") -> AlertPolicy:
        return AlertPolicy(labels={"team": team}, channels=("chat",), routes=self.ROUTES)

    def told(self, desk: Desk) -> dict[str, list[str]]:
        return {channel: desk.events(channel) for channel in dict.fromkeys(sent.channel for sent in desk.sent())}

    def test_the_first_route_that_fits_wins_and_others_follow_where_it_continues(self, desk: Desk) -> None:
        desk.policy = self.policy()
        desk.found({"amount": "warning"})
        assert self.told(desk) == {"archive": ["firing"], "desk": ["firing"]}

    def test_what_fits_none_goes_to_the_default_channels(self, desk: Desk) -> None:
        desk.policy = replace(self.policy(), routes=self.ROUTES[:1])
        desk.found({"amount": "warning"})
        assert self.told(desk) == {"chat": ["firing"]}

    def test_a_route_without_channels_sends_nothing(self, desk: Desk) -> None:
        desk.policy = replace(self.policy(), routes=(Route(),))
        desk.found({"amount": "warning"})
        desk.found({})
        assert self.told(desk) == {}

    def test_labels_must_have_the_values_of_the_route(self, desk: Desk) -> None:
        desk.policy = self.policy("growth")
        desk.found({"amount": "alert"})
        assert self.told(desk) == {"archive": ["firing"]}

    def test_an_escalation_is_the_first_news_of_the_channels_it_comes_to(self, desk: Desk) -> None:
        desk.policy = self.policy()
        desk.found({"amount": "warning"})
        desk.found({"amount": "alert"})
        desk.found({})
        assert self.told(desk) == {
            "archive": ["firing", "resolved"],
            "desk": ["firing", "resolved"],
            "chat": ["firing", "resolved"],
            "pager": ["firing", "resolved"],
        }

    def test_the_end_goes_where_the_alert_was_sent_even_if_routing_changed_since(self, desk: Desk) -> None:
        desk.found({"amount": "warning"})
        desk.policy = replace(desk.policy, channels=("mail",))
        desk.found({})
        assert self.told(desk) == {"chat": ["firing", "resolved"]}


class TestFlapping:
    def flap(self, desk: Desk, times: int) -> None:
        for index in range(2 * times + 1):
            desk.found({} if index % 2 else {"amount": "warning"})

    def test_is_sent_once_and_then_its_end_when_it_has_been_quiet(self, desk: Desk) -> None:
        self.flap(desk, 10)
        desk.found({})
        assert desk.events() == ["firing", "resolved"] * 3 + ["updated"]
        assert desk.sent()[-1].notice.title == "Feature drift in fraud (production) is flapping: amount"
        assert desk.alert().reopenings == 10
        for _ in range(23):
            desk.found({})
            desk.book.tick(desk.clock.now)
        assert desk.alert().flapping
        desk.found({})
        desk.found({})
        assert desk.events()[6:] == ["updated", "resolved"]
        assert desk.steps()[-1] == "calmed"

    def test_ends_by_the_clock_when_no_more_assessments_come(self, desk: Desk) -> None:
        self.flap(desk, 3)
        desk.found({})
        pass_hours(desk, 23.9)
        assert desk.events()[-1] == "updated"
        pass_hours(desk, 0.1)
        pass_hours(desk, 1)
        assert desk.events()[6:] == ["updated", "resolved"]

    def test_what_comes_after_the_quiet_window_is_another_incident(self, desk: Desk) -> None:
        self.flap(desk, 3)
        desk.found({})
        desk.take(assessment(40, {"amount": "warning"}))
        first, second = desk.alerts()
        assert [sent.event for sent in desk.sent() if sent.alert_id == first.id][6:] == ["updated", "resolved"]
        assert [sent.event for sent in desk.sent() if sent.alert_id == second.id] == ["firing"]

    def test_what_gets_worse_is_sent_still(self, desk: Desk) -> None:
        self.flap(desk, 4)
        desk.found({"amount": "alert"})
        desk.found({"amount": "alert", "country": "warning"})
        desk.found({})
        desk.found({"country": "alert"})
        assert desk.events()[6:] == ["updated", "escalated", "updated", "escalated"]

    def test_a_silent_alert_that_flaps_is_sent_when_the_silence_ends(self, desk: Desk) -> None:
        silence(desk, 12)
        self.flap(desk, 4)
        assert desk.events() == []
        pass_hours(desk, 5)
        assert desk.events() == ["firing"]
        assert "Flapping" in desk.sent()[-1].notice.summary
        desk.found({})
        pass_hours(desk, 30)
        assert desk.events() == ["firing", "resolved"]

    def test_a_person_can_end_it(self, desk: Desk) -> None:
        self.flap(desk, 3)
        desk.found({})
        desk.book.resolve(desk.alert().id, actor="ann", note=None)
        assert desk.events()[6:] == ["updated", "resolved"]
        with pytest.raises(Conflict):
            desk.book.resolve(desk.alert().id, actor="ann", note=None)

    def test_can_be_switched_off(self, desk: Desk) -> None:
        desk.policy = replace(desk.policy, flap=FlapRule(reopenings=0))
        self.flap(desk, 5)
        assert desk.events() == ["firing", "resolved"] * 5 + ["firing"]


def test_what_people_did_is_in_the_audit_trail(desk: Desk) -> None:
    desk.found({"amount": "warning"})
    alert = desk.alert()
    desk.clock.advance(1)
    desk.book.acknowledge(alert.id, actor="ann", note="on it")
    desk.clock.advance(1)
    given = silence(desk, 5)
    desk.clock.advance(1)
    desk.book.end_silence(given.id, actor="bob")
    desk.clock.advance(1)
    desk.book.resolve(alert.id, actor="bob", note=None)
    with desk.store.read() as connection:
        entries = list_audit(connection).lines
    assert [(each.actor, each.action, each.target) for each in entries] == [
        ("bob", "alert.resolve", f"alert/{alert.id}"),
        ("bob", "silence.end", f"silence/{given.id}"),
        ("ann", "silence.create", f"silence/{given.id}"),
        ("ann", "alert.acknowledge", f"alert/{alert.id}"),
    ]
    assert entries[3].detail["note"] == "on it"


def at_once(*works: Callable[[], None]) -> None:
    """Does all of it at the same time, each in a thread of its own."""
    start = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def begin(work: Callable[[], None]) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_two_services_at_once_send_everything_once(desk: Desk) -> None:
    desk.policy = replace(desk.policy, repeat_seconds=HOUR)
    for index in range(5):
        desk.take(assessment(0, {"amount": "warning"}, model=f"model-{index}"))
    silence(desk, 2, Matcher("model", "model-0"))
    desk.clock.advance(2 * HOUR)
    books = [desk.another_book() for _ in range(4)]
    for _ in range(3):
        at_once(*(partial(book.tick, desk.clock.now) for book in books))
    told: dict[str, list[str]] = {}
    for sent in desk.sent():
        told.setdefault(sent.notice.model, []).append(sent.event)
    # The silence has ended and nothing is new; the reminder comes with the next tick.
    assert told == {f"model-{index}": ["firing", "reminder"] for index in range(5)}


def test_versions_that_are_evaluated_at_once_share_an_incident(desk: Desk) -> None:
    def take(book: AlertService, version: str) -> None:
        with desk.store.write() as connection:
            book.apply(connection, assessment(0, {"amount": "warning"}, version=version))

    at_once(*(partial(take, desk.another_book(), str(version)) for version in range(4)))
    assert [member.version for member in desk.alert().members] == ["0", "1", "2", "3"]
    assert desk.events() == ["firing"] + ["updated"] * 3


def test_an_alert_that_can_not_be_dealt_with_does_not_keep_the_others(desk: Desk) -> None:
    desk.policy = replace(desk.policy, repeat_seconds=HOUR)
    for index in range(3):
        desk.take(assessment(0, {"amount": "warning"}, model=f"model-{index}"))
    ahead = (
        "INSERT INTO alert_event SELECT alert_id, 2, at, event, actor, note, body FROM alert_event"
        " WHERE alert_id = (SELECT id FROM alert WHERE model = 'model-0')"
    )
    with desk.store.write() as connection:
        connection.execute(text(ahead))
    desk.clock.advance(HOUR)
    with pytest.raises(IntegrityError):
        desk.book.tick(desk.clock.now)
    assert [sent.notice.model for sent in desk.sent() if sent.event == "reminder"] == ["model-1", "model-2"]


def test_alerts_of_a_model_whose_monitor_is_damaged_do_not_keep_the_others(desk: Desk) -> None:
    desk.policy = replace(desk.policy, repeat_seconds=HOUR)
    for index in range(3):
        desk.take(assessment(0, {"amount": "warning"}, model=f"model-{index}"))

    def policy(_connection: Connection, model: str) -> AlertPolicy:
        if model == "model-1":
            raise DamagedData("The stored monitor of 'model-1' can't be read.")
        return desk.policy

    desk.clock.advance(HOUR)
    book = AlertService(desk.store, policy=policy, public_url=desk.public_url, clock=desk.clock, new_id=desk.new_id)
    with pytest.raises(DamagedData):
        book.tick(desk.clock.now)
    assert [sent.notice.model for sent in desk.sent() if sent.event == "reminder"] == ["model-0", "model-2"]


def test_two_incidents_in_one_tick_of_the_clock_are_told_apart(desk: Desk) -> None:
    for hour, found in enumerate([{"amount": "warning"}, {}, {"amount": "warning"}, {}]):
        desk.take(assessment(30 * hour, found))
    first, second = desk.alerts()
    assert (first.id, second.id) == ("id-1", "id-2")
    assert desk.events() == ["firing", "resolved"] * 2
