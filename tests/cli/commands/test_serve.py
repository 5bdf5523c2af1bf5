"""Starting and stopping the service from the command line."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sqlite3
from pathlib import Path

import httpx
import pytest

from modelwatch.cli import main
from tests.cli.conftest import RunCli
from tests.support.app import App
from tests.support.data.traffic import predictions
from tests.support.servers.live_service import LiveService


def test_a_used_port_is_one_clear_line(run_process: RunCli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run_process("serve", "--host", "127.0.0.1", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "already in use" in done.stderr
    assert "--port" in done.stderr


def test_wrong_settings_are_all_named_and_secrets_are_not_shown(run_process: RunCli) -> None:
    done = run_process("serve", "--port", "99999", WORKERS="0", DATABASE_URL="mysql://user:s3cr3t@db/x")
    assert done.returncode == 2
    assert "PORT in the command line" in done.stderr
    assert "WORKERS" in done.stderr
    assert "DATABASE_URL" in done.stderr
    assert "s3cr3t" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_is_away_is_exit_code_3(run_process: RunCli) -> None:
    done = run_process("migrate", DATABASE_URL="postgresql://user:s3cr3t@127.0.0.1:9/x")
    assert done.returncode == 3
    assert "s3cr3t" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_exit_code_2(run_process: RunCli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_process("serve", "--port", "0", "--data-dir", tmp_path / "file" / "data")
    assert done.returncode == 2
    assert "DATA_DIR" in done.stderr


def test_it_says_where_it_listens(tmp_path: Path) -> None:
    with LiveService(tmp_path, interpreter=True) as live:
        assert httpx.get(f"{live.url}/docs").status_code == 200
        assert live.stop() == 0
    output = live.output()
    for line in (f"localhost:{live.port}/api/v1", f"localhost:{live.port}/docs", f"localhost:{live.port}/metrics"):
        assert line in output
    assert "Traceback" not in output
    assert "GET /docs" not in output


def test_requests_are_logged_in_debug_mode(tmp_path: Path) -> None:
    with LiveService(tmp_path, DEBUG="true") as live:
        httpx.get(f"{live.url}/docs")
        live.stop()
    assert "GET /docs" in live.output()


def test_the_log_can_be_json(tmp_path: Path) -> None:
    with LiveService(tmp_path, LOG_FORMAT="json", DEBUG="true") as live:
        httpx.get(f"{live.url}/docs")
        live.stop()
    entries = [json.loads(line) for line in live.output().splitlines()]
    assert {"time", "level", "logger", "message"} <= entries[0].keys()
    assert any("modelwatch listens on" in entry["message"] for entry in entries)


@pytest.mark.timeout(120)
def test_several_workers_count_together_and_leave_nothing_behind(tmp_path: Path) -> None:
    left = tmp_path / "prometheus-killed"
    left.mkdir()
    (left / "counter_1.db").write_bytes(b"\0")
    with LiveService(tmp_path, interpreter=True, WORKERS="3") as live:
        for number in range(30):
            # A connection each, so that several workers get some.
            batch = predictions(10, model="many", prefix=f"w{number}")
            assert httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30).json()["accepted"] == 10
        line = 'ml_predictions_total{environment="production",model_name="many",model_version="unversioned"} 300.0'
        for _ in range(6):
            assert line in httpx.get(f"{live.url}/metrics", timeout=30).text.splitlines()
        assert not left.exists()
        assert live.stop() == 0
    assert [path.name for path in tmp_path.glob("prometheus-*/")] == []


def test_a_store_of_a_newer_version_is_left_alone(run_process: RunCli, tmp_path: Path) -> None:
    assert run_process("migrate", DATA_DIR=str(tmp_path)).returncode == 0
    with contextlib.closing(sqlite3.connect(tmp_path / "modelwatch.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    done = run_process("serve", "--port", "0", DATA_DIR=str(tmp_path))
    assert done.returncode == 2
    assert "newer modelwatch" in done.stderr
    assert "Traceback" not in done.stderr
    assert run_process("doctor", DATA_DIR=str(tmp_path)).returncode == 1


def test_migrating_is_done_once_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for _ in range(2):
        assert main(["migrate", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["schema_version"]
    assert (tmp_path / "data" / "modelwatch.db").exists()


def test_the_start_names_the_pages_and_that_no_channel_is_configured(tmp_path: Path) -> None:
    with LiveService(tmp_path / "without") as live:
        live.stop()
    assert ["Pages", f"http://localhost:{live.port}/"] in [line.split() for line in live.output().splitlines()]
    assert "No notification channel is configured" in live.output()
    with LiveService(tmp_path / "with", ALERT_WEBHOOK_URL="http://127.0.0.1:9/x") as live:
        live.stop()
    assert "No notification channel" not in live.output()


def test_the_start_names_the_public_address_first(tmp_path: Path) -> None:
    with LiveService(tmp_path, PUBLIC_URL="https://ml.example.org/watch/") as live:
        lines = [line.split() for line in live.output().splitlines()]
    named = [line[1] for line in lines if len(line) == 2 and "://" in line[1]]
    assert named[0] == "https://ml.example.org/watch/"
    assert ["Docs", "https://ml.example.org/watch/docs"] in lines
    assert ["Here", f"{live.url.replace('127.0.0.1', 'localhost')}/"] in lines
    assert ["Health", f"{live.url.replace('127.0.0.1', 'localhost')}/health"] in lines


def test_the_folder_of_another_programs_metrics_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    with LiveService(tmp_path / "data", interpreter=True, PROMETHEUS_MULTIPROC_DIR=str(folder)) as live:
        assert "ml_predictions_total" in httpx.get(f"{live.url}/metrics").text
        live.stop()
    assert list(folder.iterdir()) == []
    assert f"PROMETHEUS_MULTIPROC_DIR={folder} is ignored" in live.output()


def test_the_log_of_requests_has_no_ids_of_predictions(tmp_path: Path) -> None:
    with LiveService(tmp_path, DEBUG="true") as live:
        httpx.delete(f"{live.url}/api/v1/models/m/predictions/patient-4711?leave_counts=true")
        live.stop()
    assert "DELETE /api/v1/models/m/predictions/…?leave_counts=true" in live.output()
    assert "4711" not in live.output()


def test_a_full_disk_is_told_by_readiness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1_000_000))
    answer = app.request("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["disk"].startswith(f"1 MB are free on the disk of {tmp_path}")
    app.close()
