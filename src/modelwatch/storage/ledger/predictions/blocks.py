"""Blocks of features in the store: which predictions of a commit share one, and features of rows wherever they are.

A block belongs to one stream and one day: what is deleted or expires together is in the same blocks. It holds exactly
what was new in its commit; a prediction that is erased is taken out of it, and it goes with its last row.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, delete, literal_column, select, update

from modelwatch.batches import PredictionBatch
from modelwatch.errors import DamagedBlock, NewerBlock
from modelwatch.events import Scalar
from modelwatch.stats.counting.kernel import Places
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.drivers.cursors import execute, execute_many
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.protection import decode_features
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.feature_columns import FeatureBlock, FeatureColumns
from modelwatch.times import MICROS_PER_DAY

# Fewer rows of a stream and a day, or fewer values of theirs, stay in the rows: a block takes as long as so many values
# in rows do, and takes less space from a few rows on.
FEWEST_ROWS = 4
FEWEST_VALUES = 1_000
# Of one block, so that reading or changing one takes milliseconds.
MOST_VALUES = 100_000
# A block has a place for each of its names in each of its rows. With more places than so many for each value, as where
# every row has names of its own, its rows keep their features.
PLACES_PER_VALUE = 2
# Blocks that a reader keeps: rows are read block by block, or in the order in which they came.
BLOCKS_KEPT = 4
NOT_IN_IT = "It does not have a row that is said to be in it."

_OF_SQLITE = "SELECT features FROM feature_block WHERE id = ?"
_OF_POSTGRESQL = "SELECT features FROM feature_block WHERE id = %s"
# Also of those that rows name without their being there: such a row must not get the features of others.
_NEWEST_OF_SQLITE = """SELECT max(
    coalesce((SELECT max(id) FROM feature_block), 0),
    coalesce((SELECT max(block) FROM prediction WHERE block IS NOT NULL), 0)
)"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """Rows of a batch that share a block. rows: their numbers in the batch, rising; their places are 0, 1, …"""

    rows: Places


def planned_blocks(batch: PredictionBatch, eligible: Places) -> list[PlannedBlock]:
    """The blocks of a batch. eligible: the rows, rising, whose features are kept as they came; what is in no block is
    in a group that is too small, or has too few names in common."""
    if len(eligible) < FEWEST_ROWS or len(eligible) * max(0, *map(len, batch.blocks)) < FEWEST_VALUES:
        return []
    streams, days = batch.stream_of[eligible], batch.times[eligible] // MICROS_PER_DAY
    if (days == days[0]).all() and (len(batch.streams) == 1 or (streams == streams[0]).all()):
        parts = [eligible]
    else:
        _, group_of = np.unique((days - days.min()) * len(batch.streams) + streams, return_inverse=True)
        order = np.argsort(group_of, kind="stable")
        parts = np.split(eligible[order], np.flatnonzero(np.diff(group_of[order])) + 1)
    planned = []
    for part in parts:
        names, values = _names_and_values(batch, part)
        if len(part) < FEWEST_ROWS or values < FEWEST_VALUES or names * len(part) > PLACES_PER_VALUE * values:
            continue
        most = max(MOST_VALUES // names, FEWEST_ROWS)
        planned += [PlannedBlock(part[start : start + most]) for start in range(0, len(part), most)]
    return planned


def _names_and_values(batch: PredictionBatch, rows: Places) -> tuple[int, int]:
    """How many features these rows name together, and how many values they have."""
    if len(batch.blocks) == 1:
        return len(batch.blocks[0]), len(batch.blocks[0]) * len(rows)
    rows_of = np.bincount(batch.block_of[rows], minlength=len(batch.blocks)).tolist()
    names: set[str] = set()
    values = 0
    for block, count in zip(batch.blocks, rows_of, strict=True):
        if count:
            names.update(block)
            values += len(block) * count
    return len(names), values


class BlockStatements:
    """The statements that a commit writes blocks with."""

    def __init__(self, store: Store) -> None:
        self._is_sqlite = store.is_sqlite
        columns = tables.feature_block.columns.keys()
        marks = ", ".join(["?" if store.is_sqlite else "%s"] * len(columns))
        self._insert = f"INSERT INTO feature_block ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608

    def new_ids(self, connection: Connection, number: int) -> list[int]:
        """Ids of blocks that are to be inserted in this transaction."""
        if not number:
            return []
        if self._is_sqlite:
            # Nobody else writes.
            [newest] = execute(connection, _NEWEST_OF_SQLITE).fetchone()
            return list(range(newest + 1, newest + 1 + number))
        sequence = "nextval(pg_get_serial_sequence('feature_block', 'id'))"
        rows = execute(connection, f"SELECT {sequence} FROM generate_series(1, %(n)s)", {"n": number})  # noqa: S608
        return [identity for (identity,) in rows.fetchall()]

    def insert(
        self,
        connection: Connection,
        batch: PredictionBatch,
        blocks: Sequence[tuple[int, PlannedBlock]],
        is_new: NDArray[np.bool_],
    ) -> None:
        """Inserts the blocks of these ids, of the rows that are new alone; a block of none is left out.

        is_new: shape (rows,).
        """
        rows: list[tuple[Any, ...]] = []
        for identity, block in blocks:
            places = np.flatnonzero(is_new[block.rows])
            if not len(places):
                continue
            part = batch.take(block.rows[places])
            [stream] = part.streams
            first, last = int(part.times.min()), int(part.times.max())
            features = FeatureColumns.of(part, places)
            # In the order of the columns of the table.
            head = (identity, *stream, first // MICROS_PER_DAY, first, last, len(part), len(features.columns))
            rows.append((*head, features.encode()))
        if rows:
            execute_many(connection, self._insert, rows)


class KeptFeatures:
    """Features of prediction rows in one transaction: in the row itself, or in its block, which is read once for rows
    that come together.

    newer_fails: a block of a newer format, which otherwise counts as not stored, raises NewerBlock.
    """

    def __init__(self, connection: Connection, *, newer_fails: bool = False) -> None:
        self.connection = connection
        self._newer_fails = newer_fails
        self._blocks: OrderedDict[int, FeatureBlock | None] = OrderedDict()
        self._expected: dict[int, bytes] = {}
        self._reported: set[int] = set()

    def expect(self, blocks: Sequence[int]) -> None:
        """Reads these blocks at once; those of before are forgotten, since wide ones take much memory."""
        self._blocks.clear()
        table = tables.feature_block
        rows = self.connection.execute(select(table.c.id, table.c.features).where(table.c.id.in_(blocks)))
        self._expected = {row.id: row.features for row in rows}

    def of(self, row: Any) -> dict[str, Scalar] | None:
        """The features of a row with `features`, `block` and `place`, without those that are encrypted; None when it
        keeps none.

        What is damaged counts as not stored: one bad value must not end the watch.
        """
        if row.block is None:
            try:
                return None if row.features is None else decode_features(row.features)
            except msgspec.MsgspecError as error:
                log.warning("Features of the prediction %r count as not stored: %s", row.prediction_id, error)
                return None
        block = self.block(row.block)
        if block is None:
            return None
        try:
            return block.features(row.place)
        except DamagedBlock as error:
            self._report(row.block, error)
            return None

    def rows_at(self, identity: int, places: Places) -> tuple[FeatureBlock | None, Places]:
        """The block of this id, as `block` gives it, and of each place the number of its row in the columns; -1 where
        there is none."""
        block = self.block(identity)
        if block is None or not len(block):
            return block, np.full(len(places), -1, dtype=np.intp)
        rows = np.minimum(block.places.searchsorted(places), len(block) - 1)
        there = block.places[rows] == places
        if not there.all():
            self._report(identity, NOT_IN_IT)
        return block, np.where(there, rows, -1)

    def block(self, identity: int) -> FeatureBlock | None:
        """The block of this id; None when it can't be read, or is not there. Raises NewerBlock where that is wanted."""
        if identity in self._blocks:
            self._blocks.move_to_end(identity)
            return self._blocks[identity]
        raw = self._expected.get(identity)
        if raw is None:
            text = _OF_SQLITE if self.connection.dialect.name == "sqlite" else _OF_POSTGRESQL
            row = execute(self.connection, text, (identity,)).fetchone()
            raw = None if row is None else row[0]
        try:
            block = None if raw is None else FeatureBlock(raw)
            if block is None:
                self._report(identity, "It is not there.")
        except DamagedBlock as error:
            if self._newer_fails and isinstance(error, NewerBlock):
                raise
            self._report(identity, error)
            block = None
        self._blocks[identity] = block
        if len(self._blocks) > BLOCKS_KEPT:
            self._blocks.popitem(last=False)
        return block

    def _report(self, identity: int, problem: DamagedBlock | str) -> None:
        """Once for a block, however many of its rows are read."""
        if identity not in self._reported:
            self._reported.add(identity)
            log.warning("Features of predictions in block %d count as not stored: %s", identity, problem)


