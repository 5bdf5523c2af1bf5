"""Rotating keys: every value is then under the new key, whatever happens meanwhile, and the old one can go."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from modelwatch.errors import ProtectionUnavailable, SettingsError
from modelwatch.events import Prediction
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.secrets import rotation
from modelwatch.storage.secrets.keys import keys_in_use
from modelwatch.storage.secrets.rotation import rotate
from tests.support.events import NOON, event, open_ledger
from tests.support.servers.forking import Forked, run_command
from tests.support.stores.privacy import key, opened_again, set_privacy, with_keys

DAY = NOON // 86_400_000_000


def events(count: int, prefix: str = "p") -> list[Prediction]:
    return [event(f"{prefix}{number}", {"iban": f"DE{number}", "age": number}) for number in range(count)]


def fill(store: Store, count: int) -> None:
    """As the first key writes it."""
    with_keys(store, key(1))
    set_privacy(store, features={"iban": "encrypt", "mail": "hash"})
    open_ledger(store).commit(events(count))


def values(store: Store) -> dict[str, object]:
    with store.read() as connection:
        rows = list(first_events(connection, "m", [DAY], 100_000, store.protection))
    return {row.event.prediction_id: row.event.features["iban"] for row in rows}


def key_ids(store: Store) -> set[str | None]:
    with store.read() as connection:
        return set(connection.execute(select(tables.prediction.c.key_id)).scalars())


@pytest.mark.both_engines
def test_everything_is_under_the_new_key_and_the_old_one_can_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "ROWS_A_TRANSACTION", 7)
    fill(store, 20)
    [old] = key_ids(store)
    hashed = store.protection.hash_all("m", "mail", ["a"])
    with_keys(store, key(2), key(1))
    open_ledger(store, prefix="second").commit(events(3, "new"))
    seen: list[int] = []
    done = rotate(store, seen.append)
    assert (done.rows, done.retired) == (20, (old,))
    assert seen == [7, 14, 20]
    with_keys(store, key(2))
    assert values(store) == {each.prediction_id: each.features["iban"] for each in [*events(20), *events(3, "new")]}
    assert key_ids(store) == {store.protection.keyring.writing_id}
    assert store.protection.hash_all("m", "mail", ["a"]) == hashed
    assert rotate(store).rows == 0


@pytest.mark.both_engines
def test_what_a_process_with_the_old_key_writes_later_is_found(store: Store) -> None:
    fill(store, 2)
    late = opened_again(store, key(1))
    with_keys(store, key(2), key(1))
    rotate(store)
    open_ledger(late, prefix="late").commit(events(2, "late"))
    with store.read() as connection:
        assert late.protection.keyring.writing_id in keys_in_use(connection)
    with pytest.raises(SettingsError, match=late.protection.keyring.writing_id):
        with_keys(store, key(2))
    assert rotate(store).rows == 2
    with_keys(store, key(2))
    late.close()


@pytest.mark.both_engines
def test_a_value_that_does_not_decrypt_is_dropped_and_said(store: Store) -> None:
    fill(store, 3)
    table = tables.prediction
    with store.write() as connection:
        taken = select(table.c.protected).where(table.c.prediction_id == "p1").scalar_subquery()
        connection.execute(update(table).where(table.c.prediction_id == "p2").values(protected=taken))
    with_keys(store, key(2), key(1))
    done = rotate(store)
    assert (done.rows, done.unreadable, len(done.retired)) == (3, 1, 1)
    with store.read() as connection:
        rows = list(first_events(connection, "m", [DAY], 10, store.protection))
    assert [row.form("iban") for row in rows] == ["clear", "clear", "none"]


def test_without_a_key_there_is_nothing_to_rotate_to(store: Store) -> None:
    with pytest.raises(ProtectionUnavailable, match="ENCRYPTION_KEY is not set"):
        rotate(store)


def test_the_old_ciphertexts_are_gone_from_the_files(store: Store, tmp_path: Path) -> None:
    fill(store, 300)
    before = [raw for (raw,) in _protected(store)]
    with_keys(store, key(2), key(1))
    rotate(store)
    content = b"".join((tmp_path / name).read_bytes() for name in ("modelwatch.db", "modelwatch.db-wal"))
    assert not [raw for raw in before if raw in content]


def _protected(store: Store) -> list[tuple[bytes]]:
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(select(tables.prediction.c.protected))]


@pytest.mark.timeout(120)
def test_killed_again_and_again_it_still_comes_to_its_end(store: Store, tmp_path: Path) -> None:
    rows = 6_000
    fill(store, rows)
    [old] = key_ids(store)
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "ENCRYPTION_KEY": f"{key(2)},{key(1)}",
    }
    command = ["encryption-key", "rotate", "--json"]

    def left() -> int:
        with store.read() as connection:
            query = select(func.count()).where(tables.prediction.c.key_id == old)
            return int(connection.execute(query).scalar_one())

    kills = 0
    for _ in range(4):
        before = left()
        process = Forked(command, tmp_path, environment, Path(os.devnull))
        try:
            deadline = time.monotonic() + 30
            while left() == before and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.002)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait()
    assert kills, "it was never killed at work"
    erase(store, "m", "p0", actor="t", now=NOON, new_id=lambda: "audit")
    assert run_command(command, tmp_path, environment).returncode == 0
    assert left() == 0
    with_keys(store, key(2))
    assert values(store) == {each.prediction_id: each.features["iban"] for each in events(rows)[1:]}
