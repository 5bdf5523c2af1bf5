"""What is asked for again and again: scrapes of 20,000 series, one page by many at once, drift over 30 days of windows.

The models are copies of one that really sends and is evaluated. Requests go straight to the application, so that no
network is measured. Beside the scrape: how late the event loop comes to what waits for it, with a scrape every half
second and without any; a single prediction waits for it several times.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine

import httpx
import numpy as np
from sqlalchemy import text

from benchmarks.report import Row, less
from benchmarks.service.pages import MODEL, copy, fill
from benchmarks.stores import migrated, sqlite_store
from modelwatch.config import Settings, load_settings
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.server.build import build_service
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.views.drift.series import drift_series
from modelwatch.views.stretches.stretch import SeriesQuery

# So many models of 20 features have 20,000 series.
MODELS, FEATURES, HOURS = 83, 20, 3
WIDE, DAYS, HOURS_A_DAY, MANY = 50, 30, 24, 20
REPETITIONS, QUICK = 21, 5
TICK_SECONDS, BETWEEN_SECONDS = 0.001, 0.5
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3"


def run(*, quick: bool = False) -> list[Row]:
    """Rows of scrapes, then of drift."""
    repetitions = QUICK if quick else REPETITIONS
    with tempfile.TemporaryDirectory(prefix="modelwatch-reads-") as folder:
        settings = load_settings({"DATA_DIR": folder}, dotenv=None)
        store = migrated(settings.database_url)
        fill(store, HOURS, FEATURES)
        with store.write() as connection:
            copy(connection, MODELS, 1)
        store.close()
        rows = asyncio.run(_scrapes(settings, repetitions))
    with tempfile.TemporaryDirectory(prefix="modelwatch-reads-") as folder, sqlite_store(folder) as store:
        fill(store, HOURS_A_DAY, WIDE)
        _repeat(store)
        rows += _drift(store, repetitions)
    return rows


def _repeat(store: Store) -> None:
    """The windows of the day on the days before it, as a monitor with a look-back of 30 days keeps them; each a window
    earlier in the day, so that no two days are the same."""
    columns = [column.name for column in tables.profile.columns]
    moved = ", ".join("window_start - day * 86700" if name == "window_start" else name for name in columns)
    days = f"WITH RECURSIVE earlier(day) AS (SELECT 1 UNION ALL SELECT day + 1 FROM earlier WHERE day < {DAYS - 1})"
    with store.write() as connection:
        connection.execute(
            text(f"{days} INSERT INTO profile ({', '.join(columns)}) SELECT {moved} FROM profile, earlier")
        )


def _drift(store: Store, repetitions: int) -> list[Row]:
    """Checks and series over all of it, in processor time of their thread."""
    rules, end = DriftRules.of(Settings()), int(time.time())
    stretch = SeriesQuery(MODEL, "production", "1", start=end - DAYS * 86_400, end=end)
    work: dict[str, Callable[[], object]] = {
        "drift check over 30 days": lambda: check_drift(
            store, rules, DriftQuery(MODEL, "production", "1", lookback="30d"), end * 10**6
        ),
        "drift series of 30 days": lambda: drift_series(store, rules, stretch, end * 10**6),
    }
    rows = []
    for name, each in work.items():
        taken = []
        for _ in range(repetitions + 1):
            began = time.thread_time()
            each()
            taken.append(1e3 * (time.thread_time() - began))
        first, *again = taken
        spread = f"processor time, {min(again):.0f}-{max(again):.0f} ms; the first {first:.0f} ms"
        note = f"{spread}; {DAYS * HOURS_A_DAY * 12:,} windows of {WIDE} features"
        rows.append(Row(name, statistics.median(again), "ms, median", None, None, note))
    return rows


async def _scrapes(settings: Settings, repetitions: int) -> list[Row]:
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=build_service(settings)), base_url="http://localhost:8000"
    )
    wall, processor, content = [], [], b""
    for _ in range(repetitions + 1):
        began, worked = time.perf_counter(), time.process_time()
        content = (await client.get("/metrics", headers={"accept": OPENMETRICS})).content
        wall.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.process_time() - worked))
    series = sum(not line.startswith(b"#") for line in content.splitlines())

    async def scraped() -> None:
        for _ in range(repetitions):
            began = time.perf_counter()
            await client.get("/metrics", headers={"accept": OPENMETRICS})
            await asyncio.sleep(max(0.0, began + BETWEEN_SECONDS - time.perf_counter()))

    asked = await _asked_by_many(client, f"/ui/models/{MODEL}", repetitions)
    late = [await _lateness(work) for work in (scraped(), asyncio.sleep(BETWEEN_SECONDS * repetitions))]
    note = f"{series:,} series of {MODELS} models, {len(content) / 1e6:.1f} MB; {repetitions} scrapes"
    spread = f"{min(wall[1:]):.0f}-{max(wall[1:]):.0f} ms, processor {statistics.median(processor[1:]):.0f} ms"
    told = "mean {:.2g} ms; baseline: without any, mean {:.2g} ms".format(*(float(np.mean(each)) for each in late))
    p99 = [float(np.percentile(each, 99)) for each in late]
    return [
        Row("scrape", statistics.median(wall[1:]), "ms, median", None, None, f"{spread}; {note}"),
        Row("the first scrape", wall[0], "ms", None, None, f"processor {processor[0]:.0f} ms; reads every verdict"),
        Row("event loop late beside scrapes, p99", p99[0], "ms", p99[1], None, told),
        asked,
    ]


async def _asked_by_many(client: httpx.AsyncClient, address: str, repetitions: int) -> Row:
    """A page, asked for by many at once, beside one after the other; in alternating rounds."""
    at_once, alone = [], []
    await client.get(address)
    for _ in range(max(3, repetitions // 7)):
        began = time.process_time()
        for _ in range(MANY):
            await client.get(address)
        between = time.process_time()
        await asyncio.gather(*(client.get(address) for _ in range(MANY)))
        alone.append(1e3 * (between - began))
        at_once.append(1e3 * (time.process_time() - between))
    note = f"processor time; baseline: one after the other; overview of a model of {FEATURES} features"
    return less(f"a page asked for by {MANY} at once", "ms", at_once, alone, note)


async def _lateness(work: Coroutine[object, object, None]) -> list[float]:
    """By how many milliseconds each of many timers comes too late while this goes on."""
    late, task = [], asyncio.create_task(work)
    while not task.done():
        began = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        late.append(1e3 * (time.perf_counter() - began - TICK_SECONDS))
    await task
    return late
