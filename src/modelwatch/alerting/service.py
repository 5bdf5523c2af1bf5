"""Alert service: applies what evaluations find and what people do to the alerts, and records what follows from it.

The alert, its step and its notifications are one transaction. All that happens to the alerts of a model in an
environment happens one after the other, whichever process does it, and what is due is worked out from the store
each time: so two processes can do it at once, and none has to remember anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting import lifecycle
from modelwatch.alerting.alert import Alert, Member, alert_from_row, readable_alerts
from modelwatch.alerting.lifecycle import Transition
from modelwatch.alerting.members import is_repeat, kinds_of
from modelwatch.alerting.policy import AlertPolicy, channels_for
from modelwatch.alerting.recorder import Recorder
from modelwatch.alerting.silences import (
    Silence,
    SilenceRequest,
    matching_silences,
    silence_from_request,
    silence_from_row,
    silence_row,
)
from modelwatch.errors import Conflict, DamagedData, FieldError, InvalidInput, UnknownResource, excerpt
from modelwatch.findings import Assessment, Kind
from modelwatch.storage.alerts.alerts import alert_by_id, alerts_page, latest_incidents, remove_alert, unfinished_alerts
from modelwatch.storage.alerts.audit import AuditEntry, append_audit
from modelwatch.storage.alerts.silences import add_silence, move_silence, silence_by_id, silences_in_force
from modelwatch.storage.engine.damage import log_damage, passing_over, readable
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import newest_trace
from modelwatch.text import clean

LONGEST_ACTOR = 200
LONGEST_NOTE = 2_000
OPEN_STATES = ("firing", "acknowledged", "silenced")
# One incident of a model, environment and kind is open at a time.
MOST_OPEN = 100
REMOVED_AT_ONCE = 50

Clock = Callable[[], int]
PolicyOf = Callable[[Connection, str], AlertPolicy]


class OperatorAction(Protocol):
    """Transition of an alert by a person. now: microseconds."""

    def __call__(self, alert: Alert, *, actor: str, note: str | None, now: int) -> Transition: ...


class AlertService:
    """Alerts of all models: opened, updated and resolved by assessments, by time and by people.

    policy: of a model. public_url: where people reach this service; empty: links are left out.
    clock: microseconds. new_id: ids of incidents, silences and audit entries, never the same twice.
    """

    def __init__(
        self, store: Store, *, policy: PolicyOf, public_url: str, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._policy = policy
        self._recorder = Recorder(store, public_url)
        self._clock = clock
        self._new_id = new_id

    def apply(self, connection: Connection, assessment: Assessment) -> None:
        """Opens, updates and resolves the alerts that the assessment covers, inside the caller's transaction."""
        now = self._clock()
        model, environment, kinds = assessment.model, assessment.environment, kinds_of(assessment)
        self._one_at_a_time(connection, model, environment)
        incidents = latest_incidents(connection, model, environment, kinds)
        if not assessment.findings and not any(incidents.values()):
            return
        policy = self._policy(connection, model)
        silences = _silences(connection, now)
        for kind, row in incidents.items():
            alert = None if row is None else alert_from_row(row)
            if alert is not None:
                if is_repeat(alert.last_assessments, assessment):
                    continue
                calmed = lifecycle.end_flapping(alert, flap=policy.flap, now=now, window_end=assessment.window_end)
                alert = self._recorder.record(connection, alert, calmed, policy, now=now)
            if (alert is None or not alert.is_open) and _is_outdated(connection, assessment):
                continue
            found = lifecycle.assess(
                alert,
                assessment,
                kind,
                now=now,
                flap=policy.flap,
                new_id=self._new_id,
                escalation_factor=policy.escalation_factor,
            )
            if found is not None:
                matched = matching_silences(found.alert, policy.labels, silences)
                silenced = lifecycle.match_silences(found.alert, matched, now=now)
                self._recorder.record(connection, alert, silenced, policy, now=now, earlier=found.change)

    def tick(self, now: int) -> None:
        """Records what is due by now, in microseconds: begun and ended silences, reminders, ends of flapping alerts.

        Any process may do it at any time, and several at once. An error with one alert does not hold up the others.
        Raises the first such error in the end, DamagedData for an alert or a monitor that can't be read.
        """
        failure: Exception | None = None
        due, policies = [], dict[str, AlertPolicy]()
        with self._store.read() as connection:
            silences = _silences(connection, now)
            for row in unfinished_alerts(connection):
                try:
                    alert = alert_from_row(row)
                    if alert.model not in policies:
                        policies[alert.model] = self._policy(connection, alert.model)
                except DamagedData as error:
                    failure = failure or error
                    continue
                if _due(alert, silences, policies[alert.model], now).alert != alert:
                    due.append(alert.id)
        for alert_id in due:
            try:
                self._tick_alert(alert_id, now)
            except Exception as error:  # noqa: BLE001  it is raised when the others are done
                failure = failure or error
        if failure is not None:
            raise failure

    def acknowledge(self, alert_id: str, *, actor: str, note: str | None) -> Alert:
        """Acknowledges the alert for a person: reminders become rare.

        Raises UnknownResource, Conflict when it is resolved, InvalidInput for an actor or a note that is too long.
        """
        return self._act(alert_id, actor, note, "acknowledge", lifecycle.acknowledge)

    def resolve(self, alert_id: str, *, actor: str, note: str | None) -> Alert:
        """Resolves the alert for a person. Raises UnknownResource, InvalidInput, and Conflict when it is resolved."""
        return self._act(alert_id, actor, note, "resolve", lifecycle.resolve)

    def forget(self, model: str, version: str | None, environment: str | None, *, actor: str) -> bool:
        """Removes alerts of a model, or of a version or an environment of it, that is being deleted. True for more.

        Channels that know of an open one are sent its end. One that has members of other versions too loses those of
        this version alone.
        """
        before: tuple[int, str] | None = None
        while True:
            with self._store.read() as connection:
                rows = alerts_page(
                    connection, model=model, environment=environment, before=before, limit=REMOVED_AT_ONCE
                )
            for row in rows:
                self._forget(row.id, version, actor)
            if version is None:
                return bool(rows)
            if not rows:
                return False
            before = rows[-1].opened_at, rows[-1].id

    def _forget(self, alert_id: str, version: str | None, actor: str) -> None:
        now = self._clock()
        with self._store.write() as connection:
            try:
                alert = self._locked(connection, alert_id)
            except UnknownResource:
                return
            except DamagedData as error:
                # What of it is of the version is not known either, and it shall not stay.
                log_damage(error, "It is deleted, and channels are not told.")
                remove_alert(connection, alert_id)
                return
            policy = self._policy_of_deleted(connection, alert.model)
            rest = None if version is None else lifecycle.without_version(alert, version)
            if rest is not None:
                self._recorder.record(connection, alert, Transition(rest, None), policy, now=now)
                return
            if alert.is_open or alert.flapping:
                over = lifecycle.resolve(alert, actor=actor, note="The data of this alert was deleted.", now=now)
                self._recorder.record(connection, alert, over, policy, now=now)
            remove_alert(connection, alert_id)

    def _policy_of_deleted(self, connection: Connection, model: str) -> AlertPolicy:
        """The policy of a model that is being deleted; its end does not wait for a monitor that can be read."""
        try:
            return self._policy(connection, model)
        except DamagedData as error:
            log_damage(error, "Its alerts end without its labels and quiet hours.")
            return AlertPolicy()

    def check_action(self, actor: str, note: str | None) -> None:
        """Raises InvalidInput for an actor or a note that is too long."""
        _checked(actor, note)

    def accept(
        self, model: str, environment: str, is_covered: Callable[[Kind, Member], bool], *, actor: str, note: str | None
    ) -> list[Alert]:
        """Ends the open alerts of a model in an environment all of whose members are covered by a new reference.

        Returns them. Raises InvalidInput for an actor or a note that is too long.
        """
        with self._store.read() as connection:
            rows = alerts_page(connection, states=OPEN_STATES, model=model, environment=environment, limit=MOST_OPEN)
        ended = []
        for alert in readable_alerts(rows):
            if all(is_covered(alert.kind, member) for member in alert.members):
                try:
                    ended.append(self._act(alert.id, actor, note, "accept", lifecycle.accept))
                except Conflict:
                    # It has ended by itself in the meantime.
                    continue
        return ended

    def silence(self, request: SilenceRequest, *, actor: str) -> Silence:
        """Creates a silence, from now or later. Raises InvalidInput that names every wrong field."""
        now = self._clock()
        who, _ = _checked(actor, None)
        silence = silence_from_request(request, identity=self._new_id(), actor=who, now=now)
        with self._store.write() as connection:
            add_silence(connection, silence_row(silence))
            self._audit(connection, who, "silence.create", f"silence/{silence.id}", now, msgspec.to_builtins(silence))
        self._apply_silences(now)
        return silence

    def end_silence(self, silence_id: str, *, actor: str) -> Silence:
        """Ends a silence now; one that has ended already is left as it is. Raises UnknownResource."""
        now = self._clock()
        who, _ = _checked(actor, None)
        with self._store.write() as connection:
            row = silence_by_id(connection, silence_id, lock=True)
            if row is None:
                raise UnknownResource(f"There is no silence with the id {excerpt(silence_id)!r}.")
            silence = silence_from_row(row)
            if silence.state(now) == "expired":
                return silence
            silence = msgspec.structs.replace(silence, starts_at=min(silence.starts_at, now), ends_at=now)
            move_silence(connection, silence.id, starts_at=silence.starts_at, ends_at=silence.ends_at)
            self._audit(connection, who, "silence.end", f"silence/{silence.id}", now, {"planned_end": row.ends_at})
        self._apply_silences(now)
        return silence

    def _apply_silences(self, now: int) -> None:
        """Looks at all alerts again. What can't be read of others does not undo what was asked for."""
        with passing_over("Silences are applied to all other alerts."):
            self.tick(now)

    def _act(self, alert_id: str, actor: str, note: str | None, verb: str, transition: OperatorAction) -> Alert:
        now = self._clock()
        who, why = _checked(actor, note)
        with self._store.write() as connection:
            alert = self._locked(connection, alert_id)
            after = transition(alert, actor=who, note=why, now=now)
            if after.change is None:
                return alert
            written = self._recorder.record(connection, alert, after, self._policy(connection, alert.model), now=now)
            detail = {"note": why, "sequence": after.change.sequence, "model": alert.model, "kind": alert.kind}
            self._audit(connection, who, f"alert.{verb}", f"alert/{alert.id}", now, detail)
            return written

    def _tick_alert(self, alert_id: str, now: int) -> None:
        with self._store.write() as connection:
            alert = self._locked(connection, alert_id)
            policy = self._policy(connection, alert.model)
            after = _due(alert, _silences(connection, now), policy, now)
            self._recorder.record(connection, alert, after, policy, now=now)

    def _locked(self, connection: Connection, alert_id: str) -> Alert:
        row = alert_by_id(connection, alert_id)
        if row is None:
            raise UnknownResource(f"There is no alert with the id {excerpt(alert_id)!r}.")
        self._one_at_a_time(connection, row.model, row.environment)
        row = alert_by_id(connection, alert_id, lock=True)
        if row is None:
            raise UnknownResource(f"There is no alert with the id {excerpt(alert_id)!r}.")
        return alert_from_row(row)

    def _one_at_a_time(self, connection: Connection, model: str, environment: str) -> None:
        """Also where there is no row to lock yet."""
        self._store.exclusive(connection, f"alerts {environment} {model}")

    def _audit(
        self, connection: Connection, actor: str, action: str, target: str, now: int, detail: dict[str, Any]
    ) -> None:
        entry = AuditEntry(self._new_id(), now, actor, action, target, msgspec.json.encode(detail).decode())
        append_audit(connection, entry)


