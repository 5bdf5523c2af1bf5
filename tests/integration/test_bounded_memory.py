"""More than can be stored is sent, by more clients than are served: memory is bounded, what was acknowledged counts."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.live_service import LiveService

CLIENTS = 150
SERVED = 100
BUFFER_BYTES = 16 * 1024 * 1024
HELD_SECONDS = 6.0
ROWS = 1_000
# What a decoded body takes, over its bytes, for those that wait and those that are being read.
MOST_GROWTH = 400 * 1024 * 1024


def body(client: int, number: int) -> list[dict[str, object]]:
    return [
        {
            "model_name": "m",
            "prediction_id": f"{client}-{number}-{row}",
            "timestamp": "2026-01-01T12:00:00Z",
            "features": {f"feature_{place}": row + place for place in range(20)},
            "prediction": "yes",
        }
        for row in range(ROWS)
    ]


@pytest.mark.timeout(120)
def test_a_flood_over_a_store_that_stands_still(tmp_path: Path) -> None:
    said: Counter[str] = Counter()
    stop = threading.Event()
    with LiveService(
        tmp_path, MAX_BUFFER_BYTES=str(BUFFER_BYTES), MAX_CONNECTIONS=str(SERVED), REQUEST_TIMEOUT_SECONDS="3"
    ) as live:
        httpx.post(f"{live.url}/api/v1/predictions/batch", json=body(0, 0)).raise_for_status()
        before = live.peak_memory()

        def flood(client: int) -> None:
            number = 0
            with httpx.Client(base_url=live.url, timeout=30) as http:
                while not stop.is_set():
                    number += 1
                    try:
                        answer = http.post("/api/v1/predictions/batch", json=body(client, number))
                    except httpx.TransportError:
                        said["cut off"] += 1
                        continue
                    if answer.status_code == 202:
                        said["acknowledged"] += answer.json()["accepted"]
                    else:
                        assert answer.status_code in (408, 503)
                        assert answer.status_code == 408 or int(answer.headers["retry-after"]) >= 1
                        said[answer.json()["type"]] += 1

        holder = sqlite3.connect(tmp_path / "modelwatch.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        floods = [threading.Thread(target=flood, args=(client,), daemon=True) for client in range(1, CLIENTS + 1)]
        for each in floods:
            each.start()
        time.sleep(HELD_SECONDS)
        assert httpx.get(f"{live.url}/livez", timeout=30).status_code == 200
        stop.set()
        holder.execute("ROLLBACK")
        holder.close()
        for each in floods:
            each.join(60)
        growth = live.peak_memory() - before
        print(f"{growth / 2**20:.0f} MiB more than before; {dict(said)}")
        assert growth < MOST_GROWTH
        assert said["/problems/queue-full"]
        found = httpx.get(f"{live.url}/api/v1/models/m", timeout=30).json()["predictions"]
        # What was refused in time may have been stored all the same: a retry would have counted nothing twice.
        assert found >= ROWS + said["acknowledged"]
        assert found % ROWS == 0
