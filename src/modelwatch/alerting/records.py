"""Alerts and their steps as the store keeps them."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwatch.alerting.alerts import Alert, Change, MemberKey, State
from modelwatch.alerting.notices import Event
from modelwatch.findings import FindingSeverity
from modelwatch.storage.alerts.alerts import FLAPPING, RESOLVED, StoredAlert, StoredAlertEvent

_encode = msgspec.json.Encoder().encode
_decode_alert = msgspec.json.Decoder(Alert).decode


class TellingRecord(msgspec.Struct, frozen=True):
    """A channel that was told, as what, and not before when (microseconds)."""

    channel: str
    event: Event
    not_before: int


class StepRecord(msgspec.Struct, frozen=True):
    """What a step did: the alert's state and severity then, what it said, and who was told.

    withheld: channels on which a notice that waited was taken back, once for each. reason: why nobody was told.
    """

    state: State
    severity: FindingSeverity
    title: str
    summary: str
    added: tuple[MemberKey, ...]
    told: tuple[TellingRecord, ...]
    withheld: tuple[str, ...]
    reason: str | None


_decode_step = msgspec.json.Decoder(StepRecord).decode


def row_of(alert: Alert) -> StoredAlert:
    """The row of an alert. One that is resolved but flapping is not over, see storage/alerts.py."""
    over = not alert.is_open and not alert.flapping
    return StoredAlert(
        id=alert.id,
        fingerprint=alert.fingerprint,
        model=alert.model,
        environment=alert.environment,
        kind=alert.kind,
        state=_row_state(alert),
        severity=alert.severity,
        revision=alert.revision,
        opened_at=alert.opened_at,
        updated_at=alert.updated_at,
        resolved_at=alert.resolved_at if over else None,
        body=_encode(alert),
    )


def _row_state(alert: Alert) -> State | Literal["flapping"]:
    return FLAPPING if alert.flapping and alert.state == RESOLVED else alert.state


def alert_of(row: StoredAlert) -> Alert:
    """The alert of a row."""
    return _decode_alert(row.body)


def event_row(alert: Alert, change: Change, step: StepRecord) -> StoredAlertEvent:
    """The row of a step."""
    return StoredAlertEvent(
        alert.id, change.sequence, change.at, change.event, change.actor, change.note, _encode(step)
    )


def step_of(row: StoredAlertEvent) -> StepRecord:
    """What the step of a row did."""
    return _decode_step(row.body)
