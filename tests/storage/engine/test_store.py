"""The store itself: snapshots, transactions, migrations, and what happens when it can't be reached."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.exc import IntegrityError, ProgrammingError

from modelwatch.errors import StoreUnavailable, StoreUnsuitable, UnknownModel
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.drivers.postgresql import StoreOptions
from modelwatch.storage.engine.migrations import migrate, newest_version, schema_version, upgrade
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import (
    set_references,
)
from modelwatch.storage.references.subjects import Subject
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger
from tests.support.servers.postgres import Cluster

pytestmark = pytest.mark.both_engines

X = Subject("feature", "x")


def some_profile() -> Profile:
    sample = np.arange(100.0)
    return Profile.of(numeric_binning(sample), sample.tolist())


def test_migrating_twice_is_the_same_as_once(store: Store) -> None:
    assert migrate(store) == newest_version() == schema_version(store)


@pytest.fixture
def empty_store(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store without tables."""
    with ExitStack() as stack:
        if engine == "sqlite":
            url = f"sqlite:///{tmp_path / 'empty.db'}"
        else:
            server: Cluster = request.getfixturevalue("postgres")
            url = stack.enter_context(server.database(migrated=False))
        yield stack.enter_context(closing(Store(url)))


def test_an_empty_store_gets_what_the_migrations_make_one_after_the_other(store: Store, empty_store: Store) -> None:
    with empty_store.write() as connection:
        assert upgrade(connection) == newest_version() == schema_version(store)
    made = schema_of(empty_store)
    assert schema_of(store) == made
    assert set(made) == {*tables.metadata.tables, "alembic_version"}


def test_tables_of_others_are_left_alone(empty_store: Store) -> None:
    with empty_store.write() as connection:
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
    assert migrate(empty_store) == newest_version() == schema_version(empty_store)
    assert set(inspect(empty_store.engine).get_table_names()) == {*tables.metadata.tables, "alembic_version", "theirs"}


def test_what_a_backup_restored_over_a_newer_store_leaves_is_refused_by_the_next_upgrade(postgres: Cluster) -> None:
    """`pg_restore --clean` removes what is in the dump alone."""
    with postgres.database() as url:
        store = Store(url)
        with store.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0023'"))
        with pytest.raises(StoreUnsuitable, match=r"feature_block.* already exists.* newer than its schema, 0023"):
            migrate(store)
        with store.write() as connection:
            connection.execute(text("DROP TABLE alembic_version"))
        with pytest.raises(StoreUnsuitable, match=r"tables are of another program"):
            migrate(store)
        store.close()


def schema_of(store: Store) -> dict[str, Any]:
    """Everything about the tables: columns in their order with types and defaults, keys and indexes."""
    found = inspect(store.engine)
    return {
        name: (
            [{**column, "type": str(column["type"]), "default": default_of(column)} for column in columns],
            found.get_pk_constraint(name),
            sorted(str({**index, "dialect_options": conditions(index)}) for index in found.get_indexes(name)),
            found.get_unique_constraints(name),
            found.get_foreign_keys(name),
            found.get_check_constraints(name),
        )
        for name in found.get_table_names()
        for columns in [found.get_columns(name)]
    }


def conditions(index: ReflectedIndex) -> dict[str, str]:
    """The options of an index, such as the rows that it is of, as texts."""
    return {name: str(option) for name, option in index.get("dialect_options", {}).items()}


def default_of(column: ReflectedColumn) -> str | None:
    """A default as a value: that of a number may stand in quotes or brackets, and false be 0."""
    default = column["default"]
    if default is None:
        return None
    value = re.sub("::\\w+$", "", default).strip("()").strip("'")
    return {"false": "0"}.get(value, value)


def test_a_read_sees_one_snapshot(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    count = text("SELECT count(*) FROM prediction")
    with store.read() as connection:
        assert connection.execute(count).scalar() == 1
        ledger.commit([event("b")])
        assert connection.execute(count).scalar() == 1


@pytest.mark.both_engines
def test_a_transaction_of_the_ledger_leaves_nothing_to_the_next_one_but_what_it_has_committed(store: Store) -> None:
    def add(name: str) -> Connection:
        with store.open_write() as connection:
            connection.execute(insert(tables.model), {"name": name, "created_at": 0})
            if name == "kept":
                connection.commit()
            if name == "raised":
                raise ZeroDivisionError
        return connection

    kept = add("kept")
    assert add("not committed") is kept
    with pytest.raises(ZeroDivisionError):
        add("raised")
    with pytest.raises(IntegrityError):
        add("kept")
    assert kept.closed
    with store.open_write() as connection:
        assert connection is not kept
        assert connection.execute(select(tables.model.c.name)).scalars().all() == ["kept"]
    store.close()
    assert connection.closed


def test_an_error_of_the_store_does_not_show_what_a_statement_was_given(store: Store) -> None:
    row = {"id": "same", "host": "canary", "opened_at": 1, "sealed": False}
    with store.write() as connection:
        connection.execute(insert(tables.writer), [row])
    with store.write() as connection, pytest.raises(IntegrityError) as caught:
        connection.execute(insert(tables.writer), [row])
    assert "canary" not in str(caught.value)


def generation(store: Store) -> int | None:
    with store.read() as connection:
        return generation_of(connection, "m")


def in_another_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def raise_generation(store: Store) -> None:
    set_references(store, "m", None, {X: some_profile()}, source="test", now=NOON, new_id=new_id)


def test_a_snapshot_is_one_state_of_the_store_until_its_thread_writes(store: Store) -> None:
    raise_generation(store)
    first = generation(store)
    assert first is not None
    with store.snapshot():
        assert generation(store) == first
        in_another_thread(lambda: raise_generation(store))
        assert generation(store) == first
        seen: list[int | None] = []
        in_another_thread(lambda: seen.append(generation(store)))
        assert seen == [first + 1]
        raise_generation(store)
        assert generation(store) == first + 2
    assert generation(store) == first + 2


def test_a_read_in_a_snapshot_keeps_its_connection_while_others_write_inside(store: Store) -> None:
    raise_generation(store)
    first = generation(store)
    assert first is not None
    with store.snapshot():
        with store.read() as connection:
            assert generation_of(connection, "m") == first
            raise_generation(store)
            assert connection.execute(select(tables.model.c.generation)).scalar_one() == first
            with store.read() as again:
                assert again is connection
        assert generation(store) == first + 1


def test_a_snapshot_that_rests_for_long_begins_anew_before_postgresql_ends_it(store_url: str) -> None:
    store = Store(store_url, StoreOptions(idle_seconds=0.4))
    raise_generation(store)
    first = generation(store)
    with store.snapshot():
        assert generation(store) == first
        in_another_thread(lambda: raise_generation(store))
        time.sleep(0.6)
        # SQLite ends nothing.
        assert generation(store) == (first or 0) + (not store.is_sqlite)
    store.close()


def test_an_error_ends_a_snapshot_and_the_next_read_begins_another(store: Store) -> None:
    raise_generation(store)
    first = generation(store)
    with store.snapshot():
        with pytest.raises(UnknownModel), store.read():
            raise UnknownModel("m")
        in_another_thread(lambda: raise_generation(store))
        assert generation(store) == (first or 0) + 1
        with pytest.raises(ProgrammingError if not store.is_sqlite else StoreUnavailable), store.read() as connection:
            connection.execute(text("SELECT * FROM nothing"))
        assert generation(store) == (first or 0) + 1
