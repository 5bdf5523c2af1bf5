"""Row grain of the profile table: one row per (window, writer, subject), or one per (window, writer) for all subjects.

python -m benchmarks.storage.row_grain [--seconds 3] [--rounds 3]

One writer commits batches of 100 predictions and, in the same transaction, replaces its counts of the present window:
what the ledger does, reduced to its SQL and run with the bare drivers. SQLite runs with WAL and synchronous=FULL,
PostgreSQL in a cluster of its own that is made and removed here. The result stands in docs/adr/0003.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import psycopg
from numpy.typing import NDArray

from modelwatch.stats.counting.encoded_counts import decode_counts, encode_counts
from tests.support.servers.live_service import free_port

Grain = Literal["subject", "window"]
CELLS = 210
ROWS = 100
WINDOW_COMMITS = 200
READ_WINDOWS = 288
READ_WRITERS = 4
POSTGRES = Path("/usr/lib/postgresql/15/bin")

TABLES = """
CREATE TABLE prediction (id TEXT PRIMARY KEY, ts BIGINT NOT NULL, features {blob} NOT NULL);
CREATE TABLE profile (window_start BIGINT NOT NULL, writer TEXT NOT NULL, subject TEXT NOT NULL, counts {blob} NOT NULL,
  PRIMARY KEY (window_start, writer, subject));
"""


class Database(Protocol):
    """Operations that the benchmark needs of a store."""

    blob: str
    mark: str

    def execute(self, sql: str, rows: list[tuple[Any, ...]]) -> None: ...
    def query(self, sql: str) -> list[tuple[Any, ...]]: ...
    def commit(self) -> None: ...
    def written(self) -> int: ...
    def size(self) -> int: ...


class Sqlite:
    """A file of its own; bytes written are the growth of the WAL."""

    blob = "BLOB"
    mark = "?"

    def __init__(self, folder: Path) -> None:
        self._wal = folder / "grain.db-wal"
        self._connection = sqlite3.connect(folder / "grain.db", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0"):
            self._connection.execute(f"PRAGMA {pragma}")
        self._connection.executescript(TABLES.format(blob=self.blob))
        self._connection.execute("BEGIN IMMEDIATE")

    def execute(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        self._connection.executemany(sql, rows)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def commit(self) -> None:
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")

    def written(self) -> int:
        return self._wal.stat().st_size

    def size(self) -> int:
        return 0


class Postgres:
    """A database in the throw-away cluster; bytes written are the growth of its WAL."""

    blob = "BYTEA"
    mark = "%s"

    def __init__(self, url: str) -> None:
        with psycopg.connect(f"{url} dbname=postgres", autocommit=True) as admin:
            admin.execute("DROP DATABASE IF EXISTS grain")
            admin.execute("CREATE DATABASE grain")
        self._connection = psycopg.connect(f"{url} dbname=grain")
        self._connection.execute(TABLES.format(blob=self.blob))
        self._connection.commit()
        self._start = self._position()

    def close(self) -> None:
        self._connection.close()

    def execute(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()  # type: ignore[call-overload,no-any-return]

    def commit(self) -> None:
        self._connection.commit()

    def _position(self) -> int:
        [[position]] = self.query("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return int(position)

    def written(self) -> int:
        return self._position() - self._start

    def size(self) -> int:
        [[size]] = self.query("SELECT pg_total_relation_size('profile')")
        return int(size)


@dataclass(frozen=True, slots=True)
class Result:
    """One run: predictions/s, commit times in ms, bytes written per prediction, table size, and read times in ms."""

    rate: float
    median: float
    p99: float
    bytes_each: float
    size: int
    read_one: float
    read_all: float


def run_once(database: Database, grain: Grain, subjects: int, seconds: float) -> Result:
    """Commits for so many seconds, then reads a day of windows of four writers."""
    rng = np.random.default_rng(0)
    names = [f"feature_{index:03}" for index in range(subjects)]
    features = (b'{"x":0.123456789}' * subjects)[: 20 * subjects]
    place = ", ".join([database.mark] * 3)
    insert = f"INSERT INTO prediction VALUES ({place}) ON CONFLICT DO NOTHING"
    upsert = (
        f"INSERT INTO profile VALUES ({place}, {database.mark})"
        " ON CONFLICT (window_start, writer, subject) DO UPDATE SET counts = excluded.counts"
    )
    state = np.zeros((subjects, CELLS), dtype=np.int64)
    times: list[float] = []
    began, before, commits = time.perf_counter(), database.written(), 0
    while time.perf_counter() - began < seconds:
        window = commits // WINDOW_COMMITS
        if commits % WINDOW_COMMITS == 0:
            state[:] = 0
        cells = rng.integers(0, CELLS, (subjects, ROWS))
        np.add.at(state, (np.arange(subjects)[:, None], cells), 1)
        start = time.perf_counter()
        database.execute(insert, [(f"{os.urandom(8).hex()}", commits, features) for _ in range(ROWS)])
        database.execute(upsert, slot_rows(grain, window, "w0", names, state))
        database.commit()
        times.append((time.perf_counter() - start) * 1e3)
        commits += 1
    spent, bytes_written, size = sum(times) / 1e3, database.written() - before, database.size()
    fill(database, upsert, grain, names, state)
    return Result(
        rate=commits * ROWS / spent,
        median=statistics.median(times),
        p99=float(np.quantile(times, 0.99)),
        bytes_each=bytes_written / (commits * ROWS),
        size=size,
        read_one=read(database, grain, names[:1], names),
        read_all=read(database, grain, names, names),
    )


def slot_rows(
    grain: Grain, window: int, writer: str, names: list[str], state: NDArray[np.int64]
) -> list[tuple[Any, ...]]:
    if grain == "window":
        return [(window, writer, "", encode_counts(state.reshape(-1)))]
    return [(window, writer, name, encode_counts(counts)) for name, counts in zip(names, state, strict=True)]


def fill(database: Database, upsert: str, grain: Grain, names: list[str], state: NDArray[np.int64]) -> None:
    for window in range(1_000_000, 1_000_000 + READ_WINDOWS):
        for writer in range(READ_WRITERS):
            database.execute(upsert, slot_rows(grain, window, f"w{writer}", names, state))
    database.commit()


def read(database: Database, grain: Grain, wanted: list[str], names: list[str]) -> float:
    """Milliseconds to sum a day of windows for the wanted subjects (median of three)."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        total = np.zeros((len(wanted), CELLS), dtype=np.int64)
        if grain == "window":
            for [raw] in database.query("SELECT counts FROM profile WHERE window_start >= 1000000"):
                total += decode_counts(bytes(raw)).reshape(len(names), CELLS)[: len(wanted)]
        else:
            listed = ", ".join(f"'{name}'" for name in wanted)
            index = {name: place for place, name in enumerate(wanted)}
            sql = f"SELECT subject, counts FROM profile WHERE window_start >= 1000000 AND subject IN ({listed})"
            for subject, raw in database.query(sql):
                total[index[subject]] += decode_counts(bytes(raw))
        assert total.sum() > 0
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


