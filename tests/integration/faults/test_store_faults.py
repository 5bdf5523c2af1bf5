"""A store that can't be written for a while: the disk is full, or the server lets nobody write. Nothing is lost."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.events import back_up
from tests.support.servers.live_service import LiveService
from tests.support.servers.postgres import Cluster
from tests.support.servers.programs import absent

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
        assert "are free on the disk" in client.get("/readyz").json()["checks"]["disk"]
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


@pytest.mark.timeout(120)
def test_a_store_whose_file_is_removed_acknowledges_nothing_until_the_service_starts_again(tmp_path: Path) -> None:
    batches: dict[int, list[dict[str, object]]] = {}
    with (
        LiveService(tmp_path, REQUEST_TIMEOUT_SECONDS="2") as live,
        httpx.Client(base_url=live.url, timeout=30) as client,
    ):
        assert not refused(send(client, 0, batches))
        for file in tmp_path.glob("modelwatch.db*"):
            file.unlink()
        for number in range(3):
            assert refused(send(client, number, batches))
        ready = client.get("/readyz")
        assert (ready.status_code, client.get("/livez").status_code) == (503, 200)
        assert "is gone" in ready.json()["checks"]["store"]
        assert f"{tmp_path / 'modelwatch.db'} is gone while it is in use" in live.output()
        assert client.get("/api/v1/models").status_code == 503
        with (
            LiveService(tmp_path, REQUEST_TIMEOUT_SECONDS="2") as second,
            httpx.Client(base_url=second.url, timeout=30) as other,
        ):
            for number in range(3):
                assert not refused(send(other, number, batches))
                assert refused(send(client, number + 3, batches))
            assert stored(other) == 600
        live.stop()
        live.start()
        assert stored(client) == 600
        assert not refused(send(client, 3, batches))


@pytest.mark.timeout(120)
def test_a_back_up_that_is_moved_over_the_file_in_use_is_noticed_and_the_former_file_can_come_back(
    tmp_path: Path,
) -> None:
    batches: dict[int, list[dict[str, object]]] = {}
    file, former, backup = tmp_path / "modelwatch.db", tmp_path / "former.db", tmp_path / "backup.db"
    with (
        LiveService(tmp_path, REQUEST_TIMEOUT_SECONDS="2", WORKERS="2") as live,
        httpx.Client(base_url=live.url, timeout=30) as client,
    ):
        assert not refused(send(client, 0, batches))
        back_up(file, backup)
        assert not refused(send(client, 1, batches))
        os.link(file, former)
        backup.rename(file)
        for number in (1, 2):
            assert refused(send(client, number, batches))
        assert client.get("/readyz").status_code == 503
        former.rename(file)
        for number in range(3):
            assert not refused(send(client, number, batches))
        assert stored(client) == 600
        assert client.get("/readyz").status_code == 200
