"""Makes a filled store of an earlier revision, by the code of that revision, for tests/monitoring/test_upgrades.py.

    python scripts/filled_store.py REVISION tests/monitoring/released/NNNN.sql.xz

The service of the revision runs with an empty store and gets a labelled reference, four hours of predictions with a
shift, their labels, and time to evaluate. What its store holds then is written as SQL.
"""

from __future__ import annotations

import io
import lzma
import os
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HOURS, A_HOUR, REFERENCE = 4, 110, 1_000
QUIET_SECONDS, LONGEST_SECONDS = 45.0, 240.0
PORT = int(os.environ.get("PORT", "8471"))
MODEL = "payments"


def frame(rng: np.random.Generator, size: int, shift: float = 0.0) -> dict[str, list[object]]:
    """Features, predictions and truths of `size` payments."""
    amount = rng.normal(100.0 + 60.0 * shift, 25.0, size)
    truth = rng.random(size) < 0.2
    predicted = np.where(rng.random(size) < 0.1 + 0.25 * shift, ~truth, truth)
    return {
        "amount": [float(round(value)) for value in amount],
        "shop": [str(value) for value in rng.choice(["food", "travel", "fuel"], size, p=[0.6, 0.3, 0.1])],
        "prediction": ["fraud" if value else "fine" for value in predicted],
        "prediction_probability": [round(float(value), 1) for value in rng.uniform(0.6, 1.0, size)],
        "ground_truth": ["fraud" if value else "fine" for value in truth],
    }


def parquet(columns: dict[str, list[object]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def fill(client: httpx.Client) -> None:
    """Sends everything, as far as the revision takes it."""
    rng = np.random.default_rng(7)
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    where = {"model_name": MODEL}
    reference = frame(rng, REFERENCE)
    answer = client.post("/api/v1/reference", params=where, headers=kind, content=parquet(reference))
    if answer.status_code >= 400:
        for name in ("prediction", "prediction_probability", "ground_truth"):
            del reference[name]
        answer = client.post("/api/v1/reference", params=where, headers=kind, content=parquet(reference))
    answer.raise_for_status()
    end = int(time.time()) // 300 * 300
    for hour in range(HOURS):
        rows = frame(rng, A_HOUR, 1.0 if hour >= HOURS - 2 else 0.0)
        truths = rows.pop("ground_truth")
        names = [f"{hour}-{row}" for row in range(A_HOUR)]
        starts = end - (HOURS - hour) * 3_600
        moments = [(starts + row * 30) * 1_000_000 for row in range(A_HOUR)]
        rows |= {"prediction_id": names, "timestamp": pa.array(moments, pa.timestamp("us", "UTC"))}
        query = {**where, "model_version": "1"}
        client.post("/api/v1/predictions/batch", params=query, headers=kind, content=parquet(rows)).raise_for_status()
        labels = [
            {"model_name": MODEL, "prediction_id": name, "ground_truth": truth}
            for name, truth in zip(names, truths, strict=True)
        ]
        client.post("/api/v1/ground-truth/batch", json=labels)


def settle(client: httpx.Client) -> None:
    """Returns when nothing new has been concluded for a while."""
    begun = changed = time.monotonic()
    before = ""
    while time.monotonic() - changed < QUIET_SECONDS and time.monotonic() - begun < LONGEST_SECONDS:
        answer = client.get(f"/api/v1/models/{MODEL}/drift")
        if answer.text != before:
            before, changed = answer.text, time.monotonic()
        time.sleep(1.0)


def dump(database: Path, target: Path) -> None:
    """Writes the store as SQL."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        text = "\n".join(connection.iterdump())
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(lzma.compress(text.encode(), preset=9))


def main(revision: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = subprocess.run(["git", "archive", revision, "src"], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder / "src"), "PORT": str(PORT)}
        service = subprocess.Popen(
            [sys.executable, "-m", "modelwatch", "serve"],
            cwd=folder,
            env={**environment, "HOST": "127.0.0.1", "DATA_DIR": str(folder / "data")},
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
                for _ in range(300):
                    try:
                        if client.get("/health").status_code == 200:
                            break
                    except httpx.TransportError:
                        time.sleep(0.1)
                fill(client)
                settle(client)
        finally:
            service.terminate()
            service.wait(20)
        dump(folder / "data" / "modelwatch.db", target)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
