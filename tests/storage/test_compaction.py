"""Folding the slots of sealed writers into the common one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select, text

from modelwatch.storage import Store, fold, seal_writers, tables
from tests.support.events import NOON, Clock, event, open_ledger, stored_and_counted

pytestmark = pytest.mark.both_engines


def writers_of_profiles(store: Store) -> list[str]:
    with store.read() as connection:
        return sorted(set(connection.execute(select(tables.profile.c.writer)).scalars()))


def test_folding_keeps_every_count_and_forgets_the_writer(store: Store) -> None:
    for name in ("one", "two"):
        ledger = open_ledger(store, prefix=name)
        ledger.commit([event(f"{name}-{index}", timestamp=NOON + index * 300_000_000) for index in range(5)])
        ledger.close()
    for writer in seal_writers(store, 0):
        assert fold(store, writer) == 5
    assert writers_of_profiles(store) == ["*"]
    assert stored_and_counted(store) == (10, 10)
    with store.read() as connection:
        assert connection.execute(select(tables.writer.c.id)).all() == []


def test_a_live_writer_is_not_folded(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    assert fold(store, ledger.writer) == 0
    assert writers_of_profiles(store) == [ledger.writer]
    ledger.commit([event("b")])
    assert stored_and_counted(store) == (2, 2)


def test_folding_more_windows_than_one_transaction_holds(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event(str(index), timestamp=NOON + index * 300_000_000) for index in range(1_200)])
    ledger.close()
    assert fold(store, ledger.writer) == 1_200
    assert stored_and_counted(store) == (1_200, 1_200)


def test_writers_of_lost_processes_are_sealed_when_they_are_old(store: Store) -> None:
    clock = Clock()
    ledger = open_ledger(store, clock)
    ledger.commit([event("a")])
    assert seal_writers(store, opened_before=NOON) == []
    assert seal_writers(store, opened_before=NOON + 1) == [ledger.writer]


def test_slots_that_go_while_folding_waits_are_not_folded(store: Store) -> None:
    """As when their day is carried over into another generation meanwhile."""
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    ledger.close()
    with ThreadPoolExecutor(1) as pool:
        with store.write() as connection:
            store.exclusive(connection, "fold:m")
            folding = pool.submit(fold, store, ledger.writer)
            if not store.is_sqlite:
                waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                deadline = time.monotonic() + 20
                while not connection.execute(waiting).scalar():
                    assert time.monotonic() < deadline, "the other never waited"
                    time.sleep(0.01)
            connection.execute(delete(tables.profile))
        assert folding.result(20) == 0
    assert writers_of_profiles(store) == []
