"""Reading how much comes and what stored rows hold: volumes by hour, arrivals, and a bounded look at recent rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import EARLIEST_TIME, Scalar
from modelwatch.privacy import policy_from
from modelwatch.storage.counts.profiles import of_stream, rolled_pace
from modelwatch.storage.counts.streams import first_base_window
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.protection import unpack
from modelwatch.storage.ledger.blocks import KeptFeatures
from modelwatch.storage.ledger.pages import newest_in_rows, pages_in_blocks, pages_of_day
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR

T = TypeVar("T")


def hourly_volumes(connection: Connection, stream: StreamKey, start: int, end: int) -> dict[int, int]:
    """By start of the hour, in seconds, the stream's predictions in base windows that start in [start, end)."""
    table = tables.profile
    # The remainder of what is negative is negative in SQL.
    past = (table.c.window_start % SECONDS_PER_HOUR + SECONDS_PER_HOUR) % SECONDS_PER_HOUR
    hour = table.c.window_start - past
    rows = connection.execute(
        select(hour, func.sum(table.c.predictions))
        .where(
            *of_stream(stream),
            table.c.window_start >= start,
            table.c.window_start < end,
            table.c.window_len == BASE_WINDOW_SECONDS,
        )
        .group_by(hour)
    )
    volumes = Counter({row[0]: int(row[1]) for row in rows})
    for window in rolled_pace(connection, of_stream(stream), start, end):
        volumes[window.window_start - window.window_start % SECONDS_PER_HOUR] += window.predictions
    return dict(volumes)


def predictions_since(connection: Connection, start: int) -> int:
    """Number of predictions of all models in base windows that start at or after a time in seconds."""
    table = tables.profile
    total = select(func.coalesce(func.sum(table.c.predictions), 0)).where(
        table.c.window_start >= start, table.c.segment == "", table.c.window_len == BASE_WINDOW_SECONDS
    )
    return int(connection.execute(total).scalar_one())


def first_window(connection: Connection, stream: StreamKey) -> int | None:
    """The start of the stream's first base window, in seconds."""
    stored = connection.execute(select(func.min(tables.profile.c.window_start)).where(*of_stream(stream))).scalar()
    return None if stored is None else first_base_window(connection, stream, stored)


def window_arrivals(connection: Connection, model: str, environment: str, since: int) -> list[tuple[int, int]]:
    """Arrivals by base window of an environment since then (seconds): of its newest prediction, and the time of
    its latest, both in microseconds; in the order of arrival."""
    table = tables.profile
    place = [table.c.model == model, table.c.environment == environment, table.c.segment == ""]
    rows = connection.execute(
        select(table.c.window_start, func.max(table.c.arrived_at), func.max(table.c.latest_ts))
        .where(*place, table.c.window_start >= since, table.c.window_len == BASE_WINDOW_SECONDS)
        .group_by(table.c.window_start)
    )
    newest = {row[0]: (row[1], row[2]) for row in rows}
    for window in rolled_pace(connection, place, since, None):
        arrived, latest = newest.get(window.window_start, (0, EARLIEST_TIME))
        newest[window.window_start] = (max(arrived, window.arrived_at), max(latest, window.latest_ts))
    return sorted(each for each in newest.values() if each[0])


# Stands for a value that is there and must not be shown.
PROTECTED = "(protected)"


