"""Expiry beside ingest, and the effect of partitioning the table of predictions by day on PostgreSQL.

Removal: days that have expired are removed as the background job does it but without its rests, every prediction
with its label, while others are taken. Beside it the rate at which the same predictions and labels were taken before.

Partitions: the same rows in one table, as they are kept, and in a table with a partition for each day of a month. The
ids of labels name no day, so they are looked up in every partition.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.report import Row, compared
from benchmarks.stores import ledger_of, migrated
from modelwatch.config import Settings
from modelwatch.events import GroundTruth, Prediction
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.scheduler.jobs.retention import Keep, Retention
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.times import MICROS_PER_SECOND
from tests.support.servers.postgres import cluster

MODEL = "fraud"
FEATURES = 10
BATCH = 1_000
SMALL_BATCH, SMALL_COMMITS = 50, 200
PREDICTIONS, QUICK_PREDICTIONS = 100_000, 6_000
DAYS = 31
ROWS_A_DAY, QUICK_ROWS_A_DAY = 10_000, 1_000
ROUNDS, QUICK_ROUNDS = 5, 2
DAY = 86_400
FIRST_DAY = 20_000
COLUMNS = "day, model, prediction_id, version, environment, ts, arrived_at, generation, prediction, features"
TYPES = "int[], text[], text[], text[], text[], bigint[], bigint[], int[], text[], bytea[]"


def run(*, quick: bool = False) -> list[Row]:
    """Removal on both engines, then the look-ups and inserts with and without partitions."""
    count = QUICK_PREDICTIONS if quick else PREDICTIONS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(cluster(durable=True))
        rows = [
            _removal("SQLite", f"sqlite:///{folder / 'modelwatch.db'}", count),
            _removal("PostgreSQL", stack.enter_context(server.database()), count),
        ]
        url = stack.enter_context(server.database())
        return rows + _partitions(url, QUICK_ROWS_A_DAY if quick else ROWS_A_DAY, QUICK_ROUNDS if quick else ROUNDS)


def _removal(engine: str, url: str, count: int) -> Row:
    store = migrated(url)
    clock = [FIRST_DAY * DAY * MICROS_PER_SECOND]
    ledger = ledger_of(store, lambda: clock[0])
    rng = random.Random(0)
    began = time.perf_counter()
    for _ in range(count // BATCH):
        events = [_prediction(rng, clock[0]) for _ in range(BATCH)]
        ledger.commit(events, [GroundTruth(MODEL, event.prediction_id, "fraud", clock[0]) for event in events])
    taken = count / (time.perf_counter() - began)
    clock[0] += 40 * DAY * MICROS_PER_SECOND
    quiet = _commits(ledger, rng, clock[0], lambda commits: commits == SMALL_COMMITS)
    rules = DriftRules.of(Settings())
    job = Retention(
        store,
        Keep(predictions=30, metrics=365),
        rules,
        lambda connection, model: PerformanceRules.of(rules, 0.02),
        timer=time.monotonic,
        round_seconds=1.0,
    )

    def remove() -> float:
        began = time.perf_counter()
        while job(Lease("benchmark", "benchmark", 1), clock[0]):
            pass
        return count / (time.perf_counter() - began)

    with ThreadPoolExecutor(1) as thread:
        removal = thread.submit(remove)
        beside = _commits(ledger, rng, clock[0], lambda _commits: removal.done())
        removed = removal.result()
    ledger.close()
    kept = (len(quiet) + len(beside)) * SMALL_BATCH
    with store.read() as connection:
        left = connection.exec_driver_sql("SELECT (SELECT count(*) FROM prediction) + (SELECT count(*) FROM label)")
        assert left.scalar_one() == kept, "not everything was removed, or too much"
    store.close()
    return Row(
        name=f"expired predictions removed with their labels, {engine}",
        value=removed,
        unit="predictions/s",
        baseline=taken,
        ratio=removed / taken,
        note=(
            f"without a rest, beside commits of {SMALL_BATCH}: p50 and p99 {_quantiles(beside)} ms,"
            f" before {_quantiles(quiet)} ms;"
            f" baseline: the rate at which they were taken, {BATCH} in a commit; {count:,} of one day, once"
        ),
    )


def _commits(ledger: Ledger, rng: random.Random, now: int, enough: Callable[[int], bool]) -> list[float]:
    """The seconds of small commits, one after the other, until it is enough."""
    seconds: list[float] = []
    while not enough(len(seconds)):
        events = [_prediction(rng, now) for _ in range(SMALL_BATCH)]
        began = time.perf_counter()
        ledger.commit(events)
        seconds.append(time.perf_counter() - began)
    return seconds


def _quantiles(seconds: list[float]) -> str:
    return " and ".join(f"{1_000 * value:.0f}" for value in np.quantile(seconds, [0.5, 0.99]))


def _partitions(url: str, rows_a_day: int, rounds: int) -> list[Row]:
    rng = random.Random(1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE by_day (LIKE prediction INCLUDING DEFAULTS) PARTITION BY RANGE (day)")
        connection.execute("ALTER TABLE by_day ADD PRIMARY KEY (day, model, prediction_id)")
        connection.execute("CREATE INDEX ON by_day (model, prediction_id)")
        ids = []
        for day in range(FIRST_DAY, FIRST_DAY + DAYS):
            connection.execute(
                f"CREATE TABLE by_day_{day} PARTITION OF by_day FOR VALUES FROM ({day}) TO ({day + 1})".encode()
            )
            fresh = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(rows_a_day)]
            for table in ("prediction", "by_day"):
                _insert(connection, table, day, fresh)
            ids += fresh
        connection.execute("VACUUM (ANALYZE)")
        found: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds):
            wanted = rng.sample(ids, 10 * BATCH)
            fresh = [str(uuid.uuid4()) for _ in range(10 * BATCH)]
            for table in ("prediction", "by_day"):
                for what, given in (("look-ups", wanted), ("inserts", fresh)):
                    began = time.perf_counter()
                    for start in range(0, len(given), BATCH):
                        some = given[start : start + BATCH]
                        if what == "inserts":
                            _insert(connection, table, FIRST_DAY + DAYS - 1, some)
                        else:
                            assert _look_up(connection, table, some) == len(some)
                    found.setdefault((what, table), []).append(len(given) / (time.perf_counter() - began))
    return [
        compared(
            f"{what} of predictions in one table, PostgreSQL",
            "rows/s",
            found[what, "prediction"],
            found[what, "by_day"],
            f"baseline: a partition for each of {DAYS} days; {rows_a_day:,} rows a day, {BATCH} a statement",
        )
        for what in ("look-ups", "inserts")
    ]


def _insert(connection: psycopg.Connection[tuple[object, ...]], table: str, day: int, ids: list[str]) -> None:
    ids = sorted(ids)
    count, time_of_day = len(ids), day * DAY * MICROS_PER_SECOND
    arrays = ", ".join(f"%s::{kind.strip()}" for kind in TYPES.split(","))
    values = (
        *([day], [MODEL]),
        ids,
        *(["1"], ["production"], [time_of_day], [time_of_day], [1], ['"fraud"'], [b"x" * 150]),
    )
    connection.execute(
        f"INSERT INTO {table} ({COLUMNS}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING".encode(),
        [value if value is ids else value * count for value in values],
    )


def _look_up(connection: psycopg.Connection[tuple[object, ...]], table: str, ids: list[str]) -> int:
    """As labels look up what they are about: id by id. Returns how many were found."""
    statement = (
        "SELECT found.* FROM unnest(%s::text[]) AS wanted (id) JOIN LATERAL (SELECT prediction_id, ts, prediction"
        f" FROM {table} WHERE model = %s AND prediction_id = wanted.id OFFSET 0) AS found ON true"
    )
    return len(connection.execute(statement.encode(), (ids, MODEL)).fetchall())


def _prediction(rng: random.Random, timestamp: int) -> Prediction:
    features = {f"f{place}": rng.random() for place in range(FEATURES)}
    return Prediction(MODEL, "1", "production", str(uuid.UUID(int=rng.getrandbits(128))), timestamp, features, "fraud")
