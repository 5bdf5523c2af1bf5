"""Statements on the driver's own connection, inside of a transaction of SQLAlchemy's.

What SQLAlchemy does around a statement takes longer than SQLite takes for a small one. Here a text is executed as it
is, and its rows are the driver's tuples. Errors are raised as SQLAlchemy raises them, so their handlers need not know
which way a statement went.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ARRAY, ColumnElement, Connection, Text, any_, bindparam, func, select
from sqlalchemy.sql import Executable

from modelwatch.storage.engine.cursors import Values, execute_at_once
from modelwatch.storage.engine.store import Store

_encode = msgspec.json.Encoder().encode


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


def in_list(store: Store, column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """That a text is in the list that a `Prepared` statement is given as the parameter `name`: one text for any length.

    SQLAlchemy would write the list into the statement, and the store would read that text, each time.
    """
    if store.is_sqlite:
        return column.in_(select(func.json_each(bindparam(name)).table_valued("value").c.value))
    return column == any_(bindparam(name, type_=ARRAY(Text)))


class Prepared:
    """A statement with named parameters, compiled once. Lists of texts are parameters of `in_list`."""

    def __init__(self, store: Store, statement: Executable) -> None:
        self._in_json = store.is_sqlite
        compiled: Any = statement.compile(dialect=store.engine.dialect)  # type: ignore[attr-defined]
        self._text = str(compiled)
        self._constants: dict[str, Any] = {name: value for name, value in compiled.params.items() if value is not None}
        self._names: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positional else None

    def execute(self, connection: Connection, **values: Any) -> Any:
        """The driver's cursor after the statement with these values."""
        given = {**self._constants, **values}
        names = self._names
        if names is None:
            return execute(connection, self._text, given)
        ordered = [given[name] for name in names]
        if self._in_json:
            ordered = [_encode(value).decode() if type(value) is list else value for value in ordered]
        return execute(connection, self._text, ordered)
