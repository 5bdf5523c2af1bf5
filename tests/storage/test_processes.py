"""Reports of processes, on both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwatch.storage.engine.processes import KEPT, MOST_PROCESSES, StoredProcess, save_process, stored_processes
from modelwatch.storage.engine.sizes import SIZES_KEPT, earliest_size, save_size
from modelwatch.storage.engine.store import Store
from modelwatch.times import MICROS_PER_SECOND
from tests.support.events import NOON

pytestmark = pytest.mark.both_engines

HOUR = 3_600 * MICROS_PER_SECOND
ONE = StoredProcess("a", NOON, NOON, False, "{}")


def stored(store: Store) -> list[StoredProcess]:
    with store.read() as connection:
        return stored_processes(connection)


def test_what_is_told_last_counts(store: Store) -> None:
    save_process(store, ONE)
    later = replace(ONE, told_at=NOON + 1, figures='{"accepted":1}', stopped=True)
    save_process(store, later)
    assert stored(store) == [later]


def test_those_that_ended_long_ago_are_forgotten(store: Store) -> None:
    save_process(store, ONE)
    other = replace(ONE, name="b", told_at=NOON + KEPT)
    save_process(store, other)
    assert stored(store) == [ONE, other]
    save_process(store, replace(other, told_at=NOON + KEPT + 1))
    assert [each.name for each in stored(store)] == ["b"]


def test_of_many_the_newest_are_kept(store: Store) -> None:
    for number in range(MOST_PROCESSES + 2):
        save_process(store, replace(ONE, name=f"{number:04d}", started_at=NOON + number, told_at=NOON + number))
    names = [each.name for each in stored(store)]
    assert (len(names), names[0]) == (MOST_PROCESSES, "0002")


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
