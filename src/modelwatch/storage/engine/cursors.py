"""The driver's cursors, with errors as SQLAlchemy raises them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Values = Sequence[Any] | dict[str, Any]


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
