"""The Python client on the caller's side: what `log` costs, and how much one process sends without a drop.

The service is a process of its own on this machine, with a store on disk. A row has ten features. The costs are those
of single calls, at 2,000 a second: in bursts of ten, as requests come, while the thread of the client sends.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from modelwatch_client import Client

from benchmarks.report import Row
from benchmarks.servers import processor_seconds
from tests.support.servers.live_service import LiveService

FEATURES = {f"number_{place}": place * 1.37 + 0.5 for place in range(8)} | {"shop": "grocery", "country": "DE"}
CALLS, QUICK_CALLS = 10_000, 4_000
BURST, CALLS_A_SECOND = 10, 2_000
GOAL_A_SECOND = 20_000
SECONDS, QUICK_SECONDS = 8, 3
PACE_SECONDS = 0.01
FLUSH_SECONDS = 120


def run(*, quick: bool = False) -> list[Row]:
    """Costs of a call, with the queue in memory and on disk; rates at the goal's pace, and as fast as it goes."""
    with tempfile.TemporaryDirectory() as name, LiveService(Path(name) / "service") as service:
        rows = []
        for where, options in (("memory", {}), ("spool", {"spool_dir": Path(name) / "spool"})):
            with Client(service.url, model_name=f"costs-{where}", **options) as client:
                rows += _costs(client, where, QUICK_CALLS if quick else CALLS)
        seconds = QUICK_SECONDS if quick else SECONDS
        with Client(service.url, model_name="paced") as client:
            rows.append(_paced(client, seconds))
        with Client(service.url, model_name="unpaced", when_full="block", block_seconds=FLUSH_SECONDS) as client:
            rows += _unpaced(client, GOAL_A_SECOND * seconds, service)
    return rows


def _costs(client: Client, where: str, calls: int) -> list[Row]:
    taken: list[int] = []
    begun = time.perf_counter()
    while len(taken) < calls:
        for _ in range(BURST):
            start = time.perf_counter_ns()
            client.log(FEATURES, "legitimate", prediction_probability=0.92, latency_ms=45.2)
            taken.append(time.perf_counter_ns() - start)
        time.sleep(max(begun + len(taken) / CALLS_A_SECOND - time.perf_counter(), 0.0))
    client.flush(FLUSH_SECONDS)
    taken.sort()
    note = f"{calls:,} calls at {CALLS_A_SECOND:,} a second, queue in {where}; {_counts(client)}"
    figures = {"median": statistics.median(taken), "p99": taken[int(0.99 * len(taken))]}
    return [
        Row(f"log(), queue in {where}, {what}", nanoseconds / 1_000, "µs", None, None, note)
        for what, nanoseconds in figures.items()
    ]


def _paced(client: Client, seconds: int) -> Row:
    """So many a second as the goal is; what falls behind is made up for."""
    logged, begun = 0, time.perf_counter()
    while logged < GOAL_A_SECOND * seconds:
        due = min(int((time.perf_counter() - begun) * GOAL_A_SECOND), GOAL_A_SECOND * seconds)
        for _ in range(due - logged):
            client.log(FEATURES, "legitimate", prediction_probability=0.92, latency_ms=45.2)
        logged = due
        time.sleep(PACE_SECONDS)
    client.flush(FLUSH_SECONDS)
    rate = client.stats.sent / (time.perf_counter() - begun)
    note = f"{GOAL_A_SECOND:,} a second for {seconds} s; {_counts(client)}"
    return Row("sent at the pace of the goal", rate, "rows/s", None, None, note)


def _unpaced(client: Client, calls: int, service: LiveService) -> list[Row]:
    """As fast as one thread logs, which waits while the queue is full; and what a row takes of both processes."""
    assert service.pid is not None
    begun, worked = time.perf_counter(), (time.process_time(), processor_seconds(service.pid))
    for _ in range(calls):
        client.log(FEATURES, "legitimate", prediction_probability=0.92, latency_ms=45.2)
    client.flush(FLUSH_SECONDS)
    sent = client.stats.sent
    rate = sent / (time.perf_counter() - begun)
    here, there = (
        (after - before) / sent * 1e6
        for after, before in zip((time.process_time(), processor_seconds(service.pid)), worked, strict=True)
    )
    note = f"waits while the queue is full; {_counts(client)}"
    return [
        Row("sent as fast as it goes", rate, "rows/s", None, None, note),
        Row("a row: processor time in the client's process", here, "us CPU", None, None, note),
        Row("a row: processor time in the service's process", there, "us CPU", None, None, note),
    ]


def _counts(client: Client) -> str:
    stats = client.stats
    return f"{stats.logged:,} logged, {stats.sent:,} sent, {stats.dropped:,} dropped, {stats.rejected:,} rejected"
