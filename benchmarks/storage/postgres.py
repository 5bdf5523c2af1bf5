"""Durable ingest on PostgreSQL with one and four processes; writer slots against additive upserts; the join of labels.

The server is a real one with fsync on, in a temporary folder. Each process commits batches of predictions of one model,
all into the same windows, as replicas do. The baselines write the same predictions as plain rows (`plain_store.py`) and
add to counts that all processes share: a row for each cell, `n = n + excluded.n`, in sorted order, in one statement.
One has the same cells as the service, counted by the same code; the other twelve a subject, too few for its statistics.

The same processes take turns, in short rounds. What the server does by itself would fall into anybody's round, so there
is no checkpoint in these minutes, and no autovacuum, whose work the upserts would have most of.

Rates are of all processes together; processor time is that of the processes and of the whole server.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
import psycopg
from numpy.typing import NDArray

from benchmarks.report import Row, compared, less
from benchmarks.servers import processor_seconds_of_all
from benchmarks.storage.plain_store import Given, PlainPostgres, predictions
from benchmarks.stores import ledger_of, migrated, new_id, now
from modelwatch.events import GroundTruth, Prediction, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import Layout, read_layouts
from tests.support.servers.postgres import Cluster, cluster

MODEL = "fraud"
FEATURES = 10
# Cells of a subject in the coarse baseline.
FEW_CELLS = 12
BATCH = 100
# So many batches come again and again, under new ids.
MADE = 50
SECONDS, QUICK_SECONDS = 1.2, 0.5
ROUNDS, QUICK_ROUNDS = 7, 2
LABELS, QUICK_LABELS = 40_000, 4_000
PROCESSES = (1, 4)
KINDS = ("slots", "same cells", "few cells")
COUNTS = "additive_count"
WAIT_SECONDS = 120.0
NOTHING_BY_ITSELF = {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "4GB"}

Commit = Callable[[Given], object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one process: predictions, how long they took, its processor time, and the seconds of each commit."""

    predictions: int
    seconds: float
    processor: float
    commits: list[float]


@dataclass(frozen=True, slots=True)
class Round:
    """Result of all processes. server: processor time of PostgreSQL, in seconds."""

    outcomes: list[Outcome]
    server: float

    @property
    def predictions(self) -> int:
        return sum(each.predictions for each in self.outcomes)

    @property
    def rate(self) -> float:
        """Predictions a second."""
        return sum(each.predictions / each.seconds for each in self.outcomes)

    @property
    def processor(self) -> float:
        """Microseconds of processor time a prediction."""
        return (self.server + sum(each.processor for each in self.outcomes)) / self.predictions * 1e6


def run(*, quick: bool = False) -> list[Row]:
    """Rates and processor time side by side, in alternating rounds."""
    seconds = QUICK_SECONDS if quick else SECONDS
    found: dict[tuple[str, int], list[Round]] = {}
    with cluster(durable=True, **NOTHING_BY_ITSELF) as server:
        with server.database() as url:
            _prepare(url)
            writers = [_Writer(url) for _ in range(max(PROCESSES))]
            try:
                for number in range(QUICK_ROUNDS if quick else ROUNDS):
                    for processes in PROCESSES:
                        # Whoever is first in a round is last in the next.
                        for kind in KINDS[:: -1 if number % 2 else 1]:
                            done = _together(server, kind, writers[:processes], seconds)
                            found.setdefault((kind, processes), []).append(done)
            finally:
                for each in writers:
                    each.close()
            rows = [
                row
                for kind in KINDS[1:]
                for processes in PROCESSES
                for row in _rows(kind, processes, seconds, found["slots", processes], found[kind, processes])
            ]
        with server.database() as url:
            rows.append(_joined(url, QUICK_LABELS if quick else LABELS))
    return rows


