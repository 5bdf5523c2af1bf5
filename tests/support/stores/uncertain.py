"""A store whose commits have an unknown outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from modelwatch.storage.engine.store import Store


class UncertainStore(Store):
    """A store whose next COMMIT succeeds or not, and then reports an error either way."""

    fail_next: str | None = None

    @contextmanager
    def open_write(self) -> Iterator[Connection]:
        with super().open_write() as connection:
            yield UncertainConnection(connection, self)  # type: ignore[misc]


class UncertainConnection:
    """A connection of such a store."""

    def __init__(self, connection: Connection, store: UncertainStore) -> None:
        self._connection = connection
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:
        mode, self._store.fail_next = self._store.fail_next, None
        if mode == "after":
            self._connection.commit()
        if mode is not None:
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
        self._connection.commit()
