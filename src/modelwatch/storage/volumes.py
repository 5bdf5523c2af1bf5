"""Reading how much comes and what stored rows hold: volumes by hour, arrivals, and a bounded look at recent rows."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from modelwatch.events import Scalar
from modelwatch.privacy import policy_from
from modelwatch.storage import tables
from modelwatch.storage.profiles import SECONDS_PER_DAY, StreamKey
from modelwatch.storage.protection import decode_features, unpack

SECONDS_PER_HOUR = 3_600


def hourly_volumes(connection: Connection, stream: StreamKey, start: int, end: int) -> dict[int, int]:
    """By start of the hour, in seconds, the stream's predictions in windows that start in [start, end)."""
    table = tables.profile
    hour = table.c.window_start - table.c.window_start % SECONDS_PER_HOUR
    rows = connection.execute(
        select(hour, func.sum(table.c.predictions))
        .where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
            table.c.window_start >= start,
            table.c.window_start < end,
        )
        .group_by(hour)
    )
    return {row[0]: int(row[1]) for row in rows}


def first_window(connection: Connection, stream: StreamKey) -> int | None:
    """The start of the stream's first window, in seconds."""
    table = tables.profile
    return connection.execute(
        select(func.min(table.c.window_start)).where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
        )
    ).scalar()


def window_arrivals(connection: Connection, model: str, environment: str, since: int) -> list[tuple[int, int]]:
    """For each window of an environment since then (seconds), when its newest prediction arrived, and that one's own
    time, both in microseconds; in the order of arrival."""
    table = tables.profile
    rows = connection.execute(
        select(func.max(table.c.arrived_at), func.max(table.c.latest_ts))
        .where(
            table.c.model == model,
            table.c.environment == environment,
            table.c.segment == "",
            table.c.window_start >= since,
        )
        .group_by(table.c.window_start)
    )
    return sorted((row[0], row[1]) for row in rows if row[0])


# Stands for a value that is there and must not be shown.
PROTECTED = "(protected)"


def recent_features(connection: Connection, stream: StreamKey, end: int, limit: int) -> list[dict[str, Scalar]]:
    """The features of up to so many predictions of the day that ends at, or holds, this time in seconds.

    Encrypted and hashed ones are named, and have PROTECTED for a value.
    """
    table = tables.prediction
    rows = connection.execute(
        select(table.c.features, table.c.protected)
        .where(
            table.c.day == (end - 1) // SECONDS_PER_DAY,
            table.c.model == stream.model,
            table.c.version == stream.version,
            table.c.environment == stream.environment,
            table.c.ts < end * 1_000_000,
            table.c.features.is_not(None),
        )
        .limit(limit)
    )
    return [_shown(features, protected) for features, protected in rows]


def _shown(features: bytes, protected: bytes | None) -> dict[str, Scalar]:
    values = decode_features(features)
    if protected is not None:
        content = unpack(protected)
        policy = policy_from(content.policy)
        values.update(
            (name, PROTECTED)
            for name in [*values, *content.encrypted]
            if policy.treatment(name) != "keep" and values.get(name, PROTECTED) is not None
        )
    return values


def has_taken_provisional(connection: Connection, model: str) -> bool:
    """Whether the model's first predictions have been looked at for features without a reference."""
    table = tables.model
    return bool(connection.execute(select(table.c.provisional_done).where(table.c.name == model)).scalar())
