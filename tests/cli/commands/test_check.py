"""Asking for drift and setting references from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from modelwatch.cli.commands.check import why
from tests.cli.conftest import RunCli
from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService

MODEL = "checked"


@pytest.fixture(scope="module")
def checked(service: LiveService) -> LiveService:
    """The service with a model whose amounts have moved."""
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": MODEL, "features": reference_values()}).raise_for_status()
        client.post("/predictions/batch", json=predictions(900, model=MODEL, shift=1.0)).raise_for_status()
    return service


def test_a_check_is_a_table_with_the_cell_that_moved(checked: LiveService, run_cli: RunCli) -> None:
    done = run_cli("check", MODEL, "--url", checked.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "alert" in done.stdout
    assert "> 1" in done.stdout
    assert "1 of 2 drifted" in done.stdout
    assert done.stdout.count("Natural variation can't be known: the reference has no time stamps") == 1


def test_a_class_whose_odds_decided_is_named_with_them() -> None:
    odds = {"category": "fraud", "ratio": 3.0468, "decides": True}
    counts = {"cells": ["common", "other", "fraud"], "reference": [6_000, 3_900, 100], "current": [3_100, 1_750, 150]}
    top = {"cell": "other", "reference": 0.39, "current": 0.35}
    result = {"severity": "warning", "reason": None, "top_cells": [top], "odds": odds, "counts": counts}
    assert why(result) == "fraud: 1.0 → 3.0 %, odds ratio 3.05"
    assert why({**result, "odds": {**odds, "decides": False}}) == "other: 39.0 → 35.0 %"


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


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--version", "9.9"),
            "No data of version '9.9' in environment 'production'; there is data of version unversioned.",
        ),
        (
            ("--environment", "staging"),
            "No data in environment 'staging'; the model has data in: production.",
        ),
        (
            ("--version", "9.9", "--environment", "staging"),
            "No data of version '9.9' in environment 'staging'; the model has data in: production.",
        ),
        (
            ("--version", "unversioned", "--environment", "staging"),
            "No data of version 'unversioned' in environment 'staging'; the model has data in: production.",
        ),
    ],
)
def test_what_could_not_be_judged_has_an_exit_code_of_its_own(
    checked: LiveService, run_cli: RunCli, words: tuple[str, ...], says: str
) -> None:
    asked = ("check", MODEL, "--url", checked.url, *words)
    for fail_on in ("warning", "alert", "no-verdict"):
        done = run_cli(*asked, "--fail-on", fail_on)
        assert done.returncode == 4
        assert says in " ".join(done.stdout.split())
        assert "No predictions have been received" not in done.stdout
        assert "drifted" not in done.stdout
        assert "Nothing could be judged, so there is no verdict." in done.stdout
    assert run_cli(*asked).returncode == 0
    report = json.loads(run_cli(*asked, "--json").stdout)
    assert {each["reason"] for each in report["drift_results"]} == {report["summary"]["reason"]}


def test_a_part_without_a_verdict_fails_where_that_is_asked_for(service: LiveService, run_cli: RunCli) -> None:
    model = "half-known"
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        features = {**reference_values(), "never": reference_values()["amount"]}
        client.post("/reference", json={"model_name": model, "features": features}).raise_for_status()
        client.post("/predictions/batch", json=predictions(900, model=model)).raise_for_status()
    words = ("check", model, "--url", service.url, "--feature", "amount", "--feature", "never")
    told = run_cli(*words, "--fail-on", "alert")
    assert told.returncode == 0
    assert "0 of 1 drifted. 1 could not be judged." in told.stdout
    assert run_cli(*words, "--fail-on", "alert", "--fail-on", "no-verdict").returncode == 4
    wrong = run_cli(*words, "--fail-on", "anything")
    assert wrong.returncode == 2
    assert "expected shifted, warning, alert or no-verdict" in wrong.stderr


def test_provisional_is_said_of_each_subject(service: LiveService, run_cli: RunCli) -> None:
    model = "partly-set"
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        amounts = {"model_name": model, "feature_name": "amount", "values": reference_values()["amount"]}
        client.post("/reference", json=amounts).raise_for_status()
        client.post("/predictions/batch", json=predictions(1_500, model=model)).raise_for_status()

        def summary() -> dict[str, Any]:
            found: dict[str, Any] = client.post("/drift/check", json={"model_name": model}).json()["summary"]
            return found

        eventually(lambda: summary()["provisional"], "the provisional reference", 30)
        assert summary()["provisional_subjects"] == ["merchant", "latency", "prediction", "score"]
    told = " ".join(run_cli("check", model, "--url", service.url).stdout.split())
    assert "The reference of merchant, latency, prediction, score is provisional (p)" in told
    assert "1,000 (p)" in told
    own = run_cli("check", model, "--url", service.url, "--feature", "amount").stdout
    assert "provisional" not in own


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_file_becomes_the_reference(service: LiveService, run_cli: RunCli, tmp_path: Path, kind: str) -> None:
    values = reference_values(500)
    table = pa.table({"amount": values["amount"], "shop": values["merchant"], "note": ["x"] * 500})
    path, model = tmp_path / f"reference.{kind}", f"uploaded-{kind}"
    (pq.write_table if kind == "parquet" else pyarrow.csv.write_csv)(table, path)
    words = ("--column-map", "shop=merchant", "--column-map", "note=")
    done = run_cli("reference", "upload", path, "--model", model, "--url", service.url, *words)
    read = "Read as numbers: amount\nRead as text: shop, note\n" if kind == "csv" else ""
    assert (done.returncode, done.stderr) == (0, read)
    assert "amount: continuous, 500 values" in done.stdout
    references = httpx.get(f"{service.url}/api/v1/reference", params={"model_name": model}).json()["references"]
    assert {each["feature_name"]: each["feature_type"] for each in references} == {
        "amount": "continuous",
        "merchant": "categorical",
    }


def test_a_poor_reference_is_not_taken_without_a_word(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "two.parquet"
    pq.write_table(pa.table({"amount": [1.5, 2.5], "size": [1.0, float("inf")]}), path)
    words = ("reference", "upload", path, "--model", "of-two", "--url", service.url)
    done = run_cli(*words)
    assert done.returncode == 0
    assert "warning: amount: Only 2 values, and 100 are wanted for a verdict: a share of 10 % is known" in done.stderr
    assert "warning: size: 1 of 2 values are no finite numbers; they are left out, as invalid." in done.stderr
    warnings = json.loads(run_cli(*words, "--json").stdout)["warnings"]
    assert [each["feature_name"] for each in warnings] == ["amount", "size", "size"]


def test_what_was_received_becomes_the_reference(service: LiveService, run_cli: RunCli) -> None:
    model = "accepted"
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
        client.post("/predictions/batch", json=predictions(900, model=model, shift=1.0)).raise_for_status()
    assert run_cli("check", model, "--url", service.url, "--fail-on", "alert").returncode == 1
    words = ("reference", "from-window", "--model", model, "--url", service.url)
    refused = run_cli(*words)
    assert refused.returncode == 2
    assert "/lookback: Give a look-back, such as 7d, or start and end" in refused.stderr
    done = run_cli(*words, "--lookback", "24h", "--feature", "amount", "--note", "new prices")
    assert (done.returncode, done.stderr) == (0, "")
    assert "accepted has a reference of 900 of 900 predictions from 2025-12-31T12:05:00Z" in done.stdout
    assert run_cli("check", model, "--url", service.url, "--fail-on", "alert").returncode == 0


def test_a_reference_that_is_large_enough_is_taken_without_a_warning(service: LiveService) -> None:
    body = {"model_name": "large-enough", "feature_name": "amount", "values": reference_values(100)["amount"]}
    answer = httpx.post(f"{service.url}/api/v1/reference", json=body).json()
    assert answer["warnings"] == []
    put = {"drift": {"features": {"amount": {"min_samples": 101}}}}
    httpx.put(f"{service.url}/api/v1/models/large-enough/monitor", json=put).raise_for_status()
    answer = httpx.post(f"{service.url}/api/v1/reference", json=body).json()
    assert answer["warnings"][0]["message"].startswith("Only 100 values, and 101 are wanted")


def test_a_balanced_reference_is_not_taken_without_a_word(service: LiveService) -> None:
    body = {"model_name": "balanced", "feature_name": "merchant", "values": [f"m{number}" for number in range(500)] * 3}
    answer = httpx.post(f"{service.url}/api/v1/reference", json=body).json()
    assert [each["feature_name"] for each in answer["warnings"]] == ["merchant"]
    assert answer["warnings"][0]["message"].startswith("Each of its 500 names occurs exactly 3 times.")
    answer = httpx.post(f"{service.url}/api/v1/reference", json={**body, "values": body["values"][1:]}).json()
    assert answer["warnings"] == []


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
