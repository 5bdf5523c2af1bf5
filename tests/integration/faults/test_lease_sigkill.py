"""Two services on one store; the one that evaluates is killed again and again in the middle of its work."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import DRIFT, QUALITY
from modelwatch.times import iso_of_seconds
from tests.support.examples import is_night
from tests.support.servers.live_service import LiveService

KILLS = 20 if is_night() else 12
WINDOWS = 20 * KILLS
A_WINDOW = 6
START = 1_750_000_000 // 300 * 300
MODEL = "watched"
SETTINGS = {
    "LEASE_SECONDS": "0.5",
    "DRIFT_CHECK_INTERVAL": "300",
    "MIN_SAMPLES_FOR_DRIFT": "30",
    "LOOKBACKS": "1h,6h",
    "PROVISIONAL_REFERENCE_SIZE": "1000000",
}


def batch(first: int, count: int) -> list[dict[str, object]]:
    """The predictions of some windows; from the middle of the history on x is shifted."""
    rng = random.Random(first)
    return [
        {
            "model_name": MODEL,
            "prediction_id": f"{window}-{index}",
            "timestamp": iso_of_seconds(START + window * 300 + index),
            "features": {"x": rng.gauss(1.0 if window > WINDOWS // 2 else 0.0, 1.0), "y": rng.choice("abc")},
            "prediction": rng.choice(["yes", "no"]),
        }
        for window in range(first, first + count)
        for index in range(A_WINDOW)
    ]


def feed(services: list[LiveService], first: int, count: int, failed: list[Exception]) -> None:
    """Sends some windows in their order, to whichever service takes them; a batch is sent until it is acknowledged."""
    try:
        with httpx.Client(timeout=5) as client:
            for start in range(first, first + count, 20):
                body = batch(start, 20)
                for service in _again_and_again(services):
                    try:
                        if client.post(f"{service.url}/api/v1/predictions/batch", json=body).status_code == 202:
                            break
                    except httpx.HTTPError:
                        continue
    except Exception as error:  # noqa: BLE001 - it is raised in the test
        failed.append(error)


def _again_and_again(services: list[LiveService]) -> Iterator[LiveService]:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        yield from services
        time.sleep(0.02)
    raise AssertionError("no service took a batch for four minutes")


def holder(store: Store) -> int | None:
    """The process that holds the lease, if it has not ended."""
    with store.read() as connection:
        row = connection.execute(select(tables.lease).where(tables.lease.c.name == "chores")).first()
    if row is None or not row.holder or row.expires_at < time.time_ns() // 1_000:
        return None
    return int(row.holder.split(":")[1])


def evaluated(store: Store) -> int:
    """How many windows the check of drift has a verdict on; the other checks of a point are in its transaction."""
    table = tables.verdict
    with store.read() as connection:
        return connection.execute(
            select(func.count()).select_from(table).where(table.c.check_name == DRIFT)
        ).scalar_one()


@pytest.mark.timeout(900)
def test_every_window_has_one_verdict_however_often_the_holder_is_killed(tmp_path: Path) -> None:
    rng = random.Random(5)
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    services = [LiveService(tmp_path / name, DATABASE_URL=url, **SETTINGS) for name in ("a", "b")]
    try:
        for service in services:
            service.start()
        sample = {"x": [rng.gauss(0.0, 1.0) for _ in range(3_000)], "y": [rng.choice("abc") for _ in range(3_000)]}
        answer = httpx.post(f"{services[0].url}/api/v1/reference", json={"model_name": MODEL, "features": sample})
        assert answer.status_code == 201
        store = Store(url)
        waiting = kill_holders(store, services, rng)
        wait_for(lambda: evaluated(store) >= WINDOWS, 400)
    finally:
        for service in services:
            service.stop()
    check_history(store)
    store.close()
    print(f"{KILLS} kills, when so many windows were waiting: {waiting}")
    assert sum(windows > 0 for windows in waiting) >= KILLS // 2


def kill_holders(store: Store, services: list[LiveService], rng: random.Random) -> list[int]:
    """Sends a part of the history, kills what evaluates it, and starts it again; so until it was killed often.

    Returns for each kill how many windows were waiting to be evaluated.
    """
    waiting: list[int] = []
    share, sent = WINDOWS // KILLS, 0
    while len(waiting) < KILLS:
        failed: list[Exception] = []
        count = share if sent < WINDOWS else 0
        feeder = threading.Thread(target=feed, args=(services, sent, count, failed), daemon=True)
        before, sent = evaluated(store), sent + count
        feeder.start()
        wait_for(lambda before=before: evaluated(store) > before, 120)  # type: ignore[misc]
        time.sleep(rng.uniform(0.0, 0.15))
        pid = holder(store)
        for service in services:
            if service.pid == pid and pid is not None:
                os.kill(pid, signal.SIGKILL)
                waiting.append(sent - evaluated(store))
                service.kill()
                service.start(wait=False)
        feeder.join(60)
        assert not feeder.is_alive()
        assert not failed
    assert sent == WINDOWS
    return waiting


def check_history(store: Store) -> None:
    """One verdict of each check for each window, in order, under fences that only grow; each goes on from the last."""
    table = tables.verdict
    with store.read() as connection:
        rows = connection.execute(
            select(table.c.check_name, table.c.window_end, table.c.fence, table.c.severity).order_by(table.c.window_end)
        ).all()
    by_check: dict[str, list[Any]] = {}
    for row in rows:
        by_check.setdefault(row.check_name, []).append(row)
    assert set(by_check) == {DRIFT, QUALITY}
    for found in by_check.values():
        assert [row.window_end for row in found] == [START + 300 * (window + 1) for window in range(WINDOWS)]
        fences = [row.fence for row in found]
        assert fences == sorted(fences)
        assert len(set(fences)) > KILLS // 2
    assert by_check[DRIFT][0].severity == "insufficient_data"
    assert by_check[DRIFT][-1].severity == "alert"


def wait_for(condition: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.02)