@contextlib.contextmanager
def cluster() -> Iterator[str | None]:
    """A PostgreSQL cluster in a temporary folder, run by an unprivileged user; None where there is no PostgreSQL."""
    if not (POSTGRES / "initdb").exists():
        print("row_grain: no PostgreSQL 15 here (apt-get install postgresql), SQLite only", file=sys.stderr)
        yield None
        return
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="grain-pg-"))
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        run["user"] = "postgres"
    try:
        subprocess.run([POSTGRES / "initdb", "-D", folder / "data", "-A", "trust", "-U", "grain"], **run)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
        subprocess.run([POSTGRES / "pg_ctl", "-D", folder / "data", "-o", options, "-w", "start"], **run)
        try:
            yield f"host=127.0.0.1 port={port} user=grain"
        finally:
            subprocess.run([POSTGRES / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **run)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of commits in each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--features", type=int, action="append", help="5 and 200 unless given")
    parser.add_argument("--postgresql-only", action="store_true", help="for a long run that shows the bloat")
    options = parser.parse_args()
    results: dict[tuple[str, int, Grain], list[Result]] = {}
    with cluster() as url:
        for _ in range(options.rounds):
            for subjects in options.features or (5, 200):
                for grain in ("subject", "window"):
                    if not options.postgresql_only:
                        with tempfile.TemporaryDirectory() as folder:
                            one = run_once(Sqlite(Path(folder)), grain, subjects, options.seconds)
                        results.setdefault(("SQLite", subjects, grain), []).append(one)
                    if url is not None:
                        database = Postgres(url)
                        one = run_once(database, grain, subjects, options.seconds)
                        database.close()
                        results.setdefault(("PostgreSQL", subjects, grain), []).append(one)
    print(
        "store       features  row per   predictions/s (range)       p50 ms  p99 ms  bytes each  table MiB  read 1  all"
    )
    for (store, subjects, grain), runs in sorted(results.items()):
        rates = [one.rate for one in runs]

        def median(name: str, runs: list[Result] = runs) -> float:
            return statistics.median(getattr(one, name) for one in runs)

        print(
            f"{store:<12}{subjects:>7}   {grain:<9} {statistics.median(rates):>8,.0f}"
            f" ({min(rates):,.0f}-{max(rates):,.0f})"
            f"{median('median'):>12.2f}{median('p99'):>8.1f}{median('bytes_each'):>12,.0f}"
            f"{median('size') / 2**20:>10.1f}{median('read_one'):>9.1f}{median('read_all'):>8.1f}"
        )


if __name__ == "__main__":
    main()
