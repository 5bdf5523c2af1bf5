"""Processes, on both engines: what they report, and which of them write."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelwatch.storage.engine.processes import (
    KEPT,
    MOST_PROCESSES,
    StoredProcess,
    save_process,
    stored_processes,
    writing_processes,
)
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON, Clock, event, open_ledger

pytestmark = pytest.mark.both_engines

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


def test_a_process_writes_until_its_writer_is_sealed(store: Store) -> None:
    ledger = open_ledger(store, Clock(NOON))
    ledger.commit([event("p1", {"x": 1.0})])
    with store.read() as connection:
        [(_, since)] = writing_processes(connection)
    assert since == NOON
    ledger.close()
    with store.read() as connection:
        assert writing_processes(connection) == []
