"""The example scripts, run as the README says, against a real service."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.servers.live_service import LiveService, free_port

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = "fraud_detection_v2"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("examples")) as live:
        yield live


def run(script: str, *words: object, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"examples/{script}", *map(str, words)],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | settings,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def drift(service: LiveService) -> dict[str, Any]:
    answer = httpx.post(f"{service.url}/api/v1/drift/check", json={"model_name": MODEL, "lookback": "1h"}, timeout=30)
    return {result["feature_name"]: result for result in answer.raise_for_status().json()["drift_results"]}


def test_predictions_arrive_and_a_shift_is_found_against_the_reference(service: LiveService) -> None:
    done = run("sample_predictions.py", "--url", service.url, "--count", 1_200)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1200 of 1200" in done.stdout
    model = httpx.get(f"{service.url}/api/v1/models/{MODEL}").json()
    assert model["predictions"] == 1_200
    assert [stream["model_version"] for stream in model["streams"]] == ["2.1.0"]

    done = run("load_reference_data.py", "--url", service.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "transaction_amount: stable" in done.stdout
    references = httpx.get(f"{service.url}/api/v1/reference", params={"model_name": MODEL}).json()["references"]
    active = {each["feature_name"]: each["reference_size"] for each in references if each["state"] == "active"}
    names = ("transaction_amount", "merchant_category", "prediction", "score")
    assert {name: active[name] for name in names} == dict.fromkeys(names, 10_000)
    assert {name: result["severity"] for name, result in drift(service).items() if name in names} == dict.fromkeys(
        names, "stable"
    )

    done = run("sample_predictions.py", "--url", service.url, "--count", 1_200, "--shift", 2)
    assert done.returncode == 0
    shifted = drift(service)
    assert shifted["transaction_amount"]["severity"] == "alert"
    assert shifted["transaction_amount"]["sample_size"] == 2_400
    assert shifted["merchant_category"]["severity"] == "stable"


@pytest.mark.parametrize("script", ["sample_predictions.py", "load_reference_data.py"])
def test_without_a_service_they_say_how_to_start_one(script: str) -> None:
    done = run(script, "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert "python -m src.main" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["sample_predictions.py", "load_reference_data.py"])
def test_they_are_short_enough_to_be_read(script: str) -> None:
    assert len((REPOSITORY / "examples" / script).read_text().splitlines()) < 120


def test_they_ask_the_service_of_the_same_settings(tmp_path: Path) -> None:
    port = str(free_port())
    done = run("sample_predictions.py", HOST="127.0.0.1", PORT=port)
    assert f"No service at http://127.0.0.1:{port}." in done.stderr
    done = run("load_reference_data.py", MODELWATCH_URL="http://127.0.0.1:9", PORT=port)
    assert "No service at http://127.0.0.1:9." in done.stderr
