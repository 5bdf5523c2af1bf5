"""Durable ingest on PostgreSQL with one and four processes; writer slots against additive upserts; the join of labels.

The server is a real one with fsync on, in a temporary folder. Each process commits batches of predictions of one model,
all into the same windows, as replicas do. Additive: the same rows, and counts that every process adds to in place
(`count = count + excluded.count`), in sorted order, a row for each cell.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import psycopg

from benchmarks.report import Row, compared
from modelwatch.events import GroundTruth, Prediction, ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from tests.support.postgres import cluster

MODEL = "fraud"
FEATURES = 10
CELLS = 12
BATCH = 100
SECONDS, QUICK_SECONDS = 8.0, 2.0
ROUNDS, QUICK_ROUNDS = 3, 1
LABELS, QUICK_LABELS = 40_000, 4_000
PROCESSES = (1, 4)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one process: predictions, and the seconds of each commit."""

    predictions: int
    commits: list[float]


def run(*, quick: bool = False) -> list[Row]:
    """Rates side by side, in alternating rounds."""
    seconds = QUICK_SECONDS if quick else SECONDS
    found: dict[tuple[str, int], list[list[Outcome]]] = {}
    with cluster(durable=True) as server:
        with server.database() as url:
            _prepare(url)
            for _ in range(QUICK_ROUNDS if quick else ROUNDS):
                for processes in PROCESSES:
                    for kind, work in (("slots", _with_slots), ("additive", _additive)):
                        outcomes = _together(work, url, processes, seconds)
                        found.setdefault((kind, processes), []).append(outcomes)
            rows = [_row(processes, seconds, found) for processes in PROCESSES]
        with server.database() as url:
            rows.append(_joined(url, QUICK_LABELS if quick else LABELS))
    return rows


def _row(processes: int, seconds: float, found: dict[tuple[str, int], list[list[Outcome]]]) -> Row:
    def rates(kind: str) -> list[float]:
        return [sum(each.predictions for each in outcomes) / seconds for outcomes in found[kind, processes]]

    def commits(kind: str) -> str:
        all_of_them = [time for outcomes in found[kind, processes] for each in outcomes for time in each.commits]
        middle, late = np.quantile(np.array(all_of_them) * 1_000, [0.5, 0.99])
        return f"{middle:.0f} and {late:.0f} ms"

    return compared(
        f"durable ingest on PostgreSQL, {processes} process{'es' if processes > 1 else ''}, batches of {BATCH}",
        "predictions/s",
        rates("slots"),
        rates("additive"),
        f"baseline: additive upserts; p50 and p99 of a commit: {commits('slots')}, baseline {commits('additive')};"
        f" {seconds:g} s a round",
    )


def _together(work: Callable[[str, float], Outcome], url: str, processes: int, seconds: float) -> list[Outcome]:
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.starmap(work, [(url, seconds)] * processes)


def _prepare(url: str) -> None:
    store = Store(url)
    migrate(store)
    rng = np.random.default_rng(0)
    samples = [
        ReferenceSample("feature", f"f{place}", "continuous", rng.normal(0, 1, 2_000).tolist())
        for place in range(FEATURES)
    ]
    set_reference_frame(store, ReferenceFrame(MODEL, None, samples), now=_now(), new_id=_new_id)
    store.close()
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:"), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE additive_row (day int, model text, prediction_id text, features bytea,"
            " PRIMARY KEY (day, model, prediction_id))"
        )
        connection.execute(
            "CREATE TABLE additive_count (model text, window_start bigint, subject text, cell int, n bigint,"
            " PRIMARY KEY (model, window_start, subject, cell))"
        )


def _batches() -> Iterator[list[Prediction]]:
    """Predictions of now, without end."""
    rng = np.random.default_rng()
    while True:
        values = rng.normal(0, 1, (BATCH, FEATURES)).tolist()
        now = _now()
        yield [
            Prediction(
                MODEL,
                "1",
                "production",
                uuid.uuid4().hex,
                now + number,
                {f"f{place}": value for place, value in enumerate(row)},
                "legitimate",
                0.9,
            )
            for number, row in enumerate(values)
        ]


