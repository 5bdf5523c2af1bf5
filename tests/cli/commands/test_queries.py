"""What a service knows of its models, from the command line: alerts, performance, quality, references."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
from rich.cells import cell_len

import modelwatch as mw
from modelwatch.cli.app import app
from modelwatch.library.performance import labels_in_words
from tests.cli.conftest import RunCli
from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService

MODEL = "asked"
# Settings of the service itself, or what is for editors alone.
WITHOUT_JSON = {"monitors schema"}


@pytest.fixture(scope="module")
def asked(service: LiveService) -> LiveService:
    """The service with a labelled model whose amounts have moved, with an alert on that."""
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": MODEL, "features": reference_values()}).raise_for_status()
        rows = predictions(900, model=MODEL, shift=1.0)
        client.post("/predictions/batch", json=rows).raise_for_status()
        labels = [
            {"model_name": MODEL, "prediction_id": row["prediction_id"], "ground_truth": row["prediction"]}
            for row in rows
        ]
        client.post("/ground-truth/batch", json=labels).raise_for_status()
        eventually(lambda: client.get("/alerts", params={"model": MODEL}).json()["alerts"], "an alert", 60)
    return service


def commands(group: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every command below a group, by its words."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        whole = (*words, name)
        found |= commands(command, whole) if hasattr(command, "commands") else {" ".join(whole): command}
    return found


def test_every_command_prints_json_on_request() -> None:
    every = commands(typer.main.get_command(app))
    without = {words for words, command in every.items() if not any("--json" in each.opts for each in command.params)}
    assert without == WITHOUT_JSON


def test_alerts_are_listed_and_fail_a_pipeline(asked: LiveService, run_cli: RunCli) -> None:
    told = run_cli("alerts", MODEL, "--url", asked.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "feature drift" in told.stdout
    assert "firing" in told.stdout
    assert max(map(cell_len, told.stdout.splitlines())) <= 80
    found = json.loads(run_cli("alerts", MODEL, "--url", asked.url, "--json").stdout)["alerts"]
    assert {each["model_name"] for each in found} == {MODEL}
    assert run_cli("alerts", MODEL, "--url", asked.url, "--fail-on", "warning").returncode == 1
    assert run_cli("alerts", MODEL, "--url", asked.url, "--state", "resolved", "--fail-on", "warning").returncode == 0


@pytest.mark.parametrize(("option", "value"), [("--state", "open"), ("--fail-on", "no-verdict")])
def test_what_no_alert_can_be_is_refused(asked: LiveService, run_cli: RunCli, option: str, value: str) -> None:
    done = run_cli("alerts", "--url", asked.url, option, value)
    assert done.returncode == 2
    assert f"{option} {value!r}: expected" in done.stderr


@pytest.mark.parametrize(
    "words", [("alerts", "nobody"), ("performance", "nobody"), ("quality", "nobody"), ("reference", "list", "nobody")]
)
def test_an_unknown_model_is_told_with_what_lists_the_others(
    asked: LiveService, run_cli: RunCli, words: tuple[str, ...]
) -> None:
    done = run_cli(*words, "--url", asked.url)
    assert done.returncode == 2
    assert "No model named 'nobody'" in done.stderr
    assert "`modelwatch models` lists those that it knows." in done.stderr


def test_performance_is_a_table_of_what_is_watched(asked: LiveService, run_cli: RunCli) -> None:
    told = run_cli("performance", MODEL, "--url", asked.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "Accuracy" in told.stdout
    assert max(map(cell_len, told.stdout.splitlines())) <= 80
    every = run_cli("performance", MODEL, "--url", asked.url, "--all").stdout
    assert len(every.splitlines()) > len(told.stdout.splitlines())
    [report] = json.loads(run_cli("performance", MODEL, "--url", asked.url, "--json").stdout)["current"]
    # Its reference has no labels.
    code = 4 if report["severity"] in ("no_reference", "immature", "no_data", "insufficient_data") else 0
    assert run_cli("performance", MODEL, "--url", asked.url, "--fail-on", "no-verdict").returncode == code


def test_quality_names_what_is_broken(asked: LiveService, run_cli: RunCli) -> None:
    told = run_cli("quality", MODEL, "--url", asked.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert MODEL in told.stdout
    every = run_cli("quality", MODEL, "--url", asked.url, "--all").stdout
    assert "missing" in every
    assert max(map(cell_len, every.splitlines())) <= 80
    [report] = json.loads(run_cli("quality", MODEL, "--url", asked.url, "--json").stdout)["current"]
    assert report["severity"] in told.stdout


def test_references_are_listed(asked: LiveService, run_cli: RunCli) -> None:
    told = run_cli("reference", "list", MODEL, "--url", asked.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "amount" in told.stdout
    assert "merchant" in told.stdout
    found = json.loads(run_cli("reference", "list", MODEL, "--url", asked.url, "--json").stdout)
    assert {"amount", "merchant"} <= {each["feature_name"] for each in found["references"]}


def test_models_alone_lists_them(asked: LiveService, run_cli: RunCli) -> None:
    alone, listed = (run_cli(*words, "--url", asked.url, "--json") for words in (("models",), ("models", "list")))
    assert alone.returncode == 0
    assert json.loads(alone.stdout) == json.loads(listed.stdout)


def test_a_check_as_junit(asked: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    words = ("check", MODEL, "--url", asked.url, "--feature", "amount", "--feature", "merchant")
    assert run_cli(*words, "--junit", "drift.xml").returncode == 0
    suite = ElementTree.parse(tmp_path / "drift.xml").getroot()
    assert suite.attrib == {"name": "modelwatch", "tests": "2", "failures": "1", "skipped": "0"}
    failed: list[Any] = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["amount"]
    away = run_cli(*words, "--junit", "no/such/folder.xml")
    assert away.returncode == 2
    assert "no/such/folder.xml can't be written" in away.stderr


def test_a_report_is_a_page_with_the_numbers_of_the_service(
    asked: LiveService, run_cli: RunCli, tmp_path: Path
) -> None:
    done = run_cli("report", MODEL, "-o", "report.html", "--json", "--fail-on", "alert", "--url", asked.url)
    assert (done.returncode, done.stderr) == (1, "The report is in report.html\n")
    page = (tmp_path / "report.html").read_text()
    assert MODEL in page
    assert "<script" not in page
    assert page.count("<svg") > 2
    assert len(page) < 300_000
    found = json.loads(done.stdout)
    check = json.loads(run_cli("check", MODEL, "--url", asked.url, "--json").stdout)
    assert {each["name"]: each["psi"] for each in found["subjects"]} == {
        each["feature_name"]: each["psi"] and each["psi"]["score"] for each in check["drift_results"]
    }
    assert found["model"]["name"] == MODEL
    assert found["model"]["false_alarm_budget"] == check["summary"]["false_alarm_budget"]
    amount = next(each for each in found["subjects"] if each["name"] == "amount")
    assert amount["severity"] == "alert"
    assert sum(amount["current_counts"]) == amount["sample_size"] == 900
    assert len(amount["edges"]) == len(amount["cells"]) - 1
    told = run_cli("report", MODEL, "--url", asked.url)
    assert (told.returncode, told.stderr) == (0, "")
    assert "amount" in told.stdout


def test_a_report_says_that_performance_is_worse(service: LiveService, run_cli: RunCli, tmp_path: Path) -> None:
    model, rng = "labelled", np.random.default_rng(11)

    def rows(wrong: float, share: float) -> dict[str, Any]:
        truth = rng.random(1_500) < share
        called = np.where(rng.random(1_500) < wrong, ~truth, truth)
        names = {"prediction": called, "ground_truth": truth}
        named = {name: np.where(values, "yes", "no") for name, values in names.items()}
        return {"x": rng.normal(size=1_500), **named}

    before, after = rows(0.05, 0.2), rows(0.3, 0.4)
    pq.write_table(pa.table(before), tmp_path / "reference.parquet")
    assert run_cli("reference", "upload", "reference.parquet", "--model", model, "--url", service.url).returncode == 0
    hours_ago = (time.time() - np.linspace(5 * 3_600, 600, 1_500)) * 1e6
    moments = pa.array(hours_ago.astype(np.int64), pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({**after, "timestamp": moments}), tmp_path / "now.parquet")
    httpx.post(
        f"{service.url}/api/v1/predictions/batch",
        params={"model_name": model},
        content=(tmp_path / "now.parquet").read_bytes(),
        headers={"Content-Type": "application/vnd.apache.parquet"},
        timeout=30,
    ).raise_for_status()

    def performance() -> dict[str, Any]:
        found = json.loads(run_cli("report", model, "-o", "report.html", "--json", "--url", service.url).stdout)
        return found["performance"] or {"metrics": [], "current": {"labelled": 0}}

    eventually(lambda: performance()["current"]["labelled"] == 1_500, "labels in the report", 30)
    found = performance()
    metrics = {each["name"]: each for each in found["metrics"]}
    accuracy = metrics["accuracy"]
    assert accuracy["severity"] == "alert"
    assert 0.9 < accuracy["reference"]["value"] < 1.0
    assert 0.6 < accuracy["current"]["low"] < accuracy["current"]["high"] < 0.8
    page = (tmp_path / "report.html").read_text()
    assert "performance is worse" in page
    compared = mw.compare(before, after).document.performance
    assert compared is not None
    assert len(metrics) > 8
    assert set(metrics) == {each.name for each in compared.metrics}
    for each in compared.metrics:
        of_service = metrics[each.name]
        assert each.reference is not None
        assert of_service["reference"] == msgspec.to_builtins(each.reference)
        assert of_service["current"] == msgspec.to_builtins(each.current)
        assert of_service["change"] == pytest.approx(each.change)
    assert found["reference"] == msgspec.to_builtins(compared.reference)
    assert found["current"] == msgspec.to_builtins(compared.current)
    assert labels_in_words(compared) in page
    assert re.search(r"Labels of [0-9-]+ [0-9:]+ to [0-9-]+ [0-9:]+ UTC\.", page)
    assert run_cli("report", model, "--fail-on", "alert", "--url", service.url).returncode == 1


def test_the_version_is_printed(run_cli: RunCli) -> None:
    done = run_cli("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("modelwatch 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(run_process: RunCli, shell: str) -> None:
    shown = run_process(_MODELWATCH_COMPLETE=f"source_{shell}")
    assert shown.returncode == 0
    assert "modelwatch" in shown.stdout
    words = {"COMP_WORDS": "modelwatch qual", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "modelwatch qual"}
    words["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    assert "quality" in run_process(_MODELWATCH_COMPLETE=f"complete_{shell}", **words).stdout


@pytest.mark.parametrize("given", [None, "mw_no_such_key"])
def test_without_the_right_key_it_says_which_variable(tmp_path: Path, run_cli: RunCli, given: str | None) -> None:
    with LiveService(tmp_path / "locked", API_KEYS_REQUIRED="true") as locked:
        key = {} if given is None else {"MODELWATCH_API_KEY": given}
        done = run_cli("alerts", "--url", locked.url, **key)
    assert done.returncode == 2
    assert "answered 401" in done.stderr
    assert "Set MODELWATCH_API_KEY to a key of this service" in done.stderr
