"""Predictions with a number `x` and a category `c`: made, counted by a reference, erased, and read from the store."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import select

from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.feature_columns import FeatureBlock
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.compaction import fold, seal_writers
from modelwatch.storage.maintenance.erasure import Erased, erase
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_DAY
from tests.support.background import new_id
from tests.support.events import NOON, event

X, C = Subject("feature", "x"), Subject("feature", "c")


def several(count: int, prefix: str = "p", **options: Any) -> list[Prediction]:
    """Predictions p0, p1, … of one model; options: of `event`."""
    return [event(f"{prefix}{number}", {"x": number / 4, "c": "ab"[number % 2]}, **options) for number in range(count)]


def set_reference(store: Store, step: float = 1.0) -> None:
    """Sets a reference of both features; another step has other cells."""
    numbers = (np.arange(100.0) * step).tolist()
    categories = ["a", "a", f"b{step}"]
    profiles = {
        X: Profile.of(numeric_binning(np.array(numbers)), numbers),
        C: Profile.of(categorical_binning(categories), categories),
    }
    set_references(store, "m", None, profiles, source="test", now=NOON, new_id=new_id)


def erased(store: Store, identity: str, **options: Any) -> Erased:
    """Erases a prediction of the model; options: of `erase`."""
    return erase(store, "m", identity, actor="test", now=NOON, new_id=new_id, **options)


def fold_all(store: Store, opened_before: int = 0) -> None:
    """Folds what the sealed writers have counted, after sealing those that were opened before this time."""
    for writer in seal_writers(store, opened_before):
        fold(store, writer)


def stored_features(store: Store, model: str = "m") -> dict[str, Any]:
    """By id and day, what is read of all predictions."""
    table = tables.prediction
    with store.read() as connection:
        days = connection.execute(select(table.c.day).where(table.c.model == model).distinct()).scalars().all()
        rows = list(first_events(connection, model, days, 100_000, store.protection))
    return {f"{row.event.prediction_id} {row.event.timestamp // MICROS_PER_DAY}": row.event.features for row in rows}


def stored_blocks(store: Store) -> dict[int, bytes]:
    """By id, the blocks as they are stored."""
    block = tables.feature_block
    with store.read() as connection:
        return {row.id: row.features for row in connection.execute(select(block.c.id, block.c.features))}


def block_rows(store: Store) -> dict[int, list[tuple[int, str]]]:
    """By block, the places and ids of its rows; what each block holds is compared with them."""
    table, block = tables.prediction, tables.feature_block
    found: dict[int, list[tuple[int, str]]] = {}
    with store.read() as connection:
        rows = connection.execute(select(table).where(table.c.block.is_not(None))).all()
        stored = {row.id: row for row in connection.execute(select(block))}
    for row in rows:
        assert row.features is None
        assert (row.model, row.version, row.environment, row.day) == tuple(
            getattr(stored[row.block], name) for name in ("model", "version", "environment", "day")
        )
        assert stored[row.block].first_ts <= row.ts <= stored[row.block].last_ts
        found.setdefault(row.block, []).append((row.place, row.prediction_id))
    assert found.keys() == stored.keys(), "a block without rows, or rows without their block"
    for identity, members in found.items():
        held = FeatureBlock(stored[identity].features)
        assert stored[identity].predictions == len(members)
        assert len(held.columns) <= stored[identity].names
        assert {place for place, _ in members} <= set(held.places.tolist())
    return {identity: sorted(members) for identity, members in found.items()}