def _due(alert: Alert, silences: Iterable[Silence], policy: AlertPolicy, now: int) -> Transition:
    """The transition that is due for one alert; one at a time."""
    if not alert.is_open:
        return lifecycle.end_flapping(alert, flap=policy.flap, now=now)
    silenced = lifecycle.match_silences(alert, matching_silences(alert, policy.labels, silences), now=now)
    if silenced.alert != alert or not channels_for(policy, alert):
        return silenced
    return lifecycle.remind(
        alert,
        now=now,
        repeat_seconds=policy.repeat_seconds,
        acknowledged_seconds=policy.repeat_acknowledged_seconds,
    )


def _silences(connection: Connection, now: int) -> list[Silence]:
    """The silences in force; one that can't be read silences nothing."""
    return list(readable(silences_in_force(connection, now), silence_from_row, "It silences nothing."))


def _is_outdated(connection: Connection, assessment: Assessment) -> bool:
    """True when the check has a verdict on newer data of this version: findings in older data open nothing."""
    stream = StreamKey(assessment.model, assessment.version, assessment.environment)
    newest = newest_trace(connection, stream, assessment.check)
    return newest is not None and newest.window_end > assessment.window_end


def _checked(actor: str, note: str | None) -> tuple[str, str | None]:
    """Actor and note, cleaned, as one line each. Raises InvalidInput."""
    who, why = clean(actor), None if note is None else clean(note)
    problems = []
    if not 1 <= len(who) <= LONGEST_ACTOR:
        problems.append(FieldError("/actor", f"Expected 1 to {LONGEST_ACTOR} characters", excerpt(actor)))
    if why is not None and len(why) > LONGEST_NOTE:
        problems.append(FieldError("/note", f"Expected at most {LONGEST_NOTE} characters", excerpt(why)))
    if problems:
        raise InvalidInput("The actor or the note is not valid.", tuple(problems))
    return who, why or None
