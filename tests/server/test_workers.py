"""Several workers: they are replaced when they die, and stop when they are told to, however early."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.support.data.traffic import predictions
from tests.support.servers.live_service import LiveService

WAIT_SECONDS = 60


def workers_of(live: LiveService, count: int) -> list[int]:
    """The workers of a service, once there are so many."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = Path(f"/proc/{live.pid}/task/{live.pid}/children").read_text().split()
        if len(found) == count:
            return [int(each) for each in found]
        assert time.monotonic() < deadline, f"not {count} workers but {len(found)}:\n{live.output()}"
        time.sleep(0.02)


def runs(process: int) -> bool:
    """Whether a process has not ended; one that nobody has asked for its exit code has."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2][:4]
    except FileNotFoundError:
        return False


def command_of(process: int | None) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


@pytest.mark.timeout(240)
def test_killed_workers_are_replaced_by_forks_and_what_they_took_still_counts(tmp_path: Path) -> None:
    with LiveService(tmp_path, WORKERS="2") as live:
        old = workers_of(live, 2)
        batch = predictions(10, model="many", prefix="before")
        assert httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()["accepted"] == 10
        for worker in old:
            # Not a new interpreter, which would have to load everything once more.
            assert command_of(worker) == command_of(live.pid)
            os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + WAIT_SECONDS
        while set(old) & set(workers_of(live, 2)):
            assert time.monotonic() < deadline, live.output()
            time.sleep(0.05)
        live.wait_until_ready()
        batch = predictions(10, model="many", prefix="after")
        assert httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()["accepted"] == 10
        line = 'ml_predictions_total{environment="production",model_name="many",model_version="unversioned"} 20.0'
        assert line in httpx.get(f"{live.url}/metrics", timeout=30).text.splitlines()
        assert live.stop() == 0
    assert "Traceback" not in live.output()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_that_have_just_begun_stop_when_the_service_is_told_to(tmp_path: Path, number: signal.Signals) -> None:
    live = LiveService(tmp_path, WORKERS="4")
    try:
        live.start(wait=False)
        workers = workers_of(live, 4)
        live.signal_all(number)
        assert live.wait() == 0
    finally:
        live.stop()
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert "Traceback" not in live.output()


@pytest.mark.timeout(240)
def test_workers_that_are_told_to_stop_twice_drain_as_long_as_those_that_are_told_once(tmp_path: Path) -> None:
    """systemd signals every process of a service, and then the one above the workers passes it on to them."""
    with LiveService(tmp_path, WORKERS="2", SHUTDOWN_DRAIN_SECONDS="3") as live:
        workers_of(live, 2)
        live.wait_until_ready()
        began = time.monotonic()
        live.signal_all(signal.SIGTERM)
        while time.monotonic() - began < 1.5:  # the second signal comes within half a second
            batch = predictions(1, model="many", prefix=f"{time.monotonic()}")
            assert httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()["accepted"] == 1
        assert live.wait() == 0
        assert time.monotonic() - began >= 3
    assert "Traceback" not in live.output()


@pytest.mark.timeout(240)
def test_workers_stop_by_themselves_when_the_process_above_them_is_killed(tmp_path: Path) -> None:
    with LiveService(tmp_path, WORKERS="2") as live:
        workers = workers_of(live, 2)
        live.wait_until_ready()
        batch = predictions(10, model="many", prefix="before")
        assert httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()["accepted"] == 10
        live.signal(signal.SIGKILL)
        deadline = time.monotonic() + WAIT_SECONDS
        while any(runs(worker) for worker in workers):
            assert time.monotonic() < deadline, live.output()
            time.sleep(0.05)
        live.kill()
        # The port is free again, and nothing was lost.
        live.start()
        again = httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()
        assert (again["accepted"], again["duplicates"]) == (0, 10)
