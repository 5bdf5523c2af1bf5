"""Folding the slots of sealed writers into the common one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import Connection, delete, select, text

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.stats.counting.encoded_counts import decode_counts
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.compaction import fold, seal_writers
from tests.support.events import NOON, Clock, event, numbered, open_ledger, stored_and_counted
from tests.support.stores.labels import BINARY, CLASSES, label, set_layout

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


def test_counts_are_deflated_once_they_are_folded_and_no_longer_written_again(store: Store) -> None:
    rng = np.random.default_rng(1)
    names = [f"feature-{place}" for place in range(20)]
    samples = [ReferenceSample("feature", name, "continuous", rng.normal(size=2_000).tolist()) for name in names]
    set_reference_frame(store, ReferenceFrame("m", None, samples), now=NOON, new_id=numbered("r"))
    ledger = open_ledger(store)
    rows = rng.normal(size=(200, len(names))).tolist()
    ledger.commit([event(f"id-{place}", dict(zip(names, row, strict=True))) for place, row in enumerate(rows)])
    written = counts_of(store)
    ledger.close()
    fold(store, ledger.writer)
    folded = counts_of(store)
    assert len(folded) < 0.8 * len(written)
    assert decode_counts(folded).tolist() == decode_counts(written).tolist()


def counts_of(store: Store) -> bytes:
    with store.read() as connection:
        return bytes(connection.execute(select(tables.profile.c.counts)).scalar_one())


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
                wait_for_locks(connection, 1)
            connection.execute(delete(tables.profile))
        assert folding.result(20) == 0
    assert writers_of_profiles(store) == []


def test_a_compactor_waits_for_one_model_at_a_time(store: Store) -> None:
    """Two that fold other writers at once, each first the model that the other one comes to next."""
    set_layout(store, BINARY, model="a")
    set_layout(store, CLASSES, model="b")
    profile = tables.profile
    ledgers = {}
    for first, then in (("a", "b"), ("b", "a")):
        ledger = ledgers[first] = open_ledger(store, prefix=f"{first}{then}")
        ledger.commit([event(f"{first}-1", model=first)])
        ledger.commit([event(f"{first}-2", model=then)], [label(f"{first}-2", model=then)])
        with store.write() as connection:
            # Of the second model only the outcomes are left to fold.
            connection.execute(delete(profile).where(profile.c.model == then, profile.c.writer == ledger.writer))
        ledger.close()
    with ThreadPoolExecutor(2) as pool:
        with store.write() as connection:
            for model in ledgers:
                store.exclusive(connection, f"fold:{model}")
            folding = [pool.submit(fold, store, ledger.writer) for ledger in ledgers.values()]
            if not store.is_sqlite:
                wait_for_locks(connection, 2)
            # As when the first model's day is carried over meanwhile.
            connection.execute(delete(profile))
        # SQLite has one writer, so what is deleted here was folded before or is gone before.
        assert [each.result(20) for each in folding] == [1, 1]
    with store.read() as connection:
        assert set(connection.execute(select(tables.outcome.c.writer)).scalars()) == {"*"}
        assert connection.execute(select(tables.writer.c.id)).all() == []


def wait_for_locks(connection: Connection, number: int) -> None:
    """Returns when so many others wait for an advisory lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    deadline = time.monotonic() + 60
    while connection.execute(waiting).scalar_one() < number:
        assert time.monotonic() < deadline, "the others never waited"
        time.sleep(0.01)


def test_writers_from_the_future_are_sealed_and_a_live_one_takes_another(store: Store) -> None:
    clock = Clock(NOON + 86_400_000_000)
    ledger = open_ledger(store, clock)
    ledger.commit([event("a")])
    ahead = ledger.writer
    assert seal_writers(store, NOON) == []
    assert seal_writers(store, NOON, opened_after=NOON + 3_600_000_000) == [ahead]
    clock.now = NOON
    ledger.commit([event("b")])
    assert ledger.writer != ahead
    assert stored_and_counted(store) == (2, 2)
