"""A store whose lock somebody else holds: every request is answered in time, and what was dropped is never stored."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import select

from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from tests.support.events import stored_and_counted
from tests.support.servers.live_service import LiveService

SECONDS = 2.0
CLIENTS = 40
MOST = 5 * CLIENTS
LATE = 4.0

pytestmark = pytest.mark.both_engines


@contextmanager
def held(url: str) -> Iterator[None]:
    """Nobody else writes predictions until the block ends."""
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            yield
            holder.execute("ROLLBACK")
    else:
        with psycopg.connect(url) as holder:
            holder.execute("LOCK TABLE prediction IN EXCLUSIVE MODE")
            yield
            holder.rollback()


def post(client: httpx.Client, number: int) -> tuple[httpx.Response, float]:
    """The answer, and how many seconds it took."""
    began = time.monotonic()
    prediction = {"model_name": "m", "prediction_id": str(number), "features": {"x": number}, "prediction": "y"}
    answer = client.post("/api/v1/predictions", json={**prediction, "timestamp": "2026-01-01T12:00:00Z"})
    return answer, time.monotonic() - began


@pytest.mark.timeout(120)
def test_every_request_is_answered_in_time_and_what_was_dropped_is_not_stored(store_url: str, tmp_path: Path) -> None:
    url = store_url.replace("postgresql+psycopg", "postgresql")
    service = LiveService(
        tmp_path / "service",
        DATABASE_URL=url,
        REQUEST_TIMEOUT_SECONDS=str(SECONDS),
        DATABASE_LOCK_TIMEOUT_SECONDS="0",
        # Nothing becomes a reference meanwhile.
        PROVISIONAL_REFERENCE_SIZE="100000",
    )
    limits = httpx.Limits(max_connections=CLIENTS)
    with (
        service as live,
        httpx.Client(base_url=live.url, timeout=30, limits=limits) as client,
        ThreadPoolExecutor(CLIENTS) as pool,
    ):
        assert post(client, 0)[0].json()["status"] == "accepted"
        refused: list[tuple[httpx.Response, float]] = []
        dropped: set[str] = set()
        with held(url):
            # On a slow machine the writer may have taken all of the first before the time of the last was up.
            while not dropped and len(refused) < MOST:
                begin = len(refused) + 1
                refused += pool.map(lambda number: post(client, number), range(begin, begin + CLIENTS))
                dropped = {str(n) for n, (each, _) in enumerate(refused, 1) if "were not stored" in each.text}
        for answer, seconds in refused:
            assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-unavailable")
            assert answer.headers["retry-after"] == "5"
            assert seconds < SECONDS + LATE
        assert 0 < len(dropped) < len(refused)
        end = len(refused) + 1
        # When this one is stored, the writer is done with all that came before it.
        deadline = time.monotonic() + 60
        while (last := post(client, end)[0]).status_code == 503:
            assert time.monotonic() < deadline
        assert last.json()["status"] in ("accepted", "duplicate")
        with closing(Store(url)) as store:
            with store.read() as connection:
                stored = set(connection.execute(select(tables.prediction.c.prediction_id)).scalars())
            assert not stored & dropped
            assert stored >= {"0", str(end)}
            for number in range(1, end):
                status = post(client, number)[0].json()["status"]
                assert status == ("duplicate" if str(number) in stored else "accepted")
            assert stored_and_counted(store) == (end + 1, end + 1)
