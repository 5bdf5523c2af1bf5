"""Sizes of the store, on both engines: now, and what is kept of them."""

from __future__ import annotations

import pytest

from modelwatch.storage.engine.sizes import SIZES_KEPT, earliest_size, save_size, store_size
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND
from tests.support.events import NOON

pytestmark = pytest.mark.both_engines

HOUR = 3_600 * MICROS_PER_SECOND


def test_every_table_has_a_size_and_together_they_are_no_more_than_the_store(store: Store) -> None:
    with store.read() as connection:
        found = store_size(connection, store)
    assert found.engine == ("sqlite" if store.is_sqlite else "postgresql")
    assert {"prediction", "profile", "verdict", "alert", "audit"} <= found.by_table.keys()
    assert "alembic_version" not in found.by_table
    assert 0 < sum(found.by_table.values()) <= found.total
    assert all(size > 0 for size in found.by_table.values())


def test_sizes_are_kept_by_the_hour_for_a_week(store: Store) -> None:
    for hours in range(4):
        assert save_size(store, NOON + hours * HOUR)
        assert not save_size(store, NOON + hours * HOUR + HOUR // 2)
    with store.read() as connection:
        first = earliest_size(connection)
    assert first is not None
    assert first.at == NOON
    assert first.by_table["prediction"] > 0
    assert save_size(store, NOON + SIZES_KEPT + HOUR)
    with store.read() as connection:
        first = earliest_size(connection)
    assert first is not None
    assert first.at == NOON + HOUR


def test_a_clock_that_was_ahead_does_not_stop_it(store: Store) -> None:
    assert save_size(store, NOON + 1_000 * HOUR)
    assert save_size(store, NOON)
    with store.read() as connection:
        first = earliest_size(connection)
    assert first is not None
    assert first.at == NOON
