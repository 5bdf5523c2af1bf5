"""Asking for drift and setting references from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import RunCli
from tests.support.live_service import LiveService
from tests.support.traffic import predictions, reference_values

MODEL = "checked"


@pytest.fixture(scope="module")
def checked(service: LiveService) -> LiveService:
    """The service with a model whose amounts have moved."""
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": MODEL, "features": reference_values()}).raise_for_status()
        client.post("/predictions/batch", json=predictions(2_000, model=MODEL, shift=1.0)).raise_for_status()
    return service


def test_a_check_is_a_table_with_the_cell_that_moved(checked: LiveService, run_cli: RunCli) -> None:
    done = run_cli("check", MODEL, "--url", checked.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alert" in done.stdout
    assert "> 1" in done.stdout
    assert "1 of 2 drifted" in done.stdout


def test_fail_on_turns_drift_into_exit_code_1(checked: LiveService, run_cli: RunCli) -> None:
    for words, code in (
        (("--fail-on", "alert"), 1),
        (("--fail-on", "warning"), 1),
        (("--fail-on", "warning", "--feature", "merchant"), 0),
    ):
        done = run_cli("check", MODEL, "--url", checked.url, "--json", *words)
        assert done.returncode == code
        assert json.loads(done.stdout)["summary"]["model_name"] == MODEL


def test_a_window_can_be_asked_for(checked: LiveService, run_cli: RunCli) -> None:
    words = ("--start", "2026-01-01T00:00:00Z", "--end", "2026-01-01T06:00:00Z")
    assert "no data" in run_cli("check", MODEL, "--url", checked.url, *words).stdout


def test_refusals_are_told_in_plain_words(checked: LiveService, run_cli: RunCli) -> None:
    unknown = run_cli("check", "nobody", "--url", checked.url)
    assert unknown.returncode == 2
    assert "nobody" in unknown.stderr
    wrong = run_cli("check", MODEL, "--url", checked.url, "--lookback", "7m")
    assert wrong.returncode == 2
    assert "/lookback" in wrong.stderr


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_becomes_the_reference(service: LiveService, run_cli: RunCli, tmp_path: Path, kind: str) -> None:
    values = reference_values(500)
    table = pa.table({"amount": values["amount"], "shop": values["merchant"], "note": ["x"] * 500})
    path, model = tmp_path / f"reference.{kind}", f"uploaded-{kind}"
    (pq.write_table if kind == "parquet" else pyarrow.csv.write_csv)(table, path)
    words = ("--column-map", "shop=merchant", "--column-map", "note=")
    done = run_cli("reference", "upload", path, "--model", model, "--url", service.url, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "amount: continuous, 500 values" in done.stdout
    references = httpx.get(f"{service.url}/api/v1/reference", params={"model_name": model}).json()["references"]
    assert {each["feature_name"]: each["feature_type"] for each in references} == {
        "amount": "continuous",
        "merchant": "categorical",
    }


def test_labels_of_a_reference_are_told(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    said = {
        "flags": (["no", "yes"] * 50, "two classes, yes is the positive one"),
        "letters": (["a", "b", "c", "a"] * 25, "3 classes"),
        "sizes": ([0.5 + number for number in range(100)], "numbers"),
    }
    for model, (values, task) in said.items():
        path = tmp_path / f"{model}.parquet"
        pq.write_table(pa.table({"prediction": values, "ground_truth": [*values[:-1], None]}), path)
        done = run_cli("reference", "upload", path, "--model", model, "--url", service.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"ground_truth: {task}, 99 labels" in done.stdout
        answer = httpx.get(f"{service.url}/api/v1/reference", params={"model_name": model}).json()
        [labelled] = answer["labelled"]
        assert (labelled["labels"], labelled["state"], labelled["model_version"]) == (99, "active", None)
