"""How alerts, silences and the audit trail look to programs and pages: Structs that go over the wire as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from modelwatch.alerting.alerts import MICROSECONDS, SERVICE, Acknowledgement, Alert, Member, Recovered, State, Step
from modelwatch.alerting.records import step_of
from modelwatch.alerting.silences import Matcher, Silence
from modelwatch.alerting.text import iso
from modelwatch.alerting.wording import title_of
from modelwatch.findings import Finding, FindingSeverity, Kind
from modelwatch.storage.alerts.alerts import StoredAlertEvent
from modelwatch.storage.alerts.audit import AuditEntry
from modelwatch.storage.alerts.outbox import DeliveryRecord, OutboxState
from modelwatch.storage.alerts.silences import SilenceState

_decode_detail = msgspec.json.Decoder(dict[str, Any]).decode


class AcknowledgementLine(msgspec.Struct, frozen=True):
    """Who has taken an alert on."""

    actor: str
    note: str | None
    at: str


class AlertLine(msgspec.Struct, frozen=True):
    """One alert in a list. Times are RFC 3339; resolved_by: a person.

    Event time: started_at (the first evaluation that saw it), detected_at (that made it a finding), ended_at, and
    bad_from, bad_until (the predictions that show it), judged_until (the newest data judged). uncertain_since: since
    when no evaluation finds any member, while none shows that it is over. silent_since: since when nothing comes.
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


class MemberLine(msgspec.Struct, frozen=True):
    """One finding that is in force, or was at the end."""

    model_version: str
    verdict_id: str
    finding: Finding


class RecoveredLine(msgspec.Struct, frozen=True):
    """What was found during the incident and is no more. Event time."""

    model_version: str
    subject: str
    severity: FindingSeverity
    since: str
    until: str


class ToldLine(msgspec.Struct, frozen=True):
    """A channel that was told of a step, as which event, and from when on it goes out."""

    channel: str
    event: str
    not_before: str


class StepLine(msgspec.Struct, frozen=True):
    """One step: what happened, how the alert was then, who was told, and what was taken back or not told, and why.

    actor: None when nobody did it by hand.
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
    told: tuple[ToldLine, ...]
    withheld: tuple[str, ...]
    reason: str | None


class DeliveryLine(msgspec.Struct, frozen=True):
    """One notice for one channel and what became of it. Times are RFC 3339.

    not_before: of one that is pending, when it is tried next. last_error: kept after a success.
    """

    key: str
    channel: str
    alert_id: str
    sequence: int
    event: str
    state: OutboxState
    attempts: int
    created_at: str
    not_before: str
    finished_at: str | None
    last_error: str | None


class AlertDetail(msgspec.Struct, frozen=True):
    """One alert with its whole life. summary: how it stands, in words, with the numbers of the newest evaluation."""

    alert: AlertLine
    summary: str
    labels: dict[str, str]
    members: tuple[MemberLine, ...]
    recovered: tuple[RecoveredLine, ...]
    still_found: tuple[MemberLine, ...]
    events: tuple[StepLine, ...]
    deliveries: tuple[DeliveryLine, ...]


class SilenceLine(msgspec.Struct, frozen=True):
    """One silence."""

    silence_id: str
    state: SilenceState
    matchers: tuple[Matcher, ...]
    starts_at: str
    ends_at: str
    created_at: str
    created_by: str
    comment: str


class AuditLine(msgspec.Struct, frozen=True):
    """Who did what."""

    audit_id: str
    at: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


def alert_line(alert: Alert, silent_since: int | None = None) -> AlertLine:
    """An alert as it is shown in a list. silent_since: since when its model sends nothing, in microseconds."""
    times = alert.times
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
        started_at=iso(alert.started_at),
        ended_at=_iso(alert.ended_at),
        data_until=iso(alert.data_until),
        opened_at=iso(alert.opened_at),
        updated_at=iso(alert.updated_at),
        resolved_at=_iso(alert.resolved_at),
        resolved_by=alert.resolved_by,
        acknowledgement=None if alert.acknowledgement is None else _acknowledgement(alert.acknowledgement),
        silenced_by=alert.silenced_by,
        bad_from=iso(times.bad_from * MICROSECONDS),
        bad_until=iso(times.bad_until * MICROSECONDS),
        detected_at=iso(times.detected_at * MICROSECONDS),
        judged_until=iso(times.judged_until * MICROSECONDS),
        uncertain_since=None if alert.uncertain_since is None else iso(alert.uncertain_since * MICROSECONDS),
        silent_since=_iso(silent_since),
    )


def silence_line(silence: Silence, now: int) -> SilenceLine:
    """A silence as it is shown."""
    return SilenceLine(
        silence_id=silence.id,
        state=silence.state(now),
        matchers=silence.matchers,
        starts_at=iso(silence.starts_at),
        ends_at=iso(silence.ends_at),
        created_at=iso(silence.created_at),
        created_by=silence.created_by,
        comment=silence.comment,
    )


def _acknowledgement(given: Acknowledgement) -> AcknowledgementLine:
    return AcknowledgementLine(given.actor, given.note, iso(given.at))


def member_line(member: Member) -> MemberLine:
    """A member as it is shown."""
    return MemberLine(member.version, member.verdict_id, member.finding)


def recovered_line(gone: Recovered) -> RecoveredLine:
    """A former member as it is shown."""
    since, until = iso(gone.since * MICROSECONDS), iso(gone.until * MICROSECONDS)
    return RecoveredLine(gone.version, gone.subject, gone.severity, since, until)


def step_line(row: StoredAlertEvent) -> StepLine:
    """A step in an alert's life as it is shown."""
    record = step_of(row)
    return StepLine(
        sequence=row.sequence,
        at=iso(row.at),
        event=row.event,  # type: ignore[arg-type]
        actor=None if row.actor == SERVICE else row.actor,
        note=row.note,
        state=record.state,
        severity=record.severity,
        title=record.title,
        summary=record.summary,
        told=tuple(ToldLine(each.channel, each.event, iso(each.not_before)) for each in record.told),
        withheld=record.withheld,
        reason=record.reason,
    )


def delivery_line(record: DeliveryRecord) -> DeliveryLine:
    """A row of the outbox as it is shown."""
    return DeliveryLine(
        key=record.key,
        channel=record.channel,
        alert_id=record.alert_id,
        sequence=record.sequence,
        event=record.event,
        state=record.state,
        attempts=record.attempts,
        created_at=iso(record.created_at),
        not_before=iso(record.not_before),
        finished_at=_iso(record.finished_at),
        last_error=record.last_error,
    )


def audit_line(entry: AuditEntry) -> AuditLine:
    """An entry of the audit trail as it is shown."""
    return AuditLine(entry.id, iso(entry.at), entry.actor, entry.action, entry.target, _decode_detail(entry.detail))


def _iso(microseconds: int | None) -> str | None:
    return None if microseconds is None else iso(microseconds)
