"""Reports of a process while it runs, and when it stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from modelwatch.errors import StoreUnavailable
from modelwatch.server import process_reports
from modelwatch.server.process_reports import ProcessReporter
from modelwatch.storage.engine.migrations import migrate
from modelwatch.storage.engine.processes import StoredProcess, stored_processes
from modelwatch.storage.engine.store import Store
from modelwatch.views.service import Process, ProcessCounts
from tests.support.events import NOON


def stored(store: Store) -> list[StoredProcess]:
    with store.read() as connection:
        return stored_processes(connection)


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


def telling_of(store: Store, counts: list[int]) -> ProcessReporter:
    process = Process("1.2", "0020", NOON)
    return ProcessReporter(store, "a:1", process, lambda _: ProcessCounts(accepted=counts[0]), lambda: NOON + 1)


def test_a_process_tells_at_its_start_again_and_at_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_reports, "REPORT_SECONDS", 0.05)
    counts = [1]
    thread = telling_of(store, counts)
    thread.start()
    until(lambda: bool(stored(store)))
    counts[0] = 2
    until(lambda: '"accepted":2' in stored(store)[0].figures)
    assert (stored(store)[0].stopped, stored(store)[0].started_at) == (False, NOON)
    thread.close()
    [last] = stored(store)
    assert (last.name, last.stopped) == ("a:1", True)


def test_a_store_that_is_away_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_reports, "REPORT_SECONDS", 0.02)
    tries: list[int] = []
    save = process_reports.save_process

    def sometimes(of: Store, process: StoredProcess) -> None:
        tries.append(1)
        if len(tries) < 4:
            raise StoreUnavailable("gone", retry_after=1) if len(tries) % 2 else RuntimeError("a bug")
        save(of, process)

    monkeypatch.setattr(process_reports, "save_process", sometimes)
    thread = telling_of(store, [1])
    thread.start()
    until(lambda: bool(stored(store)))
    thread.close()
    assert stored(store)[0].stopped
