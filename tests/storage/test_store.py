"""The store itself: leases, provisional references, migrations, and what happens when it can't be reached."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.leases import acquire, release, store_time
from modelwatch.storage.engine.migrations import migrate, newest_version, schema_version
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Subject
from modelwatch.storage.references.references import (
    all_references,
    in_force,
    set_provisional_references,
    set_references,
)
from tests.support.events import NOON, event, numbered, open_ledger

pytestmark = pytest.mark.both_engines

X = Subject("feature", "x")


def some_profile() -> Profile:
    sample = np.arange(100.0)
    return Profile.of(numeric_binning(sample), sample.tolist())


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


def test_a_provisional_reference_is_taken_once_and_gives_way_to_a_real_one(store: Store) -> None:
    open_ledger(store).commit([event("a")])
    assert set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("p"))
    assert not set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("q"))
    set_references(store, "m", None, {X: some_profile()}, source="api", now=NOON + 1, new_id=numbered("r"))
    with store.read() as connection:
        assert [each.state for each in in_force(connection, "m")] == ["active"]
        assert [each.state for each in all_references(connection, "m")] == ["active", "retired"]


def test_a_provisional_reference_never_replaces_a_real_one(store: Store) -> None:
    set_references(store, "m", None, {X: some_profile()}, source="api", now=NOON, new_id=numbered("r"))
    assert set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("p"))
    with store.read() as connection:
        assert [each.id for each in in_force(connection, "m")] == ["r-1"]


def test_migrating_twice_is_the_same_as_once(store: Store) -> None:
    assert migrate(store) == newest_version() == schema_version(store)


def test_the_migrations_make_exactly_the_tables_of_the_code(store: Store) -> None:
    inspector = inspect(store.engine)
    made = {
        name: {column["name"]: column for column in inspector.get_columns(name)} for name in inspector.get_table_names()
    }
    del made["alembic_version"]
    assert set(made) == set(tables.metadata.tables)
    for name, table in tables.metadata.tables.items():
        assert list(made[name]) == [column.name for column in table.columns]
        assert inspector.get_pk_constraint(name)["constrained_columns"] == [c.name for c in table.primary_key.columns]
        assert {index["name"] for index in inspector.get_indexes(name)} == {index.name for index in table.indexes}
        for column in table.columns:
            assert made[name][column.name]["nullable"] == column.nullable, f"{name}.{column.name}"


def test_a_read_sees_one_snapshot(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    count = text("SELECT count(*) FROM prediction")
    with store.read() as connection:
        assert connection.execute(count).scalar() == 1
        ledger.commit([event("b")])
        assert connection.execute(count).scalar() == 1


@pytest.mark.both_engines
def test_an_error_of_the_store_does_not_show_what_a_statement_was_given(store: Store) -> None:
    row = {"id": "same", "host": "canary", "opened_at": 1, "sealed": False}
    with store.write() as connection:
        connection.execute(insert(tables.writer), [row])
    with store.write() as connection, pytest.raises(IntegrityError) as caught:
        connection.execute(insert(tables.writer), [row])
    assert "canary" not in str(caught.value)


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
