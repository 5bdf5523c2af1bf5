"""Folding: the slots of sealed writers are added to the common writer `*`, so that readers have few rows to sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, Delete, Table, bindparam, delete, or_, select, update

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import OUTCOMES, PROFILES, S, SlotKey, SlotTable, key_of, save

FOLDED = "*"
NEVER = 2**63 - 1
ROWS_PER_TRANSACTION = 500


def seal_writers(store: Store, opened_before: int, opened_after: int = NEVER) -> list[str]:
    """Seals writers that should have rotated long ago (their process is gone); returns all sealed ones.

    opened_after: those too, by a clock that was ahead. One whose process is there takes a new writer.
    """
    table = tables.writer
    with store.write() as connection:
        due = connection.execute(
            select(table.c.id)
            .where(
                table.c.sealed.is_(False),
                or_(table.c.opened_at < opened_before, table.c.opened_at > opened_after),
            )
            .order_by(table.c.id)
            .with_for_update()
        ).scalars()
        for writer in sorted(due):
            connection.execute(update(table).where(table.c.id == writer).values(sealed=True))
        return sorted(connection.execute(select(table.c.id).where(table.c.sealed.is_(True))).scalars())


def fold(store: Store, writer: str, go_on: Callable[[], bool] = lambda: True) -> int:
    """Folds all slots of a sealed writer, some in each transaction, then forgets the writer. Returns how many.

    go_on: asked after each transaction; what is left when it says no is folded by the next call.
    """
    folded = 0
    while folded == 0 or go_on():
        with store.write() as connection:
            moved = _fold_some(connection, store, writer)
            if moved is None:
                connection.execute(
                    delete(tables.writer).where(tables.writer.c.id == writer, tables.writer.c.sealed.is_(True))
                )
                return folded
        folded += moved
    return folded


def _fold_some(connection: Connection, store: Store, writer: str) -> int | None:
    """Number of slots of one model that were folded; None when there are no more."""
    table = tables.writer
    sealed = connection.execute(select(table.c.sealed).where(table.c.id == writer).with_for_update()).scalar()
    if not sealed:
        return None
    moved = _fold_kind(connection, store, writer, PROFILES)
    return _fold_kind(connection, store, writer, OUTCOMES) if moved is None else moved


def _fold_kind(connection: Connection, store: Store, writer: str, kind: SlotTable[S]) -> int | None:
    """As `_fold_some`. A transaction waits for one model alone: two that hold one each could wait for each other."""
    table = kind.table
    of_writer = (table.c.writer == writer, tables.UNFOLDED)
    model = connection.execute(select(table.c.model).where(*of_writer).limit(1)).scalar()
    if model is None:
        return None
    store.exclusive(connection, f"fold:{model}")
    # Read only now: who had the lock before may have carried these slots over into another generation.
    of_model = select(table).where(*of_writer, table.c.model == model)
    rows = connection.execute(of_model.limit(ROWS_PER_TRANSACTION)).all()
    slots = {key_of(row): kind.kind.of_row(row) for row in rows}
    add_to_folded(connection, store, slots, kind)
    ManyRows(store, one_slot(kind.table)).run(
        connection, [{**key._asdict(), "window_len": BASE_WINDOW_SECONDS, "writer": writer} for key in slots]
    )
    return len(rows)


def one_slot(table: Table) -> Delete:
    """Deletes one row by the whole primary key: a list of keys makes SQLite read all slots of the writer for each."""
    key = table.primary_key.columns
    return delete(table).where(*(column == bindparam(column.name) for column in key))


def add_to_folded(
    connection: Connection,
    store: Store,
    slots: Mapping[SlotKey, S],
    kind: SlotTable[S],
    window_len: int = BASE_WINDOW_SECONDS,
) -> None:
    """Adds slots to the folded ones of windows of a length. The caller holds `store.exclusive` for their models."""
    before = kind.read(connection, FOLDED, list(slots), window_len)
    after = {key: before[key] + slot if key in before else slot for key, slot in slots.items()}
    save(connection, ManyRows(store, store.upsert(kind.table)), FOLDED, after, window_len)
