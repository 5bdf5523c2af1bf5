"""Reading how much comes: predictions by window and by hour, arrivals, and repeats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, or_, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import EARLIEST_TIME
from modelwatch.storage.counts.sliding import Span, Stretched
from modelwatch.storage.counts.streams import first_base_window, of_stream
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.repeats import Repeats
from modelwatch.storage.ledger.slots import BaseWindow, decode_pace
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR


def windows_since(
    connection: Connection, stream: StreamKey, start: int | None, end: int, limit: int
) -> list[tuple[int, int]]:
    """The ends of the stream's windows with data that start at or after `start` (None: ever) and end by `end`, with how
    many predictions each has: the first `limit` that are stored.

    Windows are as long as they are stored; what came late for one that was rolled up belongs to it.
    start, end: seconds.
    """
    table = tables.profile
    query = select(table.c.window_start, table.c.window_len, func.sum(table.c.predictions)).where(
        *of_stream(stream), table.c.window_start + table.c.window_len <= end
    )
    if start is not None:
        query = query.where(table.c.window_start >= start)
    query = query.group_by(table.c.window_start, table.c.window_len)
    query = query.order_by(table.c.window_start, table.c.window_len.desc()).limit(limit)
    found: list[tuple[int, int]] = []
    for window_start, length, predictions in connection.execute(query):
        if found and window_start < found[-1][0]:
            found[-1] = (found[-1][0], found[-1][1] + int(predictions))
        else:
            found.append((window_start + length, int(predictions)))
    return found


def predictions_in(connection: Connection, stream: StreamKey, start: int, end: int) -> int:
    """Number of predictions of the stream in base windows that start in [start, end), seconds."""
    return _predictions(connection, of_stream(stream), start, end)


def received_in(connection: Connection, model: str, environment: str, version: str | None, span: Span) -> int:
    """Number of predictions of a version, or of all, in the windows of a span, as they are stored."""
    where = {"of_model": model, "of_environment": environment, "first": span[0], "end": span[1]}
    if version is not None:
        where["of_version"] = version
    return int(connection.execute(_received(version is not None), where).scalar_one())


@cache
def _received(of_one_version: bool) -> Select[int]:
    """Statement for the number of predictions in a span: of one version, or of all."""
    table = tables.profile
    query = select(func.coalesce(func.sum(table.c.predictions), 0)).where(
        table.c.model == bindparam("of_model"),
        table.c.environment == bindparam("of_environment"),
        table.c.segment == "",
        table.c.window_start >= bindparam("first"),
        table.c.window_start < bindparam("end"),
        table.c.window_start + table.c.window_len <= bindparam("end"),
    )
    return query.where(table.c.version == bindparam("of_version")) if of_one_version else query


def predictions_by_window(connection: Connection, stream: StreamKey, start: int, end: int) -> list[tuple[int, int]]:
    """The starts of the stream's windows in [start, end), in seconds and as they are stored, and their predictions."""
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start, func.sum(table.c.predictions))
        .where(*of_stream(stream), table.c.window_start >= start, table.c.window_start < end)
        .group_by(table.c.window_start)
    )
    return [(row[0], int(row[1])) for row in rows]


def predictions_of_generation(
    connection: Connection, model: str, generation: int, environment: str, version: str | None, span: Span
) -> int:
    """Number of predictions of a version, or of all, in the base windows of a span that belong to a generation."""
    table = tables.profile
    conditions = [
        table.c.model == model,
        table.c.environment == environment,
        table.c.segment == "",
        table.c.generation == generation,
    ]
    if version is not None:
        conditions.append(table.c.version == version)
    return _predictions(connection, conditions, *span)


def _predictions(connection: Connection, conditions: Sequence[ColumnElement[bool]], start: int, end: int) -> int:
    table = tables.profile
    total = select(func.coalesce(func.sum(table.c.predictions), 0)).where(
        *conditions,
        table.c.window_start >= start,
        table.c.window_start < end,
        table.c.window_len == BASE_WINDOW_SECONDS,
    )
    rolled = sum(window.predictions for window in rolled_pace(connection, conditions, start, end))
    return int(connection.execute(total).scalar_one()) + rolled


def rolled_pace(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], start: int, end: int | None
) -> Iterator[BaseWindow]:
    """Base windows that start in [start, end), as far as the rolled-up profiles that meet the conditions know them.

    start, end: seconds.
    """
    table = tables.profile
    overlapping = [table.c.window_start > start - SECONDS_PER_DAY, table.c.pace.is_not(None)]
    if end is not None:
        overlapping.append(table.c.window_start < end)
    for raw in connection.execute(select(table.c.pace).where(*conditions, *overlapping)).scalars():
        for window in decode_pace(raw):
            if start <= window.window_start and (end is None or window.window_start < end):
                yield window


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

    def read() -> int | None:
        stored = connection.execute(select(func.min(tables.profile.c.window_start)).where(*of_stream(stream))).scalar()
        return None if stored is None else first_base_window(connection, stream, stored)

    return remembered(connection, (first_window, stream), read)


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


def duplicates_in(connection: Connection, stream: StreamKey, start: int, end: int) -> Repeats:
    """Number of repeats of predictions in the stream's windows in [start, end); seconds."""
    [found] = duplicates_by_span(connection, stream, [(start, end)])
    return found


def duplicates_by_span(connection: Connection, stream: StreamKey, spans: Sequence[Span]) -> list[Repeats]:
    """The same of several spans, which are read together."""
    if not spans:
        return []
    known = remembered(connection, (duplicates_by_span, stream), Stretched[Span, Repeats])
    hull = (min(start for start, _ in spans), max(end for _, end in spans))
    known.extend(hull, lambda missing: _repeats(connection, stream, missing))
    found = []
    for start, end in spans:
        inside = [each for (first, last), each in known.found.items() if start <= first and last <= end]
        found.append(Repeats(sum(each.total for each in inside), sum(each.changed for each in inside)))
    return found


def _repeats(connection: Connection, stream: StreamKey, span: Span) -> dict[Span, Repeats]:
    """Repeats in the windows that start in a span, [start, end) in seconds, and have some."""
    where = {"of_model": stream.model, "of_environment": stream.environment, "of_version": stream.version}
    rows = connection.execute(_windows_with_repeats(), {**where, "start": span[0], "end": span[1]})
    return {(row[0], row[0] + row[1]): Repeats(int(row[2] or 0), int(row[3] or 0)) for row in rows}


@cache
def _windows_with_repeats() -> Select[int, int, int, int]:
    table = tables.profile
    return (
        select(
            table.c.window_start, table.c.window_len, func.sum(table.c.duplicates), func.sum(table.c.changed_duplicates)
        )
        .where(
            table.c.model == bindparam("of_model"),
            table.c.environment == bindparam("of_environment"),
            table.c.version == bindparam("of_version"),
            table.c.segment == "",
            table.c.window_start >= bindparam("start"),
            table.c.window_start < bindparam("end"),
            or_(table.c.duplicates != 0, table.c.changed_duplicates != 0),
        )
        .group_by(table.c.window_start, table.c.window_len)
    )


def has_taken_provisional(connection: Connection, model: str) -> bool:
    """True when the model's first predictions have been used as provisional references."""
    table = tables.model
    query = select(table.c.provisional_done).where(table.c.name == model)
    return remembered(connection, (has_taken_provisional, model), lambda: bool(connection.execute(query).scalar()))
