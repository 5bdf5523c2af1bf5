"""Reading values of features in stored rows: a bounded look at recent ones, and those of some windows.

Predictions in blocks are read by columns, block by block: most of them share their features with a thousand others.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from math import nan
from operator import attrgetter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, or_, select

from modelwatch.events import Scalar
from modelwatch.privacy import policy_from
from modelwatch.stats.counting.columns import number_of
from modelwatch.stats.counting.kernel import Places
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.protection import unpack
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures
from modelwatch.storage.ledger.predictions.feature_columns import FeatureBlock
from modelwatch.storage.ledger.predictions.pages import (
    blocks_of_day,
    newest_in_rows,
    pages_in_blocks,
    pages_with_features,
)
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

# Stands for a value that is there and must not be shown.
PROTECTED = "(protected)"
# Blocks that are kept in a snapshot: at its next moment the newest rows are nearly the same.
MOST_BYTES = 32 << 20

_identity = attrgetter("block")

T = TypeVar("T")
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class StoredValues:
    """Values of features in some rows. given: number of rows with a value, by feature. values: of each row, None where
    it has none, by those features that were asked for."""

    values: dict[str, list[Scalar]]
    rows: int = 0
    given: Counter[str] = field(default_factory=Counter)

    def add_rows(self, rows: Iterable[Mapping[str, Scalar]]) -> None:
        """Adds rows by their features."""
        # Most rows give the same features: those of each kind are counted together.
        alike: Counter[tuple[str, ...]] = Counter()
        for row in rows:
            self.rows += 1
            alike[tuple([name for name, value in row.items() if value is not None])] += 1
            for name, known in self.values.items():
                known.append(row.get(name))
        for names, times in alike.items():
            for name in names:
                self.given[name] += times

    def add_block(self, block: FeatureBlock, rows: Places) -> None:
        """Adds rows of a block, by their numbers in its columns."""
        self.rows += len(rows)
        for name, column in block.columns.items():
            given = int(np.count_nonzero(column.present()[rows]))
            if given:
                self.given[name] += given
        for name, known in self.values.items():
            known += block.columns[name].take(rows).scalars() if name in block.columns else [None] * len(rows)


def recent_values(
    connection: Connection,
    stream: StreamKey,
    end: int,
    limit: int,
    start: int | None = None,
    names: Sequence[str] = (),
) -> StoredValues:
    """Values of up to so many predictions in [start, end), in seconds: of the newest day first, and of a day in turns
    one that came with many and one that came alone, the newest first. All processes read the same. Without a start, of
    the newest day alone.

    names: of the features whose values are wanted. Encrypted and hashed ones are given, and have PROTECTED for a value.
    """
    newest = (end - 1) // SECONDS_PER_DAY
    found = StoredValues({name: [] for name in names})
    for day in range(newest, newest - 1 if start is None else start // SECONDS_PER_DAY - 1, -1):
        span = ((day * SECONDS_PER_DAY if start is None else start) * MICROS_PER_SECOND, end * MICROS_PER_SECOND)
        left = limit - found.rows
        alone = _newest_alone(connection, stream, day, span, left)
        singly, together = (StoredValues({name: [] for name in names}) for _ in range(2))
        # Half of the rows, as far as there are so many; the others if there are too few in blocks.
        singly.add_rows(islice(alone, left // 2))
        for block, rows in _newest_together(connection, stream, day, span, left):
            together.add_block(block, rows[: left - singly.rows - together.rows])
            if singly.rows + together.rows >= left:
                break
        singly.add_rows(islice(alone, left - singly.rows - together.rows))
        found.rows += singly.rows + together.rows
        found.given += together.given + singly.given
        for name, known in found.values.items():
            known += _in_turns(iter(together.values[name]), iter(singly.values[name]))
        if found.rows >= limit:
            break
    return found


def numbers_between(
    connection: Connection, stream: StreamKey, spans: Sequence[Span], names: Sequence[str]
) -> Iterator[tuple[Integers, list[Floats]]]:
    """Values of all predictions in these spans, base windows as [start, end) in seconds, some rows at a time: of each
    row the start of its span, and for each of the features its number, NaN where it has none and ±inf where the value
    is no number; each of shape (rows,).

    Each day is read once, for any number of spans: there is no index of the times within a day. Of its rows those in
    blocks whose times are apart are not looked at, nor are those without features.
    """
    table, kept = tables.prediction, KeptFeatures(connection)
    for day in sorted({start // SECONDS_PER_DAY for start, _ in spans}):
        of_day = [(start, end) for start, end in spans if start // SECONDS_PER_DAY == day]
        starts = {start for start, _ in of_day}
        length = (of_day[0][1] - of_day[0][0]) * MICROS_PER_SECOND
        # The remainder of what is negative is negative in SQL.
        past = (table.c.ts % length + length) % length
        in_spans = (table.c.ts - past).in_([start * MICROS_PER_SECOND for start in sorted(starts)])
        span = (min(starts) * MICROS_PER_SECOND, max(end for _, end in of_day) * MICROS_PER_SECOND)
        query = _query(stream, span).where(in_spans)
        for page in pages_in_blocks(kept, query, stream.model, day, stream=stream, span=span):
            for identity, group in groupby(page, _identity):
                of_rows = np.array([(row.place, row.ts) for row in group], dtype=np.int64)
                here = _timed(kept, identity, of_rows[:, 0], of_rows[:, 1])
                if here.block is not None:
                    yield _starts(here.times, length), [_numbers(here.block, name)[here.rows] for name in names]
        for page in pages_with_features(connection, query, stream.model, day):
            given = [(row.ts, features) for row in page if (features := _shown(kept, row)) is not None]
            numbers = [[number_of(features.get(name)) for _, features in given] for name in names]
            times = np.array([time for time, _ in given], dtype=np.int64)
            yield _starts(times, length), [np.array(each, dtype=np.float64) for each in numbers]


def _numbers(block: FeatureBlock, name: str) -> Floats:
    return block.columns[name].numbers() if name in block.columns else np.full(len(block), nan)


def _starts(times: Integers, length: int) -> Integers:
    return (times - times % length) // MICROS_PER_SECOND


def _query(stream: StreamKey, span: Span) -> Select[Any]:
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


def _newest_alone(
    connection: Connection, stream: StreamKey, day: int, span: Span, limit: int
) -> Iterator[dict[str, Scalar]]:
    """The features of a day's rows that keep them themselves, as they may be shown, the newest first."""
    kept = KeptFeatures(connection)
    for page in newest_in_rows(connection, _query(stream, span), stream.model, day, limit):
        for row in page:
            features = _shown(kept, row)
            if features is not None:
                yield features


