"""What is particular to the embedded store."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from modelwatch.errors import StoreReplaced, StoreUnavailable, StoreUnsuitable
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.drivers import sqlite as engine
from modelwatch.storage.engine.drivers.sqlite import SqliteFile
from modelwatch.storage.engine.store import Store
from tests.support.events import back_up, event, open_ledger, open_store, stored_and_counted
from tests.support.servers.live_service import REPOSITORY
from tests.support.stores.shortcuts import SHIPPED


def test_the_embedded_store_is_durable_and_lets_readers_in(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PRAGMAS", SHIPPED)
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_store_that_can_not_be_opened_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "modelwatch.db").mkdir()
    with pytest.raises(StoreUnavailable, match="unable to open"):
        Store(f"sqlite:///{tmp_path / 'modelwatch.db'}").ping()


def rows_of(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        count: int = connection.execute("SELECT count(*) FROM prediction").fetchone()[0]
        return count


def remove(file: Path) -> None:
    for each in file.parent.glob(f"{file.name}*"):
        each.unlink()


def test_what_goes_to_a_file_that_was_removed_is_not_acknowledged(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    remove(tmp_path / "modelwatch.db")
    for _ in range(2):
        with pytest.raises(StoreReplaced, match="is gone"):
            ledger.commit([event("b")])
    with pytest.raises(StoreReplaced), store.write():
        pass
    with pytest.raises(StoreReplaced):
        store.ping()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_file_that_goes_in_the_middle_of_a_transaction_acknowledges_nothing(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "modelwatch.db"
    ledger = open_ledger(store)
    ledger.commit([event("a")])

    def write() -> None:
        with store.open_write() as connection:
            connection.execute(insert(tables.model), {"name": "late", "created_at": 0})
            remove(file)
            connection.commit()

    with pytest.raises(StoreReplaced):
        write()
    assert not file.exists()


def test_what_goes_to_a_log_that_was_removed_is_not_acknowledged(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Each commit is in the log alone until it is moved into the file: after a crash it would be lost."""
    log = tmp_path / "modelwatch.db-wal"
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    log.rename(tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(StoreReplaced, match="write-ahead log is gone"):
            ledger.commit([event("b")])
    with pytest.raises(StoreReplaced):
        store.ping()
    assert not log.exists(), "no connection has begun another log"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    (tmp_path / "elsewhere").rename(log)
    assert ledger.commit([event("a"), event("b")]).accepted == [False, True]
    assert stored_and_counted(store) == (2, 2)


def test_a_log_that_ended_with_its_last_connection_is_not_missed(tmp_path: Path, store: Store) -> None:
    log = tmp_path / "modelwatch.db-wal"
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    assert log.exists()
    store.close()
    assert not log.exists()
    assert ledger.commit([event("b")]).accepted == [True]
    assert stored_and_counted(store) == (2, 2)


def test_the_writer_goes_on_exactly_when_its_file_comes_back(tmp_path: Path, store: Store) -> None:
    file = tmp_path / "modelwatch.db"
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreReplaced):
        ledger.commit([event("b")])
    (tmp_path / "elsewhere").rename(file)
    assert ledger.commit([event("a"), event("b")]).accepted == [False, True]
    assert stored_and_counted(store) == (2, 2)


def test_of_two_services_with_two_files_of_one_path_only_that_of_the_present_one_writes(
    tmp_path: Path, store: Store
) -> None:
    open_ledger(store, prefix="first").commit([event("a")])
    first = open_ledger(store, prefix="first-again")
    remove(tmp_path / "modelwatch.db")
    other = open_store(tmp_path)
    second = open_ledger(other, prefix="second")
    for number in range(3):
        with pytest.raises(StoreReplaced, match="replaced by another"):
            first.commit([event(f"lost-{number}")])
        assert second.commit([event(f"kept-{number}")]).accepted == [True]
    other.close()
    assert rows_of(tmp_path / "modelwatch.db") == 3


def test_no_connection_is_made_to_a_file_that_took_the_place_of_the_open_one(tmp_path: Path, store: Store) -> None:
    """With the log of the file before beside it, SQLite would mix the two."""
    file = tmp_path / "modelwatch.db"
    open_ledger(store).commit([event("a")])
    back_up(file, tmp_path / "backup.db")
    before = (tmp_path / "backup.db").read_bytes()
    (tmp_path / "backup.db").rename(file)
    store.engine.dispose()
    with pytest.raises(StoreReplaced):
        store.ping()
    assert file.read_bytes() == before


def test_a_file_beside_the_log_of_another_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "modelwatch.db"
    (tmp_path / "elsewhere").mkdir()
    open_store(tmp_path / "elsewhere").close()
    crashed(tmp_path)
    (tmp_path / "elsewhere" / "modelwatch.db").rename(file)
    with pytest.raises(StoreUnsuitable, match=r"remove modelwatch\.db-wal and modelwatch\.db-shm"):
        Store(f"sqlite:///{file}").ping()
    (tmp_path / "modelwatch.db-wal").unlink()
    (tmp_path / "modelwatch.db-shm").unlink()
    Store(f"sqlite:///{file}").ping()
    assert rows_of(file) == 0


def test_a_folder_that_was_copied_with_its_log_is_opened_with_it(tmp_path: Path) -> None:
    folder, copied = tmp_path / "folder", tmp_path / "copied"
    folder.mkdir()
    crashed(folder)
    assert (folder / "modelwatch.db-wal").stat().st_size
    shutil.copytree(folder, copied)
    store = Store(f"sqlite:///{copied / 'modelwatch.db'}")
    assert stored_and_counted(store) == (1, 1)
    store.close()


def crashed(folder: Path) -> None:
    """A store of one prediction, as a process that was killed leaves it: with its log."""
    open_store(folder).close()
    script = (
        "import os\n"
        "from modelwatch.storage.engine.store import Store\n"
        "from tests.support.events import event, open_ledger\n"
        f"open_ledger(Store('sqlite:///{folder / 'modelwatch.db'}')).commit([event('a')])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False, cwd=REPOSITORY, env=os.environ)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="this system can't hold a file by its path alone")
def test_a_file_made_after_the_removed_one_is_not_taken_for_it_though_nothing_is_open(tmp_path: Path) -> None:
    path = tmp_path / "modelwatch.db"
    path.touch()
    file = SqliteFile(path)
    connection = file.connect(lambda: sqlite3.connect(path))
    file.opened()
    connection.close()
    file.closed()
    path.unlink()
    for _ in range(20):
        path.touch()
        with pytest.raises(StoreReplaced):
            file.check()
        path.unlink()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open descriptors are counted in /proc")
def test_stores_that_are_gone_hold_no_file(tmp_path: Path) -> None:
    def held() -> list[str]:
        links = list(Path("/proc/self/fd").iterdir())
        return [str(link.readlink()) for link in links if link.is_symlink() and str(tmp_path) in str(link.readlink())]

    store = open_store(tmp_path)
    with store.read() as connection:
        connection.execute(text("SELECT 1"))
    assert held()
    store.close()
    del store, connection
    gc.collect()
    assert held() == []
