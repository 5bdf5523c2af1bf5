"""Leases, on both engines: one holder at a time, whatever the clocks say."""

from __future__ import annotations

import time

import pytest

from modelwatch.storage.engine.leases import acquire, all_leases, release, store_time
from modelwatch.storage.engine.store import Store
from tests.support.events import NOON

pytestmark = pytest.mark.both_engines


def test_a_lease_has_one_holder_until_it_ends(store: Store) -> None:
    assert acquire(store, "chores", "a", now=0, ttl=10) == 1
    assert acquire(store, "chores", "b", now=9, ttl=10) is None
    assert acquire(store, "chores", "a", now=9, ttl=10) == 1
    assert acquire(store, "chores", "b", now=19, ttl=10) == 2


def test_a_lease_that_is_given_back_passes_on_at_once(store: Store) -> None:
    acquire(store, "chores", "a", now=0, ttl=10)
    release(store, "chores", "b")
    assert acquire(store, "chores", "b", now=1, ttl=10) is None
    release(store, "chores", "a")
    assert acquire(store, "chores", "b", now=1, ttl=10) == 2


def test_a_lease_of_a_clock_that_was_ahead_is_not_waited_for(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    day, ttl = 86_400_000_000, 15_000_000
    assert acquire(store, "chores", "a", now=NOON + day, ttl=ttl) == 1
    assert acquire(store, "chores", "b", now=NOON, ttl=ttl) == 2
    assert acquire(store, "chores", "a", now=NOON, ttl=ttl) is None
    assert "by a clock that was ahead" in caplog.text


def test_a_lease_of_a_clock_that_is_a_little_ahead_is_respected(store: Store) -> None:
    assert acquire(store, "chores", "a", now=NOON + 20_000_000, ttl=15_000_000) == 1
    assert acquire(store, "chores", "b", now=NOON, ttl=15_000_000) is None


def test_the_time_of_the_store_is_that_of_its_server(store: Store) -> None:
    assert store.is_sqlite == (store_time(store, NOON) == NOON)
    if not store.is_sqlite:
        assert abs(store_time(store, NOON) - time.time_ns() // 1_000) < 60_000_000


def test_a_lease_names_its_holder(store: Store) -> None:
    acquire(store, "jobs", "me", now=NOON, ttl=1_000)
    with store.read() as connection:
        [lease] = all_leases(connection)
    assert (lease.name, lease.holder, lease.expires_at) == ("jobs", "me", NOON + 1_000)
    release(store, "jobs", "me")
    with store.read() as connection:
        [lease] = all_leases(connection)
    assert (lease.holder, lease.expires_at) == ("", 0)
