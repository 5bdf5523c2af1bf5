"""Fresh stores on either engine, as many as a test has examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psycopg
import pytest

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.events import open_store
from tests.support.servers.postgres import Cluster

ENGINES = ("sqlite", "postgresql")


class FreshStores:
    """Stores of one test run. postgres: gives the server when it is needed first."""

    def __init__(self, folders: pytest.TempPathFactory, postgres: Callable[[], Cluster]) -> None:
        self._folders = folders
        self._postgres = postgres
        self._database: str | None = None
        self._cleanup = ExitStack()

    @contextmanager
    def open(self, engine: str) -> Iterator[Store]:
        """An empty, migrated store, closed at the end of the block. On PostgreSQL only one is open at a time."""
        store = open_store(self._folders.mktemp("store")) if engine == "sqlite" else self._emptied()
        try:
            yield store
        finally:
            store.close()

    def close(self) -> None:
        # The server may have been stopped before, and its databases with it.
        with suppress(psycopg.OperationalError):
            self._cleanup.close()

    def _emptied(self) -> Store:
        """Emptying a database takes a hundredth of the time of making one."""
        if self._database is None:
            self._database = self._cleanup.enter_context(self._postgres().database())
        store = Store(self._database)
        with store.write() as connection:
            # All in one request: there are more tables than rows.
            emptying = [f'DELETE FROM "{table.name}"' for table in reversed(tables.metadata.sorted_tables)]
            connection.exec_driver_sql("; ".join(emptying))
        return store
