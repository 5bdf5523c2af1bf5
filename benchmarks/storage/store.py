"""What the store costs beside plain tables of the same engine: bytes, commits, and the scan for new cells.

The plain tables (`plain_store.py`) have a row for each prediction with its features as JSON, as the rows of earlier
releases have, and no counts. Both are durable. Bytes are those of the whole file or database, counts included, after
`VACUUM` on PostgreSQL. Processor time is that of this process and of PostgreSQL's.

The scan reads all stored predictions into columns, as it is done for new cells; plain rows are read and their JSON is
decoded. Re-binning: a reference is replaced, and the counts of 12 windows are made again in the new cells; plain rows
are counted by the same code.

`make bench ARGS="store --before COMMIT"` measures the store of another commit in their place, see store_before.py.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.report import Row, compared, less, taken
from benchmarks.servers import processor_seconds_of_all
from benchmarks.storage import store_before
from benchmarks.storage.plain_store import Given, PlainPostgres, PlainSqlite
from benchmarks.storage.shapes import MICROSECONDS, MODEL, SHAPES, START, Shape
from benchmarks.stores import ledger_of, migrated
from modelwatch.batches import PredictionBatch
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.stats.segments.segmentation import NO_SEGMENTS
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.ledger.predictions.reading import stored_batches
from modelwatch.storage.ledger.slots import window_starts
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references.layouts import Counts, Layout, read_layouts
from modelwatch.times import MICROS_PER_DAY
from tests.support.servers.postgres import cluster

BATCHES, QUICK_BATCHES = 40, 8
# Of the scan.
SCANNED, QUICK_SCANNED = 20, 4
# Of models with very many features.
NAMED, KNOWN, QUICK_KNOWN, COMMITS = 20, 2_000, 200, 8
SCANNED_WINDOWS = 12
ROUNDS, QUICK_ROUNDS = 5, 2
# As measurements divide a batch's time: rounds of commits that alternate.
GROUPS = 8


def run(*, quick: bool = False, before: str | None = None) -> list[Row]:
    """Bytes, rates and processor time of each shape on both engines, then the scan on SQLite.

    before: a commit whose store is beside, instead of the plain tables.
    """
    if before is not None:
        return store_before.run(before, QUICK_BATCHES if quick else BATCHES, QUICK_ROUNDS if quick else ROUNDS)
    rows = []
    with ExitStack() as stack:
        server = stack.enter_context(cluster(durable=True))
        for shape in SHAPES:
            batches = (QUICK_BATCHES if quick else BATCHES) * (4 if shape.rows < 100 else 1)
            with tempfile.TemporaryDirectory() as name:
                sqlite = _Sqlite(Path(name))
                rows += _stored(shape, batches, sqlite)
            with server.database(migrated=False) as ours, server.database(migrated=False) as plain:
                rows += _stored(shape, batches, _Postgres(ours, plain, server.pid))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            rounds = QUICK_ROUNDS if quick else ROUNDS
            rows += _scanned(folder, QUICK_SCANNED if quick else SCANNED, rounds)
            rows.append(_of_many(folder, QUICK_KNOWN if quick else KNOWN, rounds))
    return rows


def _of_many(folder: Path, known: int, rounds: int) -> Row:
    """Commits of predictions that name a few of very many features, beside those of a model of these few."""
    few = Shape(f"{NAMED} of {known:,} numbers, 32 a commit", 32, NAMED, 0, None, has_uuids=True)
    found: tuple[list[float], list[float]] = ([], [])
    with ExitStack() as stack:
        turns = []
        for place, shape in enumerate((replace(few, known=known), few)):
            store = stack.enter_context(closing(migrated(f"sqlite:///{folder / f'{place}.db'}")))
            rng = np.random.default_rng(1)
            shape.set_reference(store, rng)
            turns.append((shape, rng, stack.enter_context(closing(_ledger(store)))))
        for number in range(-1, rounds):
            for (shape, rng, ledger), times in zip(turns, found, strict=True):
                some = [Given.of(shape.events(rng, place)).batch for place in range(COMMITS)]
                seconds = taken(lambda some=some, ledger=ledger: [ledger.commit(each) for each in some])  # type: ignore[misc]
                if number >= 0:
                    times.append(seconds / COMMITS / shape.rows * 1e6)
    note = "baseline: a model of these few; each prediction names others"
    return less(f"SQLite, {few.name}: processor time of a commit", "us CPU", *found, note)


class _Sqlite:
    """Two files in a folder."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._files = folder / "ours.db", folder / "plain.db"
        self.store = migrated(f"sqlite:///{self._files[0]}")
        self.plain = PlainSqlite(self._files[1])

    def processor(self) -> float:
        return time.process_time()

    def sizes(self) -> tuple[int, int]:
        """Bytes of ours and of the plain one."""
        self.store.empty_log()
        self.plain.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._files[0].stat().st_size, self._files[1].stat().st_size


class _Postgres:
    """Two databases of a server."""

    name = "PostgreSQL"

    def __init__(self, ours: str, plain: str, server: int) -> None:
        self._urls, self._server = (ours, plain), server
        self.store, self.plain = migrated(ours), PlainPostgres(plain)

    def processor(self) -> float:
        return time.process_time() + processor_seconds_of_all(self._server)

    def sizes(self) -> tuple[int, int]:
        """Bytes of ours and of the plain one."""
        ours, plain = map(store_before.database_size, self._urls)
        return ours, plain


