"""Views of alerts: what the API sends as it is, and the pages format.

Times are RFC 3339 in UTC; links are paths on this service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from modelwatch.alerting.alert import SERVICE, Acknowledgement, Alert, Member, Recovered, State, Step, step_from_row
from modelwatch.alerting.onsets import onset_of_first
from modelwatch.alerting.views.operations import DeliveryLine, delivery_line
from modelwatch.alerting.views.runbook import Runbook, runbook_for
from modelwatch.alerting.wording import current_summary, title_of, worst_of
from modelwatch.findings import Doubt, Finding, FindingSeverity, Kind, Times
from modelwatch.stats.drift.patterns import ShiftPattern
from modelwatch.storage.alerts.alerts import StoredAlertEvent
from modelwatch.storage.alerts.outbox import DeliveryRecord
from modelwatch.storage.engine.damage import readable
from modelwatch.times import iso_of_micros, iso_of_seconds

# Added to the summary while the model sends nothing.
NO_NEW_DATA = "The model sends no predictions at present, so nothing newer can be evaluated."


class AcknowledgementLine(msgspec.Struct, frozen=True):
    """Person who has acknowledged an alert."""

    actor: str
    note: str | None
    at: str


class AlertLine(msgspec.Struct, frozen=True):
    """One alert in a list. Times are RFC 3339; resolved_by: a person.

    Event time: started_at (the first evaluation that saw it), detected_at (that made it a finding), ended_at, and
    bad_from, bad_until (the predictions that show it), judged_until (the newest data judged), began (an estimate of
    when it began, made when it was found; null where the stored windows don't show it). uncertain_since: since when no
    evaluation finds any member, and none shows that it is over. silent_since: since when the model sends nothing.
    worst: sentence on its worst finding. since: when the first of the members in force began, as far as that is known;
    of a resolved alert, when the incident did.
    """

    alert_id: str
    fingerprint: str
    title: str
    model_name: str
    environment: str
    kind: Kind
    state: State
    severity: FindingSeverity
    flapping: bool
    reopenings: int
    members: int
    started_at: str
    ended_at: str | None
    data_until: str
    opened_at: str
    updated_at: str
    resolved_at: str | None
    resolved_by: str | None
    acknowledgement: AcknowledgementLine | None
    silenced_by: tuple[str, ...]
    bad_from: str
    bad_until: str
    detected_at: str
    judged_until: str
    uncertain_since: str | None = None
    silent_since: str | None = None
    began: str | None = None
    worst: str = ""
    since: str = ""


class MemberReport(msgspec.Struct, frozen=True):
    """Finding in force, with its numbers and the verdict that they come from.

    since: event time of the first evaluation of the present run that saw it. holding: the score has come down, but has
    not been calm for long enough. early: the share of the usual labels that it rests on, while the others are still
    coming; null where most have come, and of what needs no labels. began: as of the alert; began_earliest,
    began_latest: between which it probably did, approximately. found_by: the test that decided. small: it is real,
    but smaller than a warning. pattern: pattern that explains a shift (`missing`, `new_categories`, `one_category`,
    `one_factor`, `larger`, `smaller`); null where none does, or where there is no shift of a distribution.
    """

    model_version: str
    subject: str
    severity: FindingSeverity
    score_name: str
    score: float
    threshold: float
    p_value: float | None
    alpha: float | None
    sample_size: int
    reference_size: int
    lookback: str | None
    window_start: str
    window_end: str
    since: str
    holding: bool
    detail: str
    verdict_id: str
    verdict: str
    verification: str
    warning_threshold: float | None
    alert_threshold: float | None
    worst: float | None
    detected_at: str
    bad_from: str
    bad_until: str
    judged_until: str
    uncertain_since: str | None
    doubt: Doubt | None
    early: float | None
    began: str | None
    pattern: ShiftPattern | None
    began_earliest: str | None = None
    began_latest: str | None = None
    found_by: str | None = None
    small: bool = False


class RecoveredLine(msgspec.Struct, frozen=True):
    """Former member of an alert. Event time."""

    model_version: str
    subject: str
    severity: FindingSeverity
    since: str
    until: str


class PlannedLine(msgspec.Struct, frozen=True):
    """Notification of a step for a channel: the event, and when it is sent at the earliest."""

    channel: str
    event: str
    not_before: str


class StepLine(msgspec.Struct, frozen=True):
    """One step: the event, the alert at that time, and its notifications.

    actor: None unless a person did it. told: the notifications. withheld: channels of notifications that waited and
    were taken back. reason: why nothing was sent. at: by the clock of the service; event_time: the end of the window
    whose evaluation took the step, None where a person or the clock did.
    """

    sequence: int
    at: str
    event: Step
    actor: str | None
    note: str | None
    state: State
    severity: FindingSeverity
    title: str
    summary: str
    told: tuple[PlannedLine, ...]
    withheld: tuple[str, ...]
    reason: str | None
    event_time: str | None


class AlertLinks(msgspec.Struct, frozen=True):
    """Addresses on this service: of the alert, of the page for people, of all verdicts on the model."""

    alert: str
    page: str
    verdicts: str


class AlertReport(msgspec.Struct, frozen=True):
    """One alert: its members with their numbers, its life step by step, and the outcome of each notification.

    summary: its state in sentences, with the numbers of the newest evaluation. recovered: former members. still_found:
    findings still present although a person has resolved the alert. runbook: what to do.
    """

    alert: AlertLine
    summary: str
    labels: dict[str, str]
    members: tuple[MemberReport, ...]
    recovered: tuple[RecoveredLine, ...]
    still_found: tuple[MemberReport, ...]
    events: tuple[StepLine, ...]
    deliveries: tuple[DeliveryLine, ...]
    links: AlertLinks
    runbook: Runbook


def alert_line(alert: Alert, silent_since: int | None = None, first: int | None = None) -> AlertLine:
    """View of an alert in a list. silent_since: since when its model sends nothing, in microseconds. first: start of
    its model's data, in seconds."""
    times = alert.times
    incident = alert.started_at if alert.began is None else alert.began
    return AlertLine(
        alert_id=alert.id,
        fingerprint=alert.fingerprint,
        title=title_of(alert),
        model_name=alert.model,
        environment=alert.environment,
        kind=alert.kind,
        state=alert.state,
        severity=alert.severity,
        flapping=alert.flapping,
        reopenings=alert.reopenings,
        members=len(alert.members),
        started_at=iso_of_micros(alert.started_at),
        ended_at=iso_of_micros(alert.ended_at),
        data_until=iso_of_micros(alert.data_until),
        opened_at=iso_of_micros(alert.opened_at),
        updated_at=iso_of_micros(alert.updated_at),
        resolved_at=iso_of_micros(alert.resolved_at),
        resolved_by=alert.resolved_by,
        acknowledgement=None if alert.acknowledgement is None else _acknowledgement(alert.acknowledgement),
        silenced_by=alert.silenced_by,
        bad_from=iso_of_seconds(times.bad_from),
        bad_until=iso_of_seconds(times.bad_until),
        detected_at=iso_of_seconds(times.detected_at),
        judged_until=iso_of_seconds(times.judged_until),
        uncertain_since=iso_of_seconds(alert.uncertain_since),
        silent_since=iso_of_micros(silent_since),
        began=iso_of_micros(alert.began),
        worst=worst_of(alert),
        since=iso_of_seconds(onset_of_first(alert.members, first)) if alert.is_open else iso_of_micros(incident),
    )


def _acknowledgement(given: Acknowledgement) -> AcknowledgementLine:
    return AcknowledgementLine(given.actor, given.note, iso_of_micros(given.at))


def alert_report(
    alert: Alert,
    line: AlertLine,
    labels: dict[str, str],
    events: Iterable[StoredAlertEvent],
    deliveries: Iterable[DeliveryRecord],
) -> AlertReport:
    """View of one alert with its whole life. line: its view in a list. labels: as notifications have them."""
    summary, name = current_summary(alert), quote(alert.id, safe="")
    return AlertReport(
        alert=line,
        summary=summary if line.silent_since is None else f"{summary} {NO_NEW_DATA}",
        labels=labels,
        members=tuple(map(member_report, alert.members)),
        recovered=tuple(map(recovered_line, alert.recovered)),
        still_found=tuple(member_report(each.member) for each in alert.dismissed),
        events=tuple(readable(events, step_line)),
        deliveries=tuple(map(delivery_line, deliveries)),
        links=AlertLinks(
            alert=f"/api/v1/alerts/{name}",
            page=f"/ui/alerts/{name}",
            verdicts=f"/api/v1/models/{quote(alert.model, safe='')}/drift",
        ),
        runbook=runbook_for(alert.kind, alert.severity, alert.members[0].finding.subject, alert.model),
    )


# Fields of a finding that its report has, too, and which of them are times.
_SHARED = [name for name in MemberReport.__struct_fields__ if name in Finding.__struct_fields__]
_MOMENTS = {"since", "window_start", "window_end", "uncertain_since", "began", "began_earliest", "began_latest"} | set(
    Times._fields
)


def member_report(member: Member) -> MemberReport:
    """View of a member: its finding with times as texts, and the verdict that it comes from."""
    finding = member.finding
    found: dict[str, Any] = {name: getattr(finding, name) for name in _SHARED} | finding.times._asdict()
    verdict = f"/api/v1/verdicts/{quote(member.verdict_id, safe='')}"
    return MemberReport(
        **{name: iso_of_seconds(value) if name in _MOMENTS else value for name, value in found.items()},
        model_version=member.version,
        verdict_id=member.verdict_id,
        verdict=verdict,
        verification=f"{verdict}/verification",
    )


def recovered_line(recovered: Recovered) -> RecoveredLine:
    """View of a former member."""
    return RecoveredLine(
        recovered.version,
        recovered.subject,
        recovered.severity,
        iso_of_seconds(recovered.since),
        iso_of_seconds(recovered.until),
    )


def step_line(row: StoredAlertEvent) -> StepLine:
    """View of a step in an alert's life. Raises DamagedData when it can't be read."""
    record = step_from_row(row)
    return StepLine(
        sequence=row.sequence,
        at=iso_of_micros(row.at),
        event=row.event,  # type: ignore[arg-type]
        actor=None if row.actor == SERVICE else row.actor,
        note=row.note,
        state=record.state,
        severity=record.severity,
        title=record.title,
        summary=record.summary,
        told=tuple(
            PlannedLine(each.channel, each.event, iso_of_micros(each.not_before)) for each in record.notifications
        ),
        withheld=record.recalled,
        reason=record.reason,
        event_time=iso_of_seconds(record.event_time),
    )