def recent_features(
    connection: Connection, stream: StreamKey, end: int, limit: int, start: int | None = None
) -> Iterator[dict[str, Scalar]]:
    """The features of up to so many predictions in [start, end), in seconds: of the newest day first, and of a day in
    turns one that came with many and one that came alone, the newest first. All processes read the same. Without a
    start, of the newest day alone.

    Encrypted and hashed ones are named, and have PROTECTED for a value. Few rows at once: all of a wide model would
    take much memory.
    """
    newest = (end - 1) // SECONDS_PER_DAY
    found = 0
    for day in range(newest, newest - 1 if start is None else start // SECONDS_PER_DAY - 1, -1):
        span = ((day * SECONDS_PER_DAY if start is None else start) * 1_000_000, end * 1_000_000)
        kept, query = KeptFeatures(connection), _query(stream, span)
        in_blocks = pages_in_blocks(kept, query, stream.model, day, stream=stream, span=span, newest_first=True)
        in_rows = newest_in_rows(connection, query, stream.model, day, limit)
        for row, features in _in_turns(_with_features(kept, in_blocks), _with_features(kept, in_rows)):
            yield _shown(features, row.protected)
            found += 1
            if found >= limit:
                return


def features_between(
    connection: Connection, stream: StreamKey, spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, dict[str, Scalar]]]:
    """Features of all predictions in these spans, base windows as [start, end) in seconds, each with the start of its
    span; as `recent_features`.

    Each day is read once, for any number of spans: there is no index of the times within a day.
    """
    table = tables.prediction
    for day in sorted({start // SECONDS_PER_DAY for start, _ in spans}):
        of_day = [(start, end) for start, end in spans if start // SECONDS_PER_DAY == day]
        starts = {start for start, _ in of_day}
        length = (of_day[0][1] - of_day[0][0]) * 1_000_000
        # The remainder of what is negative is negative in SQL.
        past = (table.c.ts % length + length) % length
        in_spans = (table.c.ts - past).in_([start * 1_000_000 for start in sorted(starts)])
        span = (min(starts) * 1_000_000, max(end for _, end in of_day) * 1_000_000)
        for row, features in _rows_of_day(connection, stream, day, span, in_spans):
            yield (row.ts - row.ts % length) // 1_000_000, _shown(features, row.protected)


def _rows_of_day(
    connection: Connection, stream: StreamKey, day: int, span: tuple[int, int], *conditions: ColumnElement[bool]
) -> Iterator[tuple[Any, dict[str, Scalar]]]:
    """A stream's rows of a day that keep features, with these, with a time in [start, end), in microseconds."""
    kept, query = KeptFeatures(connection), _query(stream, span).where(*conditions)
    return _with_features(kept, pages_of_day(kept, query, stream.model, day, stream=stream, span=span))


def _query(stream: StreamKey, span: tuple[int, int]) -> Select[Any]:
    """Of a stream's rows of any day that keep features, with a time in [start, end), in microseconds."""
    table = tables.prediction
    names = ("prediction_id", "ts", "features", "protected", "block", "place")
    return select(*(table.c[name] for name in names)).where(
        table.c.version == stream.version,
        table.c.environment == stream.environment,
        table.c.ts >= span[0],
        table.c.ts < span[1],
        or_(table.c.features.is_not(None), table.c.block.is_not(None)),
    )


def _with_features(kept: KeptFeatures, pages: Iterator[Sequence[Any]]) -> Iterator[tuple[Any, dict[str, Scalar]]]:
    for rows in pages:
        for row in rows:
            features = kept.of(row)
            if features is not None:
                yield row, features


def _in_turns(*given: Iterator[T]) -> Iterator[T]:
    """What these give, one of each in turns, as long as they have any.

    >>> list(_in_turns(iter("abc"), iter("x")))
    ['a', 'x', 'b', 'c']
    """
    left = list(given)
    while left:
        for each in tuple(left):
            try:
                yield next(each)
            except StopIteration:
                left.remove(each)


def _shown(features: dict[str, Scalar], protected: bytes | None) -> dict[str, Scalar]:
    values = features
    if protected is not None:
        content = unpack(protected)
        policy = policy_from(content.policy)
        values = features | {
            name: PROTECTED
            for name in [*features, *content.encrypted]
            if policy.treatment(name) != "keep" and features.get(name, PROTECTED) is not None
        }
    return values


def has_taken_provisional(connection: Connection, model: str) -> bool:
    """True when the model's first predictions have been used as provisional references."""
    table = tables.model
    return bool(connection.execute(select(table.c.provisional_done).where(table.c.name == model)).scalar())
