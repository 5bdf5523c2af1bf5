"""Monitors from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cli.conftest import RunCli
from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.live_service import LiveService, free_port

MODEL = "configured"


@pytest.fixture(scope="module")
def filled(service: LiveService) -> LiveService:
    """The service with three hours of a model, the last of them shifted."""
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": MODEL, "features": reference_values()}).raise_for_status()
        for hour in range(3):
            body = predictions(
                300, prefix=f"h{hour}", model=MODEL, shift=2.0 * (hour == 2), start=f"2026-01-01T{12 + hour}:00:00Z"
            )
            client.post("/predictions/batch", json=body).raise_for_status()
    return service


def write(folder: Path, text: str, name: str = "monitor.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_files_are_checked_without_a_service(tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, "model: a\nbudget: 2\n")
    good = run_cli("monitors", "validate", path)
    assert (good.returncode, good.stdout) == (0, f"{path}: a monitor of a\n")
    write(tmp_path, "model: b\nbudgt: 2\n", "wrong.yaml")
    bad = run_cli("monitors", "validate", tmp_path)
    assert bad.returncode == 2
    assert "wrong.yaml /budgt: Unknown key; did you mean budget?" in bad.stderr
    as_json = json.loads(run_cli("monitors", "validate", tmp_path, "--json").stdout)
    assert (as_json["valid"], as_json["problems"][0]["pointer"]) == (False, "/budgt")
    gone = run_cli("monitors", "validate", tmp_path / "gone.yaml")
    assert (gone.returncode, "no such file" in gone.stderr) == (2, True)


def test_files_are_applied_and_read_back(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, "model: applied\nschedule: {every: 30m}\n")
    words = ("monitors", "apply", path, "--url", filled.url)
    assert run_cli(*words, "--dry-run").stdout == f"applied: would be created ({path})\n"
    assert run_cli("monitors", "get", "applied", "--url", filled.url).returncode == 2
    assert "applied: created" in run_cli(*words).stdout
    assert run_cli(*words).stdout == run_cli(*words, "--dry-run").stdout == f"applied: unchanged ({path})\n"
    path.write_text("model: applied\nschedule: {every: 20m}\n")
    changed = json.loads(run_cli(*words, "--json").stdout)
    assert changed["monitors"][0]["change"] == "changed"
    shown = run_cli("monitors", "get", "applied", "--url", filled.url)
    assert yaml.safe_load(shown.stdout)["schedule"]["every"] == "20m"
    assert "revision 2" in shown.stdout
    found = json.loads(run_cli("monitors", "get", "applied", "--url", filled.url, "--json").stdout)
    assert found["monitor"]["schedule"] == {"every": "20m"}


def test_what_the_service_refuses_is_told(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, "model: applied\nalerts: {channels: [pager]}\n")
    done = run_cli("monitors", "apply", path, "--url", filled.url)
    assert done.returncode == 2
    assert f"{path}, the monitor of applied, was refused" in done.stderr
    assert "/alerts/channels/0: No channel has this name" in done.stderr
    assert run_cli("monitors", "get", "nobody", "--url", filled.url).returncode == 2
    wrong = write(tmp_path, "model: x\nbudget: no\n")
    assert "/budget" in run_cli("monitors", "apply", wrong, "--url", filled.url).stderr


def test_what_was_done_before_a_refusal_is_told_too(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    one = write(tmp_path, "model: before\n", "a.yaml")
    write(tmp_path, "model: refused\nalerts: {channels: [pager]}\n", "b.yaml")
    write(tmp_path, "model: after\n", "c.yaml")
    done = run_cli("monitors", "apply", tmp_path, "--url", filled.url)
    assert (done.returncode, done.stdout) == (2, f"before: created ({one})\n")
    as_json = run_cli("monitors", "apply", tmp_path, "--url", filled.url, "--json")
    assert as_json.returncode == 2
    assert [each["change"] for each in json.loads(as_json.stdout)["monitors"]] == ["unchanged"]
    assert run_cli("monitors", "get", "after", "--url", filled.url).returncode == 2


def test_what_is_shown_can_be_applied_again(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    shown = run_cli("monitors", "get", MODEL, "--url", filled.url)
    assert shown.stdout.startswith(f"# The monitor of {MODEL} (no monitor; these are the defaults), with every default")
    path = write(tmp_path, shown.stdout)
    assert run_cli("monitors", "validate", path).returncode == 0
    assert f"{MODEL}: would be created" in run_cli("monitors", "apply", path, "--url", filled.url, "--dry-run").stdout


def test_without_a_service_there_is_one_clear_message(tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, "model: m\n")
    url = f"http://127.0.0.1:{free_port()}"
    for words in (("get", "m"), ("apply", path), ("backtest", path)):
        done = run_cli("monitors", *words, "--url", url)
        assert (done.returncode, done.stdout) == (3, "")
        assert f"No service answers at {url}" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_file_is_tried_on_what_is_stored(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, f"model: {MODEL}\ndrift: {{psi_warning: 50, psi_alert: 60}}\n")
    done = run_cli("monitors", "backtest", path, "--url", filled.url)
    assert done.returncode == 0, done.stderr
    assert f"{MODEL} unversioned in production, 2026-01-01T12:00:00Z to 2026-01-01T1" in done.stdout
    assert "this file  0 alerts in " in done.stdout
    assert "in force   1 alert in " in done.stdout
    [report] = json.loads(run_cli("monitors", "backtest", path, "--url", filled.url, "--json").stdout)["backtests"]
    assert report["in_force"][0]["alerts"] >= 1
    lower = write(tmp_path, f"model: {MODEL}\n")
    assert "amount alert, PSI up to" in run_cli("monitors", "backtest", lower, "--url", filled.url).stdout
    none = run_cli("monitors", "backtest", path, "--url", filled.url, "--end", "2020-01-01T00:00:00Z")
    assert "no data in this span" in none.stdout


def test_what_can_not_be_tried_is_told(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, f"model: {MODEL}\n")
    words = ("monitors", "backtest", path, "--url", filled.url)
    wrong = run_cli(*words, "--start", "yesterday")
    assert (wrong.returncode, "/start" in wrong.stderr) == (2, True)
    other = run_cli(*words, "--environment", "moon")
    assert (other.returncode, "there is: unversioned in production" in other.stderr) == (2, True)
    path.write_text(f"model: {MODEL}\nbudget: 0\n")
    refused = run_cli(*words)
    assert (refused.returncode, "/budget: Expected more than 0, got '0'" in refused.stderr) == (2, True)


def test_the_schema_is_printed(run_cli: RunCli) -> None:
    schema = json.loads(run_cli("monitors", "schema").stdout)
    assert {"drift", "alerts", "schedule"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.timeout(240)
def test_the_service_does_not_start_with_files_that_are_wrong(tmp_path: Path, run_process: RunCli) -> None:
    write(tmp_path, "model: m\nbudgt: 1\nschedule: {every: x}\n", "a.yaml")
    write(tmp_path, "model: n\nalerts: {channels: [pager]}\n", "b.yaml")
    done = run_process("serve", "--port", "0", "--data-dir", tmp_path / "data", MONITORS_PATH=str(tmp_path))
    assert done.returncode == 2
    for wrong in ("a.yaml /budgt: Unknown key; did you mean budget?", "a.yaml /schedule/every", "b.yaml /alerts/chan"):
        assert wrong in done.stderr
    assert "Traceback" not in done.stderr