@dataclass(frozen=True, slots=True, eq=False)
class _TimedBlock:
    """A block, None where it can't be read, and of the rows that name it the time, in microseconds, and the number in
    its columns; in the order of these."""

    block: FeatureBlock | None
    times: Integers
    rows: Places

    @property
    def nbytes(self) -> int:
        return self.times.nbytes + self.rows.nbytes + (0 if self.block is None else self.block.nbytes)


def _newest_together(
    connection: Connection, stream: StreamKey, day: int, span: Span, at_once: int
) -> Iterator[tuple[FeatureBlock, Places]]:
    """The blocks of a day, those first that were written last, with the numbers of their rows in a span. at_once: how
    many rows are read together."""
    known = remembered(connection, (_newest_together, stream), _Known)
    for blocks in blocks_of_day(
        connection, stream.model, day, stream=stream, span=span, newest_first=True, rows_at_once=at_once
    ):
        for each in known.of(connection, stream, blocks):
            inside = (each.times >= span[0]) & (each.times < span[1])
            if each.block is not None and inside.any():
                yield each.block, each.rows[inside]


class _Known:
    """Blocks of a stream that have been read in a snapshot; beyond `MOST_BYTES` those used longest ago go."""

    def __init__(self) -> None:
        self._found: OrderedDict[int, _TimedBlock] = OrderedDict()
        self._bytes = 0

    def of(self, connection: Connection, stream: StreamKey, blocks: Sequence[int]) -> Iterator[_TimedBlock]:
        """These blocks, one after the other; those that are not known are read together."""
        missing = [identity for identity in blocks if identity not in self._found]
        read = dict(_timed_blocks(connection, stream, missing)) if missing else {}
        found = [read[identity] if identity in read else self._found[identity] for identity in blocks]
        for identity, each in zip(blocks, found, strict=True):
            if identity in read:
                self._bytes += each.nbytes
                self._found[identity] = each
            elif identity in self._found:
                self._found.move_to_end(identity)
        while self._bytes > MOST_BYTES:
            self._bytes -= self._found.popitem(last=False)[1].nbytes
        yield from found


def _timed_blocks(
    connection: Connection, stream: StreamKey, blocks: Sequence[int]
) -> Iterator[tuple[int, _TimedBlock]]:
    table, kept = tables.prediction, KeptFeatures(connection)
    kept.expect(blocks)
    # As in `pages_in_blocks`: no condition on model and day.
    query = (
        select(table.c.block, table.c.place, table.c.ts)
        .where(table.c.version == stream.version, table.c.environment == stream.environment, table.c.block.in_(blocks))
        .order_by(table.c.block, table.c.place)
    )
    rows = np.array(list(map(tuple, connection.execute(query).all())), dtype=np.int64).reshape(-1, 3)
    for identity in blocks:
        start, end = rows[:, 0].searchsorted([identity, identity + 1])
        yield identity, _timed(kept, identity, rows[start:end, 1], rows[start:end, 2])


def _timed(kept: KeptFeatures, identity: int, places: Places, times: Integers) -> _TimedBlock:
    """A block with the rows that name it, without those that it does not have."""
    block, numbers = kept.rows_at(identity, places)
    there = numbers >= 0
    return _TimedBlock(block, times[there], numbers[there])


def _shown(kept: KeptFeatures, row: Any) -> dict[str, Scalar] | None:
    """The features of a row as they may be shown; None when it keeps none."""
    features = kept.of(row)
    if features is None or row.protected is None:
        return features
    content = unpack(row.protected)
    policy = policy_from(content.policy)
    return features | {
        name: PROTECTED
        for name in [*features, *content.encrypted]
        if policy.treatment(name) != "keep" and features.get(name, PROTECTED) is not None
    }


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
