"""Views of what is sent and of what people did: deliveries and channels, silences, the audit trail.

Times are RFC 3339 in UTC.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from modelwatch.alerting.silences import Matcher, Silence
from modelwatch.storage.alerts.audit import AuditEntry
from modelwatch.storage.alerts.outbox import DeliveryRecord, OutboxState
from modelwatch.storage.alerts.silences import SilenceState
from modelwatch.storage.engine.damage import decoded
from modelwatch.times import iso_of_micros


class DeliveryLine(msgspec.Struct, frozen=True):
    """One notification for one channel and its outcome. Times are RFC 3339.

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


class ChannelLine(msgspec.Struct, frozen=True):
    """One channel. target: where it leads, without secrets. last_delivery: the one delivered or given up last.
    retrying: how many of the pending notifications have failed at least once.

    last_success: when it took a notification last. last_error, last_error_at: of the newest notification that had an
    error, and when that was written; it may have been delivered since.
    """

    name: str
    kind: str
    target: str
    pending: int
    dead: int
    last_delivery: DeliveryLine | None
    last_success: str | None = None
    last_error: str | None = None
    last_error_at: str | None = None
    retrying: int = 0


class TestResult(msgspec.Struct, frozen=True):
    """Result of a test notification.

    outcome: `delivered`; `retry` when a later attempt may succeed, `permanent` when none will. detail: why it was not
    delivered. seconds: how long it took.
    """

    channel: str
    outcome: Literal["delivered", "retry", "permanent"]
    detail: str
    seconds: float


def delivery_line(record: DeliveryRecord) -> DeliveryLine:
    """View of a row of the outbox."""
    return DeliveryLine(
        key=record.key,
        channel=record.channel,
        alert_id=record.alert_id,
        sequence=record.sequence,
        event=record.event,
        state=record.state,
        attempts=record.attempts,
        created_at=iso_of_micros(record.created_at),
        not_before=iso_of_micros(record.not_before),
        finished_at=iso_of_micros(record.finished_at),
        last_error=record.last_error,
    )


_decode_detail = msgspec.json.Decoder(dict[str, Any]).decode


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
    """One entry of the audit trail."""

    audit_id: str
    at: str
    actor: str
    action: str
    target: str
    detail: dict[str, Any]


def silence_line(silence: Silence, now: int) -> SilenceLine:
    """View of a silence. now: microseconds."""
    return SilenceLine(
        silence_id=silence.id,
        state=silence.state(now),
        matchers=silence.matchers,
        starts_at=iso_of_micros(silence.starts_at),
        ends_at=iso_of_micros(silence.ends_at),
        created_at=iso_of_micros(silence.created_at),
        created_by=silence.created_by,
        comment=silence.comment,
    )


def audit_line(entry: AuditEntry) -> AuditLine:
    """View of an entry of the audit trail. Raises DamagedData when its detail can't be read."""
    detail = decoded(f"The audit entry {entry.id}", _decode_detail, entry.detail)
    return AuditLine(entry.id, iso_of_micros(entry.at), entry.actor, entry.action, entry.target, detail)
