"""Reading profiles: sums over windows, writers and versions, and what models and streams there are."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.storage.counts.known_sums import known_sum
from modelwatch.storage.counts.rolled_windows import all_rolled
from modelwatch.storage.counts.sliding import Part, SlidingSums, Span, Stretched, Total, merged
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import memory_of, remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.slots import BaseWindow, Slot, decode_pace
from modelwatch.storage.references.layouts import Counts, ModelLayouts
from modelwatch.times import SECONDS_PER_DAY

# Windows that are read at once: first so many, then as many as take so many bytes.
FIRST_ROWS, MOST_ROWS, BYTES_AT_ONCE = 50, 2_000, 4 << 20

# Of a numeric subject: missing, invalid, below and above.
BESIDE_CELLS = 4


def sum_windows(
    connection: Connection,
    model: str,
    layouts: ModelLayouts,
    environment: str,
    spans: Sequence[Span],
    version: str | None = None,
    segment: str = "",
) -> list[dict[str, Slot]]:
    """For each span [start, end) in seconds: the summed slot of every version that has data in it.

    Only windows that lie inside the span and belong to the layouts' generation are added. Each is read and added once,
    in however many spans it lies. Raises MalformedProfile when counts can't be read.
    """
    where: dict[str, str | int] = {
        "of_model": model,
        "of_environment": environment,
        "of_segment": segment,
        "of_generation": layouts.generation,
    }
    if version is not None:
        where["of_version"] = version
    sums = sliding_sums(connection, (sum_windows, *where.values()), model, environment, version)
    return [
        {name: Slot(total.predictions, total.counts) for name, total in totals.items()}
        for totals in sums.of(spans, partial(_window_parts, connection, where))
    ]


def sliding_sums(
    connection: Connection, key: Hashable, model: str, environment: str, version: str | None
) -> SlidingSums:
    """Sums of a stream under a key, which slide from one call to the next in a snapshot of the store."""
    if memory_of(connection) is None:
        return SlidingSums()

    def is_edge(moment: int) -> bool:
        return not any(start < moment < end for start, end in all_rolled(connection, model, environment, version))

    return remembered(connection, key, lambda: SlidingSums(is_edge))


def _window_parts(connection: Connection, where: Mapping[str, str | int], spans: Sequence[Span]) -> Iterator[Part]:
    """Sums of the stored windows inside of spans, a number of rows at a time: for each version, each day, and each set
    of the spans that some of its windows lie in. The sum of a day is known where it has been asked for before."""
    starts, ends = (np.array(edges, dtype=np.int64) for edges in zip(*spans, strict=True))
    for first, end in merged(spans):
        known = {**where, "first": first, "end": end}
        with connection.execute(_windows_between("of_version" in where), known) as rows:
            number, held, waiting = FIRST_ROWS, 0, dict[_Group, list[tuple[int, bytes]]]()
            while some := rows.fetchmany(number):
                begins, length, names, predictions, encoded = zip(*some, strict=True)
                size = sum(map(len, encoded))
                number, held = min(MOST_ROWS, 1 + BYTES_AT_ONCE * len(some) // (1 + size)), held + size
                start = np.array(begins, dtype=np.int64)
                inside = (start[:, None] >= starts) & ((start + np.array(length, dtype=np.int64))[:, None] <= ends)
                sets, of_rows = np.unique(
                    np.ascontiguousarray(inside).view(f"V{len(spans)}").ravel(), return_inverse=True
                )
                within = [tuple(np.flatnonzero(np.frombuffer(each, dtype=np.bool_)).tolist()) for each in sets.tolist()]
                days = (start // SECONDS_PER_DAY).tolist()
                for name, place, day, row in zip(
                    names, of_rows.tolist(), days, zip(predictions, encoded, strict=True), strict=True
                ):
                    if within[place]:
                        waiting.setdefault(_Group(name, within[place], day), []).append(row)
                # An index mostly gives them by their time, so the day of the last one may go on. Nothing depends on it,
                # and so they are not sorted: a day that comes in pieces is summed, and remembered, in pieces.
                done = [group for group in waiting if group.day != days[-1] or held > BYTES_AT_ONCE]
                yield from (_part(group, waiting.pop(group)) for group in done)
                held = sum(len(row[1]) for group in waiting.values() for row in group)
            yield from (_part(group, of_group) for group, of_group in waiting.items())


class _Group(NamedTuple):
    """Windows of a version on a day, since 1970, that lie in the same spans, by their places."""

    version: str
    inside: tuple[int, ...]
    day: int


def _part(group: _Group, rows: Sequence[tuple[int, bytes]]) -> Part:
    predictions, encoded = zip(*rows, strict=True)
    return Part(group.version, group.inside, Total(len(rows), sum(predictions), known_sum(encoded)))


@cache
def _windows_between(of_one_version: bool) -> Select[int, int, str, int, bytes]:
    """Statement for the windows that start in a span: of one version, or of all."""
    table = tables.profile
    query = select(
        table.c.window_start, table.c.window_len, table.c.version, table.c.predictions, table.c.counts
    ).where(
        table.c.model == bindparam("of_model"),
        table.c.window_start >= bindparam("first"),
        table.c.window_start < bindparam("end"),
        table.c.environment == bindparam("of_environment"),
        table.c.segment == bindparam("of_segment"),
        table.c.generation == bindparam("of_generation"),
    )
    return query.where(table.c.version == bindparam("of_version")) if of_one_version else query


@dataclass(frozen=True, slots=True)
class WindowTails:
    """A stored row of a base window: its predictions, and of numeric subjects the numbers of valid values and of those
    below and above the range of their reference, each of shape (subjects,)."""

    predictions: int
    valid: Counts
    below: Counts
    above: Counts

    def plus(self, other: WindowTails) -> WindowTails:
        """Tails of both rows together."""
        return WindowTails(
            self.predictions + other.predictions,
            self.valid + other.valid,
            self.below + other.below,
            self.above + other.above,
        )


def tails_by_window(
    connection: Connection, stream: StreamKey, generation: int, span: Span, subjects: Sequence[slice]
) -> list[tuple[int, WindowTails]]:
    """Tails of numeric subjects in the stored rows of the stream's base windows inside the span [start, end), each with
    the start of its window, in seconds. subjects: their places in a vector of counts, at least one, ascending."""
    key = (tails_by_window, stream, generation, tuple((each.start, each.stop) for each in subjects))
    known = remembered(connection, key, Stretched[tuple[int, str], WindowTails])
    known.extend(span, lambda missing: _read_tails(connection, stream, generation, missing, subjects))
    return [(start, tails) for (start, _), tails in known.found.items() if span[0] <= start < span[1]]


def _read_tails(
    connection: Connection, stream: StreamKey, generation: int, span: Span, subjects: Sequence[slice]
) -> dict[tuple[int, str], WindowTails]:
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start, table.c.writer, table.c.predictions, table.c.counts).where(
            *of_stream(stream),
            table.c.window_start >= span[0],
            table.c.window_start < span[1],
            table.c.window_len == BASE_WINDOW_SECONDS,
            table.c.generation == generation,
        )
    )
    ends = np.array([each.stop for each in subjects])
    # Of each the cells of valid values, then four counts beside them, of which the last two are the tails.
    parts = np.stack([[each.start for each in subjects], ends - BESIDE_CELLS], axis=1).ravel()
    found = {}
    for start, writer, predictions, encoded in rows:
        counts = decode_counts(encoded)
        valid = np.add.reduceat(counts, parts)[::2]
        found[start, writer] = WindowTails(predictions, valid, counts[ends - 2], counts[ends - 1])
    return found


def counts_by_window(
    connection: Connection, stream: StreamKey, generation: int, span: Span, cells: NDArray[np.intp]
) -> tuple[list[int], Counts]:
    """The starts in seconds, oldest first, of the stream's windows inside the span [start, end) as they are stored, and
    their counts in these cells, shape (windows, cells). Raises MalformedProfile when counts can't be read."""
    # For one set of cells at a time: of many subjects they take much memory.
    last = remembered(connection, (counts_by_window, stream), dict[bytes, Stretched[Span, Counts]])
    key = b"%d %b" % (generation, cells.tobytes())
    if key not in last:
        last.clear()
        last[key] = Stretched()
    known = last[key]
    known.extend(span, lambda missing: _read_cells(connection, stream, generation, missing, cells))
    found: dict[int, Counts] = {}
    for (start, end), counts in known.found.items():
        if span[0] <= start and end <= span[1]:
            found[start] = found[start] + counts if start in found else counts
    starts = sorted(found)
    return starts, np.stack([found[start] for start in starts]) if starts else np.zeros((0, len(cells)), dtype=np.int64)


