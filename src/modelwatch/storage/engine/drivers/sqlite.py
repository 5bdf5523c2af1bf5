"""Connections to SQLite."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event

from modelwatch.errors import StoreReplaced, StoreUnavailable, StoreUnsuitable
from modelwatch.storage.engine.drivers.cursors import execute_at_once

# With the default of 1,000 pages nearly every commit that touches rows all over the file would end in a checkpoint.
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16384", "wal_autocheckpoint=8000")
SQLITE_BUSY_SECONDS = 5


def sqlite_engine(url: str, file: SqliteFile) -> Engine:
    """The engine of a SQLite file: every commit is on disk, and readers never wait for a writer.

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
        execute_at_once(connection, "BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


# The device and the number of a file on it: the same for as long as it is open anywhere.
Identity = tuple[int, int]
Opened = TypeVar("Opened")
Unpin = Callable[[], object]

RECORD = re.compile(r"file (\d+):(\d+) log (\d+):(\d+)\n")

log = logging.getLogger(__name__)


class SqliteFile:
    """One per process and store. Safe to use from several threads.

    Beside the file is a lock file, which also says which file the write-ahead log belongs to. Each turn opens it by its
    path, so processes that have different files of one path open share the turns, and one of them finds its file gone.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._identity: Identity | None = None
        # The log, while this process has connections: SQLite removes it with the last one of all processes. One that
        # was taken away is remembered beyond them: others may have it open, and no other one is begun beside it.
        self._log: tuple[Path, Identity] | None = None
        # While they are set, the numbers of file and log are not given to another file.
        self._pin: Unpin | None = None
        self._log_pin: Unpin | None = None
        self._log_lost = False
        self._connections = 0
        self._counting = threading.Lock()
        self._lost = False
        self._opening = threading.Lock()
        self._write_lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Writers queue on a side lock: SQLite's own busy loop polls, and starves some.

        Raises StoreUnavailable when the lock's file can't be opened.
        """
        with self._write_lock:
            handle = self._opened_lock()
            try:
                # It ends when the file is closed.
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
            finally:
                os.close(handle)

    def connect(self, opened: Callable[[], Opened]) -> Opened:
        """Return the connection from `opened`, which opens the path. The first one fixes which file it is.

        Raises StoreReplaced when the path leads to another file, and StoreUnsuitable as `_refuse_foreign_log` does.
        """
        with self._opening:
            before = identity_of(self._path)
            if self._identity is None:
                self._refuse_foreign_log(before)
            else:
                self.check()
            connection = opened()
            after = identity_of(self._path)
            if after is None or before not in (None, after):
                raise StoreReplaced(f"The store's file {self._path} was replaced while it was opened.")
            if self._identity is None:
                self._identity, self._pin = after, _pinned(self, self._path, after)
            return connection

    def check(self) -> None:
        """Raises StoreReplaced unless the paths lead to the file and the log that are open. They may come back."""
        if self._identity is None:
            return
        self._check(self._path, self._identity, identity_of(self._path), "file")
        # Another thread that closes its connection may forget it meanwhile.
        known = self._log
        if known is not None:
            path, expected = known
            present = identity_of(path)
            self._log_lost = present != expected
            self._check(path, expected, present, "write-ahead log")
        if self._lost:
            log.warning("The store's file %s is back in place: the service continues with it.", self._path)
        self._lost = False

    def _check(self, path: Path, expected: Identity, present: Identity | None, name: str) -> None:
        if present == expected:
            return
        what = "is gone" if present is None else "was replaced by another one"
        if not self._lost:
            log.error(
                "The store's %s %s %s while it is in use. Nothing is stored until it is back in place, or the"
                " service is restarted with the file that is there then.",
                name,
                path,
                what,
            )
        self._lost = True
        raise StoreReplaced(f"The store's {name} {what}: put it back, or restart the service.")

    def opened(self) -> None:
        """Takes note of a new connection, which has the log open by now, and writes down, in the lock file, which file
        the log belongs to."""
        log_path = self._log_path
        log_identity = identity_of(log_path)
        with self._counting:
            self._connections += 1
            if self._log is None and log_identity is not None:
                self._log = log_path, log_identity
                self._log_pin = _pinned(self, log_path, log_identity)
        if self._identity is None or log_identity is None:
            return
        text = "file {}:{} log {}:{}\n".format(*self._identity, *log_identity)
        # Where the folder can't be written, the writer gets the error.
        with suppress(OSError):
            if not self._lock_path.exists() or self._lock_path.read_text() != text:
                self._lock_path.write_text(text)

    def closed(self) -> None:
        """Takes note that a connection is being closed."""
        with self._counting:
            self._connections -= 1
            if not self._connections and not self._log_lost:
                self._log = None
                if self._log_pin is not None:
                    self._log_pin()
                    self._log_pin = None

    @property
    def _log_path(self) -> Path:
        # SQLite keeps it beside the file itself where the path is a symbolic link.
        real = self._path.resolve()
        return real.with_name(f"{real.name}-wal")

    def _refuse_foreign_log(self, present: Identity | None) -> None:
        """Raises StoreUnsuitable when the file has changed and its log has not: SQLite would mix the two."""
        with suppress(OSError):
            found = RECORD.fullmatch(self._lock_path.read_text())
            log_path = self._log_path
            if found is None or present is None or not log_path.exists() or not log_path.stat().st_size:
                return
            device, number, log_device, log_number = map(int, found.groups())
            if (log_device, log_number) == identity_of(log_path) and (device, number) != present:
                raise StoreUnsuitable(
                    f"{self._path} was replaced, but {log_path.name} beside it is still the log of the previous file."
                    f" If a backup was put in its place: stop every process that uses it, remove {log_path.name} and"
                    f" {self._path.name}-shm, and start again. Otherwise put the previous file back."
                )

    def _opened_lock(self) -> int:
        try:
            return os.open(self._lock_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise StoreUnavailable(f"The store's folder can't be written: {error}") from error


def identity_of(path: Path) -> Identity | None:
    """Device and inode of the file that a path leads to; None when there is none."""
    try:
        # Each commit asks several times; a method of the path takes four times as long.
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _pinned(owner: SqliteFile, path: Path, expected: Identity) -> Unpin | None:
    """Hold a file for as long as its owner lives, or until what is returned is called.

    The number of a removed file that no process holds may be given to the next one at its path, which would be taken
    for it. A descriptor of a mere path is held, where there are such (Linux): closing any other would drop SQLite's
    locks.
    """
    flag = getattr(os, "O_PATH", None)
    if flag is None:
        return None
    try:
        descriptor = os.open(path, flag | os.O_CLOEXEC)
    except OSError:
        return None
    unpin = weakref.finalize(owner, os.close, descriptor)
    found = os.fstat(descriptor)
    if (found.st_dev, found.st_ino) != expected:
        unpin()
        return None
    return unpin
