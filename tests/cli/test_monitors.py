"""Monitors from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cli.conftest import RunCli
from tests.support.live_service import LiveService
from tests.support.traffic import predictions, reference_values

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
    assert "applied: would be created" in run_cli(*words, "--dry-run").stdout
    assert "applied: created" in run_cli(*words).stdout
    assert "applied: unchanged" in run_cli(*words).stdout
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
    assert "No channel has this name" in done.stderr
    assert run_cli("monitors", "get", "nobody", "--url", filled.url).returncode == 2
    wrong = write(tmp_path, "model: x\nbudget: no\n")
    assert "/budget" in run_cli("monitors", "apply", wrong, "--url", filled.url).stderr


def test_a_file_is_tried_on_what_is_stored(filled: LiveService, tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, f"model: {MODEL}\ndrift: {{psi_warning: 50, psi_alert: 60}}\n")
    done = run_cli("monitors", "backtest", path, "--url", filled.url)
    assert done.returncode == 0, done.stderr
    assert "this file  0 alerts" in done.stdout
    [report] = json.loads(run_cli("monitors", "backtest", path, "--url", filled.url, "--json").stdout)["backtests"]
    assert report["in_force"][0]["alerts"] >= 1
    lower = write(tmp_path, f"model: {MODEL}\n")
    assert "amount alert, PSI up to" in run_cli("monitors", "backtest", lower, "--url", filled.url).stdout
    none = run_cli("monitors", "backtest", path, "--url", filled.url, "--end", "2020-01-01T00:00:00Z")
    assert "no data in this span" in none.stdout


def test_the_schema_is_printed(run_cli: RunCli) -> None:
    schema = json.loads(run_cli("monitors", "schema").stdout)
    assert {"drift", "alerts", "schedule"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.timeout(90)
def test_the_service_does_not_start_with_files_that_are_wrong(tmp_path: Path, run_cli: RunCli) -> None:
    path = write(tmp_path, "model: m\nbudgt: 1\n")
    done = run_cli("serve", "--port", "0", "--data-dir", tmp_path / "data", MONITORS_PATH=str(path))
    assert done.returncode == 2
    assert "did you mean budget?" in done.stderr
    assert "Traceback" not in done.stderr