class _Writer:
    """A process that commits batches when it is told to."""

    def __init__(self, url: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_write, args=(url, there), daemon=True)
        self._process.start()

    def begin(self, kind: str, seconds: float) -> None:
        """Lets it commit for so long, in this way."""
        self._here.send((kind, seconds))

    def outcome(self) -> Outcome:
        """The result of what was begun, when it has ended. Raises RuntimeError when the process has failed."""
        if not self._here.poll(WAIT_SECONDS):
            raise RuntimeError("a writer has not ended")
        try:
            outcome: Outcome = self._here.recv()
        except EOFError:
            raise RuntimeError("a writer has failed") from None
        return outcome

    def close(self) -> None:
        self._here.close()
        self._process.join(WAIT_SECONDS)


def _rows(kind: str, processes: int, seconds: float, ours: list[Round], theirs: list[Round]) -> list[Row]:
    def commits(rounds: list[Round]) -> str:
        all_of_them = [time for each in rounds for outcome in each.outcomes for time in outcome.commits]
        middle, late = np.quantile(np.array(all_of_them) * 1_000, [0.5, 0.99])
        return f"{middle:.0f} and {late:.0f} ms"

    name = f"durable ingest on PostgreSQL, {processes} writer{'s' if processes > 1 else ''}, beside additive upserts"
    name = f"{name}, {kind}"
    note = f"batches of {BATCH} x {FEATURES}, {seconds:g} s a round"
    late = f"p50 and p99 of a commit {commits(ours)}, baseline {commits(theirs)}"
    rate, rate_beside = ([each.rate for each in rounds] for rounds in (ours, theirs))
    cpu, cpu_beside = ([each.processor for each in rounds] for rounds in (ours, theirs))
    server, server_beside = (
        statistics.median(each.server / each.predictions * 1e6 for each in rounds) for rounds in (ours, theirs)
    )
    shares = f"of it the server's {server:.0f}, of the baseline {server_beside:.0f}"
    return [
        compared(name, "predictions/s", rate, rate_beside, f"{note}; {late}"),
        less(f"{name}: processor time", "us CPU", cpu, cpu_beside, f"{note}; {shares}"),
    ]


def _together(server: Cluster, kind: str, writers: list[_Writer], seconds: float) -> Round:
    def committed(length: float) -> list[Outcome]:
        for each in writers:
            each.begin(kind, length)
        return [each.outcome() for each in writers]

    # One commit of each is not counted: it takes up what has changed since its last turn.
    committed(0.0)
    before = processor_seconds_of_all(server.pid)
    outcomes = committed(seconds)
    return Round(outcomes, processor_seconds_of_all(server.pid) - before)


def _prepare(url: str) -> None:
    rng = np.random.default_rng(0)
    samples = [
        ReferenceSample("feature", f"f{place}", "continuous", rng.normal(0, 1, 2_000).tolist())
        for place in range(FEATURES)
    ]
    with closing(migrated(url)) as store:
        set_reference_frame(store, ReferenceFrame(MODEL, None, samples), now=now(), new_id=new_id)
    with closing(PlainPostgres(url)) as plain:
        for kind in KINDS[1:]:
            plain.connection.execute(
                f"CREATE TABLE {_counts_table(kind)} (model text, window_start bigint, cell int, n bigint,"
                " PRIMARY KEY (model, window_start, cell))".encode()
            )
        plain.connection.commit()


def _counts_table(kind: str) -> str:
    return f"{COUNTS}_{kind.replace(' ', '_')}"


def _batches() -> Iterator[Given]:
    """Predictions of now, without end."""
    rng = np.random.default_rng(os.getpid())
    began = now()
    made = [predictions(rng, BATCH, FEATURES, began, MODEL) for _ in range(MADE)]
    while True:
        for given in made:
            yield given.again([new_id() for _ in range(BATCH)], now() - began)


