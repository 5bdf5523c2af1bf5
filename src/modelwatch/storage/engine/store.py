"""One store, two engines: how transactions begin, wait and fail on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext, suppress
from math import inf
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Insert, Table, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from modelwatch.errors import StoreUnavailable, first_line
from modelwatch.storage.engine.caches import with_memory
from modelwatch.storage.engine.drivers.postgresql import StoreOptions, postgresql_engines
from modelwatch.storage.engine.drivers.sqlite import SQLITE_BUSY_SECONDS, SqliteFile, sqlite_engine
from modelwatch.storage.engine.protection import Protection

# How long writers may wait for readers that keep the log from being emptied.
LOG_SECONDS = 0.2
# How SQLite reports and is told to overwrite deleted bytes; builds differ in their default.
SECURE_DELETE = {0: "OFF", 1: "ON", 2: "FAST"}
READ = {"isolation_level": "REPEATABLE READ"}
# A standby that takes no writes; a transaction that was ended because its process had been paused in it.
PASSING_STATES = {"25006", "25P03"}


class Store:
    """The database of one service process. Safe to use from several threads."""

    def __init__(self, url: str, options: StoreOptions | None = None) -> None:
        """options: of connections to PostgreSQL. Raises StoreUnsuitable, as every use does, when it is too old."""
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        # What feature values are protected with; set once, before anything is read or written.
        self.protection = Protection()
        self._file: SqliteFile | None = None
        options = options or StoreOptions()
        if self.is_sqlite:
            self._held = _Held(inf)
            self._file = SqliteFile(Path(self.url.database or ""))
            self.engine = sqlite_engine(url, self._file)
            self._ledger_engine = self.engine
        else:
            # PostgreSQL ends what is idle for longer.
            self._held = _Held(options.idle_seconds / 2 or inf)
            self.engine, self._ledger_engine = postgresql_engines(self.url, options)
        # The ledger's, while no transaction is in it: the pool takes longer than a small commit.
        self._ledger_connection: Connection | None = None
        self._ledger_turn = threading.Lock()

    def close(self) -> None:
        kept, self._ledger_connection = self._ledger_connection, None
        if kept is not None:
            kept.close()
        self.engine.dispose()
        self._ledger_engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction that sees one snapshot of the store from its first statement to its last.

        Raises StoreUnavailable when the store can't be reached.
        """
        if not self._held.wanted:
            with self._reading() as connection:
                yield connection
            return
        with self._held.use(self._reading) as connection, translated_errors():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Lets all reads of this thread in the block see one state of the store, until the thread writes, or reads
        nothing for so long that PostgreSQL would soon end the transaction.

        What functions have read of it they may remember (`engine/caches.py`). To be held for seconds at most: it keeps
        SQLite's log from being emptied.
        """
        if self._held.wanted:
            yield
            return
        self._held.wanted = True
        try:
            yield
        finally:
            self._held.wanted = False
            self._held.let_go()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated_errors(), self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(**READ)
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: commits at the end of the block, rolls back when the block raises.

        Raises StoreUnavailable when the store can't be reached or stays locked, or was replaced meanwhile.
        """
        with translated_errors(), self._begun() as connection:
            yield connection
            connection.commit()

    @contextmanager
    def open_write(self) -> Iterator[Connection]:
        """Like `write`, but the caller commits and gets the driver's own errors: for the ledger, which must know
        whether it was the COMMIT that failed. Its connection is kept for it, however many readers there are.

        Raises StoreReplaced, also after the commit, when the file that it went to is not that of the store any more.
        """
        self._held.let_go()
        with self._ledger_turn, self._turn():
            connection, self._ledger_connection = self._ledger_connection, None
            try:
                if connection is None:
                    connection = self._ledger_engine.connect().execution_options(modelwatch_write=True)
                else:
                    self._check_file()
                yield connection
                self._check_file()
                connection.rollback()
            except BaseException:
                if connection is not None:
                    connection.close()
                raise
            self._ledger_connection = connection

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        self._held.let_go()
        with self._turn(), self.engine.connect() as connection:
            yield connection.execution_options(modelwatch_write=True)
            self._check_file()

    def _check_file(self) -> None:
        if self._file is not None:
            self._file.check()

    def _turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._file is None else self._file.turn()

    def insert(self, table: Table) -> Any:
        """An INSERT of the store's dialect, which knows ON CONFLICT."""
        # Each process uses one of the dialects; that of PostgreSQL is the larger half of SQLAlchemy.
        if self.is_sqlite:
            from sqlalchemy.dialects import sqlite

            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)

    def upsert(self, table: Table) -> Insert:
        """INSERT that replaces every column that is not part of the primary key when the key is there already."""
        statement = self.insert(table)
        key = [column.name for column in table.primary_key.columns]
        rest = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key}
        result: Insert = statement.on_conflict_do_update(index_elements=key, set_=rest)
        return result

    @contextmanager
    def without_remnants(self, connection: Connection) -> Iterator[None]:
        """Overwrite in the file what is deleted inside, instead of marking it as free. PostgreSQL's vacuum does it."""
        if not self.is_sqlite:
            yield
            return
        before = connection.exec_driver_sql("PRAGMA secure_delete").scalar_one()
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"PRAGMA secure_delete={SECURE_DELETE[before]}")

    def empty_log(self) -> bool:
        """Moves SQLite's log into its file and empties it, so that it holds no older state of a row.

        False when a reader kept it from doing so; the log is then emptied by a later one, or overwritten in time.
        """
        if not self.is_sqlite:
            return True
        with self._turn(), closing(self.engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(f"PRAGMA busy_timeout={LOG_SECONDS * 1_000:.0f}")
            try:
                busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                return not busy
            except sqlite3.OperationalError:
                return False
            finally:
                cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_SECONDS * 1_000}")

    def exclusive(self, connection: Connection, name: str) -> None:
        """Keeps other transactions that ask for the same name out until this one ends. SQLite has one writer anyway."""
        if not self.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})

    def be_patient(self, connection: Connection) -> None:
        """Lets the transaction take its time, and wait for others: for the few that must not be given up."""
        if not self.is_sqlite:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))

    def ping(self) -> None:
        """Returns when the store answers; raises StoreUnavailable otherwise."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))


class _Held(threading.local):
    """Connection of a thread's snapshot. wanted: whether there is one; most_idle: seconds for which it may rest."""

    def __init__(self, most_idle: float) -> None:
        self.wanted = False
        self._most_idle = most_idle
        self._used_at = 0.0
        # How many reads are in it just now.
        self._uses = 0
        self._stale = False
        self._open = ExitStack()
        self._connection: Connection | None = None

    @contextmanager
    def use(self, reading: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        """The connection, opened when it is wanted first."""
        if not self._uses and time.monotonic() - self._used_at > self._most_idle:
            self.let_go()
        if self._connection is None:
            self._connection = with_memory(self._open.enter_context(reading()))
        self._uses += 1
        try:
            yield self._connection
        except BaseException:
            self._stale = True
            raise
        finally:
            self._uses -= 1
            self._used_at = time.monotonic()
            if self._stale:
                self.let_go()

    def let_go(self) -> None:
        """Ends the snapshot, or lets the read that is in it end it; the next read begins another."""
        self._stale = self._uses > 0 and self._connection is not None
        if not self._stale:
            self._connection = None
            # A connection that was lost is not missed: it has only read.
            with suppress(StoreUnavailable):
                self._open.close()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises the driver's connection errors as StoreUnavailable."""
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise StoreUnavailable(f"The store did not answer: {_cause(error)}") from error
    except DBAPIError as error:
        if error.connection_invalidated or getattr(error.orig, "sqlstate", None) in PASSING_STATES:
            raise StoreUnavailable(f"The connection to the store was lost: {_cause(error)}") from error
        raise


def _cause(error: BaseException) -> str:
    return first_line(getattr(error, "orig", None) or error)


# PostgreSQL's class "program limit exceeded": such as an index row that is too long. The driver takes it for trouble
# with the server.
LIMIT_EXCEEDED = "54"


def is_about_values(error: BaseException) -> bool:
    """True when the values of the rows have caused it; False for trouble with the store, which may pass."""
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, DBAPIError):
        return (getattr(error.orig, "sqlstate", None) or "").startswith(LIMIT_EXCEEDED)
    # What the driver, or SQLAlchemy around it, can't write as a parameter.
    cause = error.orig if isinstance(error, StatementError) else error
    return isinstance(cause, OverflowError | UnicodeError)
