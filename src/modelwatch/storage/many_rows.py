"""Statements that run with thousands of rows: compiled once, the rows handed to the driver as they are.

SQLAlchemy looks at each parameter of each row, which takes longer than the store takes for the row. Only for tables
whose columns need no conversion: text, integers and bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Float, Row, Table
from sqlalchemy.sql import Executable

from modelwatch.storage.engine import Store


class ManyRows:
    """A statement of a store's dialect."""

    def __init__(self, store: Store, statement: Executable) -> None:
        compiled: Any = statement.compile(dialect=store.engine.dialect)  # type: ignore[attr-defined]
        self._text = str(compiled)
        self._names: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positional else None

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Executes the statement for each row; nothing for none."""
        if not rows:
            return
        if self._names is None:
            connection.exec_driver_sql(self._text, list(rows))
        else:
            names = self._names
            connection.exec_driver_sql(self._text, [tuple(row[name] for name in names) for row in rows])


class NewRows:
    """An INSERT of rows whose key is not there yet.

    PostgreSQL gets a column at a time, as arrays in binary form: one statement for any number of rows, which it reads
    several times faster than a list of VALUES.
    """

    def __init__(self, store: Store, table: Table, returned: Sequence[str]) -> None:
        self._table = table
        self._dialect = store.engine.dialect
        self._statement = store.insert(table).on_conflict_do_nothing().returning(*(table.c[name] for name in returned))
        self._ending = f"ON CONFLICT DO NOTHING RETURNING {', '.join(returned)}"
        self._by_column = not store.is_sqlite
        self._texts: dict[tuple[str, ...], str] = {}

    def insert(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> Iterable[Row[Any]]:
        """What was asked to be returned of exactly those rows that are new. All rows have the same columns."""
        if not rows:
            return ()
        if not self._by_column:
            return connection.execute(self._statement, rows).all()
        names = tuple(rows[0])
        text = self._texts.get(names) or self._texts.setdefault(names, self._unnested(names))
        return connection.exec_driver_sql(text, {name: self._column(name, rows) for name in names}).all()

    def _column(self, name: str, rows: Sequence[dict[str, Any]]) -> list[Any]:
        values = [row[name] for row in rows]
        if isinstance(self._table.c[name].type, Float):
            # The driver takes no whole numbers among others in one array.
            return [None if value is None else float(value) for value in values]
        return values

    def _unnested(self, names: Sequence[str]) -> str:
        types = [self._table.c[name].type.compile(self._dialect) for name in names]
        arrays = ", ".join(f"%({name})b::{kind}[]" for name, kind in zip(names, types, strict=True))
        return f"INSERT INTO {self._table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {self._ending}"  # noqa: S608