def by_block(rows: Iterable[Any]) -> list[Any]:
    """The rows in an order in which each block is read once."""
    return sorted(rows, key=lambda row: (row.block or 0, row.place or 0))


def release_blocks(connection: Connection, store: Store, blocks: Iterable[int | None]) -> None:
    """Takes note that rows of these blocks are gone, one for each time that a block is named; removes what has none."""
    gone = Counter(block for block in blocks if block is not None)
    if not gone:
        return
    table = tables.feature_block
    fewer = update(table).where(table.c.id == bindparam("of")).values(predictions=table.c.predictions - bindparam("n"))
    ManyRows(store, fewer).run(connection, [{"of": block, "n": gone[block]} for block in sorted(gone)])
    empty = delete(table).where(table.c.id == bindparam("of"), table.c.predictions <= literal_column("0"))
    ManyRows(store, empty).run(connection, [{"of": block} for block in sorted(gone)])


def erase_features(connection: Connection, block: int, place: int) -> None:
    """Writes a block again without the row at a place. The row itself goes in the same transaction.

    Of a block that is damaged nothing is kept. Raises NewerBlock, before anything is written, for one whose other rows
    a newer release can read.
    """
    table = tables.feature_block
    this = table.c.id == block
    row = connection.execute(select(table.c.predictions, table.c.features).where(this).with_for_update()).first()
    if row is None:
        return
    if row.predictions <= 1:
        connection.execute(delete(table).where(this))
        return
    try:
        left = FeatureBlock(row.features).read().without(place)
    except NewerBlock:
        raise
    except DamagedBlock:
        left = FeatureColumns(np.empty(0, dtype=np.intp), {}, {})
    connection.execute(update(table).where(this).values(predictions=row.predictions - 1, features=left.encode()))
