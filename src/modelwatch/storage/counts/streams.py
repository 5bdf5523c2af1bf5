"""Models and streams: which there are, the days and the newest windows that they have data in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, bindparam, func, select

from modelwatch.storage.counts.sliding import Span, Stretched
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import Stream, StreamKey
from modelwatch.storage.ledger.slots import decode_pace
from modelwatch.times import SECONDS_PER_DAY

# Calls of a snapshot from which on its windows are remembered: a history asks at each of its moments.
MANY_CALLS = 3


def streams(connection: Connection, model: str | None = None) -> list[Stream]:
    """Every stream with data, sorted; of one model, or of all."""
    table = tables.profile
    query = (
        select(
            table.c.model,
            table.c.version,
            table.c.environment,
            func.sum(table.c.predictions),
            func.min(table.c.window_start),
            func.max(table.c.window_start + table.c.window_len),
            func.max(table.c.latest_ts),
        )
        .where(table.c.segment == "")
        .group_by(table.c.model, table.c.version, table.c.environment)
        .order_by(*map(tables.by_bytes, (table.c.model, table.c.version, table.c.environment)))
    )
    if model is not None:
        query = query.where(table.c.model == model)
    found = []
    for row in connection.execute(query).all():
        first = first_base_window(connection, StreamKey(*row[:3]), row[4])
        found.append(Stream(row[0], row[1], row[2], int(row[3]), first, row[5], row[6]))
    return found


def of_stream(stream: StreamKey) -> list[ColumnElement[bool]]:
    """The conditions for the profiles of a stream, of all its predictions."""
    table = tables.profile
    return [
        table.c.model == stream.model,
        table.c.environment == stream.environment,
        table.c.version == stream.version,
        table.c.segment == "",
    ]


def first_base_window(connection: Connection, stream: StreamKey, stored: int) -> int:
    """The start of the stream's first base window, in seconds. stored: of its first window, as it is stored."""
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start, table.c.pace).where(
            *of_stream(stream), table.c.window_start >= stored, table.c.window_start < stored + SECONDS_PER_DAY
        )
    )
    return min(start if pace is None else decode_pace(pace)[0].window_start for start, pace in rows)