def _stored(shape: Shape, batches: int, engine: _Sqlite | _Postgres) -> list[Row]:
    """Rows of a shape on an engine, whose connections are closed."""
    rng = np.random.default_rng(1)
    store, plain = engine.store, engine.plain
    with closing(store), closing(plain):
        shape.set_reference(store, rng)
        with closing(_ledger(store)) as ledger:
            first = Given.of(shape.events(rng, batches))
            ledger.commit(first.batch)
            plain.insert(first)
            empty = engine.sizes()
            rates: tuple[list[float], list[float]] = ([], [])
            times: tuple[list[float], list[float]] = ([], [])
            for group in range(GROUPS):
                some = [Given.of(shape.events(rng, place)) for place in range(group, batches, GROUPS)]
                works: tuple[Callable[[Given], object], ...] = (lambda given: ledger.commit(given.batch), plain.insert)
                for work, of_rates, of_times in zip(works, rates, times, strict=True):
                    worked, began = engine.processor(), time.perf_counter()
                    for given in some:
                        work(given)
                    predictions = len(some) * shape.rows
                    of_rates.append(predictions / (time.perf_counter() - began))
                    of_times.append((engine.processor() - worked) / predictions * 1e6)
            number = batches * shape.rows
            ours, theirs = ((now - before) / number for now, before in zip(engine.sizes(), empty, strict=True))
    name, note = f"{engine.name}, {shape.name}", "baseline: plain rows with JSON, without counts"
    size_note = f"baseline: plain rows with JSON, without counts; {number:,} predictions, once"
    return [
        Row(f"{name}: bytes a prediction", ours, "bytes", theirs, theirs / ours, size_note),
        compared(f"{name}: durable commits", "predictions/s", *rates, note),
        less(f"{name}: processor time of a commit", "us CPU", *times, note),
    ]


def _scanned(folder: Path, batches: int, rounds: int) -> list[Row]:
    rng, shape = np.random.default_rng(1), SHAPES[0]
    store, plain = migrated(f"sqlite:///{folder / 'ours.db'}"), PlainSqlite(folder / "plain.db")
    with closing(store), closing(plain):
        shape.set_reference(store, rng)
        with closing(_ledger(store)) as ledger:
            ledger.commit([shape.later(rng)])
            for batch in range(batches):
                given = Given.of(shape.events(rng, batch, SCANNED_WINDOWS))
                ledger.commit(given.batch)
                plain.insert(given)
        number = batches * shape.rows
        start = START // MICROSECONDS
        end = start + SCANNED_WINDOWS * BASE_WINDOW_SECONDS
        scans: tuple[list[float], list[float]] = ([], [])
        counts: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            shape.set_reference(store, rng)
            for scanned, times in zip((_stored_batches(store), plain.batches()), scans, strict=True):
                worked, found = time.process_time(), 0
                for each in scanned:
                    found += len(each)
                    for name in shape.names():
                        each.feature(name).numbers()
                times.append((time.process_time() - worked) / number * 1e6)
                if found != number:
                    raise RuntimeError(f"{found} of {number} predictions were read")
            worked = time.process_time()
            if not backfill_profiles(store, MODEL, start, end):
                raise RuntimeError("nothing was counted again")
            counts[0].append((time.process_time() - worked) / number * 1e6)
            with store.read() as connection:
                layouts = read_layouts(connection, MODEL, generation_of(connection, MODEL) or 0)
                [sums] = sum_windows(connection, MODEL, layouts, "production", [(start, end)])
            worked = time.process_time()
            counted = _counted_again(layouts.of("1"), plain.batches())
            counts[1].append((time.process_time() - worked) / number * 1e6)
            if not np.array_equal(counted, sums["1"].counts):
                raise RuntimeError("the store and the plain rows have other counts")
    note = f"{number:,} predictions of 50 numbers"
    return [
        less(
            "scan of stored predictions to columns, SQLite",
            "us CPU a row",
            *scans,
            f"baseline: plain rows, their JSON decoded; {note}",
        ),
        less(
            "re-binning after a new reference, SQLite",
            "us CPU a row",
            *counts,
            f"baseline: that scan of plain rows, counted by the same code; {note}",
        ),
    ]


def _stored_batches(store: Store) -> Iterator[PredictionBatch]:
    with store.read() as connection:
        generation = generation_of(connection, MODEL) or 0
        day = START // MICROS_PER_DAY
        for each in stored_batches(connection, MODEL, day, generation, store.protection, NO_SEGMENTS):
            yield each.batch


def _counted_again(layout: Layout, batches: Iterator[PredictionBatch]) -> Counts:
    """The counts of plain rows, window by window; returns their sum."""
    found: dict[int, Counts] = {}
    for batch in batches:
        starts, groups = np.unique(window_starts(batch.times), return_inverse=True)
        for start, counts in zip(starts.tolist(), layout.count_groups(batch, groups, len(starts)), strict=True):
            found[start] = found[start] + counts if start in found else counts
    return np.sum(list(found.values()), axis=0, dtype=np.int64)


def _ledger(store: Store) -> Ledger:
    return ledger_of(store, lambda: START + 400 * MICROSECONDS)
