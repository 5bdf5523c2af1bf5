"""Time at the server and size of the pages, beside 1,000 models of 200 features with a week of stored verdicts.

One model really sends and is evaluated: two days, 200 features, a window every five minutes. The others are copies of
its stream, its reference, its newest window and its verdicts, the newest whole and those before as summaries, as the
service keeps them. Requests go straight to the application, so that no network is measured.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import statistics
import tempfile
import time
import zlib
from pathlib import Path

import httpx
import numpy as np
from sqlalchemy import Connection, Table, text

from benchmarks.report import Row
from benchmarks.service.starvation import background
from benchmarks.stores import ledger_of, migrated, new_id
from modelwatch.config import load_settings
from modelwatch.events import Prediction
from modelwatch.server.build import build_service
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import LATENCY, Subject
from modelwatch.storage.verdicts.verdicts import latest_verdicts

MODELS, FEATURES, HOURS = 1_000, 200, 48
QUICK_MODELS, QUICK_HOURS = 100, 12
WINDOW, A_WINDOW = 300, 20
# Of each copied model, a look every two hours of a week.
LOOKS, BETWEEN = 84, 7_200
REPETITIONS = 9
LONGEST_SECONDS = 240
MODEL = "model_0"
DRIFTING = 3


def run(*, quick: bool = False) -> list[Row]:
    """A row for each page."""
    models, hours = (QUICK_MODELS, QUICK_HOURS) if quick else (MODELS, HOURS)
    with tempfile.TemporaryDirectory(prefix="modelwatch-pages-") as folder:
        settings = load_settings({"DATA_DIR": folder}, dotenv=None)
        store = migrated(settings.database_url)
        fill(store, hours, FEATURES)
        with store.write() as connection:
            copy(connection, models)
        store.close()
        size = Path(folder, "modelwatch.db").stat().st_size / 1e9
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=build_service(settings)), base_url="http://localhost:8000"
        )
        # As the service does when it starts.
        gc.collect()
        gc.freeze()
        note = f"{models:,} models of {FEATURES} features, {size:.1f} GB"
        return asyncio.run(_measure(client, note))


async def _measure(client: httpx.AsyncClient, note: str) -> list[Row]:
    feature = f"feature_{DRIFTING}"
    addresses = {
        "models as JSON": "/api/v1/overview",
        "models": "/ui/models",
        "models, found": "/ui/models?search=model_9&look=tiles",
        "overview": f"/ui/models/{MODEL}",
        "drift": f"/ui/models/{MODEL}/drift",
        "feature": f"/ui/models/{MODEL}/features/{feature}",
        "quality": f"/ui/models/{MODEL}/quality",
        "alerts": "/ui/alerts",
    }
    rows = []
    for name, address in addresses.items():
        wall, processor, content = [], [], b""
        for repetition in range(REPETITIONS + 1):
            began, worked = time.perf_counter(), time.process_time()
            answer = await client.get(address)
            if repetition:
                wall.append(time.perf_counter() - began)
                processor.append(time.process_time() - worked)
            content = answer.content
            if answer.status_code != 200:
                raise RuntimeError(f"{address} was answered {answer.status_code}: {answer.text[:200]}")
        packed = len(gzip.compress(content, 6)) / 1e3
        sizes = f"{packed:.0f} kB compressed, {len(content) / 1e3:.0f} kB"
        spread = (
            f"{1e3 * min(wall):.0f}-{1e3 * max(wall):.0f} ms, processor {1e3 * statistics.median(processor):.0f} ms"
        )
        told = f"{sizes}; {spread}; {note}"
        rows.append(Row(f"page: {name}", 1e3 * statistics.median(wall), "ms, median", None, None, told))
    return rows


def fill(store: Store, hours: int, features: int) -> None:
    """Reference, predictions and verdicts of the one model."""
    rng = np.random.default_rng(1)
    names = [f"feature_{place}" for place in range(features)]
    profiles = {}
    for subject in [*(Subject("feature", name) for name in names), LATENCY]:
        sample = rng.normal(100, 10, 2_000)
        profiles[subject] = Profile.of(numeric_binning(sample), sample.tolist())
    end = int(time.time()) // WINDOW * WINDOW
    set_references(store, MODEL, None, profiles, source="benchmark", now=(end - 10**6) * 10**6, new_id=new_id)
    ledger = ledger_of(store)
    windows = hours * 3_600 // WINDOW
    for place in range(windows):
        start = end - (windows - place) * WINDOW
        values = rng.normal(100, 10, (A_WINDOW, features))
        if place > windows // 2:
            values[:, :DRIFTING] += 15
        ledger.commit(
            [
                Prediction(
                    MODEL,
                    "1",
                    "production",
                    f"{place}-{index}",
                    (start + index) * 10**6,
                    dict(zip(names, row, strict=True)),
                    "yes" if index % 2 else "no",
                    0.5,
                    latency_ms=20.0,
                )
                for index, row in enumerate(values.tolist())
            ]
        )
    ledger.close()
    jobs = background(store)
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        jobs.once()
        with store.read() as connection:
            if any(verdict.severity == "alert" for verdict in latest_verdicts(connection, MODEL)):
                return
    raise AssertionError(f"nothing was found within {LONGEST_SECONDS} s")


def copy(connection: Connection, models: int, looks: int = LOOKS) -> None:
    """Copies of the model under other names, with so many earlier verdicts, in SQL of SQLite."""
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {models - 1}) "
    newest = (
        f"id = (SELECT v.id FROM verdict v WHERE v.model = '{MODEL}' AND v.check_name = verdict.check_name"
        " ORDER BY v.window_end DESC LIMIT 1)"
    )
    latest = f"window_start = (SELECT max(p.window_start) FROM profile p WHERE p.model = '{MODEL}')"
    for table, of, condition in (
        (tables.model, "name", "1 = 1"),
        (tables.stream, "model", "1 = 1"),
        (tables.reference, "model", "1 = 1"),
        (tables.profile, "model", latest),
        (tables.verdict, "model", newest),
    ):
        connection.execute(text(numbers + _inserted(table, of, condition, {})))
    past = f", k(j) AS (SELECT 1 UNION ALL SELECT j + 1 FROM k WHERE j < {looks}) "
    earlier = {
        "id": "'e' || j || '_' || i || '_' || id",
        "window_end": f"window_end - j * {BETWEEN}",
        "evidence": "x''",
        "result": f"x'{zlib.compress(b'{}').hex()}'",
        "value": "value * (0.5 + (i * 7 + j) % 10 / 20.0)",
    }
    connection.execute(
        text(numbers.rstrip() + past + _inserted(tables.verdict, "model", newest, earlier, beside=", k"))
    )


def _inserted(table: Table, of: str, condition: str, given: dict[str, str], beside: str = "") -> str:
    columns = [column.name for column in table.columns]
    made = {of: "'model_' || i", **({"id": "'c' || i || '_' || id"} if "id" in columns else {}), **given}
    values = ", ".join(made.get(name, name) for name in columns)
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {values} FROM {table.name}, n{beside}"
        f" WHERE {table.name}.{of} = '{MODEL}' AND {condition}"
    )