def first_data(connection: Connection, model: str, environment: str) -> int | None:
    """Start of a model's first base window in an environment, in seconds; None before it has data.

    Some look-ups in an index for each version, and the first day of the oldest.
    """
    stream, profile = tables.stream, tables.profile
    stored = (
        select(func.min(profile.c.window_start))
        .where(
            profile.c.model == stream.c.model,
            profile.c.environment == stream.c.environment,
            profile.c.version == stream.c.version,
            profile.c.segment == "",
        )
        .scalar_subquery()
    )
    query = select(stored, stream.c.version).where(stream.c.model == model, stream.c.environment == environment)
    first = None
    for start, version in sorted((start, version) for start, version in connection.execute(query) if start is not None):
        if first is not None and start >= first:
            break
        base = first_base_window(connection, StreamKey(model, version, environment), start)
        first = base if first is None else min(base, first)
    return first


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest base window of a stream: where it starts (seconds), its newest event and its newest arrival
    (microseconds)."""

    window_start: int
    latest_ts: int
    arrived_at: int

    def newest_of(self, other: Newest | None) -> Newest:
        """The newer of two windows; of the same one what both know."""
        if other is None or other.window_start < self.window_start:
            return self
        if other.window_start > self.window_start:
            return other
        return Newest(self.window_start, max(self.latest_ts, other.latest_ts), max(self.arrived_at, other.arrived_at))


def newest_windows(
    connection: Connection, model: str | None = None, until: int | None = None
) -> dict[StreamKey, Newest]:
    """The newest window of every stream with data, as `newest_window` has it; of one model, or of all.

    Some look-ups in an index for each stream. until: the latest start, in seconds.
    """
    stream, table = tables.stream, tables.profile
    other = table.alias()

    def of_this(profile: FromClause) -> list[ColumnElement[bool]]:
        return [
            profile.c.model == stream.c.model,
            profile.c.environment == stream.c.environment,
            profile.c.version == stream.c.version,
            profile.c.segment == "",
        ]

    known = [*of_this(other), *([] if until is None else [other.c.window_start <= until])]
    start = select(func.max(other.c.window_start)).where(*known).scalar_subquery()
    key = (stream.c.model, stream.c.version, stream.c.environment)
    query = (
        select(*key, table.c.window_start, func.max(table.c.latest_ts), func.max(table.c.arrived_at))
        .select_from(stream.join(table, and_(*of_this(table), table.c.window_start == start)))
        .group_by(*key, table.c.window_start)
    )
    if model is not None:
        query = query.where(stream.c.model == model)
    return {StreamKey(*row[:3]): Newest(*row[3:]) for row in connection.execute(query)}


def fresh_windows(connection: Connection) -> dict[StreamKey, Newest]:
    """The newest windows of the streams that writers have counted whose slots were not folded yet."""
    table = tables.profile
    key = (table.c.model, table.c.version, table.c.environment)
    rows = connection.execute(
        select(*key, table.c.window_start, func.max(table.c.latest_ts), func.max(table.c.arrived_at))
        .where(tables.UNFOLDED, table.c.segment == "")
        .group_by(*key, table.c.window_start)
    )
    found: dict[StreamKey, Newest] = {}
    for row in rows:
        stream = StreamKey(*row[:3])
        found[stream] = Newest(*row[3:]).newest_of(found.get(stream))
    return found


def all_streams(connection: Connection) -> list[StreamKey]:
    """Every stream that was ever committed, sorted. Reads no profiles."""
    table = tables.stream
    key = (table.c.model, table.c.version, table.c.environment)
    return [StreamKey(*row) for row in connection.execute(select(*key).order_by(*map(tables.by_bytes, key)))]


def streams_of(connection: Connection, model: str) -> list[StreamKey]:
    """Every stream of a model, sorted. Reads no profiles."""
    table = tables.stream
    key = (table.c.model, table.c.version, table.c.environment)
    return [
        StreamKey(*row)
        for row in connection.execute(select(*key).where(table.c.model == model).order_by(*map(tables.by_bytes, key)))
    ]


def newest_window(connection: Connection, stream: StreamKey, until: int | None = None) -> Newest | None:
    """The newest base window that the stream has data in; None without data. until: the latest start, in seconds."""
    table = tables.profile
    conditions = [*of_stream(stream), *([] if until is None else [table.c.window_start <= until])]
    start = select(func.max(table.c.window_start)).where(*conditions).scalar_subquery()
    row = connection.execute(
        select(func.max(table.c.window_start), func.max(table.c.latest_ts), func.max(table.c.arrived_at)).where(
            *conditions, table.c.window_start == start
        )
    ).one()
    return None if row[0] is None else Newest(*row)


def count_streams(connection: Connection, model: str, since: int, until: int) -> int:
    """Number of (version, environment) pairs of the model with data in windows that overlap [since, until), seconds."""
    known = remembered(connection, (count_streams, model), _Windows)
    known.calls += 1
    if known.calls < MANY_CALLS:
        where = {"of_model": model, "after": since - SECONDS_PER_DAY, "since": since, "until": until}
        return connection.execute(_streams_with_data(), where).scalar_one()
    stretch = (since - SECONDS_PER_DAY + 1, until)
    known.windows.extend(stretch, lambda missing: _windows_with_data(connection, model, missing))
    return len({key[2:] for key in known.windows.found if stretch[0] <= key[0] < until and key[0] + key[1] > since})


class _Windows:
    """Windows with data that a snapshot has been asked for so many times: start and length in seconds, version,
    environment."""

    def __init__(self) -> None:
        self.calls = 0
        self.windows = Stretched[tuple[int, int, str, str], None]()


def _windows_with_data(connection: Connection, model: str, span: Span) -> dict[tuple[int, int, str, str], None]:
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start, table.c.window_len, table.c.version, table.c.environment)
        .where(table.c.model == model, table.c.window_start >= span[0], table.c.window_start < span[1])
        .distinct()
    )
    return dict.fromkeys((row[0], row[1], row[2], row[3]) for row in rows)


@cache
def _streams_with_data() -> Select[int]:
    table = tables.profile
    found = (
        select(table.c.version, table.c.environment)
        .where(
            table.c.model == bindparam("of_model"),
            table.c.window_start > bindparam("after"),
            table.c.window_start + table.c.window_len > bindparam("since"),
            table.c.window_start < bindparam("until"),
        )
        .distinct()
        .subquery()
    )
    return select(func.count()).select_from(found)


def generations(connection: Connection) -> dict[str, int]:
    """The generation of every registered model, sorted by name."""
    table = tables.model
    return {
        row.name: row.generation for row in connection.execute(select(table).order_by(tables.by_bytes(table.c.name)))
    }


def days_with_data(connection: Connection, model: str) -> list[int]:
    """The days, since 1970, on which the model has predictions."""
    table = tables.profile
    starts = connection.execute(select(table.c.window_start).where(table.c.model == model).distinct()).scalars()
    return sorted({start // SECONDS_PER_DAY for start in starts})


def last_window_end(
    connection: Connection, model: str, environment: str, version: str | None = None, *, before: int | None = None
) -> int | None:
    """The end of the newest window with data, in seconds: the stream's watermark; None without data.

    before: seconds; of the windows that begin before then.
    """
    where: dict[str, str | int] = {"of_model": model, "of_environment": environment}
    if version is not None:
        where["of_version"] = version
    if before is not None:
        where["before"] = before
    newest = connection.execute(_newest_window(version is not None, before is not None), where).first()
    return None if newest is None else newest.window_start + newest.window_len


@cache
def _newest_window(of_one_version: bool, before: bool) -> Select[int, int]:
    """Statement for the newest window of an environment, or of a version, or of those that begin before a time."""
    table = tables.profile
    # By the primary key, from its end: a maximum over the environment's rows would read them all.
    query = (
        select(table.c.window_start, table.c.window_len)
        .where(table.c.model == bindparam("of_model"), table.c.environment == bindparam("of_environment"))
        .order_by(table.c.window_start.desc())
        .limit(1)
    )
    if of_one_version:
        query = query.where(table.c.version == bindparam("of_version"))
    return query.where(table.c.window_start < bindparam("before")) if before else query
