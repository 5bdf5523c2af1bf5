"""Rolling up: the base windows of an hour become one window, and later the hours of a day.

Counts are moved, by adding them to the longer window and removing the shorter ones in one transaction, so each counts
exactly once. Only slots of the common writer are moved: a late event makes a base window again, which readers
add, and a later roll-up moves. Counts of an older generation stay as they are until their day has been backfilled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select

from modelwatch.storage.counts.rollup_levels import DAY, HOUR, Grain
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.slots import (
    OUTCOMES,
    PROFILES,
    BaseWindow,
    S,
    Slot,
    SlotKey,
    SlotTable,
    base_windows,
    key_of,
    with_pace,
)
from modelwatch.storage.maintenance.compaction import FOLDED, add_to_folded, one_slot
from modelwatch.storage.references.layouts import read_layouts

ROWS_PER_TRANSACTION = 300


def roll_up(store: Store, stream: StreamKey, grain: Grain, *, most: int) -> int:
    """Rolls up to about `most` windows of a stream, profiles and outcomes, some in each transaction.

    Returns how many windows were moved; less than `most` when nothing is left.
    """
    moved = _roll_kind(store, stream, PROFILES, grain, most)
    return moved + _roll_kind(store, stream, OUTCOMES, grain, most - moved)


def _roll_kind(store: Store, stream: StreamKey, kind: SlotTable[S], grain: Grain, most: int) -> int:
    moved = 0
    for length, before in ((DAY, grain.days), (HOUR, grain.hours)):
        while moved < most:
            step = _roll_some(store, stream, kind, length, before)
            moved += step
            if step < ROWS_PER_TRANSACTION:
                break
    return moved


def _roll_some(store: Store, stream: StreamKey, kind: SlotTable[S], length: int, before: int) -> int:
    with store.read() as connection:
        if not _due(connection, stream, kind, length, before, _generation(connection, stream.model, kind)):
            return 0
    with store.write() as connection:
        store.exclusive(connection, f"fold:{stream.model}")
        # As a commit does: a new generation begins before or after this transaction, and backfills what it left.
        generation = _generation(connection, stream.model, kind, hold=True)
        rows = _due(connection, stream, kind, length, before, generation)
        add_to_folded(connection, store, _summed(kind, rows, length), kind, length)
        keys = [column.name for column in kind.table.primary_key.columns]
        ManyRows(store, one_slot(kind.table)).run(
            connection, [{name: row._mapping[name] for name in keys} for row in rows]
        )
    return len(rows)


def _summed(kind: SlotTable[S], rows: Sequence[Row[Any]], length: int) -> dict[SlotKey, S]:
    sums: dict[SlotKey, S] = {}
    paces: dict[SlotKey, list[BaseWindow]] = {}
    for row in rows:
        key = key_of(row)
        key = key._replace(window_start=key.window_start - key.window_start % length)
        slot = kind.kind.of_row(row)
        if isinstance(slot, Slot):
            paces.setdefault(key, []).extend(base_windows(row))
            slot = replace(slot, pace=None)
        sums[key] = sums[key] + slot if key in sums else slot
    return {key: with_pace(slot, paces.get(key)) for key, slot in sums.items()}


def _generation(connection: Connection, model: str, kind: SlotTable[S], *, hold: bool = False) -> int:
    table = tables.model
    query = select(table.c.generation).where(table.c.name == model)
    generation = connection.execute(query.with_for_update(read=True) if hold else query).scalar() or 0
    if kind.table is tables.profile:
        return generation
    return read_layouts(connection, model, generation).outcome_generation


def _due(
    connection: Connection, stream: StreamKey, kind: SlotTable[S], length: int, before: int, generation: int
) -> Sequence[Row[Any]]:
    table = kind.table
    return connection.execute(
        select(table)
        .where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.window_start < before,
            table.c.window_len < length,
            table.c.generation == generation,
            table.c.writer == FOLDED,
        )
        .order_by(table.c.window_start)
        .limit(ROWS_PER_TRANSACTION)
    ).all()