def _write(url: str, told: Connection) -> None:
    """Commits for so long as it is told, in the way that it is told, until nothing is told any more."""
    batches = _batches()
    with closing(Store(url)) as store, closing(PlainPostgres(url, make=False)) as plain:
        ledger = ledger_of(store)
        with store.read() as connection:
            layout = read_layouts(connection, MODEL, generation_of(connection, MODEL) or 0).of("1")
        commits: dict[str, Commit] = {
            "slots": lambda given: ledger.commit(given.batch),
            **{kind: _upserts(kind, layout, plain) for kind in KINDS[1:]},
        }
        while True:
            try:
                kind, seconds = told.recv()
            except EOFError:
                break
            told.send(_timed(commits[kind], batches, seconds))
        ledger.close()


def _upserts(kind: str, layout: Layout, plain: PlainPostgres) -> Commit:
    """The commit of a baseline."""
    upsert = (
        f"INSERT INTO {_counts_table(kind)} AS known SELECT %s, %s, * FROM unnest(%b::int[], %b::bigint[])"
        " ON CONFLICT (model, window_start, cell) DO UPDATE SET n = known.n + excluded.n"
    ).encode()

    def commit(given: Given) -> None:
        plain.insert(given, commit=False)
        counts = layout.count(given.batch)
        if kind == "few cells":
            counts = _fewer(layout, counts)
        [cells] = np.nonzero(counts)
        window = int(given.batch.times[0]) // 300_000_000 * 300
        plain.connection.execute(upsert, (MODEL, window, cells.tolist(), counts[cells].tolist()))
        plain.connection.commit()

    return commit


def _fewer(layout: Layout, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The counts of so few cells a subject, each of several that lie beside each other."""
    parts = []
    for place in layout.slices.values():
        size = place.stop - place.start
        starts = np.unique(np.linspace(0, size, min(FEW_CELLS, size), endpoint=False).astype(int))
        parts.append(np.add.reduceat(counts[place], starts))
    return np.concatenate(parts)


def _timed(commit: Commit, batches: Iterator[Given], seconds: float) -> Outcome:
    """What is committed in so many seconds: one batch at least."""
    times: list[float] = []
    processor = 0.0
    began = time.perf_counter()
    while not times or time.perf_counter() < began + seconds:
        batch = next(batches)
        prepared, worked = time.perf_counter(), time.process_time()
        commit(batch)
        processor += time.process_time() - worked
        times.append(time.perf_counter() - prepared)
    return Outcome(BATCH * len(times), time.perf_counter() - began, processor, times)


def _joined(url: str, size: int) -> Row:
    """Labels for stored predictions in random order, beside bare look-ups by the same index."""
    rng = np.random.default_rng(0)
    at = now()
    events = [
        Prediction(MODEL, "1", "production", f"{index:08x}", at + index, {"x": 1.0}, "yes" if index % 2 else "no", 0.7)
        for index in range(size)
    ]
    ids = [f"{index:08x}" for index in rng.permutation(size)]
    ours: list[float] = []
    plain: list[float] = []
    query = "SELECT day, ts, prediction, probability FROM prediction WHERE model = %s AND prediction_id = %s"
    with closing(migrated(url)) as store, closing(ledger_of(store)) as ledger, psycopg.connect(url) as connection:
        for start in range(0, size, 2_000):
            ledger.commit(events[start : start + 2_000])
        for number in range(5):
            piece = ids[size * number // 5 : size * (number + 1) // 5]
            began = time.perf_counter()
            for identity in piece:
                connection.execute(query, (MODEL, identity)).fetchall()
            plain.append(len(piece) / (time.perf_counter() - began))
            labels = [GroundTruth(MODEL, identity, "yes", at + 10**9) for identity in piece]
            began = time.perf_counter()
            for start in range(0, len(labels), 2_000):
                ledger.commit([], labels[start : start + 2_000])
            ours.append(len(piece) / (time.perf_counter() - began))
    name = f"labels joined to {size:,} stored predictions on PostgreSQL, random order"
    return compared(name, "labels/s", ours, plain, "baseline: bare look-ups by the same index, one by one")
