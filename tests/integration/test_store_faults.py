"""A store that can't be written for a while: the disk is full, or the server lets nobody write. Nothing is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.live_service import LiveService
from tests.support.postgres import Cluster
from tests.support.programs import absent

MODEL = "m"
SMALL, LARGE = "8m", "64m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode:
        message = f"a small file system can't be mounted here: {made.stderr.strip()}"
        if os.geteuid() == 0:
            absent(message)
        pytest.skip(message)  # Only root may mount, in CI as well.
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def batch(number: int) -> list[dict[str, object]]:
    """Predictions of which no two features are alike, so that they take space."""
    return [
        {
            "model_name": MODEL,
            "prediction_id": f"{number}-{index}",
            "timestamp": "2026-01-01T12:00:00Z",
            "features": {f"f{place}": os.urandom(24).hex() for place in range(4)},
            "prediction": "yes",
        }
        for index in range(200)
    ]


def send(client: httpx.Client, number: int, batches: dict[int, list[dict[str, object]]]) -> httpx.Response:
    return client.post("/api/v1/predictions/batch", json=batches.setdefault(number, batch(number)))


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
        time.sleep(0.1)


def stored(client: httpx.Client) -> int:
    count: int = client.get(f"/api/v1/models/{MODEL}").json()["predictions"]
    return count


def refused(answer: httpx.Response) -> bool:
    """Whether the batch was refused for now; anything else must be an acknowledgement."""
    if answer.status_code == 202:
        return False
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["type"] == "/problems/store-unavailable"
    return True


@pytest.mark.timeout(180)
def test_a_full_disk_is_told_and_what_was_refused_counts_once_when_there_is_room(small_disk: Path) -> None:
    batches: dict[int, list[dict[str, object]]] = {}
    with (
        LiveService(small_disk, REQUEST_TIMEOUT_SECONDS="2") as live,
        httpx.Client(base_url=live.url, timeout=30) as client,
    ):
        acknowledged = 0
        for number in range(300):
            if refused(send(client, number, batches)):
                break
            acknowledged += 1
        assert 0 < acknowledged < 300, "the disk was never full"
        assert client.get("/livez").status_code == 200
        assert stored(client) == 200 * acknowledged
        subprocess.run(["mount", "-o", f"remount,size={LARGE}", str(small_disk)], check=True)
        until(lambda: not refused(send(client, acknowledged, batches)))
        for number in range(acknowledged + 3):
            assert not refused(send(client, number, batches))
        assert stored(client) == 200 * len(batches)


@pytest.mark.timeout(120)
def test_a_server_that_lets_nobody_write_is_waited_for(postgres: Cluster, tmp_path: Path) -> None:
    batches: dict[int, list[dict[str, object]]] = {}
    with (
        postgres.database() as url,
        LiveService(tmp_path, DATABASE_URL=url, REQUEST_TIMEOUT_SECONDS="2") as live,
        httpx.Client(base_url=live.url, timeout=30) as client,
    ):
        name = url.rpartition("/")[2]

        def let_write(allowed: bool) -> None:
            postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if allowed else 'on'}")
            postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

        assert not refused(send(client, 0, batches))
        let_write(False)
        until(lambda: refused(send(client, 1, batches)))
        assert stored(client) in (200, 400)
        let_write(True)
        until(lambda: not refused(send(client, 1, batches)))
        for number in range(3):
            until(lambda number=number: not refused(send(client, number, batches)))  # type: ignore[misc]
        assert stored(client) == 600
