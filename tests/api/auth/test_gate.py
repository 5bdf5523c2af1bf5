"""The gate with a store that hangs: who has a key that is known is let in, and a scrape is answered in time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from modelwatch.access.known_keys import FRESH_SECONDS, RETRY_SECONDS, STALE_SECONDS
from modelwatch.errors import StoreUnavailable
from tests.support.app import App
from tests.support.data.streams import SECOND
from tests.support.events import NOON, Clock
from tests.support.keys import bearer, make_key

GATE, STATE = "modelwatch.api.auth.gate", "modelwatch.exposition.state"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the service."""
    clock = Clock(NOON)
    monkeypatch.setattr("modelwatch.server.build.microseconds_now", clock)
    return clock


@pytest.fixture
def keyed(tmp_path: Path, clock: Clock) -> Iterator[App]:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    yield app
    app.close()


@contextmanager
def hanging(app: App, patch: pytest.MonkeyPatch) -> Iterator[list[threading.Thread]]:
    """The store of the service hangs. What waits for it, in order."""
    let_go, waiting = threading.Event(), []

    @contextmanager
    def hang() -> Iterator[Connection]:
        waiting.append(threading.current_thread())
        let_go.wait(60)
        raise StoreUnavailable("away")
        yield

    with patch.context() as patched:
        patched.setattr(app.asgi.app.state.service.store, "read", hang)
        for name, seconds in ((f"{GATE}.KEYS_SECONDS", 0.05), (f"{GATE}.NO_KEYS_SECONDS", 0.1)):
            patched.setattr(name, seconds)
        patched.setattr(f"{STATE}.READ_SECONDS", 0.05)
        try:
            yield waiting
        finally:
            let_go.set()


def scrape(app: App, text: str) -> httpx.Response:
    return app.request("GET", "/metrics", headers=bearer(text))


@pytest.mark.timeout(50)
def test_a_scrape_with_a_key_does_not_wait_for_a_store_that_hangs(
    keyed: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = make_key(keyed.store, "read")
    assert "ml_monitoring_service_health{" in scrape(keyed, text).text
    clock.now += FRESH_SECONDS * SECOND
    with hanging(keyed, monkeypatch) as waiting:
        for _ in range(3):
            answer = scrape(keyed, text)
            assert answer.status_code == 200
            assert 'ml_monitoring_service_health{service_name="modelwatch"} 0' in answer.text
        assert scrape(keyed, text + "0").status_code == 401
        assert sum(each.name.startswith("modelwatch-keys") for each in waiting) == 1
        # What was known counts for some minutes.
        clock.now += STALE_SECONDS * SECOND
        assert scrape(keyed, text).status_code == 503


@pytest.mark.timeout(50)
def test_while_no_keys_are_known_the_answer_is_503_in_time(keyed: App, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = make_key(keyed.store, "read")
    with hanging(keyed, monkeypatch):
        for _ in range(8):
            answer = scrape(keyed, text)
            assert answer.status_code == 503
            assert "did not answer for the API keys within 0.1 s" in answer.json()["detail"]


@pytest.mark.timeout(50)
def test_requests_share_one_read_of_the_keys_and_leave_nothing_behind_when_it_hangs(
    keyed: App, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, text = make_key(keyed.store, "read")
    submitted: list[str] = []
    submit = ThreadPoolExecutor.submit

    def counted(pool: ThreadPoolExecutor, *work: Any) -> Future[Any]:
        submitted.append(str(pool._thread_name_prefix))
        return submit(pool, *work)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)

    async def scrapes() -> None:
        transport = httpx.ASGITransport(app=keyed.asgi, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://watch:8000") as client:

            async def status() -> int:
                return (await client.get("/metrics", headers=bearer(text))).status_code

            with hanging(keyed, monkeypatch):
                assert await asyncio.gather(*(status() for _ in range(20))) == [503] * 20
                assert await status() == 503
            assert submitted.count("modelwatch-keys") == 1
            # The read ends by an error, which nobody waits for; then the store is asked anew.
            while submitted.count("modelwatch-keys") == 1:
                await asyncio.sleep(0.01)
                clock.now += RETRY_SECONDS * SECOND
                await status()
            assert await status() == 200

    asyncio.run(scrapes())
