"""Views of deliveries, channels and tests of them. Times are RFC 3339 in UTC."""

from __future__ import annotations

from typing import Literal

import msgspec

from modelwatch.storage.alerts.outbox import DeliveryRecord, OutboxState
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
