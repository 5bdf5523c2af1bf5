"""More than can be stored is sent, by more clients than are served: memory is bounded, and the counts are exact."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.events import stored_and_counted
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService

CLIENTS = 150
SERVED = 100
BUFFER_BYTES = 16 * 1024 * 1024
HELD_SECONDS = 6.0
ROWS = 400
JSON = {"Content-Type": "application/json"}
# Three times what it takes: 26 to 36 MiB. The bodies that are refused meanwhile have more together.
MOST_GROWTH = 100 * 1024 * 1024
# How long a client waits before it sends again what was refused.
PAUSE_SECONDS = 0.5


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


class Flood:
    """Clients that send batch after batch, each until it is acknowledged or the flood ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.said: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self.left: list[list[dict[str, object]]] = []
        self.refused_bytes = 0
        self._stop = threading.Event()
        self._clients = [threading.Thread(target=self._run, args=(client,), daemon=True) for client in range(CLIENTS)]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        self._stop.set()
        for client in self._clients:
            client.join(60)
            assert not client.is_alive()

    def _run(self, client: int) -> None:
        number = 0
        with httpx.Client(base_url=self._url, timeout=30) as http:
            while not self._stop.is_set():
                number += 1
                batch = body(client, number)
                content = json.dumps(batch).encode()
                while not self._is_taken(http, content):
                    self.refused_bytes += len(content)
                    if self._stop.wait(PAUSE_SECONDS):
                        self.left.append(batch)
                        return
                self.acknowledged += identities(batch)

    def _is_taken(self, http: httpx.Client, content: bytes) -> bool:
        try:
            answer = http.post("/api/v1/predictions/batch", content=content, headers=JSON)
        except httpx.TransportError:
            self.said["cut off"] += 1
            return False
        if answer.status_code == 202:
            said = answer.json()
            assert (said["accepted"] + said["duplicates"], said["rejected"]) == (ROWS, [])
            self.said["acknowledged"] += 1
            return True
        assert answer.status_code in (408, 503)
        assert answer.status_code == 408 or int(answer.headers["retry-after"]) >= 1
        self.said[answer.json()["type"]] += 1
        return False


def identities(batch: list[dict[str, object]]) -> list[str]:
    return [str(row["prediction_id"]) for row in batch]


@pytest.mark.timeout(300)
def test_a_flood_over_a_store_that_stands_still(tmp_path: Path) -> None:
    with LiveService(
        tmp_path, MAX_BUFFER_BYTES=str(BUFFER_BYTES), MAX_CONNECTIONS=str(SERVED), REQUEST_TIMEOUT_SECONDS="3"
    ) as live:
        first = body(CLIENTS, 0)
        httpx.post(f"{live.url}/api/v1/predictions/batch", json=first).raise_for_status()
        before = live.peak_memory()
        flood = Flood(live.url)
        holder = sqlite3.connect(tmp_path / "modelwatch.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        flood.start()
        time.sleep(HELD_SECONDS)
        eventually(lambda: flood.refused_bytes > MOST_GROWTH, "a flood that tells whether what is refused is kept")
        assert httpx.get(f"{live.url}/livez", timeout=30).status_code == 200
        holder.execute("ROLLBACK")
        holder.close()
        flood.stop()
        growth, refused = live.peak_memory() - before, flood.refused_bytes
        print(f"{growth / 2**20:.0f} MiB more than before, {refused / 2**20:.0f} refused; {dict(flood.said)}")
        assert growth < MOST_GROWTH < refused
        assert flood.said["/problems/queue-full"]
        assert flood.said["/problems/store-unavailable"]
        acknowledged = Counter(identities(first) + flood.acknowledged)
        with httpx.Client(base_url=live.url, timeout=60) as client:
            for batch in flood.left:
                client.post("/api/v1/predictions/batch", json=batch).raise_for_status()
                acknowledged.update(identities(batch))
            told = client.get("/api/v1/models/m").json()["predictions"]
    assert set(acknowledged.values()) == {1}
    with contextlib.closing(Store(f"sqlite:///{tmp_path}/modelwatch.db")) as store:
        assert (told, *stored_and_counted(store)) == (len(acknowledged),) * 3
        with store.read() as connection:
            stored = connection.execute(select(tables.prediction.c.prediction_id)).scalars()
            assert Counter(stored) == acknowledged
