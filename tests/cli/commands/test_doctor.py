"""What the doctor sees."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import socket
import sqlite3
import time
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from modelwatch.cli import main
from modelwatch.cli.commands import doctor as doctor_module
from modelwatch.cli.commands.doctor import Finding, Status, examine
from modelwatch.storage.engine.store import Store, translated_errors
from tests.support.events import Clock, event, open_ledger
from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.postgres import Cluster


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOST", "127.0.0.1")
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def findings() -> dict[str, Finding]:
    return {finding.check: finding for finding in examine()}


def test_a_good_place_is_healthy_and_nothing_is_left_there(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["healthy"]
    assert {check["check"] for check in report["checks"]} == {
        "settings", "data directory", "free disk", "fsync", "file lock", "SQLite", "store", "schema",
        "channels", "port", "clock",
    }  # fmt: skip
    assert list(place.iterdir()) == []


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    output = capsys.readouterr().out
    assert "fsync" in output
    assert "No check failed, " in output  # one warning, at least: no channel is configured


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        (["ok", "skipped"], "All checks passed."),
        (["ok", "warning"], "No check failed, 1 warning."),
        (["warning", "warning"], "No check failed, 2 warnings."),
        (["failed", "ok"], "1 of 2 checks failed."),
        (["failed", "warning", "warning"], "1 of 3 checks failed, 2 warnings."),
    ],
)
def test_failures_and_warnings_are_counted_and_only_failures_make_the_exit_code(
    statuses: list[Status], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_module, "examine", lambda: [Finding("clock", status, "") for status in statuses])
    failed = "failed" in statuses
    assert main(["doctor"]) == failed
    assert capsys.readouterr().out.splitlines()[-1] == told
    assert main(["doctor", "--json"]) == failed
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (report["healthy"], report["warnings"]) == (not failed, statuses.count("warning"))


def test_a_made_store_shows_its_schema() -> None:
    assert findings()["schema"].status == "skipped"
    main(["migrate"])
    assert findings()["schema"].status == "ok"
    assert "answers" in findings()["store"].detail


def test_wrong_settings_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("WORKERS", "0")
    assert main(["doctor", "--json"]) == 1
    [check] = json.loads(capsys.readouterr().out)["checks"]
    assert "WORKERS" in check["detail"]


def test_a_store_that_is_away_fails_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:s3cr3t@127.0.0.1:9/x")
    store = findings()["store"]
    assert store.status == "failed"
    assert "s3cr3t" not in store.detail


def test_a_file_that_is_no_database_fails(place: Path) -> None:
    (place / "data").mkdir()
    (place / "data" / "modelwatch.db").write_bytes(b"no database " * 1_000)
    assert findings()["store"].status == "failed"


def test_a_port_of_another_program_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PORT", str(taken.getsockname()[1]))
        monkeypatch.setattr(doctor_module, "HEALTH_SECONDS", 0.2)
        assert findings()["port"] == Finding("port", "failed", f"{taken.getsockname()[1]} is used by another program")


def test_a_running_service_is_recognised(service: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(service.port))
    assert findings()["port"] == Finding("port", "ok", f"a healthy modelwatch serves {service.port}")


def test_a_running_service_that_is_not_well_is_told_with_what_it_lacks(
    service: LiveService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", str(service.port))
    said = {"service": "modelwatch", "status": "unhealthy", "checks": {"store": "ok", "disk": "0 MB are free"}}
    monkeypatch.setattr(httpx, "get", lambda *_given, **_options: httpx.Response(503, json=said))
    detail = f"the modelwatch that serves {service.port} is unhealthy; disk: 0 MB are free"
    assert findings()["port"] == Finding("port", "failed", detail)


def test_a_full_disk_and_a_slow_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "NO_DISK_BYTES", 10**18)
    monkeypatch.setattr(doctor_module, "SLOW_FSYNC_MS", 0.0)
    found = findings()
    assert (found["free disk"].status, found["fsync"].status) == ("failed", "warning")


def test_a_disk_that_takes_nothing_is_told_like_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(doctor_module, "_fsync", full)
    found = findings()
    assert found["fsync"].status == "failed"
    assert found["fsync"].detail.startswith("nothing can be written to")
    assert found["fsync"].detail.endswith("no space left on device")
    assert {"store", "port", "clock"} <= found.keys()


def test_a_file_that_another_program_locks_is_told_although_it_can_be_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["migrate"])
    assert findings()["writes"].status == "ok"
    file = place / "data" / "modelwatch.db"
    monkeypatch.setattr("modelwatch.storage.engine.drivers.sqlite.SQLITE_BUSY_SECONDS", 0.1)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = findings()
    assert (found["store"].status, found["writes"].status) == ("ok", "failed")
    assert "database is locked; end the program that holds the store's lock" in found["writes"].detail
    monkeypatch.setattr(doctor_module, "WRITE_SECONDS", 0.2)
    with file.with_name("modelwatch.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = findings()["writes"]
    assert (held.status, "another process holds the lock" in held.detail) == ("failed", True)


def test_what_fails_a_write_is_told_as_it_is_and_no_lock_is_blamed(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(error: Exception) -> None:
        def fail(_store: Store) -> NoReturn:
            with translated_errors():
                raise error

        monkeypatch.setattr(Store, "write", fail)

    main(["migrate"])
    failing(OperationalError("BEGIN", None, sqlite3.OperationalError("unable to open database file")))
    assert findings()["writes"].detail == "The store did not answer: unable to open database file"
    failing(DatabaseError("BEGIN", None, sqlite3.DatabaseError("database disk image is malformed")))
    found = {each.check: each for each in examine() if each.status == "failed"}
    assert found["store"].detail.endswith("database disk image is malformed")
    assert "writes" not in found
    failing(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        findings()


def test_a_server_that_takes_no_writes_is_told(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.database() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        assert findings()["writes"].status == "ok"
        postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
        found = findings()["writes"]
    assert (found.status, "must name the primary" in found.detail) == ("failed", True)


def test_a_server_that_loses_what_it_acknowledges_is_told(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.database() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        assert "synchronous_commit" not in findings()["durability"].detail
        postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
        found = findings()["durability"]
    assert (found.status, "synchronous_commit off: acknowledged" in found.detail) == ("warning", True)


def test_fewer_connections_than_the_workers_may_open_are_told(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("WORKERS", "2")
        assert findings()["connections"].status == "ok"
        limit = f"ALTER DATABASE {url.rpartition('/')[2]} CONNECTION LIMIT"
        postgres.execute(f"{limit} 15")
        found = findings()["connections"]
        postgres.execute(f"{limit} -1")
    assert (found.status, "is 16, but server, database and role allow 15" in found.detail) == ("warning", True)


def test_a_newer_schema_is_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor_module._schema("0009", "0001").status == "failed"
    assert doctor_module._schema("0001", "0009").status == "warning"


def test_times_from_the_future_in_the_store_are_told(place: Path) -> None:
    main(["migrate"])
    assert findings()["store's clock"].status == "ok"
    store = Store(f"sqlite:///{place / 'data' / 'modelwatch.db'}")
    open_ledger(store, Clock(time.time_ns() // 1_000 + 3_600_000_000)).commit([event("a")])
    store.close()
    found = findings()["store's clock"]
    assert (found.status, "s in the future" in found.detail) == ("warning", True)


def test_channels_are_named_and_examples_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "none is configured" in findings()["channels"].detail
    monkeypatch.setenv("PAGERDUTY_INTEGRATION_KEY", "0123456789abcdef0123456789abcdef")
    assert (findings()["channels"].status, findings()["channels"].detail) == ("ok", "pagerduty")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.com/services/YOUR/WEBHOOK/URL")
    assert findings()["channels"].status == "warning"
    assert findings()["channels"].detail == "url of slack looks like an unmodified example"


def test_a_channels_file_that_can_not_be_used_is_told(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("CHANNELS_FILE", str(place / "channels.yaml"))
    (place / "channels.yaml").write_text("channels: {team: {type: slak}}")
    assert findings()["channels"].status == "failed"
    assert "did you mean slack?" in findings()["channels"].detail


def test_links_that_lead_nowhere_are_told_where_there_are_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    assert "PUBLIC_URL" not in findings()["channels"].detail
    monkeypatch.setenv("PAGERDUTY_INTEGRATION_KEY", "0123456789abcdef0123456789abcdef")
    found = findings()["channels"]
    assert (found.status, found.detail.startswith("PUBLIC_URL is not set")) == ("warning", True)
    monkeypatch.setenv("PUBLIC_URL", "https://watch.example.org")
    assert findings()["channels"].detail == "pagerduty"
