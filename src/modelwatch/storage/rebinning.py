"""Carrying counts over into a new generation: what a new reference means for what was received before it.

Once a new generation is in force nothing is written in an older one any more, so the older profiles and rows of a day
are fixed, and any process may compute the day's new profiles from them. Subjects whose binning stayed keep their
counts; the others are counted again from the stored predictions, as far as their rows have the values.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select

from modelwatch.stats import decode_counts
from modelwatch.storage import tables
from modelwatch.storage.compaction import add_to_folded
from modelwatch.storage.engine import Store
from modelwatch.storage.layouts import ModelLayouts, Subject, read_layouts
from modelwatch.storage.profiles import SECONDS_PER_DAY, generation_of
from modelwatch.storage.protection import Protection, StoredPrediction
from modelwatch.storage.recounting import recount_outcomes
from modelwatch.storage.rows import events_of_day
from modelwatch.storage.slots import PROFILES, Slot, SlotKey, window_start
from modelwatch.storage.stored_counts import count_stored

_Window = tuple[str, str, int]
_RowId = tuple[str, str, str, int, int, str]


def stale_days(connection: Connection, model: str, generation: int, start: int, end: int) -> list[int]:
    """The days with windows in [start, end) that still have profiles of an older generation, newest first."""
    table = tables.profile
    rows = connection.execute(
        select(table.c.window_start)
        .where(
            table.c.model == model,
            table.c.window_start >= start,
            table.c.window_start < end,
            table.c.generation < generation,
        )
        .distinct()
    ).scalars()
    return sorted({start // SECONDS_PER_DAY for start in rows}, reverse=True)


def carry_over(store: Store, model: str, start: int, end: int) -> int:
    """Brings every window in [start, end) into the model's present generation. Returns how many days it changed.

    Safe to run in several processes at once: a day is replaced by one transaction, by whoever comes first.
    """
    changed = 0
    while True:
        with store.read() as connection:
            generation = generation_of(connection, model)
            days = [] if generation is None else stale_days(connection, model, generation, start, end)
        if not days:
            return changed + recount_outcomes(store, model, start, end)
        for day in days:
            changed += _carry_day(store, model, day)


def _carry_day(store: Store, model: str, day: int) -> bool:
    with store.read() as connection:
        generation = generation_of(connection, model) or 0
        new = read_layouts(connection, model, generation)
        old_rows = _old_profiles(connection, model, day, generation)
        old = {row.generation: read_layouts(connection, model, row.generation) for row in old_rows}
        recount = _subjects_to_recount(old_rows, old, new)
        fresh = _recounted(connection, store.protection, model, day, new, recount) if recount else {}
    slots = _carried(old_rows, old, new, recount, fresh, model)
    with store.write() as connection:
        store.exclusive(connection, f"fold:{model}")
        table = tables.model
        current = connection.execute(
            select(table.c.generation).where(table.c.name == model).with_for_update(read=True)
        ).scalar()
        unchanged = {_row_id(row) for row in old_rows} == {
            _row_id(row) for row in _old_profiles(connection, model, day, generation)
        }
        if current != generation or not unchanged:
            return False
        connection.execute(delete(tables.profile).where(_of_day(model, day), tables.profile.c.generation < generation))
        add_to_folded(connection, store, slots, PROFILES)
    return True


def _of_day(model: str, day: int) -> ColumnElement[bool]:
    table = tables.profile
    return and_(
        table.c.model == model,
        table.c.window_start >= day * SECONDS_PER_DAY,
        table.c.window_start < (day + 1) * SECONDS_PER_DAY,
    )


def _old_profiles(connection: Connection, model: str, day: int, generation: int) -> list[Row[Any]]:
    table = tables.profile
    return list(connection.execute(select(table).where(_of_day(model, day), table.c.generation < generation)))


def _row_id(row: Row[Any]) -> _RowId:
    return (row.version, row.environment, row.segment, row.window_start, row.generation, row.writer)


def _subjects_to_recount(
    rows: list[Row[Any]], old: dict[int, ModelLayouts], new: ModelLayouts
) -> dict[str, frozenset[Subject]]:
    """By version: the subjects of the new layout that some older profile has in another binning, or not at all."""
    result: dict[str, frozenset[Subject]] = {}
    for version in {row.version for row in rows}:
        layout = new.of(version)
        before = [old[row.generation].of(version) for row in rows if row.version == version]
        changed = frozenset(
            subject
            for subject, cells in layout.cells.items()
            if any(
                subject not in each.cells or each.cells[subject].id != cells.id
                for each in {id(item): item for item in before}.values()
            )
        )
        if changed:
            result[version] = changed
    return result


def _recounted(
    connection: Connection,
    protection: Protection,
    model: str,
    day: int,
    new: ModelLayouts,
    recount: dict[str, frozenset[Subject]],
) -> dict[_Window, Slot]:
    """The changed subjects counted from the stored rows, by window."""
    layouts = {version: new.of(version).part(subjects) for version, subjects in recount.items()}
    totals: dict[_Window, Slot] = {}
    for rows in events_of_day(connection, model, day, new.generation, protection):
        groups: defaultdict[_Window, list[StoredPrediction]] = defaultdict(list)
        for row in rows:
            event = row.event
            if event.model_version in layouts:
                groups[event.model_version, event.environment, window_start(event.timestamp)].append(row)
        for window, members in groups.items():
            counts = count_stored(layouts[window[0]], members, protection)
            before = totals.get(window)
            fresh = Slot(len(members), counts)
            totals[window] = fresh if before is None else before + fresh
    return totals


def _carried(
    rows: list[Row[Any]],
    old: dict[int, ModelLayouts],
    new: ModelLayouts,
    recount: dict[str, frozenset[Subject]],
    fresh: dict[_Window, Slot],
    model: str,
) -> dict[SlotKey, Slot]:
    slots: dict[SlotKey, Slot] = {}
    for row in rows:
        layout = new.of(row.version)
        key = SlotKey(model, new.generation, row.version, row.environment, row.window_start)
        slot = slots.get(key) or Slot(0, np.zeros(layout.size, dtype=np.int64))
        counts = decode_counts(row.counts)
        before = old[row.generation].of(row.version)
        for subject, place in layout.slices.items():
            if subject not in recount.get(row.version, frozenset()):
                slot.counts[place] += counts[before.slices[subject]]
        slots[key] = replace(
            slot,
            predictions=slot.predictions + row.predictions,
            latest_ts=max(slot.latest_ts, row.latest_ts),
            arrived_at=max(slot.arrived_at, row.arrived_at),
            duplicates=slot.duplicates + row.duplicates,
        )
    for (version, environment, start), counted in fresh.items():
        layout = new.of(version)
        part = layout.part(recount[version])
        slot = slots[SlotKey(model, new.generation, version, environment, start)]
        for subject, place in part.slices.items():
            slot.counts[layout.slices[subject]] = counted.counts[place]
    return slots
