"""Predictions of a day, page by page: those in blocks block by block, so that each is read once, then the others.

Each page is read whole: a cursor that is left open by an error, or by a reader who has seen enough, would keep its
connection at an old state, or be closed in the midst of another thread's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, or_, select, tuple_

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.predictions.blocks import MOST_VALUES, KeptFeatures, by_block

ROWS_PER_READ = 2_000
# Of blocks read together, which have a place for each of their features in each of their rows: some 100 bytes each.
PLACES_PER_READ = MOST_VALUES
# Decoded, the features of a row take about four times their bytes: rows of wide models are read some at a time.
BYTES_PER_READ = 4 * 1024 * 1024
FIRST_ROWS_PER_READ = 50
BLOCKS_PER_READ = 100


def pages_of_day(
    kept: KeptFeatures,
    query: Select[Any],
    model: str,
    day: int,
    *,
    stream: StreamKey | None = None,
    span: tuple[int, int] | None = None,
    fewer_than: int | None = None,
) -> Iterator[Sequence[Row[Any]]]:
    """The rows of a query of a model's predictions on a day, since 1970, some megabytes at a time; in the same order
    for every process: those in blocks, which are read together, then the others.

    query: without an order, and without conditions on the model and the day, which are added here. It has the columns
    `prediction_id`, `features` and `block`. stream, span: of a stream, or with times in [start, end) in microseconds,
    if the query has that as a condition: other blocks are left out. fewer_than: blocks with at least so many rows are
    left out with their rows.
    """
    yield from pages_in_blocks(kept, query, model, day, stream=stream, span=span, fewer_than=fewer_than)
    yield from pages_in_rows(kept.connection, query, model, day)


def pages_in_blocks(
    kept: KeptFeatures,
    query: Select[Any],
    model: str,
    day: int,
    *,
    stream: StreamKey | None = None,
    span: tuple[int, int] | None = None,
    fewer_than: int | None = None,
    newest_first: bool = False,
) -> Iterator[Sequence[Row[Any]]]:
    """Of `pages_of_day`, the rows in blocks. newest_first: the blocks that were written last come first."""
    table, connection = tables.prediction, kept.connection
    for blocks in blocks_of_day(
        connection, model, day, stream=stream, span=span, fewer_than=fewer_than, newest_first=newest_first
    ):
        # No condition on model and day, which the blocks have: SQLite would take the index of these.
        found = connection.execute(query.where(table.c.block.in_(blocks))).all()
        rows = by_block(found)
        if newest_first:
            rows.sort(key=attrgetter("block"), reverse=True)
        if rows:
            kept.expect(blocks)
            yield rows


def pages_in_rows(connection: Connection, query: Select[Any], model: str, day: int) -> Iterator[Sequence[Row[Any]]]:
    """Of `pages_of_day`, the rows in no block, in the order of their ids; also those whose block is gone, which count
    without features."""
    table, block = tables.prediction, tables.feature_block
    there = exists().where(block.c.id == table.c.block, block.c.day == day, block.c.model == model)
    in_none = or_(table.c.block.is_(None), ~there)
    of_rows = query.where(table.c.day == day, table.c.model == model, in_none)
    last, size = "", FIRST_ROWS_PER_READ
    while True:
        rows = connection.execute(
            of_rows.where(table.c.prediction_id > last).order_by(table.c.prediction_id).limit(size)
        ).all()
        if not rows:
            return
        yield rows
        last = rows[-1].prediction_id
        size = _rows_to_read(rows)


def _rows_to_read(rows: Sequence[Row[Any]]) -> int:
    """How many rows to read after these, by the bytes of their features."""
    bytes_each = sum(len(row.features or b"") for row in rows) // len(rows) + 1
    return min(max(BYTES_PER_READ // bytes_each, FIRST_ROWS_PER_READ), ROWS_PER_READ)


def pages_with_features(
    connection: Connection, query: Select[Any], model: str, day: int
) -> Iterator[Sequence[Row[Any]]]:
    """Of the rows of a query that keep features themselves, those of a model's day as they came, some megabytes at a
    time. As of `newest_in_rows`, no other row of the day is looked at."""
    table = tables.prediction
    place = tuple_(table.c.arrived_at, table.c.prediction_id)
    of_rows = (
        query.add_columns(table.c.arrived_at)
        .where(table.c.model == model, table.c.day == day, table.c.features.is_not(None))
        .order_by(table.c.arrived_at, table.c.prediction_id)
    )
    rest, size = of_rows, FIRST_ROWS_PER_READ
    while rows := connection.execute(rest.limit(size)).all():
        yield rows
        rest = of_rows.where(place > (rows[-1].arrived_at, rows[-1].prediction_id))
        size = _rows_to_read(rows)


def newest_in_rows(
    connection: Connection, query: Select[Any], model: str, day: int, limit: int
) -> Iterator[Sequence[Row[Any]]]:
    """Of the rows of a query that keep features themselves, those of a model's day that came last, some at a time: the
    newest first, and by their ids where they came together. They have an index: however many rows of the day are in
    blocks, or keep nothing, none of them is looked at."""
    table = tables.prediction
    newest = (
        query.add_columns(table.c.arrived_at)
        .where(table.c.model == model, table.c.day == day, table.c.features.is_not(None))
        .order_by(table.c.arrived_at.desc(), table.c.prediction_id)
    )
    rest = newest
    while limit > 0:
        size = min(limit, FIRST_ROWS_PER_READ)
        rows = connection.execute(rest.limit(size)).all()
        if rows:
            yield rows
        if len(rows) < size:
            return
        limit -= size
        last = rows[-1]
        later = and_(table.c.arrived_at == last.arrived_at, table.c.prediction_id > last.prediction_id)
        rest = newest.where(table.c.arrived_at <= last.arrived_at, or_(table.c.arrived_at < last.arrived_at, later))


def blocks_of_day(
    connection: Connection,
    model: str,
    day: int,
    *,
    stream: StreamKey | None = None,
    span: tuple[int, int] | None = None,
    fewer_than: int | None = None,
    newest_first: bool = False,
    rows_at_once: int | None = None,
) -> Iterator[list[int]]:
    """The ids of the blocks of a day, in their order, so many rows of them at a time, some thousand by default; less of
    wide ones. As `pages_in_blocks`."""
    most_rows = ROWS_PER_READ if rows_at_once is None else min(rows_at_once, ROWS_PER_READ)
    table = tables.feature_block
    conditions = [table.c.model == model, table.c.day == day]
    if stream is not None:
        conditions += [table.c.version == stream.version, table.c.environment == stream.environment]
    if span is not None:
        conditions += [table.c.last_ts >= span[0], table.c.first_ts < span[1]]
    if fewer_than is not None:
        conditions.append(table.c.predictions < fewer_than)
    order = table.c.id.desc() if newest_first else table.c.id
    in_order = select(table.c.id, table.c.predictions, table.c.names).where(*conditions).order_by(order)
    rest, more = in_order.limit(BLOCKS_PER_READ), True
    some: list[int] = []
    rows = places = 0
    while more and (found := connection.execute(rest).all()):
        more = len(found) == BLOCKS_PER_READ
        for identity, of_block, names in found:
            rows += of_block
            places += of_block * names
            if some and (rows > most_rows or places > PLACES_PER_READ):
                yield some
                some, rows, places = [], of_block, of_block * names
            some.append(identity)
        last = found[-1].id
        rest = in_order.where(table.c.id < last if newest_first else table.c.id > last).limit(BLOCKS_PER_READ)
    if some:
        yield some