def _with_slots(url: str, seconds: float) -> Outcome:
    """As the service does."""
    store = Store(url)
    ledger = Ledger(store, clock=_now, new_id=_new_id, host="benchmark", rotation_seconds=3_600)
    done = _timed(_batches(), ledger.commit, seconds)
    ledger.close()
    store.close()
    return done


def _additive(url: str, seconds: float) -> Outcome:
    """Rows in one statement, and every count in place."""
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:")) as connection:

        def commit(batch: list[Prediction]) -> None:
            cursor = connection.cursor()
            cursor.execute(
                "INSERT INTO additive_row SELECT 20000, 'fraud', * FROM unnest(%s::text[], %s::bytea[])"
                " ON CONFLICT DO NOTHING RETURNING prediction_id",
                (
                    [each.prediction_id for each in batch],
                    [str(list(each.features.values())).encode() for each in batch],
                ),
            )
            cursor.fetchall()
            window = batch[0].timestamp // 300_000_000 * 300
            cells: dict[tuple[str, int], int] = {}
            for each in batch:
                for name, value in each.features.items():
                    place = (name, min(CELLS - 1, max(0, int(float(value) * 3) + CELLS // 2)))  # type: ignore[arg-type]
                    cells[place] = cells.get(place, 0) + 1
            cursor.executemany(
                "INSERT INTO additive_count VALUES ('fraud', %s, %s, %s, %s)"
                " ON CONFLICT (model, window_start, subject, cell) DO UPDATE SET n = additive_count.n + excluded.n",
                [(window, subject, cell, n) for (subject, cell), n in sorted(cells.items())],
            )
            connection.commit()

        return _timed(_batches(), commit, seconds)


def _timed(
    batches: Iterator[list[Prediction]], commit: Callable[[list[Prediction]], object], seconds: float
) -> Outcome:
    commit(next(batches))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        batch = next(batches)
        prepared = time.perf_counter()
        commit(batch)
        times.append(time.perf_counter() - prepared)
    return Outcome(BATCH * len(times), times)


def _joined(url: str, size: int) -> Row:
    """Labels for stored predictions in random order, beside bare look-ups by the same index."""
    store = Store(url)
    migrate(store)
    ledger = Ledger(store, clock=_now, new_id=_new_id, host="benchmark", rotation_seconds=3_600)
    rng = np.random.default_rng(0)
    now = _now()
    events = [
        Prediction(MODEL, "1", "production", f"{index:08x}", now + index, {"x": 1.0}, "yes" if index % 2 else "no", 0.7)
        for index in range(size)
    ]
    for start in range(0, size, 2_000):
        ledger.commit(events[start : start + 2_000])
    ids = [f"{index:08x}" for index in rng.permutation(size)]
    ours: list[float] = []
    plain: list[float] = []
    query = "SELECT day, ts, prediction, probability FROM prediction WHERE model = %s AND prediction_id = %s"
    with psycopg.connect(url.replace("postgresql+psycopg:", "postgresql:")) as connection:
        for number in range(5):
            piece = ids[size * number // 5 : size * (number + 1) // 5]
            began = time.perf_counter()
            for identity in piece:
                connection.execute(query, (MODEL, identity)).fetchall()
            plain.append(len(piece) / (time.perf_counter() - began))
            labels = [GroundTruth(MODEL, identity, "yes", now + 10**9) for identity in piece]
            began = time.perf_counter()
            for start in range(0, len(labels), 2_000):
                ledger.commit([], labels[start : start + 2_000])
            ours.append(len(piece) / (time.perf_counter() - began))
    ledger.close()
    store.close()
    return Row(
        name=f"labels joined to {size:,} stored predictions on PostgreSQL, random order",
        value=statistics.median(ours),
        unit="labels/s",
        baseline=statistics.median(plain),
        ratio=statistics.median(ours) / statistics.median(plain),
        note=(
            "baseline: bare look-ups by the same index, one by one; 5 rounds,"
            f" ours {min(ours):.0f}-{max(ours):.0f}, baseline {min(plain):.0f}-{max(plain):.0f}"
        ),
    )


def _now() -> int:
    return time.time_ns() // 1_000


def _new_id() -> str:
    return uuid.uuid4().hex
