"""Connections to SQLite."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from modelwatch.storage.sqlite_file import SqliteFile

# With the default of 1,000 pages nearly every commit that touches rows all over the file would end in a checkpoint.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536", "wal_autocheckpoint=8000")
SQLITE_BUSY_SECONDS = 5


def sqlite_engine(url: str, file: SqliteFile) -> Engine:
    """Every commit is on disk, and readers never wait for a writer.

    file: of this url; no connection is made, or used, once its path leads elsewhere: StoreReplaced.
    """
    arguments = {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}
    # An error is logged; what a statement was given may be personal.
    # The connection that was used last is used next: its pages are in memory, and the others' caches stay small.
    engine = create_engine(url, hide_parameters=True, connect_args=arguments, pool_use_lifo=True)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: object, arguments: Any, parameters: Any) -> Any:
        return file.connect(lambda: dialect.connect(*arguments, **parameters))

    @event.listens_for(engine, "checkout")
    def check(_connection: object, _record: object, _proxy: object) -> None:
        file.check()

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.execute("SELECT count(*) FROM sqlite_schema")  # the log is opened by the first that reads
        cursor.close()
        file.opened()

    @event.listens_for(engine, "close")
    def close(_connection: object, _record: object) -> None:
        file.closed()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("modelwatch_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
