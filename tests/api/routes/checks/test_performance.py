"""A model's performance over HTTP: now, over time, and what can't be asked."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from tests.support.app import App, pointers
from tests.support.background import background, run_out
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR, MINUTE
from tests.support.events import NOON, event, open_ledger


def at(hour: float) -> str:
    return datetime.fromtimestamp((NOON + hour * HOUR) / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def labelled(app: App) -> App:
    """Six hours of version 1, wrong in the last two, and one of version 2 in staging."""
    watch_yes(app.store, performance={"lookbacks": ["1h", "6h"], "metrics": ["accuracy", "log_loss"]})
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in range(6):
        rows = outcomes(300, hour, flipped=0.5 if hour > 3 else 0.0)
        send_labelled(app.store, later(100), rows, at=NOON + hour * HOUR, label_after=MINUTE)
    send_labelled(app.store, later(100), outcomes(200, 9), at=NOON, version="2", environment="staging")
    return app


def test_the_current_performance_of_each_version_and_environment(labelled: App) -> None:
    found = labelled.get("models/m/performance")
    assert (found["model_name"], found["history"]) == ("m", [])
    current = {(each["model_version"], each["environment"]): each for each in found["current"]}
    assert current.keys() == {("1", "production"), ("2", "staging")}
    assert current["1", "production"]["severity"] == "alert"
    assert current["2", "staging"]["severity"] == "stable"
    assert current["1", "production"]["worst"] == ["accuracy", "log_loss"]
    windows = current["1", "production"]["windows"]
    assert [(each["lookback"], each["matured"]) for each in windows] == [
        ("1h", False),
        ("6h", False),
        ("1h", True),
        ("6h", True),
    ]
    accuracy = windows[2]["metrics"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"] < accuracy["reference"]
    assert (accuracy["severity"], accuracy["p_value"] < accuracy["alpha"]) == ("alert", True)
    # What is not watched is shown without a verdict.
    assert windows[2]["metrics"]["mcc"]["severity"] is None
    assert windows[2]["estimate"]["metrics"]["accuracy"]["value"] > accuracy["high"]


def test_version_and_environment_select(labelled: App) -> None:
    assert [each["model_version"] for each in labelled.get("models/m/performance", version="2")["current"]] == ["2"]
    assert len(labelled.get("models/m/performance", environment="production")["current"]) == 1
    nothing = labelled.get("models/m/performance", version="3", step="1h")
    assert (nothing["current"], nothing["history"]) == ([], [])


def test_a_history_by_the_hour(labelled: App) -> None:
    found = labelled.get("models/m/performance", version="1", start=at(0), end=at(6), step="1h")
    [history] = found["history"]
    assert (history["model_version"], history["step_seconds"]) == ("1", 3_600)
    assert [each["start"] for each in history["windows"]] == [at(hour) for hour in range(6)]
    values = [each["metrics"]["accuracy"]["value"] for each in history["windows"]]
    assert max(values[4:]) < min(values[:4])
    assert all(each["estimate"]["metrics"]["roc_auc"]["value"] > 0.9 for each in history["windows"])
    assert len(labelled.get("models/m/performance", step="1h")["history"]) == 2


def test_a_history_as_a_table_has_the_same_numbers(labelled: App) -> None:
    asked = {"start": at(0), "end": at(4), "step": "1h", "version": "1"}
    [history] = labelled.get("models/m/performance", **asked)["history"]
    answer = labelled.request("GET", "/api/v1/models/m/performance.csv", params=asked)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["start"] for row in rows] == [each["start"] for each in history["windows"]]
    assert {row["model_version"] for row in rows} == {"1"}
    assert [int(row["labelled"]) for row in rows] == [each["labelled"] for each in history["windows"]]
    found = [each["metrics"]["accuracy"] for each in history["windows"]]
    for column, field in (("accuracy", "value"), ("accuracy low", "low"), ("accuracy high", "high")):
        assert [float(row[column]) if row[column] else None for row in rows] == [each[field] for each in found]
    assert labelled.request("GET", "/api/v1/models/nobody/performance.csv").status_code == 404


def test_a_verdict_on_performance_is_told_and_verified(labelled: App) -> None:
    from modelwatch.monitoring.checks.rules import DriftRules
    from modelwatch.storage.verdicts.verdicts import PERFORMANCE, latest_verdicts

    rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600)
    # No label has come for a while, so what there is is all.
    run_out(background(labelled.store, rules, later(101)))
    with labelled.store.read() as connection:
        verdict = next(each for each in latest_verdicts(connection, "m", check=PERFORMANCE) if each.version == "1")
    told = labelled.get(f"verdicts/{verdict.id}")
    assert (told["check"], told["severity"], told["report"]["task"]) == ("performance", "alert", "binary")
    assert labelled.get(f"verdicts/{verdict.id}/verification")["reproduced"] is True


def test_a_model_without_labels_says_what_to_do(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    [current] = app.get("models/m/performance")["current"]
    assert (current["severity"], current["task"]) == ("no_data", None)
    assert (
        current["reason"]
        == "No labels have been received for this model's predictions: POST them to /api/v1/ground-truth."
    )


def test_what_can_not_be_asked_is_named(labelled: App) -> None:
    assert labelled.problem("GET", "models/nobody/performance", 404)["detail"].startswith("No model named 'nobody'")
    for query, pointer in (
        ({"step": "7m"}, "/step"),
        ({"step": "often"}, "/step"),
        ({"start": at(-40), "end": at(3), "step": "5m", "version": "1"}, "/step"),
        ({"start": at(5), "end": at(3)}, "/end"),
        ({"start": "yesterday"}, "/start"),
        ({"version": "a\0b"}, "/version"),
        ({"environment": ""}, "/environment"),
    ):
        assert pointers(labelled.problem("GET", "models/m/performance", 422, params=query)) == [pointer]


def test_the_stretches_of_all_versions_are_bounded_together(labelled: App) -> None:
    """One version may have 400 of them, two at once may not."""
    wide = {"start": at(-32), "end": at(1), "step": "5m"}
    assert labelled.get("models/m/performance", **wide, version="1")["history"]
    problem = labelled.problem("GET", "models/m/performance", 422, params=wide)
    assert pointers(problem) == ["/step"]
    assert problem["errors"][0]["message"] == "396 stretches from start to end; at most 250 are computed at once"


def test_more_versions_than_are_computed_at_once_must_be_named(app: App) -> None:
    open_ledger(app.store).commit([event(f"id-{index}", version=f"v{index}") for index in range(21)])
    assert pointers(app.problem("GET", "models/m/performance", 422)) == ["/version"]
    assert len(app.get("models/m/performance", version="v3")["current"]) == 1
