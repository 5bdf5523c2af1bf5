"""What a process tells of itself while it runs, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwatch.errors import StoreUnavailable
from modelwatch.server import telling
from modelwatch.server.telling import Telling
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.processes import ToldProcess, told_processes
from modelwatch.storage.engine.store import Store
from modelwatch.views.service import Process, ProcessCounts
from tests.support.events import NOON


def told(store: Store) -> list[ToldProcess]:
    with store.read() as connection:
        return told_processes(connection)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'modelwatch.db'}")
    migrate(store)
    return store


def telling_of(store: Store, counts: list[int]) -> Telling:
    process = Process("1.2", "0020", NOON)
    return Telling(store, "a:1", process, lambda _: ProcessCounts(accepted=counts[0]), lambda: NOON + 1)


def test_a_process_tells_at_its_start_again_and_at_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.05)
    counts = [1]
    thread = telling_of(store, counts)
    thread.start()
    until(lambda: bool(told(store)))
    counts[0] = 2
    until(lambda: '"accepted":2' in told(store)[0].figures)
    assert (told(store)[0].stopped, told(store)[0].started_at) == (False, NOON)
    thread.close()
    [last] = told(store)
    assert (last.name, last.stopped) == ("a:1", True)


def test_a_store_that_is_away_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "TELL_SECONDS", 0.02)
    tries: list[int] = []
    tell = telling.tell

    def sometimes(of: Store, process: ToldProcess) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise StoreUnavailable("gone", retry_after=1) if len(tries) % 2 else RuntimeError("a bug")
        tell(of, process)

    monkeypatch.setattr(telling, "tell", sometimes)
    thread = telling_of(store, [1])
    thread.start()
    until(lambda: bool(told(store)))
    thread.close()
    assert told(store)[0].stopped
