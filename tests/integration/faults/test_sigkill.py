"""kill -9 under load: every acknowledged prediction is stored exactly once, and the profiles say the same."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from tests.support.events import ALWAYS, stored_and_counted
from tests.support.servers.live_service import LiveService
from tests.support.stores.stored import block_rows, stored_features

MODEL = "fraud"
KILLS = 20
CLIENTS = 6
# The first client sends so many predictions at once, of so many features: they become a block.
WIDE_BATCH, WIDE = 60, 20


class Client(threading.Thread):
    """A model service: sends predictions and, after any error, the same ones again until they are acknowledged."""

    def __init__(self, number: int, url: str, stop: threading.Event) -> None:
        super().__init__(name=f"client-{number}")
        self.number = number
        self.acknowledged: set[str] = set()
        self.features: dict[str, dict[str, object]] = {}
        self.repeats = 0
        self._url = url
        self._stop_asked = stop

    def run(self) -> None:
        rng = random.Random(self.number)
        sequence = 0
        with httpx.Client(base_url=self._url, timeout=5) as http:
            while not self._stop_asked.is_set():
                sequence += 1
                size = WIDE_BATCH if self.number == 0 else rng.choice([1, 1, 1, 20])
                events = [self._event(f"{self.number}-{sequence}-{index}", rng) for index in range(size)]
                # Now and then a client repeats what was acknowledged already, as a proxy would.
                if self.acknowledged and rng.random() < 0.1:
                    events.append(self._event(next(iter(self.acknowledged)), rng))
                self._send_until_acknowledged(http, events)

    def _send_until_acknowledged(self, http: httpx.Client, events: list[dict[str, object]]) -> None:
        while True:
            try:
                if len(events) == 1:
                    answer = http.post("/api/v1/predictions", json=events[0])
                else:
                    answer = http.post("/api/v1/predictions/batch", json=events)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                self.acknowledged.update(str(event["prediction_id"]) for event in events)
                return
            assert answer is None or answer.status_code == 503, answer.text
            self.repeats += 1
            if self._stop_asked.wait(0.02):
                return

    def _event(self, identity: str, rng: random.Random) -> dict[str, object]:
        features: dict[str, object] = {"amount": rng.lognormvariate(3, 1), "merchant": rng.choice("abc")}
        if self.number == 0:
            features |= {f"f{place}": rng.random() for place in range(WIDE - len(features))}
        # Of a repeat, what was said first is what counts.
        self.features.setdefault(identity, features)
        return {
            "model_name": MODEL,
            "prediction_id": identity,
            "timestamp": "2026-01-01T12:00:00Z",
            "features": features,
            "prediction": "legitimate",
        }


@pytest.mark.timeout(1_200)
def test_every_acknowledged_prediction_counts_once_over_twenty_kills(tmp_path: Path) -> None:
    rng = random.Random(20)
    service = LiveService(tmp_path / "data", WORKERS="4", PROVISIONAL_REFERENCE_SIZE="300")
    stop = threading.Event()
    clients = [Client(number, service.url, stop) for number in range(CLIENTS)]
    try:
        service.start()
        for client in clients:
            client.start()
        for _ in range(KILLS):
            # Clients go on until the kill as fast as they can, so a short while between two is load enough.
            time.sleep(rng.uniform(0.05, 0.3))
            service.kill()
            service.start()
        time.sleep(0.2)
    finally:
        stop.set()
        for client in clients:
            client.join(30)
        service.stop()
    acknowledged = set().union(*(client.acknowledged for client in clients))
    assert len(acknowledged) > 20 * KILLS, "too little was acknowledged between the kills to prove anything"
    assert sum(client.repeats for client in clients) > 0, "no client ever had to repeat: the kills met no load"
    store = Store(f"sqlite:///{tmp_path / 'data' / 'modelwatch.db'}")
    with store.read() as connection:
        stored = list(connection.execute(select(tables.prediction.c.prediction_id)).scalars())
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    backfill_profiles(store, MODEL, *ALWAYS)
    rows, counted = stored_and_counted(store, MODEL)
    assert rows == counted == len(stored)
    in_blocks = {identity for members in block_rows(store).values() for _, identity in members}
    assert len(in_blocks & clients[0].acknowledged) > WIDE_BATCH, "no block was written between the kills"
    kept = {key.split()[0]: features for key, features in stored_features(store, MODEL).items()}
    for client in clients:
        assert {identity: kept[identity] for identity in client.acknowledged} == {
            identity: client.features[identity] for identity in client.acknowledged
        }
    store.close()
