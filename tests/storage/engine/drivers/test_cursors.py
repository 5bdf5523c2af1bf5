"""Statements on the driver's cursor: one transaction with SQLAlchemy's, and its errors."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.drivers.cursors import execute, execute_many
from modelwatch.storage.engine.store import Store, is_about_values

COUNT = select(tables.writer.c.id).order_by(tables.writer.c.id)


def marks(store: Store, number: int) -> str:
    """Places of parameters in the driver's way."""
    return ", ".join(["?" if store.is_sqlite else "%s"] * number)


def insert_text(store: Store) -> str:
    return f"INSERT INTO writer (id, host, opened_at, sealed, commits) VALUES ({marks(store, 5)})"


def row(identity: str) -> tuple[object, ...]:
    return (identity, "here", 1, False, 0)


@pytest.mark.both_engines
def test_a_statement_is_in_the_transaction_of_its_connection(store: Store) -> None:
    with store.open_write() as connection:
        execute(connection, insert_text(store), row("a"))
        connection.execute(insert(tables.writer), dict(zip(tables.writer.c.keys(), row("b"), strict=False)))
        execute_many(connection, insert_text(store), [row("c"), row("d")])
        assert len(connection.execute(COUNT).all()) == 4
        connection.commit()
    with store.open_write() as connection:
        execute(connection, insert_text(store), row("e"))
        # Not committed: it is gone at the end.
    with store.read() as connection:
        assert [each.id for each in connection.execute(COUNT)] == ["a", "b", "c", "d"]


@pytest.mark.both_engines
def test_errors_are_those_of_sqlalchemy(store: Store) -> None:
    with store.open_write() as connection:
        execute(connection, insert_text(store), row("a"))
        with pytest.raises(IntegrityError) as refused:
            execute(connection, insert_text(store), row("a"))
        assert refused.value.orig is not None
        assert "'here'" not in str(refused.value)
    with store.open_write() as connection, pytest.raises(IntegrityError) as refused:
        execute_many(connection, insert_text(store), [row("a"), row("a")])
    assert is_about_values(refused.value)
    with store.open_write() as connection, pytest.raises((OperationalError, ProgrammingError)):
        execute(connection, "SELECT nothing_like_that")


@pytest.mark.both_engines
def test_what_is_no_error_of_the_driver_stays_what_it_is(store: Store) -> None:
    with store.open_write() as connection, pytest.raises((TypeError, DBAPIError)):
        execute(connection, insert_text(store), 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["postgresql"])
def test_a_lost_connection_is_not_used_again(store: Store) -> None:
    with store.open_write() as connection:
        pid = execute(connection, "SELECT pg_backend_pid()").fetchone()[0]
        with store.write() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError) as lost:
            execute(connection, "SELECT 1")
        assert lost.value.connection_invalidated
        assert connection.invalidated
    with store.open_write() as connection:
        assert execute(connection, "SELECT pg_backend_pid()").fetchone()[0] != pid
