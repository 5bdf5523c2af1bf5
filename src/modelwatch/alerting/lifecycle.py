"""The life of an alert: pure transitions. The store, the clock and people are elsewhere.

Each function takes the alert as it is and returns it as it is then, with the change, if there is one.
docs/alerts.md has the table of states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from modelwatch.alerting.alert import (
    Acknowledgement,
    Alert,
    Change,
    Dismissed,
    Member,
    State,
    Step,
    fingerprint,
    rank,
    worst,
    worst_first,
)
from modelwatch.alerting.members import (
    findings_by_subject,
    is_repeat,
    members_of,
    members_of_other_versions,
    notified_members,
    record_assessment,
    size_of,
    still_dismissed,
    with_escalations,
    with_notified_sizes,
    with_recovered,
)
from modelwatch.alerting.policy import ESCALATION_FACTOR, FlapRule, is_flapping, recent_reopenings, within
from modelwatch.errors import Conflict
from modelwatch.findings import Assessment, Finding, Kind
from modelwatch.times import MICROS_PER_SECOND


class Transition(NamedTuple):
    """Alert after an event, and the change, None when no step was taken."""

    alert: Alert
    change: Change | None


def assess(
    alert: Alert | None,
    assessment: Assessment,
    kind: Kind,
    *,
    now: int,
    flap: FlapRule,
    new_id: Callable[[], str],
    escalation_factor: float = ESCALATION_FACTOR,
) -> Transition | None:
    """The newest incident of a model, environment and kind after an assessment. now: microseconds.

    It is another incident, with its own id, when the previous one was over long enough. None: there was no incident,
    and there is none.
    """
    found = findings_by_subject(assessment, kind)
    if alert is None:
        return _open(None, assessment, kind, members_of(assessment, found, {}, 1), now, new_id) if found else None
    if is_repeat(alert.last_assessments, assessment):
        return Transition(alert, None)
    after = replace(
        alert,
        last_assessments=record_assessment(alert.last_assessments, assessment),
        assessed_at=now,
        data_until=max(alert.data_until, assessment.window_end * MICROS_PER_SECOND),
    )
    if alert.is_open:
        return _update_open(after, assessment, found, now, escalation_factor)
    return _update_resolved(after, assessment, found, kind, now, flap, new_id, escalation_factor)


def acknowledge(alert: Alert, *, actor: str, note: str | None, now: int) -> Transition:
    """Acknowledgement by a person. The same once more changes nothing. Raises Conflict when the alert is resolved.

    now: microseconds.
    """
    if not alert.is_open:
        raise Conflict("The alert is resolved: there is nothing to acknowledge.")
    earlier = alert.acknowledgement
    if earlier is not None and (earlier.actor, earlier.note) == (actor, note):
        return Transition(alert, None)
    change = Change(alert.sequence + 1, "acknowledged", now, actor, note)
    return _with_step(replace(alert, acknowledgement=Acknowledgement(actor, note, now)), change)


def resolve(alert: Alert, *, actor: str, note: str | None, now: int) -> Transition:
    """Resolution by a person: what is found now does not reopen it. Raises Conflict when it is resolved already.

    now: microseconds.
    """
    return _end_by_hand(alert, "resolved", actor=actor, note=note, now=now)


def accept(alert: Alert, *, actor: str, note: str | None, now: int) -> Transition:
    """Acceptance of the current values as the reference. As `resolve`, since look-backs still reach to before it.

    Raises Conflict when the alert is resolved already. now: microseconds.
    """
    return _end_by_hand(alert, "accepted", actor=actor, note=note, now=now)


def _end_by_hand(alert: Alert, step: Step, *, actor: str, note: str | None, now: int) -> Transition:
    if not alert.is_open and not alert.flapping:
        raise Conflict("The alert is resolved already.")
    change = Change(alert.sequence + 1, step, now, actor, note)
    dismissed = tuple(_dismissed(member) for member in alert.members) if alert.is_open else ()
    until = alert.data_until // MICROS_PER_SECOND
    ended = _end(alert, until, now) if alert.is_open else alert
    ended = replace(ended, dismissed=dismissed, flapping=False, reopened=(), resolved_by=actor)
    return _with_step(ended, change)


def without_version(alert: Alert, version: str) -> Alert | None:
    """The alert without the members of a deleted version; None when it has no others."""
    members = tuple(member for member in alert.members if member.version != version)
    if not members:
        return None
    return replace(
        alert,
        members=members,
        severity=worst(member.finding.severity for member in members),
        recovered=tuple(each for each in alert.recovered if each.version != version),
        dismissed=tuple(each for each in alert.dismissed if each.member.version != version),
        last_assessments={each: last for each, last in alert.last_assessments.items() if each != version},
    )


def match_silences(alert: Alert, silences: Iterable[str], *, now: int) -> Transition:
    """The alert with the silences (ids) that match it now: silenced with the first, firing again with none.

    now: microseconds.
    """
    matching = tuple(sorted(silences)) if alert.is_open else ()
    if matching == alert.silenced_by:
        return Transition(alert, None)
    after = replace(alert, silenced_by=matching)
    if bool(matching) == bool(alert.silenced_by):
        return Transition(after, None)
    return _with_step(after, Change(alert.sequence + 1, "silenced" if matching else "unsilenced", now))


def remind(alert: Alert, *, now: int, repeat_seconds: int, acknowledged_seconds: int = 0) -> Transition:
    """Reminder of an open alert that is not silenced, when it is time for one. now: microseconds.

    repeat_seconds: pause since the last notification of an unacknowledged alert. acknowledged_seconds: of an
    acknowledged one. 0: never.
    """
    if not alert.is_open or alert.silenced_by:
        return Transition(alert, None)
    since, pause = alert.opened_at if alert.notified_at is None else alert.notified_at, repeat_seconds
    if alert.acknowledgement is not None:
        since, pause = max(since, alert.acknowledgement.at), acknowledged_seconds
    if pause <= 0 or now - since < pause * MICROS_PER_SECOND:
        return Transition(alert, None)
    return _with_step(alert, Change(alert.sequence + 1, "reminder", now))


def end_flapping(alert: Alert, *, flap: FlapRule, now: int, window_end: int | None = None) -> Transition:
    """End of a flapping alert that has stayed resolved for the flap window.

    window_end: event time of an assessment, in seconds. Without one it goes by the wall clock since the last.
    """
    if alert.is_open or not alert.flapping or alert.ended_at is None or alert.resolved_at is None:
        return Transition(alert, None)
    if window_end is not None:
        quiet = not within(flap.window_seconds, alert.ended_at // MICROS_PER_SECOND, window_end)
    else:
        quiet = now - max(alert.resolved_at, alert.assessed_at) >= flap.window_seconds * MICROS_PER_SECOND
    if not quiet:
        return Transition(alert, None)
    after = replace(alert, flapping=False, reopened=())
    return _with_step(after, Change(alert.sequence + 1, "calmed", now, event_time=window_end))


def _open(
    previous: Alert | None,
    assessment: Assessment,
    kind: Kind,
    members: Iterable[Member],
    now: int,
    new_id: Callable[[], str],
) -> Transition:
    ordered = worst_first(members)
    severity = ordered[0].finding.severity
    alert = Alert(
        id=new_id(),
        fingerprint=fingerprint(assessment.model, assessment.environment, kind),
        model=assessment.model,
        environment=assessment.environment,
        kind=kind,
        state="firing",
        severity=severity,
        members=ordered,
        sequence=0,
        revision=0,
        # Later than the incident before, even within one tick of the clock.
        opened_at=now if previous is None else max(now, previous.opened_at + 1),
        updated_at=now,
        assessed_at=now,
        started_at=_first_seen(ordered),
        began=_began(ordered),
        data_until=assessment.window_end * MICROS_PER_SECOND if previous is None else previous.data_until,
        severity_step=1,
        last_assessments=record_assessment({}, assessment) if previous is None else previous.last_assessments,
    )
    added = tuple(member.key for member in ordered)
    return _with_step(alert, Change(1, "firing", now, added=added, event_time=assessment.window_end))


def _update_open(
    alert: Alert, assessment: Assessment, found: dict[str, Finding], now: int, escalation_factor: float
) -> Transition:
    before = {member.key: member for member in alert.members}
    rest = members_of_other_versions(alert, assessment)
    if not rest and not found:
        change = Change(alert.sequence + 1, "resolved", now, event_time=assessment.window_end)
        return _with_step(_end(alert, assessment.window_end, now), change)
    step = alert.sequence + 1
    # What came and went before is not new while the alert is flapping.
    known = notified_members(alert) | before if alert.flapping else before
    current = with_escalations(members_of(assessment, found, known, step), factor=escalation_factor, step=step)
    members = worst_first([*rest.values(), *current])
    added = tuple(member.key for member in members if member.key not in before)
    after = _with_members(alert, members, assessment.window_end, step)
    risen = rank(after.severity) > rank(alert.severity)
    if risen or after.newest_growth_step == step:
        after = replace(after, members=with_notified_sizes(after.members))
        if risen:
            after = replace(after, acknowledgement=None)
        return _with_step(after, Change(step, "escalated", now, added=added, event_time=assessment.window_end))
    if not added:
        return Transition(after, None)
    return _with_step(after, Change(step, "updated", now, added=added, event_time=assessment.window_end))


def _update_resolved(
    alert: Alert,
    assessment: Assessment,
    found: dict[str, Finding],
    kind: Kind,
    now: int,
    flap: FlapRule,
    new_id: Callable[[], str],
    escalation_factor: float,
) -> Transition:
    dismissed = still_dismissed(alert, assessment, found, escalation_factor)
    kept = {each.member.key: each.member for each in dismissed}
    if all((assessment.version, subject) in kept for subject in found):
        return Transition(replace(alert, dismissed=dismissed), None)
    assert alert.ended_at is not None, "a resolved alert has ended"
    ended = alert.ended_at // MICROS_PER_SECOND
    step = alert.sequence + 1
    if not (within(flap.window_seconds, ended, assessment.window_end) or _end_not_sent(alert, now)):
        opening = [replace(member, added_step=1) for key, member in kept.items() if key[0] != assessment.version]
        opening += members_of(assessment, found, {}, 1)
        return _open(alert, assessment, kind, opening, now, new_id)
    reopened = alert.reopened
    if alert.resolved_by is None:
        reopened = (*recent_reopenings(reopened, assessment.window_end, flap), assessment.window_end)
    flapping = alert.flapping or is_flapping(reopened, flap)
    known = notified_members(alert) if alert.flapping else {}
    others = [member for key, member in kept.items() if key[0] != assessment.version]
    current = with_escalations(members_of(assessment, found, known, step), factor=escalation_factor, step=step)
    members = worst_first([*others, *current])
    after = replace(
        alert,
        state="firing",
        dismissed=(),
        resolved_at=None,
        ended_at=None,
        resolved_by=None,
        reopenings=alert.reopenings + 1,
        reopened=reopened,
        flapping=flapping,
        flapping_step=step if flapping and not alert.flapping else alert.flapping_step,
    )
    after = replace(_with_members(after, members, assessment.window_end, step), severity_step=step)
    added = tuple(member.key for member in members)
    return _with_step(after, Change(step, "firing", now, added=added, event_time=assessment.window_end))


def _with_members(alert: Alert, members: tuple[Member, ...], until: int, step: int) -> Alert:
    """The open alert with these members; the severity follows from them."""
    severity = worst(member.finding.severity for member in members)
    risen = alert.severity_step
    if rank(severity) > rank(alert.severity):
        risen = step
    elif rank(severity) < rank(alert.severity):
        risen = 0
    return replace(
        alert,
        members=members,
        severity=severity,
        severity_step=risen,
        recovered=with_recovered(alert, members, until),
        started_at=min(alert.started_at, _first_seen(members)),
        began=_began(members, alert.began),
    )


def _end(alert: Alert, until: int, now: int) -> Alert:
    """The alert resolved. The members stay, as the last that was seen of it."""
    return replace(
        alert,
        state="resolved",
        acknowledgement=None,
        silenced_by=(),
        resolved_at=now,
        ended_at=until * MICROS_PER_SECOND,
        recovered=with_recovered(alert, (), until),
    )


def _dismissed(member: Member) -> Dismissed:
    return Dismissed(member, member.finding.severity, size_of(member.finding))


def _with_step(alert: Alert, change: Change) -> Transition:
    after = replace(alert, sequence=change.sequence, updated_at=change.at, state=_state(alert))
    return Transition(after, change)


def _state(alert: Alert) -> State:
    if not alert.is_open:
        return "resolved"
    if alert.acknowledgement is not None:
        return "acknowledged"
    return "silenced" if alert.silenced_by else "firing"


def _end_not_sent(alert: Alert, now: int) -> bool:
    """True when the end has not been sent yet: sent late, it would end a new incident beside this one."""
    return alert.flapping or any(
        each.deferred is not None and each.deferred.until > now for each in alert.channels.values()
    )


def _began(members: Iterable[Member], before: int | None = None) -> int | None:
    """The earliest estimate, in microseconds. before: that so far."""
    known = [member.finding.began for member in members]
    times = [began * MICROS_PER_SECOND for began in known if began is not None]
    return min(times if before is None else [*times, before], default=None)


def _first_seen(members: Iterable[Member]) -> int:
    return min(member.finding.since for member in members) * MICROS_PER_SECOND
