"""Statements that run with thousands of rows: compiled once, the rows handed to the driver as they are.

SQLAlchemy looks at each parameter of each row, which takes longer than the store takes for the row. Only for tables
whose columns need no conversion: text, integers and bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Float,
    Select,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql import Executable

from modelwatch.storage.engine.driver import execute, execute_many
from modelwatch.storage.engine.store import Store

# Of one statement of SQLite: its limit of parameters is 32,766.
MOST_ROWS, MOST_PARAMETERS = 1_000, 32_000

_encode = msgspec.json.Encoder().encode


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
            execute_many(connection, self._text, rows)
        else:
            names = self._names
            execute_many(connection, self._text, [tuple(row[name] for name in names) for row in rows])


class RowsById:
    """A SELECT of a model's rows by the ids of predictions: one statement for any number of ids.

    SQLAlchemy would write a list of ids into the text, and the store would read that text, each time. PostgreSQL goes
    from id to id: of a list, it would read all rows of a model that it takes for a small one, and of a new model it
    knows nothing before the table is analysed again.
    """

    def __init__(
        self,
        store: Store,
        table: Table,
        columns: Sequence[ColumnElement[Any]],
        *conditions: ColumnElement[bool],
    ) -> None:
        """columns, conditions: their parameters are given to each `read`."""
        of_model = select(*columns).where(table.c.model == bindparam("model"), *conditions)
        statement: Select[Any]
        if store.is_sqlite:
            wanted = func.json_each(bindparam("ids")).table_valued("value")
            statement = of_model.where(table.c.prediction_id.in_(select(wanted.c.value)))
        else:
            wanted = func.unnest(bindparam("ids", type_=ARRAY(Text))).table_valued("value").render_derived("wanted")
            # OFFSET 0 keeps the planner from making a join of it.
            of_id = of_model.where(table.c.prediction_id == wanted.c.value).offset(literal_column("0"))
            found = of_id.correlate(wanted).lateral("found")
            statement = select(*found.c).select_from(wanted.join(found, true()))
        self._compiled: Any = statement.compile(dialect=store.engine.dialect)
        self._in_json = store.is_sqlite

    def read(self, connection: Connection, model: str, ids: Sequence[str], **others: Any) -> Sequence[Any]:
        """The rows of these ids, in no order; an id may be there once. others: the other parameters."""
        if not ids:
            return ()
        values = {"model": model, "ids": _encode(ids).decode() if self._in_json else list(ids), **others}
        names = self._compiled.positiontup if self._compiled.positional else None
        given = values if names is None else tuple(values[name] for name in names)
        return connection.exec_driver_sql(str(self._compiled), given).all()


class RowsByModelAndId:
    """Rows as of `RowsById`, of any number of models: a statement for each would take thousands of times as long."""

    def __init__(
        self, store: Store, table: Table, columns: Sequence[ColumnElement[Any]], *conditions: ColumnElement[bool]
    ) -> None:
        """columns, conditions: their parameters are given to each `read`."""
        statement: Select[Any]
        if store.is_sqlite:
            pair = func.json_each(bindparam("pairs")).table_valued("value").c.value
            pairs = select(func.json_extract(pair, "$[0]"), func.json_extract(pair, "$[1]"))
            statement = select(*columns).where(tuple_(table.c.model, table.c.prediction_id).in_(pairs), *conditions)
        else:
            arrays = (bindparam("models", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
            wanted = func.unnest(*arrays).table_valued("of_model", "of_id").render_derived("wanted")
            of_pair = (
                select(*columns)
                .where(table.c.model == wanted.c.of_model, table.c.prediction_id == wanted.c.of_id, *conditions)
                .offset(literal_column("0"))
            )
            found = of_pair.correlate(wanted).lateral("found")
            statement = select(*found.c).select_from(wanted.join(found, true()))
        self._compiled: Any = statement.compile(dialect=store.engine.dialect)
        self._in_json = store.is_sqlite

    def read(self, connection: Connection, pairs: Sequence[tuple[str, str]], **others: Any) -> Sequence[Any]:
        """The rows of these models and ids, in no order; a pair may be there once. others: the other parameters."""
        if not pairs:
            return ()
        if self._in_json:
            values = {"pairs": _encode(pairs).decode(), **others}
        else:
            values = {"models": [model for model, _ in pairs], "ids": [identity for _, identity in pairs], **others}
        values = {**self._compiled.params, **values}
        names = self._compiled.positiontup if self._compiled.positional else None
        given = values if names is None else tuple(values[name] for name in names)
        return connection.exec_driver_sql(str(self._compiled), given).all()


class WholeRows:
    """Rows that are inserted or, where their key is there already, replaced. PostgreSQL gets them as `NewRows` does."""

    def __init__(self, store: Store, table: Table) -> None:
        statement = store.upsert(table)
        self._columns = list(table.columns)
        self._by_column = not store.is_sqlite
        if self._by_column:
            update = str(statement.compile(dialect=store.engine.dialect)).partition(" ON CONFLICT ")[2]
            self._text = _unnested(table, [column.name for column in self._columns], store, f"ON CONFLICT {update}")
        else:
            self._text = str(statement.compile(dialect=store.engine.dialect))

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """rows: values in the order of the table's columns; no key comes twice. Nothing is done for none."""
        if not rows:
            return
        if self._by_column:
            values = zip(*rows, strict=True)
            execute(
                connection,
                self._text,
                {column.name: list(each) for column, each in zip(self._columns, values, strict=True)},
            )
        else:
            execute_many(connection, self._text, rows)


