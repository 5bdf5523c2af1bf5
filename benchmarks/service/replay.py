"""A file of 25,000 predictions over two years, each with a label that came hours later, replayed as users do it.

The service and `modelwatch replay` are processes of their own on this machine, and the service evaluates meanwhile. The
baseline is the same file without its labels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import Row, compared
from tests.support.servers.live_service import REPOSITORY, LiveService

ROWS, QUICK = 25_000, 5_000
FEATURES = 10
DAYS = 730
ROUNDS = 3


def run(*, quick: bool = False) -> list[Row]:
    """Rows a second with labels, beside rows a second without; each round with a fresh service."""
    size = QUICK if quick else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        labelled, plain = folder / "labelled.parquet", folder / "plain.parquet"
        table = _table(size)
        pq.write_table(table, labelled)
        pq.write_table(table.drop_columns(["label", "label_at"]), plain)
        options = ("--label-column", "label", "--label-time-column", "label_at")
        rounds = [
            (_pace(folder / f"{index}-with", labelled, *options), _pace(folder / f"{index}-without", plain))
            for index in range(1 if quick else ROUNDS)
        ]
    note = "the service evaluates beside it; baseline: the same file without labels"
    return [compared(f"replay of {size:,} rows with labels", "rows/s", *zip(*rounds, strict=True), note)]


def _table(size: int) -> pa.Table:
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    times = [start + timedelta(days=DAYS * index / size) for index in range(size)]
    known = [time + timedelta(hours=float(hours)) for time, hours in zip(times, rng.exponential(12, size), strict=True)]
    truth = rng.choice(["a", "b"], size)
    return pa.table(
        {
            "prediction_id": [f"id-{index}" for index in range(size)],
            "timestamp": times,
            **{f"x{index}": rng.normal(size=size) for index in range(FEATURES)},
            "prediction": np.where(rng.random(size) < 0.9, truth, "a"),
            "label": truth,
            "label_at": known,
        }
    )


def _pace(data: Path, file: Path, *options: str) -> float:
    with LiveService(data) as service:
        command = [sys.executable, "-m", "modelwatch", "replay", file, "--model", "m", "--url", service.url, "--json"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
        done = subprocess.run([*command, *options], env=environment, capture_output=True, check=True)
        return float(json.loads(done.stdout)["rows_per_second"])
