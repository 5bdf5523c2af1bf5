"""Headlines of verdicts: the newest of each stream, and what they show over time, without reading reports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.verdicts import DRIFT, OF_NEWEST_GENERATION, PERFORMANCE, newest_id, newest_ids

# So many streams are named in one statement.
STREAMS_A_QUERY = 100
SEVERITIES = ("alert", "warning")


@dataclass(frozen=True, slots=True)
class NewestState:
    """The newest verdict of a stream. window_end: seconds; evaluated_at: microseconds."""

    id: str
    window_end: int
    severity: str
    evaluated_at: int


@dataclass(frozen=True, slots=True)
class Reading:
    """Headline numbers of a step. start: seconds. value: the largest of the step, of performance the mean; rate: the
    mean.

    severity: the worst of the verdicts in it, if that is a finding.
    """

    start: int
    value: float | None
    rate: float | None
    severity: str | None


def newest_states(connection: Connection, check: str = DRIFT) -> dict[StreamKey, NewestState]:
    """The newest verdict of every stream that has one, of a check."""
    table = tables.verdict
    columns = (table.c.model, table.c.version, table.c.environment)
    query = select(*columns, table.c.id, table.c.window_end, table.c.severity, table.c.evaluated_at).where(
        table.c.id.in_(newest_ids(None, check))
    )
    return {StreamKey(*row[:3]): NewestState(*row[3:]) for row in connection.execute(query)}


def newest_of(
    connection: Connection, streams: Collection[StreamKey], check: str
) -> dict[StreamKey, tuple[NewestState, bytes | None]]:
    """The newest verdict of each of these streams that has one, with its headline."""
    table, stream = tables.verdict, tables.stream
    found: dict[StreamKey, tuple[NewestState, bytes | None]] = {}
    for some in _parts(streams):
        ids = select(newest_id(check)).select_from(stream).where(_any_of(stream.c, some))
        rows = connection.execute(
            select(
                table.c.model,
                table.c.version,
                table.c.environment,
                table.c.id,
                table.c.window_end,
                table.c.severity,
                table.c.evaluated_at,
                table.c.headline,
            ).where(table.c.id.in_(ids))
        )
        found |= {StreamKey(*row[:3]): (NewestState(*row[3:7]), row[7]) for row in rows}
    return found


def readings_of(
    connection: Connection, streams: Collection[StreamKey], check: str, start: int, end: int, step: int
) -> dict[StreamKey, list[Reading]]:
    """Headline numbers of these streams over time, by step of so many seconds in which any ended, in order.

    start, end: seconds; of the ends of windows, start < end of window <= end.

    Verdicts of all generations count: which is the newest of a window end is not in the index that has the numbers.
    """
    table, stream = tables.verdict, tables.stream
    bucket = (table.c.window_end - (start + 1)) // step
    value = func.avg(table.c.value) if check == PERFORMANCE else func.max(table.c.value)
    ranks = {name: len(SEVERITIES) - index for index, name in enumerate(SEVERITIES)}
    worst = func.max(case(ranks, value=table.c.severity, else_=0))
    joined = stream.join(
        table,
        and_(
            table.c.model == stream.c.model,
            table.c.environment == stream.c.environment,
            table.c.version == stream.c.version,
            table.c.check_name == check,
            table.c.window_end > start,
            table.c.window_end <= end,
        ),
    )
    key = (stream.c.model, stream.c.version, stream.c.environment)
    found: dict[StreamKey, list[Reading]] = {}
    for some in _parts(streams):
        rows = connection.execute(
            select(*key, bucket, value, func.avg(table.c.rate), worst)
            .select_from(joined)
            .where(_any_of(stream.c, some))
            .group_by(*key, bucket)
            .order_by(bucket)
        )
        for row in rows:
            severity = SEVERITIES[len(SEVERITIES) - row[6]] if row[6] else None
            reading = Reading(start + row[3] * step, row[4], None if row[5] is None else float(row[5]), severity)
            found.setdefault(StreamKey(*row[:3]), []).append(reading)
    return found


def recent_headlines(connection: Connection, stream: StreamKey, check: str, until: int, limit: int) -> list[bytes]:
    """A stream's last headlines, oldest first. until: the latest window end, in seconds."""
    headline = tables.verdict.c.headline
    return [row.headline for row in _recent(connection, stream, check, until, limit, headline)]


def recent_values(
    connection: Connection, stream: StreamKey, check: str, until: int, limit: int
) -> list[tuple[int, float]]:
    """Values of a stream's last headlines: end of the window in seconds and value, oldest first.

    until: the latest window end, in seconds. Those that show nothing are left out.
    """
    table = tables.verdict
    found = _recent(connection, stream, check, until, limit, table.c.value, table.c.window_end)
    return [(row.window_end, float(row.value)) for row in found]


def _recent(
    connection: Connection,
    stream: StreamKey,
    check: str,
    until: int,
    limit: int,
    shown: ColumnElement[Any],
    *others: ColumnElement[Any],
) -> list[Any]:
    """Columns of the last verdicts in which `shown` has a value, oldest first: one for each window end, that of the
    newest generation."""
    table = tables.verdict
    rows = connection.execute(
        select(shown, *others)
        .where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.check_name == check,
            table.c.window_end <= until,
            shown.is_not(None),
            OF_NEWEST_GENERATION,
        )
        .order_by(table.c.window_end.desc())
        .limit(limit)
    )
    return [*rows][::-1]


def _parts(streams: Collection[StreamKey]) -> Iterator[list[StreamKey]]:
    known = list(streams)
    return (known[index : index + STREAMS_A_QUERY] for index in range(0, len(known), STREAMS_A_QUERY))


def _any_of(columns: Any, streams: Iterable[StreamKey]) -> ColumnElement[bool]:
    return or_(
        *(
            and_(columns.model == each.model, columns.environment == each.environment, columns.version == each.version)
            for each in streams
        )
    )
