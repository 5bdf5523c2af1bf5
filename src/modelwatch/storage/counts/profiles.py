"""Reading profiles: sums over windows, writers and versions, and the counts of single windows."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, CursorResult, Select, bindparam, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.stats.counting.encoded_counts import decode_counts, sum_counts
from modelwatch.storage.counts.rolled_windows import all_rolled
from modelwatch.storage.counts.sliding import Part, SlidingSums, Span, Stretched, Total, merged
from modelwatch.storage.counts.streams import of_stream
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import Decoded, memory_of, remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.layouts import Counts, ModelLayouts
from modelwatch.times import SECONDS_PER_DAY

# Windows that are read at once: first so many, then as many as take so many bytes.
FIRST_ROWS, MOST_ROWS, BYTES_AT_ONCE = 50, 2_000, 4 << 20

# Windows long past hardly change, and inflating and adding them takes most of the time of a look over weeks. So sums
# are remembered by what they are sums of. The windows are read all the same: nothing has to be known of what may change
# them.
# The sum of fewer takes less memory as it is stored than when it is kept.
LEAST_ROWS = 24
MAX_BYTES_KNOWN = 64 * 1024 * 1024
_known: Decoded[Counts] = Decoded(MAX_BYTES_KNOWN, lambda counts: counts.nbytes)

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
        for totals in sums.of(spans, partial(_window_parts, connection, where, sums))
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


def _window_parts(
    connection: Connection, where: Mapping[str, str | int], sums: SlidingSums, spans: Sequence[Span]
) -> Iterator[Part]:
    """Sums of the stored windows inside of spans, a number of rows at a time: for each version, each day, and each set
    of the spans that some of its windows lie in. The sum of a day is known where it has been asked for before."""
    starts, ends = (np.array(edges, dtype=np.int64) for edges in zip(*spans, strict=True))
    for stretch in merged(spans):
        held, waiting = 0, dict[_Group, list[tuple[int, bytes]]]()
        for some in _rows_between(connection, where, sums, stretch):
            begins, length, names, predictions, encoded = zip(*some, strict=True)
            held += sum(map(len, encoded))
            start = np.array(begins, dtype=np.int64)
            inside = (start[:, None] >= starts) & ((start + np.array(length, dtype=np.int64))[:, None] <= ends)
            sets, of_rows = np.unique(np.ascontiguousarray(inside).view(f"V{len(spans)}").ravel(), return_inverse=True)
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


def _rows_between(
    connection: Connection, where: Mapping[str, str | int], sums: SlidingSums, stretch: Span
) -> Iterator[Sequence[Any]]:
    """Rows of the windows that start in a stretch, some at a time."""

    def read(span: Span) -> CursorResult[int, int, str, int, bytes]:
        known = {**where, "first": span[0], "end": span[1]}
        return connection.execute(_windows_between("of_version" in where), known)

    kept = None if sums.edges is None else sums.edges.between(stretch, read)
    if kept is not None:
        if kept:
            yield kept
        return
    with read(stretch) as rows:
        number = FIRST_ROWS
        while some := rows.fetchmany(number):
            yield some
            size = sum(len(row[-1]) for row in some)
            number = min(MOST_ROWS, 1 + BYTES_AT_ONCE * len(some) // (1 + size))


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


def known_sum(encoded: Sequence[bytes]) -> Counts:
    """The sum of encoded vectors, as `sum_counts` makes it and raises; read-only. shape (length,)."""
    if len(encoded) < LEAST_ROWS:
        return sum_counts(encoded)
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    content = blake2b(lengths.tobytes(), digest_size=32)
    content.update(b"".join(encoded))
    return _known.get(content.hexdigest(), 0, lambda: _summed(encoded))


def _summed(encoded: Sequence[bytes]) -> Counts:
    total = sum_counts(encoded)
    total.flags.writeable = False
    return total
