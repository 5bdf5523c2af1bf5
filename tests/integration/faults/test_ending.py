"""A service that is told to stop while its store hangs: it ends in time, and what it has acknowledged is there."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from modelwatch.storage.engine.store import Store
from tests.support.events import stored_and_counted
from tests.support.keys import bearer, make_key
from tests.support.servers.live_service import LiveService
from tests.support.servers.postgres import cluster

# Ten are promised; a busy machine may take longer.
SECONDS = 20


def one(identity: str) -> dict[str, object]:
    return {"model_name": "m", "prediction_id": identity, "features": {"x": 1.5}, "prediction": "yes"}


@contextmanager
def paused(first: int) -> Iterator[None]:
    """A process and its children are paused."""
    children = [int(each) for each in Path(f"/proc/{first}/task/{first}/children").read_text().split()]
    for process in (first, *children):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in (first, *children):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def post(live: LiveService, identity: str, key: str) -> int:
    url = f"{live.url}/api/v1/predictions"
    return httpx.post(url, json=one(identity), headers=bearer(key), timeout=60).status_code


def ask(live: LiveService, path: str, key: str) -> None:
    with suppress(httpx.HTTPError):
        httpx.get(f"{live.url}{path}", headers=bearer(key), timeout=60)


def send_anyway(live: LiveService, identity: str, key: str) -> None:
    with suppress(httpx.HTTPError):
        post(live, identity, key)


def ends_in_time(live: LiveService, key: str) -> None:
    """Stops a service that hangs in everything that waits for its store: a commit, pages, a scrape, the keys."""
    with ThreadPoolExecutor(5) as clients:
        waiting: list[Future[None]] = [clients.submit(send_anyway, live, "unanswered", key)]
        paths = ("/api/v1/models", "/metrics", "/readyz", "/api/v1/verdicts/none")
        waiting += [clients.submit(ask, live, path, key) for path in paths]
        # Known keys are read again by then.
        time.sleep(4)
        ask(live, "/metrics", key)
        began = time.monotonic()
        live.signal(signal.SIGTERM)
        assert live.wait() == 0
        assert time.monotonic() - began < SECONDS
        for each in waiting:
            each.result()
    assert "ends without waiting for its store" in live.output()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_whose_postgresql_is_paused_ends_in_time(tmp_path: Path, workers: str) -> None:
    with cluster() as server, server.database() as url:
        store = Store(url)
        _, key = make_key(store, "read", "ingest")
        store.close()
        with LiveService(tmp_path, DATABASE_URL=url, API_KEYS_REQUIRED="true", WORKERS=workers) as live:
            assert [post(live, f"{number}", key) for number in range(3)] == [202] * 3
            with paused(server.pid):
                ends_in_time(live, key)
        store = Store(url)
        stored, counted = stored_and_counted(store)
        store.close()
        # That of nobody's answer may be stored, once its server goes on.
        assert stored == counted
        assert stored in (3, 4)


@pytest.mark.timeout(240)
def test_a_service_whose_sqlite_file_is_locked_ends_in_time(tmp_path: Path) -> None:
    with LiveService(tmp_path) as live:
        assert [post(live, f"{number}", "none") for number in range(3)] == [202] * 3
        with (tmp_path / "modelwatch.db.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ends_in_time(live, "none")
    store = Store(f"sqlite:///{tmp_path / 'modelwatch.db'}")
    assert stored_and_counted(store) == (3, 3)
    store.close()
