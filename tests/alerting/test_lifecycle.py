"""The life of one alert, without a store."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from modelwatch.alerting.alert import Alert, Change, ChannelState, Recovered, Size
from modelwatch.alerting.lifecycle import Transition, acknowledge, assess, end_flapping, match_silences, remind, resolve
from modelwatch.alerting.policy import FlapRule
from modelwatch.errors import Conflict
from modelwatch.findings import Assessment, FindingSeverity, Kind
from tests.support.alerts.assessments import HOUR, T0, assessment, finding
from tests.support.events import NOON, numbered

FLAP = FlapRule(window_seconds=24 * HOUR, reopenings=3)
Found = Mapping[str, FindingSeverity]


def at(hour: float) -> int:
    return NOON + int(hour * HOUR * 1_000_000)


def after(alert: Alert | None, what: Assessment, flap: FlapRule = FLAP, **options: float) -> Transition:
    """The alert after an assessment, at the wall clock of its window end."""
    found = assess(
        alert,
        what,
        "feature_drift",
        now=what.window_end * 1_000_000,
        flap=flap,
        new_id=lambda: what.verdict_id,
        **options,
    )
    assert found is not None
    return found


def opened(found: Found | None = None) -> Alert:
    return after(None, assessment(0, found or {"amount": "warning"})).alert


def sized(hour: int, *, kind: Kind = "feature_drift", **sizes: float) -> Assessment:
    """Warnings of these sizes, so many hours after T0."""
    found = tuple(
        finding(name, kind=kind, score=score, window_end=T0 + hour * HOUR, holding=score < 0.1)
        for name, score in sizes.items()
    )
    return structs.replace(assessment(hour, kinds=(kind,)), findings=found)


def event_of(change: Change | None) -> str | None:
    return None if change is None else change.event


def subjects(alert: Alert) -> list[tuple[str, str]]:
    return [member.key for member in alert.members]


def test_a_first_finding_opens_an_alert() -> None:
    alert, change = after(None, assessment(0, {"amount": "warning", "country": "alert"}))
    assert (alert.state, alert.severity, alert.sequence, event_of(change)) == ("firing", "alert", 1, "firing")
    assert subjects(alert) == [("1", "country"), ("1", "amount")]
    assert alert.started_at == T0 * 1_000_000
    assert alert.data_until == T0 * 1_000_000


def test_nothing_found_opens_nothing() -> None:
    what = assessment(0)
    assert assess(None, what, "feature_drift", now=0, flap=FLAP, new_id=numbered()) is None


def test_the_same_members_with_new_numbers_are_no_news_but_are_kept() -> None:
    what = assessment(1)
    fresh = finding("amount", score=0.19, window_end=what.window_end)
    alert, change = after(opened(), Assessment(**{**_fields(what), "findings": (fresh,)}))
    assert change is None
    assert alert.members[0].finding.score == 0.19
    assert alert.members[0].verdict_id == "1@1"
    assert alert.data_until == at(1)


def test_a_new_member_is_sent_and_one_that_recovers_is_not() -> None:
    alert, change = after(opened(), assessment(1, {"amount": "warning", "country": "warning"}))
    assert event_of(change) == "updated"
    assert change is not None
    assert change.added == (("1", "country"),)
    alert, change = after(alert, assessment(2, {"country": "warning"}))
    assert change is None
    assert subjects(alert) == [("1", "country")]
    assert [each.key for each in alert.recovered] == [("1", "amount")]


def test_a_rise_of_the_severity_is_sent_and_a_fall_is_not() -> None:
    alert, change = after(opened(), assessment(1, {"amount": "alert"}))
    assert (event_of(change), alert.severity) == ("escalated", "alert")
    alert, change = after(alert, assessment(2, {"amount": "warning"}))
    assert (change, alert.severity, alert.severity_step) == (None, "warning", 0)
    alert, change = after(alert, assessment(3, {"amount": "alert"}))
    assert event_of(change) == "escalated"


def test_a_second_member_that_gets_as_bad_as_the_worst_is_no_news_by_its_severity() -> None:
    what = sized(1, a=0.31, b=0.23)
    severe = tuple(structs.replace(each, severity="alert") for each in what.findings)
    alert, change = after(opened({"a": "alert", "b": "warning"}), structs.replace(what, findings=severe))
    assert change is None
    assert {member.finding.severity for member in alert.members} == {"alert"}


def test_an_assessment_speaks_of_its_own_version_only() -> None:
    alert, change = after(opened(), assessment(0, {"country": "warning"}, version="2"))
    assert event_of(change) == "updated"
    alert, change = after(alert, assessment(1, {}, version="2"))
    assert change is None
    assert subjects(alert) == [("1", "amount")]
    alert, change = after(alert, assessment(1, {}, version="1"))
    assert (event_of(change), alert.state, alert.ended_at) == ("resolved", "resolved", at(1))


def test_the_members_of_a_departed_version_stay_and_say_since_when_nothing_comes() -> None:
    """That a version sends no data any more is no sign that what was wrong with it was mended."""
    gone = structs.replace(assessment(30, {}, version="2", departed=("1",)), last_data={"1": T0 + 2 * HOUR})
    alert, change = after(opened(), gone)
    assert (change, alert.state) == (None, "firing")
    [member] = alert.members
    assert (member.finding.doubt, member.finding.uncertain_since) == ("no_data", T0 + 2 * HOUR)
    assert alert.uncertain_since == T0 + 2 * HOUR
    alert, _ = after(alert, assessment(31, {"amount": "warning"}, version="1"))
    assert alert.uncertain_since is None
    alert, change = after(alert, assessment(32, {}, version="1"))
    assert event_of(change) == "resolved"


def test_a_finding_of_a_kind_that_is_not_named_is_of_another_alert() -> None:
    what = assessment(1, {"amount": "alert"}, kinds=("feature_drift", "prediction_drift"))
    assert assess(None, what, "prediction_drift", now=0, flap=FLAP, new_id=numbered()) is None


def test_of_two_findings_of_one_subject_the_worse_counts() -> None:
    both = (finding("amount", "alert"), finding("amount", "warning"))
    alert, _ = after(None, Assessment(**{**_fields(assessment(0)), "findings": both}))
    assert [member.finding.severity for member in alert.members] == ["alert"]


@pytest.mark.parametrize("open_first", [True, False])
def test_a_repeat_changes_nothing(open_first: bool) -> None:
    alert = after(opened(), assessment(2, {"amount": "warning"} if open_first else {})).alert
    for hour in (2, 1, 0):
        assert after(alert, assessment(hour, {"country": "alert"})) == (alert, None)


def test_a_second_verdict_on_the_same_window_counts() -> None:
    alert = opened()
    again = assessment(0, {"country": "warning"}, verdict_id="after a new reference")
    alert, change = after(alert, again)
    assert subjects(alert) == [("1", "country")]
    assert event_of(change) == "updated"
    assert after(alert, assessment(0, {"amount": "warning"})) == (alert, None)
    assert after(alert, again) == (alert, None)


def test_an_acknowledgement_has_an_actor_and_a_note_and_holds_while_it_gets_no_worse() -> None:
    alert, change = acknowledge(opened(), actor="ann", note="looking", now=at(1))
    assert alert.state == "acknowledged"
    assert change is not None
    assert (change.event, change.actor, change.note) == ("acknowledged", "ann", "looking")
    alert, change = after(alert, assessment(1, {"amount": "warning", "country": "warning"}))
    assert (event_of(change), alert.state) == ("updated", "acknowledged")
    alert, change = after(alert, assessment(2, {"amount": "alert"}))
    assert (event_of(change), alert.state, alert.acknowledgement) == ("escalated", "firing", None)


def test_to_acknowledge_twice_changes_nothing_unless_somebody_else_does() -> None:
    alert = acknowledge(opened(), actor="ann", note=None, now=at(1)).alert
    assert acknowledge(alert, actor="ann", note=None, now=at(2)) == (alert, None)
    taken_over = acknowledge(alert, actor="bob", note=None, now=at(2)).alert
    assert taken_over.acknowledgement is not None
    assert taken_over.acknowledgement.actor == "bob"


def test_what_is_resolved_can_be_neither_acknowledged_nor_resolved() -> None:
    alert = after(opened(), assessment(1)).alert
    with pytest.raises(Conflict):
        acknowledge(alert, actor="ann", note=None, now=at(2))
    with pytest.raises(Conflict):
        resolve(alert, actor="ann", note=None, now=at(2))


class TestResolvedByAPerson:
    def resolved(self, found: Found | None = None) -> Alert:
        return resolve(opened(found), actor="ann", note="known", now=at(0.5)).alert

    def test_says_who(self) -> None:
        alert, change = resolve(opened(), actor="ann", note="known", now=at(0.5))
        assert (alert.state, alert.resolved_by, event_of(change)) == ("resolved", "ann", "resolved")

    def test_the_same_members_do_not_reopen_it(self) -> None:
        alert = self.resolved({"amount": "alert"})
        for hour in (1, 2, 30):
            alert, change = after(alert, assessment(hour, {"amount": "alert" if hour > 1 else "warning"}))
            assert (alert.state, change) == ("resolved", None)

    def test_a_new_member_reopens_it_with_all_that_is_found(self) -> None:
        alert = after(self.resolved(), assessment(1, {"amount": "warning"})).alert
        alert, change = after(alert, assessment(2, {"amount": "warning", "country": "warning"}))
        assert (alert.state, event_of(change)) == ("firing", "firing")
        assert subjects(alert) == [("1", "amount"), ("1", "country")]
        assert (alert.dismissed, alert.reopenings, alert.reopened) == ((), 1, ())

    def test_another_version_brings_back_what_is_still_found_of_this_one(self) -> None:
        alert, _ = after(self.resolved(), assessment(1, {"amount": "warning"}, version="2"))
        assert subjects(alert) == [("1", "amount"), ("2", "amount")]

    def test_a_worse_member_reopens_it(self) -> None:
        alert, change = after(self.resolved(), assessment(1, {"amount": "alert"}))
        assert (alert.state, event_of(change)) == ("firing", "firing")

    def test_a_member_that_was_gone_in_between_reopens_it(self) -> None:
        alert, change = after(self.resolved(), assessment(1))
        assert change is None
        alert, change = after(alert, assessment(2, {"amount": "warning"}))
        assert event_of(change) == "firing"

    def test_a_version_that_departed_has_been_gone(self) -> None:
        alert = after(self.resolved(), assessment(5, version="2", departed=("1",))).alert
        assert alert.dismissed == ()
        assert event_of(after(alert, assessment(6, {"amount": "warning"})).change) == "firing"

    def test_long_after_it_is_another_incident(self) -> None:
        alert = after(self.resolved(), assessment(30, {"amount": "warning"})).alert
        later, change = after(alert, assessment(31, {"amount": "alert"}))
        assert later.id != alert.id
        assert (event_of(change), later.sequence, later.reopenings) == ("firing", 1, 0)


def test_an_alert_that_fires_again_soon_is_the_same_incident() -> None:
    alert = after(opened(), assessment(1)).alert
    again, change = after(alert, assessment(24, {"amount": "warning"}))
    assert (again.id, again.state, again.reopenings, event_of(change)) == (alert.id, "firing", 1, "firing")
    assert again.started_at == alert.started_at
    assert (again.resolved_at, again.ended_at) == (None, None)


def test_an_alert_that_fires_again_later_is_another_incident() -> None:
    alert = after(opened(), assessment(1)).alert
    again, change = after(alert, assessment(25, {"amount": "warning"}))
    assert again.id != alert.id
    assert again.fingerprint == alert.fingerprint
    assert (again.sequence, again.reopenings, event_of(change)) == (1, 0, "firing")
    assert again.opened_at > alert.opened_at


def test_without_a_window_nothing_is_opened_again() -> None:
    rule = FlapRule(window_seconds=0)
    alert = after(opened(), assessment(1)).alert
    assert after(alert, assessment(2, {"amount": "warning"}), rule).alert.id != alert.id


def flap_until(hours: int) -> Alert:
    """Found and gone, by turns, an hour each, from hour 0."""
    alert = opened()
    for hour in range(1, hours + 1):
        alert = after(alert, assessment(hour, {} if hour % 2 else {"amount": "warning"})).alert
    return alert


def test_too_many_reopenings_within_the_window_are_flapping() -> None:
    assert not flap_until(4).flapping
    alert = flap_until(6)
    assert (alert.flapping, alert.reopenings, alert.state, alert.flapping_step) == (True, 3, "firing", alert.sequence)


def test_reopenings_outside_the_window_do_not_add_up() -> None:
    alert = opened()
    for round_ in range(1, 8):
        alert = after(alert, assessment(20 * round_ - 10)).alert
        alert = after(alert, assessment(20 * round_, {"amount": "warning"})).alert
    assert (alert.reopenings, alert.flapping) == (7, False)


def test_a_member_that_was_sent_before_is_no_news_while_it_flaps() -> None:
    alert = structs.replace(flap_until(6), channels={"chat": ChannelState("firing", 100)})
    added = alert.newest_member_step
    alert = after(alert, assessment(7)).alert
    alert, change = after(alert, assessment(8, {"amount": "warning"}))
    assert (event_of(change), alert.newest_member_step) == ("firing", added)
    alert, change = after(alert, assessment(9, {"amount": "warning", "new": "warning"}))
    assert (event_of(change), alert.newest_member_step) == ("updated", alert.sequence)


def test_a_member_that_no_notification_has_named_is_news_when_it_comes_back_while_it_flaps() -> None:
    alert = structs.replace(flap_until(6), channels={"chat": ChannelState("firing", 2)})
    alert = after(alert, assessment(7)).alert
    alert = after(alert, assessment(8, {"amount": "warning"})).alert
    assert alert.newest_member_step == alert.sequence


def test_a_flapping_alert_is_over_after_a_quiet_window_of_event_time() -> None:
    alert = after(flap_until(6), assessment(7)).alert
    assert end_flapping(alert, flap=FLAP, now=at(500), window_end=T0 + 30 * HOUR) == (alert, None)
    over, change = end_flapping(alert, flap=FLAP, now=at(7), window_end=T0 + 31 * HOUR)
    assert (event_of(change), over.flapping, over.state) == ("calmed", False, "resolved")


def test_a_flapping_alert_is_over_after_a_quiet_window_by_the_clock() -> None:
    alert = after(flap_until(6), assessment(7)).alert
    alert = after(alert, assessment(8)).alert
    assert end_flapping(alert, flap=FLAP, now=at(31.9)) == (alert, None)
    assert event_of(end_flapping(alert, flap=FLAP, now=at(32)).change) == "calmed"


def test_a_person_may_end_the_flapping() -> None:
    alert = after(flap_until(6), assessment(7)).alert
    over, change = resolve(alert, actor="ann", note=None, now=at(8))
    assert (event_of(change), over.flapping, over.ended_at) == ("resolved", False, at(7))


def test_silences_begin_with_the_first_and_end_with_the_last() -> None:
    alert, change = match_silences(opened(), ["s1"], now=at(1))
    assert (alert.state, event_of(change)) == ("silenced", "silenced")
    alert, change = match_silences(alert, ["s2", "s1"], now=at(2))
    assert (alert.silenced_by, change) == (("s1", "s2"), None)
    assert match_silences(alert, ["s1", "s2"], now=at(3)) == (alert, None)
    alert, change = match_silences(alert, [], now=at(3))
    assert (alert.state, event_of(change)) == ("firing", "unsilenced")


def test_an_acknowledged_alert_stays_acknowledged_when_it_is_silenced() -> None:
    alert = acknowledge(opened(), actor="ann", note=None, now=at(1)).alert
    assert match_silences(alert, ["s1"], now=at(2)).alert.state == "acknowledged"


def test_a_resolved_alert_is_not_silenced() -> None:
    alert = after(opened(), assessment(1)).alert
    assert match_silences(alert, ["s1"], now=at(1)) == (alert, None)


def test_people_are_reminded_only_of_what_fires() -> None:
    alert = opened()
    assert remind(alert, now=at(23.9), repeat_seconds=24 * HOUR) == (alert, None)
    assert event_of(remind(alert, now=at(24), repeat_seconds=24 * HOUR).change) == "reminder"
    assert remind(alert, now=at(1_000), repeat_seconds=0).change is None
    for quiet in (
        acknowledge(alert, actor="ann", note=None, now=at(1)).alert,
        match_silences(alert, ["s1"], now=at(1)).alert,
        after(alert, assessment(1)).alert,
    ):
        assert remind(quiet, now=at(1_000), repeat_seconds=HOUR).change is None


class TestEscalation:
    def steps(self, *sizes: float, alert: Alert | None = None, **options: float) -> list[str | None]:
        """The event of each of these sizes of one member, in this order."""
        told = []
        for hour, size in enumerate(sizes):
            alert, change = after(alert, sized(hour, amount=size), **options)
            told.append(event_of(change))
        return told

    def test_a_size_that_doubles_is_sent_once_per_step(self) -> None:
        assert self.steps(0.5, 0.9, 1.0, 1.0, 1.9, 2.0, 4.0) == [
            "firing", None, "escalated", None, None, "escalated", "escalated",
        ]  # fmt: skip

    def test_a_sudden_jump_is_one_step(self) -> None:
        assert self.steps(0.5, 4.0, 5.0, 7.9, 8.0) == ["firing", "escalated", None, None, "escalated"]

    def test_what_comes_and_goes_is_sent_once(self) -> None:
        assert self.steps(0.5, 1.1, 0.3, 1.2, 0.2, 2.1, 2.3) == [
            "firing", "escalated", None, None, None, None, "escalated",
        ]  # fmt: skip

    def test_the_factor_may_be_another_and_zero_is_never(self) -> None:
        assert self.steps(0.2, 0.9, 1.0, escalation_factor=5.0) == ["firing", None, "escalated"]
        assert self.steps(0.2, 0.9, 9.0, escalation_factor=0.0) == ["firing", None, None]

    def test_what_only_holds_on_is_no_escalation(self) -> None:
        assert self.steps(0.02, 0.08, 0.11) == ["firing", None, "escalated"]

    def test_a_silence_grows_with_the_clock_alone(self) -> None:
        alert = assess(
            None, sized(0, kind="freshness", predictions=600), "freshness", now=0, flap=FLAP, new_id=numbered()
        )
        assert alert is not None
        later = sized(9, kind="freshness", predictions=60_000)
        assert assess(alert.alert, later, "freshness", now=0, flap=FLAP, new_id=numbered()).change is None  # type: ignore[union-attr]

    def test_scores_of_other_names_are_not_compared(self) -> None:
        what = sized(1, amount=40.0)
        other = tuple(structs.replace(each, score_name="change of the volume") for each in what.findings)
        alert, change = after(after(None, sized(0, amount=0.5)).alert, structs.replace(what, findings=other))
        assert change is None
        assert alert.members[0].size == Size("change of the volume", 40.0)

    def test_a_step_sends_the_sizes_of_all_members(self) -> None:
        alert = after(None, sized(0, a=0.2, b=0.2)).alert
        alert, change = after(alert, sized(1, a=0.4, b=0.39))
        assert event_of(change) == "escalated"
        alert, change = after(alert, sized(2, a=0.4, b=0.41))
        assert change is None

    def test_with_a_new_member_it_is_an_escalation_that_names_it(self) -> None:
        _, change = after(after(None, sized(0, a=0.2)).alert, sized(1, a=0.5, b=0.2))
        assert change is not None
        assert (change.event, change.added) == ("escalated", (("1", "b"),))

    def test_an_acknowledgement_holds_when_a_size_grows(self) -> None:
        alert = acknowledge(after(None, sized(0, a=0.2)).alert, actor="ann", note=None, now=at(0)).alert
        alert, change = after(alert, sized(1, a=0.5))
        assert (event_of(change), alert.state) == ("escalated", "acknowledged")

    def test_what_was_resolved_by_a_person_comes_back_when_it_doubles(self) -> None:
        alert = resolve(after(None, sized(0, a=0.2)).alert, actor="ann", note="fine", now=at(0)).alert
        alert, change = after(alert, sized(1, a=0.39))
        assert (alert.state, change) == ("resolved", None)
        alert, change = after(alert, sized(2, a=0.4))
        assert (alert.state, event_of(change)) == ("firing", "firing")

    def test_an_alert_that_was_stored_without_sizes_goes_on_from_what_is_seen_next(self) -> None:
        alert = after(None, sized(0, a=0.2)).alert
        old = structs.replace(alert, members=tuple(structs.replace(each, size=None) for each in alert.members))
        alert, change = after(old, sized(1, a=0.5))
        assert change is None
        alert, change = after(alert, sized(2, a=1.0))
        assert event_of(change) == "escalated"

    def test_a_flapping_alert_sends_no_size_again_that_it_has_sent(self) -> None:
        alert = structs.replace(flap_until(6), channels={"chat": ChannelState("firing", 100)})
        alert = after(alert, assessment(7)).alert
        assert isinstance(alert.recovered[0], Recovered)
        alert, _ = after(alert, sized(8, amount=0.23))
        assert alert.newest_growth_step == 0
        alert = after(alert, assessment(9)).alert
        alert, change = after(alert, sized(10, amount=0.24))
        assert (event_of(change), alert.newest_growth_step) == ("firing", alert.sequence)


FOUND = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["warning", "alert"]), max_size=3)
WORDS = st.lists(st.tuples(st.sampled_from("123"), st.integers(1, 30), FOUND), max_size=20)


@given(WORDS)
def test_the_alert_is_what_every_version_has_said_last(
    words: list[tuple[str, int, dict[str, FindingSeverity]]],
) -> None:
    alert: Alert | None = None
    hour, last, ids = 0, dict[str, dict[str, FindingSeverity]](), itertools.count()
    sequences = dict[str, int]()
    for version, hours, found in words:
        hour += hours
        last[version] = found
        what = assessment(hour, found, version=version)
        if alert is not None:
            alert = end_flapping(alert, flap=FLAP, now=0, window_end=what.window_end).alert
        taken = assess(alert, what, "feature_drift", now=at(hour), flap=FLAP, new_id=lambda: f"incident-{next(ids)}")
        if taken is not None:
            alert, change = taken
            assert assess(alert, what, "feature_drift", now=0, flap=FLAP, new_id=lambda: "never") == (alert, None)
            if change is not None:
                assert change.sequence == alert.sequence > sequences.get(alert.id, 0)
                sequences[alert.id] = change.sequence
        said = {(version, subject) for version, found in last.items() for subject in found}
        in_force = set() if alert is None or not alert.is_open else set(subjects(alert))
        assert in_force == said
        if alert is not None and said:
            worst = "alert" if any("alert" in found.values() for found in last.values()) else "warning"
            assert alert.severity == worst


@given(WORDS)
def test_every_step_says_something_new(words: list[tuple[str, int, dict[str, FindingSeverity]]]) -> None:
    alert: Alert | None = None
    hour = 0
    for version, hours, found in words:
        hour += hours
        before = alert
        taken = assess(
            alert,
            assessment(hour, found, version=version),
            "feature_drift",
            now=at(hour),
            flap=FlapRule(window_seconds=1_000 * HOUR, reopenings=0),
            new_id=numbered("incident"),
        )
        if taken is None:
            continue
        alert, change = taken
        was = set() if before is None or not before.is_open else set(subjects(before))
        now = set(subjects(alert)) if alert.is_open else set()
        rose = before is not None and (before.severity, alert.severity) == ("warning", "alert")
        worse = rose or (bool(now) and alert.newest_growth_step == alert.sequence and change is not None)
        expected = (
            "firing"
            if now and not was
            else "resolved"
            if was and not now
            else "escalated"
            if worse
            else "updated"
            if now - was
            else None
        )
        assert event_of(change) == expected


def _fields(what: Assessment) -> dict[str, object]:
    return {name: getattr(what, name) for name in what.__struct_fields__}


def test_it_began_when_the_first_of_its_members_did() -> None:
    first = structs.replace(assessment(4), findings=(finding("amount", began=T0 + 3 * HOUR, window_end=T0 + 4 * HOUR),))
    alert = after(None, first).alert
    assert alert.began == (T0 + 3 * HOUR) * 1_000_000
    both = (*first.findings, finding("country", "alert", began=T0 + HOUR, window_end=T0 + 5 * HOUR))
    alert = after(alert, structs.replace(assessment(5), findings=both)).alert
    assert alert.began == (T0 + HOUR) * 1_000_000
    # What has recovered had begun then all the same.
    alert = after(alert, structs.replace(assessment(6), findings=first.findings)).alert
    assert alert.began == (T0 + HOUR) * 1_000_000
    assert opened().began is None


def test_a_step_has_the_time_of_the_data_that_it_was_taken_by() -> None:
    alert, fired = after(None, assessment(3, {"amount": "warning"}))
    alert, escalated = after(alert, assessment(5, {"amount": "alert"}))
    alert, acknowledged = acknowledge(alert, actor="ann", note=None, now=at(90))
    alert, over = after(alert, assessment(7))
    times = [None if change is None else change.event_time for change in (fired, escalated, acknowledged, over)]
    assert times == [T0 + 3 * HOUR, T0 + 5 * HOUR, None, T0 + 7 * HOUR]
