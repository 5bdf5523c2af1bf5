"""Statements that are compiled once: small ones that every commit runs, and those of thousands of rows, which the
driver gets as they are.

SQLAlchemy looks at each parameter of each row, which takes longer than the store takes for the row. The statements of
many rows are for tables whose columns need no conversion: text, integers and bytes.
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
    any_,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.sql import Executable

from modelwatch.storage.engine.drivers.cursors import execute, execute_many
from modelwatch.storage.engine.store import Store

# Of one statement of SQLite: its limit of parameters is 32,766.
MOST_ROWS, MOST_PARAMETERS = 1_000, 32_000

_encode = msgspec.json.Encoder().encode


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
        names = self._names
        given = rows if names is None else [tuple(row[name] for name in names) for row in rows]
        if len(given) == 1:
            # Most commits are of one window, and drivers do more for several rows.
            execute(connection, self._text, given[0])
        else:
            execute_many(connection, self._text, given)


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
        self._names = [column.name for column in table.columns]
        self._by_column: _ByColumn | None = None
        self._text = str(statement.compile(dialect=store.engine.dialect))
        if not store.is_sqlite:
            update = self._text.partition(" ON CONFLICT ")[2]
            self._by_column = _ByColumn(store, table, f"ON CONFLICT {update}")

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """rows: values in the order of the table's columns; no key comes twice. Nothing is done for none."""
        if not rows:
            return
        if self._by_column is None:
            execute_many(connection, self._text, rows)
        else:
            values = zip(*rows, strict=True)
            self._by_column.execute(connection, dict(zip(self._names, map(list, values), strict=True)))


class NewRows:
    """An INSERT of rows whose key is not there yet.

    PostgreSQL gets a column at a time, as arrays in binary form: one statement for any number of rows, which it reads
    several times faster than a list of VALUES. SQLite gets that list, some rows at a time.
    """

    def __init__(self, store: Store, table: Table, returned: Sequence[str], alike: Sequence[str] = ()) -> None:
        """alike: columns that have one value in all rows of most commits; SQLite is given it once."""
        self._table = table
        self._returned, self._alike = tuple(returned), frozenset(alike)
        self._found = f"SELECT {', '.join(returned)} FROM {table.name} WHERE rowid > ? AND rowid <= ?"  # noqa: S608
        ending = f"ON CONFLICT DO NOTHING RETURNING {', '.join(returned)}"
        self._by_column = None if store.is_sqlite else _ByColumn(store, table, ending)

    def insert(self, connection: Connection, columns: Mapping[str, Sequence[Any]]) -> Sequence[tuple[Any, ...]]:
        """Insert rows, return the requested columns of exactly those that are new. columns: a value for each row."""
        number = len(next(iter(columns.values())))
        if not number:
            return ()
        if self._by_column is not None:
            return _rows(self._by_column.execute(connection, columns))
        once = {name: values[0] for name, values in columns.items() if name in self._alike}
        if any(columns[name].count(value) < number for name, value in once.items()):
            once = {}
        most = min(MOST_ROWS, MOST_PARAMETERS // len(columns))
        new: list[tuple[Any, ...]] = []
        for start in range(0, number, most):
            some = {name: values[start : start + most] for name, values in columns.items()}
            new += self._insert_values(connection, some, once)
        return new

    def _insert_values(
        self, connection: Connection, columns: Mapping[str, Sequence[Any]], once: Mapping[str, Any]
    ) -> Sequence[tuple[Any, ...]]:
        """once: values of columns that are the same in all rows."""
        of_rows = [name for name in columns if name not in once]
        number = len(columns[of_rows[0]])
        values = ", ".join([f"({', '.join('?' * len(of_rows))})"] * number)
        selected = ", ".join(["?"] * len(once) + [f"column{place}" for place in range(1, len(of_rows) + 1)])
        # FAIL: on a null where there must be none, what this statement has inserted is left for the transaction to take
        # back. To be ready for that itself, it would copy each page that it changes: with random ids, one for each row
        # and index. WHERE tells the parser that ON CONFLICT is no condition of a join.
        text = (
            f"INSERT OR FAIL INTO {self._table.name} ({', '.join([*once, *of_rows])})"  # noqa: S608
            f" SELECT {selected} FROM (VALUES {values}) WHERE true ON CONFLICT DO NOTHING"
        )
        rows = zip(*(columns[name] for name in of_rows), strict=True)
        cursor = execute(connection, text, (*once.values(), *chain.from_iterable(rows)))
        inserted: int = cursor.rowcount
        if inserted == number:
            return list(zip(*(columns[name] for name in self._returned), strict=True))
        # RETURNING would cost every row. Each new row has the number after that of the one before, and nobody else
        # writes in this transaction.
        last = cursor.lastrowid
        return _rows(execute(connection, self._found, (last - inserted, last))) if inserted else ()


class _ByColumn:
    """An INSERT for PostgreSQL whose columns come as arrays. A column with one value in all rows, as most have in a
    commit, comes as that value: the driver writes arrays item by item, in Python."""

    def __init__(self, store: Store, table: Table, ending: str) -> None:
        self._into, self._ending = table.name, ending
        self._types = {column.name: column.type.compile(store.engine.dialect) for column in table.columns}
        self._floats = {column.name for column in table.columns if isinstance(column.type, Float)}
        # By the columns and those of them that come as arrays.
        self._texts: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    def execute(self, connection: Connection, columns: Mapping[str, Sequence[Any]]) -> Any:
        """The driver's cursor. columns: a value for each row, of one at least."""
        names = tuple(columns)
        arrays = tuple(name for name, values in columns.items() if self._varies(name, values)) or names[:1]
        text = self._texts.get((names, arrays)) or self._texts.setdefault((names, arrays), self._text(names, arrays))
        given = {name: self._array(name, values) if name in arrays else values[0] for name, values in columns.items()}
        return execute(connection, text, given)

    def _varies(self, name: str, values: Sequence[Any]) -> bool:
        # 0.0 and -0.0 are equal, and not the same.
        return (name in self._floats and values[0] is not None) or values.count(values[0]) < len(values)

    def _array(self, name: str, values: Sequence[Any]) -> list[Any]:
        if name in self._floats:
            # The driver takes no whole numbers among others in one array.
            return [None if value is None else float(value) for value in values]
        return list(values)

    def _text(self, names: Sequence[str], arrays: Sequence[str]) -> str:
        selected = [name if name in arrays else f"%({name})b::{self._types[name]}" for name in names]
        unnested = ", ".join(f"%({name})b::{self._types[name]}[]" for name in arrays)
        return (
            f"INSERT INTO {self._into} ({', '.join(names)}) SELECT {', '.join(selected)}"  # noqa: S608
            f" FROM unnest({unnested}) AS given ({', '.join(arrays)}) {self._ending}"
        )


def _rows(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
