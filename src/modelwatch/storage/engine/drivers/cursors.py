"""Statements on the driver's own cursor, inside of a transaction of SQLAlchemy's.

What SQLAlchemy does around a statement takes longer than SQLite takes for a small one. Here a text is executed as it
is, and its rows are the driver's tuples. Errors are raised as SQLAlchemy raises them, so their handlers need not know
which way a statement went.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Values = Sequence[Any] | dict[str, Any]


def execute(connection: Connection, text: str, values: Values = ()) -> Any:
    """The driver's cursor after a statement, in the transaction of this connection, which begins with its first one."""
    if not connection.in_transaction():
        connection.begin()
    return execute_at_once(connection, text, values)


def execute_many(connection: Connection, text: str, rows: Sequence[Values]) -> None:
    """Executes a statement for each row."""
    if not connection.in_transaction():
        connection.begin()
    execute_at_once(connection, text, rows, many=True)


def execute_at_once(connection: Connection, text: str, values: Any = (), *, many: bool = False) -> Any:
    """The driver's cursor after a statement, whether or not a transaction has begun.

    values: of the statement; `many`: of each row.
    """
    cursor = connection.connection.cursor()
    try:
        if many:
            cursor.executemany(text, values)
        else:
            cursor.execute(text, values)
    except Exception as error:  # noqa: BLE001 - of a type that only the driver knows
        _reraise(connection, cursor, text, error)
    return cursor


def _reraise(connection: Connection, cursor: Any, text: str, error: Exception) -> NoReturn:
    """Raises what SQLAlchemy raises for the driver's error; a connection that was lost is not used again."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    if not isinstance(error, driver_error):
        raise error
    is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
    translated = DBAPIError.instance(
        text,
        None,
        error,
        driver_error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )
    if is_lost:
        connection.invalidate(error)
    raise translated from error
