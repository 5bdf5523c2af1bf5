"""What there is to read of deliveries: how each channel is doing, and what became of every notice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.views import DeliveryLine, delivery_line
from modelwatch.storage.alerts.deliveries import deliveries_page, latest_finished
from modelwatch.storage.alerts.outbox import DEAD, PENDING, OutboxState, backlog

Position = tuple[int, str]


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What is known of a channel from its configuration. target: where it leads, without secrets."""

    name: str
    kind: str
    target: str


class DeliveryPage(msgspec.Struct, frozen=True):
    """Some deliveries, and where those after them begin; None: there are no more."""

    deliveries: tuple[DeliveryLine, ...]
    following: Position | None


class ChannelLine(msgspec.Struct, frozen=True):
    """One channel. target: where it leads, without secrets. last_delivery: what was delivered or given up last."""

    name: str
    kind: str
    target: str
    pending: int
    dead: int
    last_delivery: DeliveryLine | None


def channel_lines(connection: Connection, channels: Iterable[ChannelFacts]) -> tuple[ChannelLine, ...]:
    """The channels, by name."""
    waiting, latest = backlog(connection), latest_finished(connection)
    return tuple(
        ChannelLine(
            name=channel.name,
            kind=channel.kind,
            target=channel.target,
            pending=waiting.get((channel.name, PENDING), 0),
            dead=waiting.get((channel.name, DEAD), 0),
            last_delivery=delivery_line(latest[channel.name]) if channel.name in latest else None,
        )
        for channel in sorted(channels, key=lambda channel: channel.name)
    )


def list_deliveries(
    connection: Connection,
    *,
    state: OutboxState | None = None,
    channel: str | None = None,
    alert_id: str | None = None,
    before: Position | None = None,
    limit: int = 50,
) -> DeliveryPage:
    """Deliveries, those written last first. before: `following` of the page before."""
    rows = deliveries_page(connection, state=state, channel=channel, alert_id=alert_id, before=before, limit=limit + 1)
    following = (rows[limit - 1].created_at, rows[limit - 1].key) if len(rows) > limit else None
    return DeliveryPage(tuple(map(delivery_line, rows[:limit])), following)