def _read_cells(
    connection: Connection, stream: StreamKey, generation: int, span: Span, cells: NDArray[np.intp]
) -> dict[Span, Counts]:
    """Counts of the windows that start in a span."""
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start, table.c.window_start + table.c.window_len, table.c.counts).where(
            *of_stream(stream),
            table.c.window_start >= span[0],
            table.c.window_start < span[1],
            table.c.generation == generation,
        )
    )
    found: dict[Span, Counts] = {}
    for start, end, encoded in rows:
        counts = decode_counts(encoded)[cells]
        window = (start, end)
        found[window] = found[window] + counts if window in found else counts
    return found


def windows_since(
    connection: Connection, stream: StreamKey, start: int | None, end: int, limit: int
) -> list[tuple[int, int]]:
    """The ends of the stream's windows with data that start at or after `start` (None: ever) and end by `end`, with how
    many predictions each has: the first `limit` that are stored.

    Windows are as long as they are stored; what came late for one that was rolled up belongs to it.
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
    """Base windows that start in [start, end), as far as the rolled-up profiles that meet the conditions know them."""
    table = tables.profile
    overlapping = [table.c.window_start > start - SECONDS_PER_DAY, table.c.pace.is_not(None)]
    if end is not None:
        overlapping.append(table.c.window_start < end)
    for raw in connection.execute(select(table.c.pace).where(*conditions, *overlapping)).scalars():
        for window in decode_pace(raw):
            if start <= window.window_start and (end is None or window.window_start < end):
                yield window


def of_stream(stream: StreamKey) -> list[ColumnElement[bool]]:
    """The conditions for the profiles of a stream, of all its predictions."""
    table = tables.profile
    return [
        table.c.model == stream.model,
        table.c.environment == stream.environment,
        table.c.version == stream.version,
        table.c.segment == "",
    ]


def generations(connection: Connection) -> dict[str, int]:
    """The generation of every registered model, sorted by name."""
    table = tables.model
    return {row.name: row.generation for row in connection.execute(select(table).order_by(table.c.name))}


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
