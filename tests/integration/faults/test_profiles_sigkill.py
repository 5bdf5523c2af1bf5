"""kill -9 while profiles are sent: each that the client has an answer for counts exactly once."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from modelwatch_client import Client

import modelwatch as mw
from tests.support.servers.live_service import LiveService

KILLS, SENDERS = 5, 3


@pytest.mark.timeout(300)
def test_every_profile_counts_once_over_kills(tmp_path: Path) -> None:
    rng = random.Random(3)
    data = {"x": np.random.default_rng(1).normal(size=500)}
    reference = mw.Reference.fit(data)
    sent: list[int] = []
    stop = threading.Event()
    service = LiveService(tmp_path / "data", WORKERS="2")

    def send(number: int) -> None:
        with Client(service.url, model_name="m", model_version="1") as client:
            sequence = 0
            while not stop.is_set():
                sequence += 1
                rows = 1 + (number + sequence) % 7
                profile = mw.profile({"x": [0.5] * rows}, like=reference, id=f"{number}-{sequence}")
                # Some are sent twice, as by a job that is started again.
                for _ in range(1 + (sequence % 3 == 0)):
                    [answer] = client.send_profile(profile, seconds=60)
                    assert answer["status"] in ("accepted", "duplicate")
                sent.append(rows)

    senders = [threading.Thread(target=send, args=(number,)) for number in range(SENDERS)]
    try:
        service.start()
        with Client(service.url, model_name="m") as client:
            client.set_reference(data)
        for sender in senders:
            sender.start()
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.2, 0.6))
            service.kill()
            service.start()
        time.sleep(0.5)
        stop.set()
        for sender in senders:
            sender.join(60)
        with Client(service.url, model_name="m", model_version="1") as client:
            [drift] = client.check_drift(lookback="24h")["drift_results"]
    finally:
        stop.set()
        service.stop()
    assert len(sent) > KILLS, "too little was sent between the kills to prove anything"
    assert drift["sample_size"] == sum(sent)
