"""Stored predictions read back: as events, and those of a day as batches, to be counted again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, nulls_first, select

from modelwatch.batches import PredictionBatch, StreamName
from modelwatch.errors import DamagedBlock
from modelwatch.events import Scalar
from modelwatch.stats.segments.segmentation import Segmentation
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.drivers.cursors import execute
from modelwatch.storage.engine.protection import Protection, StoredPrediction
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures
from modelwatch.storage.ledger.predictions.feature_columns import ROWS_AS_ARRAYS, FeatureBlock
from modelwatch.storage.ledger.predictions.pages import FIRST_ROWS_PER_READ, pages_of_day
from modelwatch.storage.ledger.predictions.rows import (
    Segments,
    day_of,
    decode_probability,
    decode_scalar,
    from_row,
    segments_of,
    segments_of_batch,
)

IDS_PER_READ = 500


def first_events(
    connection: Connection, model: str, days: Sequence[int], limit: int, protection: Protection
) -> Generator[StoredPrediction, None, None]:
    """The model's first predictions in the order of their arrival, read as they are asked for: to be closed before the
    connection is given back. days: all on which it has any.

    Of those that came together, the first by their time, then by their ids: of a file these are its oldest rows, and
    which rows share a block does not decide what is read. They are read block by block.
    """
    table, kept = tables.prediction, KeptFeatures(connection)
    first = (
        select(table)
        .where(table.c.day.in_(days), table.c.model == model)
        .order_by(table.c.arrived_at, table.c.ts, tables.by_bytes(table.c.prediction_id), table.c.day)
        .limit(limit)
        .subquery()
    )
    together = (nulls_first(first.c.block), first.c.place, tables.by_bytes(first.c.prediction_id), first.c.day)
    in_order = select(first).order_by(first.c.arrived_at, *together).execution_options(yield_per=FIRST_ROWS_PER_READ)
    with connection.execute(in_order) as rows:
        for row in rows:
            yield from_row(row, kept, protection)


def count_events(
    connection: Connection, model: str, environment: str, version: str | None, start: int, end: int
) -> int:
    """Number of stored predictions with a time in [start, end), in microseconds. version None: of all versions."""
    of_window = _of_window(model, environment, version, start, end)
    return int(connection.execute(select(func.count()).where(*of_window)).scalar_one())


def events_between(
    connection: Connection,
    model: str,
    environment: str,
    version: str | None,
    start: int,
    end: int,
    protection: Protection,
    chosen: Callable[[str], bool],
) -> Iterator[StoredPrediction]:
    """Events of chosen ids, day by day, in the same order for every process."""
    table, kept = tables.prediction, KeptFeatures(connection)
    of_window = _of_window(model, environment, version, start, end)
    for day in (
        connection.execute(select(table.c.day).where(*of_window).distinct().order_by(table.c.day)).scalars().all()
    ):
        for rows in pages_of_day(kept, select(table).where(*of_window), model, day, span=(start, end)):
            yield from (from_row(row, kept, protection) for row in rows if chosen(row.prediction_id))


def truths_of(connection: Connection, model: str, ids: Sequence[str]) -> dict[str, Scalar]:
    """By id, what is known to be true about those of these predictions that have a label."""
    table, found = tables.label, {}
    for first in range(0, len(ids), IDS_PER_READ):
        some = table.c.prediction_id.in_(ids[first : first + IDS_PER_READ])
        for row in connection.execute(select(table.c.prediction_id, table.c.value).where(table.c.model == model, some)):
            found[row.prediction_id] = decode_scalar(row.value)
    return found


def _of_window(model: str, environment: str, version: str | None, start: int, end: int) -> list[ColumnElement[bool]]:
    table = tables.prediction
    conditions = [
        table.c.day >= day_of(start),
        table.c.day <= day_of(end - 1),
        table.c.model == model,
        table.c.environment == environment,
        table.c.ts >= start,
        table.c.ts < end,
    ]
    return conditions if version is None else [*conditions, table.c.version == version]


class StoredBatch(NamedTuple):
    """Stored predictions of one model. segments: of each. rows: what each row tells, where they are not all known to
    keep every feature as it came."""

    batch: PredictionBatch
    segments: Sequence[Segments]
    rows: Sequence[StoredPrediction] | None = None


def stored_batches(
    connection: Connection,
    model: str,
    day: int,
    before_generation: int,
    protection: Protection,
    segmentation: Segmentation,
) -> Iterator[StoredBatch]:
    """A day's predictions that were written in older generations, some megabytes at a time: from large blocks as
    columns, from rows as they are."""
    table, kept = tables.prediction, KeptFeatures(connection)
    older = select(table).where(table.c.generation < before_generation)
    heads = _Heads(connection, before_generation)

    def as_rows(rows: Sequence[Row[Any]]) -> StoredBatch:
        events = [from_row(row, kept, protection) for row in rows]
        segments = [segments_of(row, kept, segmentation) for row in rows]
        return StoredBatch(PredictionBatch.of([each.event for each in events]), segments, events)

    for identity, stream in _large_blocks(connection, model, day):
        block = kept.block(identity)
        batch = None if block is None else heads.batch(identity, stream, block)
        if batch is None:
            if rows := connection.execute(older.where(table.c.block == identity)).all():
                yield as_rows(rows)
        elif len(batch):
            yield StoredBatch(batch, segments_of_batch(batch, {model: segmentation}))
    for rows in pages_of_day(kept, older, model, day, fewer_than=ROWS_AS_ARRAYS):
        yield as_rows(rows)


def _large_blocks(connection: Connection, model: str, day: int) -> list[tuple[int, StreamName]]:
    """The blocks of a day that are worth being counted as columns, and their streams."""
    table = tables.feature_block
    rows = connection.execute(
        select(table.c.id, table.c.version, table.c.environment)
        .where(table.c.model == model, table.c.day == day, table.c.predictions >= ROWS_AS_ARRAYS)
        .order_by(table.c.id)
    )
    return [(row.id, StreamName(model, row.version, row.environment)) for row in rows]


class _Heads:
    """Reads what rows of blocks have beside their features, as the driver gives it: there are many of them."""

    def __init__(self, connection: Connection, before_generation: int) -> None:
        table = tables.prediction
        names = ("place", "prediction_id", "ts", "prediction", "probability", "latency_ms")
        self._connection = connection
        self._generation = before_generation
        self._statement = (
            select(*(table.c[name] for name in names))
            .where(table.c.block == bindparam("of_block"), table.c.generation < bindparam("before"))
            .order_by(table.c.place)
            .compile(dialect=connection.dialect)
        )

    def batch(self, identity: int, stream: StreamName, block: FeatureBlock) -> PredictionBatch | None:
        """The predictions of a block of older generations; None when it does not have them all."""
        given: Any = {"of_block": identity, "before": self._generation}
        if self._statement.positional:
            given = tuple(given[name] for name in self._statement.positiontup or ())
        rows = execute(self._connection, str(self._statement), given).fetchall()
        none = np.zeros(len(rows), dtype=np.intp)
        places, ids, times, predicted, probabilities, latencies = zip(*rows, strict=True) if rows else ((),) * 6
        try:
            of_rows = block.rows_of(np.array(places, dtype=np.intp))
        except DamagedBlock:
            return None
        # Classes: few of them, again and again.
        known = {written: decode_scalar(written) for written in set(predicted)}
        return PredictionBatch(
            (stream,),
            none,
            list(ids),
            np.array(times, dtype=np.int64),
            [known[written] for written in predicted],
            [None if written is None else decode_probability(written) for written in probabilities],
            list(latencies),
            [None] * len(rows),
            (block.columns,),
            none,
            of_rows,
        )
