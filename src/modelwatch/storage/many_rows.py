"""Statements that run with thousands of rows: compiled once, the rows handed to the driver as they are.

SQLAlchemy looks at each parameter of each row, which takes longer than the store takes for the row. Only for tables
whose columns need no conversion: text, integers and bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
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
