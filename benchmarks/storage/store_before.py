"""The store beside that of an earlier commit: bytes, commits, and counting again in the cells of a new reference.

Each is a process of its own (`store_process.py`) with the code of its commit; they take turns, with the same
predictions. A commit is given its predictions as rows, which is the only way that earlier ones know.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg

from benchmarks.report import Row, compared, less
from benchmarks.servers import earlier, processor_seconds_of_all
from benchmarks.storage.shapes import SHAPES
from tests.support.servers.live_service import REPOSITORY
from tests.support.servers.postgres import Cluster, cluster

# Rounds of commits, and the windows that they are in.
GROUPS, WINDOWS = 8, 12


class _Turns:
    """A process with the code of a checkout, and a store of its own."""

    def __init__(self, root: Path, url: str, shape: int, size: Callable[[], int]) -> None:
        """size: bytes of its store."""
        paths = [root / "src", REPOSITORY]
        self.size = size
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.storage.store_process", url, str(shape)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self, turn: str, *numbers: int) -> dict[str, float]:
        """What a turn took. Raises RuntimeError when the process has failed; it has said why."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(turn, *numbers, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the store's process has ended at {turn}")
        figures: dict[str, float] = json.loads(answer)
        return figures

    def close(self) -> None:
        self._process.communicate()


def run(before: str, batches: int, rounds: int) -> list[Row]:
    """Bytes, rates and processor time of each shape on both engines, then counting again, on SQLite."""
    rows: list[Row] = []
    with ExitStack() as stack:
        root = stack.enter_context(earlier(before))
        server = stack.enter_context(cluster(durable=True))
        for place, shape in enumerate(SHAPES):
            number = batches * (4 if shape.rows < 100 else 1)
            with _on_sqlite((REPOSITORY, root), place) as pair:
                rows += _stored(f"SQLite, {shape.name}, beside {before}", before, pair, number, shape.rows)
                if not place:
                    rows.append(_counted_again(before, pair, (1 + number // GROUPS * GROUPS) * shape.rows, rounds))
            with _on_postgresql((REPOSITORY, root), place, server) as pair:
                name = f"PostgreSQL, {shape.name}, beside {before}"
                rows += _stored(name, before, pair, number, shape.rows, server.pid)
    return rows


@contextmanager
def _on_sqlite(roots: Sequence[Path], shape: int) -> Iterator[list[_Turns]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        files = [Path(name) / f"{place}.db" for place in range(len(roots))]
        yield [
            stack.enter_context(
                closing(_Turns(root, f"sqlite:///{file}", shape, lambda file=file: _file_size(file)))  # type: ignore[misc]
            )
            for root, file in zip(roots, files, strict=True)
        ]


@contextmanager
def _on_postgresql(roots: Sequence[Path], shape: int, server: Cluster) -> Iterator[list[_Turns]]:
    with ExitStack() as stack:
        urls = [stack.enter_context(server.database(migrated=False)) for _ in roots]
        yield [
            stack.enter_context(closing(_Turns(root, url, shape, lambda url=url: database_size(url))))  # type: ignore[misc]
            for root, url in zip(roots, urls, strict=True)
        ]


def _file_size(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file.stat().st_size


def database_size(url: str) -> int:
    """Bytes of a database of PostgreSQL that has been vacuumed."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM")
        [size] = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size)


def _stored(
    name: str, before: str, pair: Sequence[_Turns], batches: int, rows: int, server: int | None = None
) -> list[Row]:
    """Rows of a shape on an engine. server: the first process of PostgreSQL."""

    def of_server() -> float:
        return 0.0 if server is None else processor_seconds_of_all(server)

    # What the first commits make of files and tables is not theirs.
    for each in pair:
        each.take("commit", 1, WINDOWS)
    empty = [each.size() for each in pair]
    rates: tuple[list[float], list[float]] = ([], [])
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(GROUPS):
        for each, of_rates, of_times in zip(pair, rates, times, strict=True):
            worked = of_server()
            taken = each.take("commit", batches // GROUPS, WINDOWS)
            number = batches // GROUPS * rows
            of_rates.append(number / taken["seconds"])
            of_times.append((taken["processor"] + of_server() - worked) / number * 1e6)
    number = batches // GROUPS * GROUPS * rows
    ours, theirs = ((each.size() - size) / number for each, size in zip(pair, empty, strict=True))
    note = f"baseline: the store of {before}; given as rows"
    return [
        less(f"{name}: bytes a prediction", "bytes", [ours], [theirs], f"{note}; {number:,} predictions"),
        compared(f"{name}: durable commits", "predictions/s", *rates, note),
        less(f"{name}: processor time of a commit", "us CPU", *times, note),
    ]


def _counted_again(before: str, pair: Sequence[_Turns], number: int, rounds: int) -> Row:
    found: tuple[list[float], list[float]] = ([], [])
    for place in range(rounds + 1):
        for each, taken in zip(pair, found, strict=True):
            figure = each.take("count_again", WINDOWS)["processor"] / number * 1e6
            # What the first one loads is not the scan's.
            if place:
                taken.append(figure)
    note = f"scan and counts in the cells of a new reference; baseline: the store of {before}; {number:,} predictions"
    return less(f"re-binning after a new reference, SQLite, beside {before}", "us CPU a row", *found, note)
