"""Series over HTTP: as JSON and as a table, and each wrong parameter by name."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from tests.support.app import App, pointers
from tests.support.events import NOON, event, open_ledger

HOUR = 3_600 * 1_000_000
SAMPLE = np.random.default_rng(1).lognormal(4.0, 0.8, 2_000).tolist()
NAMES = ["=SUM(A1)", "b"] * 500


@pytest.fixture
def filled(app: App) -> App:
    """A model with two features and six hours of predictions of one version."""
    body = {"model_name": "m", "features": {"amount": SAMPLE, "kind, of": NAMES}}
    app.post("reference", body, 201)
    rng = np.random.default_rng(2)
    predictions = [
        event(
            str(number),
            {"amount": float(rng.lognormal(4.0, 0.8)), "kind, of": NAMES[number]},
            timestamp=NOON - 6 * HOUR + number * HOUR // 100,
        )
        for number in range(600)
    ]
    open_ledger(app.store).commit(predictions)
    return app


def test_a_series_has_a_step_for_each_half_hour_of_48(filled: App) -> None:
    found = filled.get("models/m/series", feature="amount", step="30m")
    assert found["step_seconds"] == found["window_seconds"] == 1_800
    assert len(found["steps"]) in (96, 97)
    assert sum(step["predictions"] for step in found["steps"]) == 600
    assert sum(map(sum, (step["counts"] for step in found["steps"]))) == 600
    assert found["quantile_shares"] == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert len(found["reference"]["cells"]) == len(found["reference"]["edges"]) + 1 == 10


def test_all_subjects_come_at_once(filled: App) -> None:
    found = filled.get("models/m/drift/series", step="2h", window="4h")
    assert [line["feature_name"] for line in found["subjects"]] == ["amount", "kind, of"]
    assert all(len(line["psi"]) == len(line["severity"]) == len(found["steps"]) for line in found["subjects"])
    amount, alone = found["subjects"][0], filled.get("models/m/series", feature="amount", step="2h", window="4h")
    assert amount["n"] == [step["n"] for step in alone["steps"]]
    assert sum(amount["reference_cells"]) == 2_000
    assert sum(amount["current_cells"]) == next(each for each in reversed(amount["n"]) if each)


def test_a_table_has_the_same_numbers_and_no_formula(filled: App) -> None:
    asked = {"feature": "kind, of", "step": "3h"}
    found = filled.get("models/m/series", **asked)
    answer = filled.request("GET", "/api/v1/models/m/series.csv", params=asked)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["predictions"]) for row in rows] == [step["predictions"] for step in found["steps"]]
    assert [int(row["count =SUM(A1)"]) for row in rows] == [step["counts"][0] for step in found["steps"]]
    answer = filled.request("GET", "/api/v1/models/m/drift/series.csv", params={"step": "3h"})
    assert next(csv.reader(io.StringIO(answer.text)))[:5] == [
        "start",
        "end",
        "predictions",
        "psi amount",
        "severity amount",
    ]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({}, "/feature"),
        ({"feature": "amount", "kind": "score"}, "/feature"),
        ({"feature": "nothing"}, "/feature"),
        ({"kind": "mood"}, "/kind"),
        ({"feature": "amount", "step": "7s"}, "/step"),
        ({"feature": "amount", "window": "soon"}, "/window"),
        ({"feature": "amount", "step": "30m", "window": "45m"}, "/window"),
        ({"feature": "amount", "segment": "country=DE"}, "/segment"),
        ({"feature": "amount", "start": "2025-06-02T00:00:00Z", "end": "2025-06-01T00:00:00Z"}, "/end"),
        ({"feature": "amount", "start": "2024-06-02T00:00:00Z", "step": "5m"}, "/step"),
    ],
)
def test_a_wrong_parameter_is_named(filled: App, query: dict[str, str], pointer: str) -> None:
    assert pointers(filled.problem("GET", "models/m/series", 422, params=query)) == [pointer]


def test_too_many_steps_of_too_many_subjects_are_refused(filled: App) -> None:
    wide = {"model_name": "m", "features": {f"x{number}": SAMPLE[:20] for number in range(60)}}
    filled.post("reference", wide, 201)
    query = {"start": "2025-06-12T00:00:00Z", "end": "2025-06-16T00:00:00Z", "step": "5m"}
    problem = filled.problem("GET", "models/m/drift/series", 422, params=query)
    assert pointers(problem) == ["/step"]
    assert "at once" in problem["errors"][0]["message"]


def test_a_subject_is_compared_with_its_reference_or_with_another_window(filled: App) -> None:
    now = filled.get("models/m/comparison", feature="amount")
    assert sum(now["contributions"]) == pytest.approx(now["psi"])
    assert now["psi"] == pytest.approx(now["report"]["psi"]["score"])
    assert (now["before"]["start"], now["before"]["n"], now["after"]["n"]) == (None, 2_000, 600)
    assert now["before"]["quantiles"][2] == pytest.approx(np.median(SAMPLE), rel=0.01)
    windows = {
        "start": "2025-06-15T12:00:00Z",
        "end": "2025-06-15T15:00:00Z",
        "baseline_start": "2025-06-15T09:00:00Z",
        "baseline_end": "2025-06-15T12:00:00Z",
    }
    found = filled.get("models/m/comparison", feature="amount", **windows)
    assert (found["before"]["start"], found["before"]["n"]) == (windows["baseline_start"], 292)
    assert found["after"]["n"] + found["before"]["n"] <= 600
    assert found["psi"] != pytest.approx(found["report"]["psi"]["score"])
    for wrong in ("start", "end", "baseline_start", "baseline_end"):
        query = {"feature": "amount", **{name: each for name, each in windows.items() if name != wrong}}
        assert pointers(filled.problem("GET", "models/m/comparison", 422, params=query)) == [f"/{wrong}"]
    query = {"feature": "amount", "start": windows["end"], "end": windows["start"]}
    assert pointers(filled.problem("GET", "models/m/comparison", 422, params=query)) == ["/end"]


def test_the_volume_of_each_hour_says_why_nothing_is_usual(filled: App) -> None:
    found = filled.get("models/m/volume", step="1h", end="2025-06-15T15:05:00Z")
    assert sum(step["predictions"] for step in found["steps"]) == 600
    assert found["steps"][0]["usual"] is None
    assert found["reason"]
    assert pointers(filled.problem("GET", "models/m/volume", 422, params={"step": "1s"})) == ["/step"]


def test_an_unknown_model_is_not_found(app: App) -> None:
    assert app.problem("GET", "models/nobody/series", 404, params={"kind": "score"})["status"] == 404
