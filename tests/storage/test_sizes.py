"""Sizes of the store, its leases and the processes that write to it, on both engines."""

from __future__ import annotations

import pytest

from modelwatch.storage.engine.leases import acquire, all_leases, release
from modelwatch.storage.engine.processes import writing_processes
from modelwatch.storage.engine.sizes import store_size
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON, Clock, event, open_ledger

pytestmark = pytest.mark.both_engines


def test_every_table_has_a_size_and_together_they_are_no_more_than_the_store(store: Store) -> None:
    with store.read() as connection:
        found = store_size(connection, store)
    assert found.engine == ("sqlite" if store.is_sqlite else "postgresql")
    assert {"prediction", "profile", "verdict", "alert", "audit"} <= found.by_table.keys()
    assert "alembic_version" not in found.by_table
    assert 0 < sum(found.by_table.values()) <= found.total
    assert all(size > 0 for size in found.by_table.values())


def test_a_lease_names_its_holder(store: Store) -> None:
    acquire(store, "jobs", "me", now=NOON, ttl=1_000)
    with store.read() as connection:
        [lease] = all_leases(connection)
    assert (lease.name, lease.holder, lease.expires_at) == ("jobs", "me", NOON + 1_000)
    release(store, "jobs", "me")
    with store.read() as connection:
        [lease] = all_leases(connection)
    assert (lease.holder, lease.expires_at) == ("", 0)


def test_a_process_writes_until_its_writer_is_sealed(store: Store) -> None:
    ledger = open_ledger(store, Clock(NOON))
    ledger.commit([event("p1", {"x": 1.0})])
    with store.read() as connection:
        [(_, since)] = writing_processes(connection)
    assert since == NOON
    ledger.close()
    with store.read() as connection:
        assert writing_processes(connection) == []