class NewRows:
    """An INSERT of rows whose key is not there yet.

    PostgreSQL gets a column at a time, as arrays in binary form: one statement for any number of rows, which it reads
    several times faster than a list of VALUES. SQLite gets that list, some rows at a time.
    """

    def __init__(self, store: Store, table: Table, returned: Sequence[str]) -> None:
        self._table = table
        self._store = store
        self._ending = f"ON CONFLICT DO NOTHING RETURNING {', '.join(returned)}"
        self._texts: dict[tuple[str, ...], str] = {}

    def insert(self, connection: Connection, columns: Mapping[str, Sequence[Any]]) -> Sequence[tuple[Any, ...]]:
        """Insert rows, return the requested columns of exactly those that are new. columns: a value for each row."""
        names = tuple(columns)
        number = len(columns[names[0]])
        if not number:
            return ()
        if self._store.is_sqlite:
            rows = list(zip(*columns.values(), strict=True))
            most = min(MOST_ROWS, MOST_PARAMETERS // len(names))
            some = (rows[start : start + most] for start in range(0, number, most))
            return [row for each in some for row in self._insert_values(connection, names, each)]
        text = self._texts.get(names) or self._texts.setdefault(
            names, _unnested(self._table, names, self._store, self._ending)
        )
        values = {name: self._of_type(name, values) for name, values in columns.items()}
        return _rows(execute(connection, text, values))

    def _insert_values(
        self, connection: Connection, names: Sequence[str], rows: Sequence[tuple[Any, ...]]
    ) -> Sequence[tuple[Any, ...]]:
        of_row = f"({', '.join('?' * len(names))})"
        into = f"INSERT INTO {self._table.name} ({', '.join(names)}) VALUES "  # noqa: S608
        text = f"{into}{', '.join([of_row] * len(rows))} {self._ending}"
        return _rows(execute(connection, text, tuple(chain.from_iterable(rows))))

    def _of_type(self, name: str, values: Sequence[Any]) -> list[Any]:
        if isinstance(self._table.c[name].type, Float):
            # The driver takes no whole numbers among others in one array.
            return [None if value is None else float(value) for value in values]
        return list(values)


def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _unnested(table: Table, names: Sequence[str], store: Store, ending: str) -> str:
    types = [table.c[name].type.compile(store.engine.dialect) for name in names]
    arrays = ", ".join(f"%({name})b::{kind}[]" for name, kind in zip(names, types, strict=True))
    return f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({arrays}) {ending}"  # noqa: S608
