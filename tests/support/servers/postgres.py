"""A real PostgreSQL server, of Debian's package, on a free port of 127.0.0.1, and fresh databases in it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from tests.support.servers.live_service import free_port
from tests.support.servers.programs import absent, install

PACKAGE = "postgresql"
OLDEST = 15
START_SECONDS = 60
TEMPLATE = "modelwatch_template"
USER = "modelwatch"
# How long the connections of a test may take to end after it.
LEAVE_SECONDS = 0.5
IN_ORDER = tuple(reversed(tables.metadata.sorted_tables))
OTHERS = b"""
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
# A digest of all tables, indexes, columns and constraints that are not the server's own, and numbers of what else there
# may be.
SCHEMA = b"""
    SELECT
        (SELECT version_num FROM alembic_version),
        (SELECT md5(string_agg(concat(oid, relname, relfilenode, reloptions), ',' ORDER BY oid)) FROM pg_class
            WHERE oid >= 16384),
        (SELECT md5(string_agg(concat(attrelid, attname, atttypid, attnotnull, atthasdef), ','
            ORDER BY attrelid, attnum)) FROM pg_attribute WHERE attrelid >= 16384),
        (SELECT md5(string_agg(concat(oid, conname), ',' ORDER BY oid)) FROM pg_constraint WHERE oid >= 16384),
        (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
        (SELECT count(*) FROM pg_proc WHERE oid >= 16384),
        (SELECT count(*) FROM pg_namespace WHERE oid >= 16384),
        (SELECT count(*) FROM pg_db_role_setting
            WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


class Cluster:
    """One server with its data in a temporary folder. Made by `cluster`.

    Databases are copies of one that has been migrated, which takes a fraction of the time of a migration.
    """

    def __init__(self, programs: Path, folder: Path, account: str | None, options: dict[str, str]) -> None:
        self.port = free_port()
        self.log = folder / "postgres.log"
        self._programs = programs
        self._data = folder / "data"
        self._kept = folder / "kept"
        self._account = account
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._free: list[str] = []
        self._schema: tuple[object, ...] = ()
        empty, self._password = _initialised(programs, account)
        shutil.copytree(empty, self._data)
        self._give(self._data)

    def url(self, database: str = "postgres", user: str = USER, password: str | None = None) -> str:
        """The address of a database, with the password in it."""
        return f"postgresql://{user}:{password or self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None, "the server is stopped"
        return self._process.pid

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Runs one statement as the superuser, outside of a transaction. Returns its rows."""
        with psycopg.connect(self.url(database), autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self, *, wait: bool = True) -> None:
        """Starts the server, also over what a killed one left behind."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            **self._options,
        }
        arguments = [item for name, value in options.items() for item in ("-c", f"{name}={value}")]
        deadline = time.monotonic() + START_SECONDS
        while True:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self._data, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    user=self._account,
                    group=self._account,
                    cwd="/",
                    start_new_session=True,
                )
            if not wait:
                return
            while self._process.poll() is None:
                if self._answers():
                    return
                assert time.monotonic() < deadline, f"PostgreSQL did not start:\n{self.log.read_text()}"
                time.sleep(0.02)
            # Of a server that was killed, the last processes may still hold its shared memory.
            assert time.monotonic() < deadline, f"PostgreSQL ended at its start:\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: in order, without waiting for clients; SIGQUIT and SIGKILL: with recovery at the next start."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        self._process.wait()
        self._process = None

    def keep(self) -> None:
        """Stops the server, keeps a copy of its data, and starts it again."""
        self.stop()
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._data, self._kept)
        self._give(self._kept)
        self.start()

    def set_back(self) -> None:
        """Kills the server and starts it with the data that was kept, as a standby that was behind takes over."""
        self.stop(signal.SIGQUIT)
        self._free.clear()
        shutil.rmtree(self._data)
        self._kept.rename(self._data)
        self.start()

    def _give(self, folder: Path) -> None:
        if self._account is not None:
            for each in (folder, *folder.rglob("*")):
                shutil.chown(each, self._account, self._account)

    @contextmanager
    def database(self, *, migrated: bool = True) -> Iterator[str]:
        """The address of an empty database, of nobody else in the block.

        One with the tables is emptied afterwards and given out again, which takes a tenth of the time of making one.
        """
        name = self._free.pop() if migrated and self._free else self._made(migrated=migrated)
        kept = False
        try:
            yield self.url(name)
            kept = migrated and self._process is not None and self._emptied(name)
        finally:
            if kept:
                self._free.append(name)
            else:
                self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _made(self, *, migrated: bool) -> str:
        template = self._template() if migrated else "template0"
        self._databases += 1
        name = f"test_{self._databases}"
        # By itself the server would write each page of the copy to its log: a tenth of a second.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def _emptied(self, name: str) -> bool:
        """True when the database is as it was made, but for its sequences: nobody holds it any more, and its tables are
        those of the template.

        Whoever is connected still might write into it when the next test has it.
        """
        try:
            with psycopg.connect(self.url(name), connect_timeout=30) as connection:
                deadline = time.monotonic() + LEAVE_SECONDS
                while connection.execute(OTHERS).fetchall():
                    if time.monotonic() > deadline:
                        return False
                    connection.rollback()
                    time.sleep(0.005)
                if connection.execute(SCHEMA).fetchone() != self._schema:
                    return False
                connection.execute("; ".join(f'DELETE FROM "{table.name}"' for table in IN_ORDER).encode())
        except psycopg.Error:
            return False
        return True

    def _template(self) -> str:
        if not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{TEMPLATE}'"):
            # Of a language, as the official image makes it: nothing may lean on the order of the bytes.
            self.execute(
                f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu"
                " ICU_LOCALE 'en-US'"
            )
            store = Store(self.url(TEMPLATE))
            migrate(store)
            store.close()
            [self._schema] = self.execute(SCHEMA.decode(), TEMPLATE)
        return TEMPLATE

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@functools.cache
def _initialised(programs: Path, account: str | None) -> tuple[Path, str]:
    """The data of a server that has never run, to be copied, which is quicker; and the password of its superuser."""
    folder = Path(tempfile.mkdtemp(prefix="modelwatch-initdb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    data, password_file, password = folder / "data", folder / "password", secrets.token_hex(16)
    password_file.write_text(password)
    if account is not None:
        shutil.chown(folder, account)
        shutil.chown(password_file, account)
    subprocess.run(
        [
            programs / "initdb",
            *("--pgdata", data, "--username", USER, "--pwfile", password_file),
            # By SCRAM each of the thousands of connections would hash its password 4,096 times.
            *("--auth", "md5", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        user=account,
        group=account,
        cwd="/",
    )
    return data, password


def programs() -> Path:
    """The folder of the server's programs: the newest installed version from 15 on.

    Installed when this is root on a machine with apt; without it the test is skipped, but not in CI.
    """
    if _installed() is None:
        install(PACKAGE)
    return _installed() or absent(f"There is no PostgreSQL {OLDEST} or newer here: apt-get install {PACKAGE}")


@contextmanager
def cluster(*, durable: bool = False, **options: str) -> Iterator[Cluster]:
    """A server that runs until the block ends. durable: whether a commit survives the machine, which takes its time.

    options: more of its configuration. A server never runs as root: for root it runs as `postgres`.
    """
    where = programs()
    account = "postgres" if os.geteuid() == 0 else None
    if account is not None and not any(each.pw_name == account for each in pwd.getpwall()):
        pytest.fail("PostgreSQL doesn't run as root, and there is no user `postgres` to run it as")
    folder = Path(tempfile.mkdtemp(prefix="modelwatch-postgres-"))
    if account is not None:
        shutil.chown(folder, account)
    # Without it a commit still survives the server's processes, as the machine's cache does.
    careless = {} if durable else {"fsync": "off"}
    try:
        server = Cluster(where, folder, account, {**careless, **options})
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # nobody needs what a shutdown in order would write
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _installed() -> Path | None:
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    folders += [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    versions = {folder: _major(folder) for folder in folders}
    fitting = [folder for folder, version in versions.items() if version >= OLDEST and (folder / "initdb").exists()]
    return max(fitting, key=versions.__getitem__, default=None)


def _major(programs: Path) -> int:
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[2].split(".")[0])
