"""Whatever happens to alerts, in whatever order: every channel gets what it should, and nothing twice."""

from __future__ import annotations

import shutil
import tempfile
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelwatch.alerting.alert import Alert, rank
from modelwatch.alerting.policy import AlertPolicy, FlapRule, QuietHours, Route, channels_for, quiet_until
from modelwatch.alerting.silences import Matcher, SilenceRequest
from modelwatch.errors import Conflict
from modelwatch.findings import Assessment, FindingSeverity
from modelwatch.storage.alerts.alerts import alert_events_of
from modelwatch.storage.alerts.silences import silences_page
from modelwatch.storage.engine.store import Store
from tests.support.alerts.assessments import HOUR, Desk, Sent, assessment
from tests.support.events import NOON, Clock, open_store
from tests.support.examples import examples

MICROS = 1_000_000
QUIET = (QuietHours(time(22), time(7), "Europe/Berlin"),)
POLICIES = [
    AlertPolicy(channels=("chat",), repeat_seconds=30 * HOUR),
    AlertPolicy(channels=("chat",), quiet_hours=QUIET, repeat_seconds=9 * HOUR, flap=FlapRule(6 * HOUR, 2)),
    AlertPolicy(
        channels=("chat",),
        routes=(Route(("pager", "chat"), severities=("alert",)),),
        quiet_hours=QUIET,
        repeat_seconds=0,
        flap=FlapRule(24 * HOUR, 2),
    ),
    AlertPolicy(channels=("chat", "mail"), flap=FlapRule(0, 3)),
]
MATCHERS = st.sampled_from(
    [
        (Matcher("model", "fraud"),),
        (Matcher("severity", "warning"),),
        (Matcher("subject", "a"),),
        (Matcher("version", "[2]", is_regex=True),),
    ]
)
FOUND = st.sampled_from(
    [{}, {}, {"a": "warning"}, {"a": "warning"}, {"a": "alert"}, {"b": "warning"}]
) | st.dictionaries(st.sampled_from("abc"), st.sampled_from(["warning", "alert"]), max_size=3)
VERSIONS = st.sampled_from("1112")
# A version, what is found, hours since the look before, a version that is gone.
LOOKS = st.tuples(VERSIONS, FOUND, st.sampled_from([1, 1, 2, 5, 12]), st.sampled_from([None, None, "1", "2"]))
Found = dict[str, FindingSeverity]
Look = tuple[str, Found, int, str | None]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy: migrations take longer than most examples."""
    folder = tmp_path_factory.mktemp("template")
    open_store(folder).close()
    return folder / "modelwatch.db"


class Alerts(RuleBasedStateMachine):
    """Evaluations, people and time, in any order, on a real store."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "modelwatch.db"
        shutil.copy(self.template, path)
        self.desk = Desk(Store(f"sqlite:///{path}"), clock=Clock(NOON))
        self.hour = 0
        self.last: dict[str, Found] = {}
        self.taken: list[Assessment] = []

    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: AlertPolicy) -> None:
        self.desk.policy = policy

    @rule(looks=st.lists(LOOKS, min_size=1, max_size=4))
    def evaluate(self, looks: list[Look]) -> None:
        for version, found, hours, departs in looks:
            self._evaluate(version, found, hours, () if departs in (None, version) else (departs,))

    @rule(looks=st.lists(LOOKS, min_size=1, max_size=4))
    def evaluate_and_wait(self, looks: list[Look]) -> None:
        self.evaluate(looks)
        self.desk.deliver()
        self.tick()

    def _evaluate(self, version: str, found: Found, hours: int, departed: tuple[str, ...]) -> None:
        self.hour += hours
        self.desk.clock.advance(hours * HOUR)
        what = assessment(self.hour, found, version=version, departed=departed)
        is_open = any(alert.is_open for alert in self.desk.alerts())
        self.desk.take(what)
        if self.desk.alerts():
            self.taken.append(what)
        self.last[version] = found
        # Of a version that has departed nothing more is known: an open alert keeps it, a resolved one forgets it.
        for gone in () if is_open else departed:
            self.last.pop(gone, None)

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def repeat(self, data: Any) -> None:
        before = self.desk.dump()
        self.desk.take(data.draw(st.sampled_from(self.taken)))
        assert self.desk.dump() == before

    @rule(hours=st.sampled_from([0.25, 1, 5, 11, 30]))
    def wait(self, hours: float) -> None:
        self.desk.clock.advance(hours * HOUR)

    @rule()
    def tick(self) -> None:
        self.desk.book.tick(self.desk.clock.now)
        self.desk.book.tick(self.desk.clock.now)
        before = self.desk.dump()
        self.desk.another_book().tick(self.desk.clock.now)
        assert self.desk.dump() == before
        self.everybody_knows()

    @rule()
    def deliver(self) -> None:
        self.desk.deliver()

    @rule()
    def restart(self) -> None:
        self.desk.book = self.desk.another_book()

    @rule(actor=st.sampled_from(["ann", "bob"]))
    def acknowledge(self, actor: str) -> None:
        for alert in self.desk.alerts()[-1:]:
            if alert.is_open:
                assert self.desk.book.acknowledge(alert.id, actor=actor, note=None).state == "acknowledged"
            else:
                with pytest.raises(Conflict):
                    self.desk.book.acknowledge(alert.id, actor=actor, note=None)

    @rule()
    def resolve(self) -> None:
        for alert in self.desk.alerts()[-1:]:
            if alert.is_open:
                self.desk.book.resolve(alert.id, actor="ann", note=None)

    @rule(matchers=MATCHERS, starts_in=st.integers(0, 5), hours=st.integers(1, 20))
    def silence(self, matchers: tuple[Matcher, ...], starts_in: int, hours: int) -> None:
        begins = self.desk.clock.now + starts_in * HOUR * MICROS
        self.desk.book.silence(SilenceRequest(matchers, begins + hours * HOUR * MICROS, "why", begins), actor="ann")

    @rule()
    def end_a_silence(self) -> None:
        with self.desk.store.read() as connection:
            rows = silences_page(connection, now=self.desk.clock.now, limit=1)
        for row in rows:
            self.desk.book.end_silence(row.id, actor="ann")

    @invariant()
    def what_is_written_makes_sense(self) -> None:
        alerts = self.desk.alerts()
        self._is_what_was_said_last(alerts)
        with self.desk.store.read() as connection:
            for alert in alerts:
                steps = [step.sequence for step in alert_events_of(connection, alert.id)]
                assert steps == list(range(1, alert.sequence + 1))
        for rows in self._stories().values():
            self._is_a_story(rows)

    def _is_what_was_said_last(self, alerts: list[Alert]) -> None:
        """There is one incident at a time, with all that is found, unless a person has resolved just that."""
        assert all(not alert.is_open and not alert.flapping for alert in alerts[:-1])
        said = {(version, subject) for version, found in self.last.items() for subject in found}
        if not alerts:
            assert not said
        elif alerts[-1].is_open:
            assert {member.key for member in alerts[-1].members} == said
        else:
            assert said == {each.member.key for each in alerts[-1].dismissed}

    def _is_a_story(self, rows: list[Sent]) -> None:
        """One channel hears of one incident: in order, nothing twice, and never in quiet hours."""
        believes = "nothing"
        for row in rows:
            assert (believes, row.event) in MAKES_SENSE, [each.event for each in rows]
            believes = "resolved" if row.event == "resolved" else "firing"
            assert quiet_until(self.desk.policy.quiet_hours, row.notice.severity, row.not_before) is None
        assert [row.not_before for row in rows] == sorted(row.not_before for row in rows)

    def everybody_knows(self) -> None:
        """Once time has been let pass: who should know of an alert knows, and nobody believes in one that is over."""
        stories = self._stories()
        for alert in self.desk.alerts():
            over = not alert.is_open and not alert.flapping
            for (alert_id, _), rows in stories.items():
                if alert_id == alert.id and over:
                    assert rows[-1].event == "resolved"
            if alert.is_open and not alert.silenced_by:
                everything = [row for (alert_id, _), rows in stories.items() if alert_id == alert.id for row in rows]
                for channel in channels_for(self.desk.policy, alert):
                    self._knows(alert, stories.get((alert.id, channel), []), everything)

    def _knows(self, alert: Alert, rows: list[Sent], everything: list[Sent]) -> None:
        """The channel believes in the alert, as severe as it is, and knows its members.

        While it is flapping they may have been named long ago, and on other channels.
        """
        assert rows
        assert rows[-1].event != "resolved"
        if not alert.flapping:
            ends = [index for index, row in enumerate(rows) if row.event == "resolved"]
            rows = everything = rows[ends[-1] + 1 if ends else 0 :]
        told = {(member.version, member.finding.subject) for row in everything for member in row.notice.members}
        assert {member.key for member in alert.members} <= told
        assert max(rank(row.notice.severity) for row in rows) >= rank(alert.severity)

    def _stories(self) -> dict[tuple[str, str], list[Sent]]:
        """What each channel is sent of each incident, in order; without what was taken back."""
        stories: dict[tuple[str, str], list[Sent]] = {}
        for row in sorted(self.desk.sent(), key=lambda row: row.sequence):
            stories.setdefault((row.alert_id, row.channel), []).append(row)
        return stories

    def teardown(self) -> None:
        try:
            if self.desk.alerts():
                self.desk.book.tick(self.desk.clock.now)
                self.everybody_knows()
        finally:
            self.desk.store.close()
            self.folder.cleanup()


MAKES_SENSE = {
    ("nothing", "firing"),
    ("firing", "updated"),
    ("firing", "escalated"),
    ("firing", "reminder"),
    ("firing", "acknowledged"),
    ("firing", "resolved"),
    ("resolved", "firing"),
    ("resolved", "updated"),
}


@pytest.mark.timeout(300)
def test_no_channel_is_left_out_and_nothing_is_sent_twice(template: Path) -> None:
    machine = type("Alerts", (Alerts,), {"template": template})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples(60), stateful_step_count=30))
