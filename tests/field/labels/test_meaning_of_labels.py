"""Labels as models of all kinds have them: what they are taken to mean is sensible, said, and can be said otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.stats.outcomes.outcome_layout import Outcome
from tests.support.app import App, pointers
from tests.support.background import new_id
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference
from tests.support.events import NOON

PARQUET = {"content-type": "application/vnd.apache.parquet"}


def fraud(n: int = 1_000) -> dict[str, list[Any]]:
    """A fraud model with `predict_proba(x)[:, 1]` of classes in their order: `fraud`, `legitimate`."""
    rng = np.random.default_rng(4)
    legitimate = 1.0 - rng.beta(0.2, 2.0, n)
    truth = np.where(rng.random(n) < legitimate, "legitimate", "fraud")
    said = np.where(legitimate > 0.5, "legitimate", "fraud")
    return {"prediction": said.tolist(), "ground_truth": truth.tolist(), "prediction_probability": legitimate.tolist()}


def ids(n: int = 900) -> dict[str, list[Any]]:
    """30 classes by their numbers, five of six right."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 30, n)
    said = np.where(np.arange(n) % 6, truth, (truth + rng.integers(1, 30, n)) % 30)
    return {"prediction": said.tolist(), "ground_truth": truth.tolist()}


def counts(n: int = 900) -> dict[str, list[Any]]:
    """Sales of the next day, and how many were expected: whole numbers from 0 to about 9."""
    rng = np.random.default_rng(6)
    expected = rng.gamma(2.0, 1.5, n)
    return {"prediction": np.round(expected).astype(int).tolist(), "ground_truth": rng.poisson(expected).tolist()}


def upload(app: App, columns: dict[str, list[Any]], status: int = 201, **query: str) -> Any:
    """The answer to a frame that is set as the reference of `m`."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    body, params = bytes(sink.getvalue()), {"model_name": "m", **query}
    answer = app.request("POST", "/api/v1/reference", content=body, params=params, headers=PARQUET)
    assert answer.status_code == status, answer.text
    return answer.json()


def settle(app: App) -> bool:
    return OutcomeLayouts(app.store, new_id=new_id).settle("m", NOON)


def performance(app: App) -> Any:
    [found] = app.get("models/m/performance")["current"]
    return found


def test_fraud_is_the_positive_class_of_a_fraud_model_whichever_class_the_scores_are_about(
    app: App,
) -> None:
    labelled = upload(app, fraud())["labelled"]
    assert (labelled["task"], labelled["positive_class"], labelled["score_of"]) == ("binary", "fraud", "negative")
    assert labelled["positive_class_reason"] == (
        "Its name indicates it. If it is the other class, set positive_class in the model's monitor or with the"
        " reference."
    )
    assert "about the other class than 'fraud'" in labelled["warnings"][0]
    rows = fraud(600)
    columns = [rows[name] for name in ("prediction", "prediction_probability", "ground_truth")]
    sent = [Outcome(*row) for row in zip(*columns, strict=True)]
    send_labelled(app.store, later(2), sent, at=NOON)
    report = performance(app)
    assert report["positive_class_reason"] == labelled["positive_class_reason"]
    metrics = report["windows"][0]["metrics"]
    assert metrics["roc_auc"]["value"] > 0.7
    assert metrics["log_loss"]["value"] < 0.4


def test_thirty_ids_of_classes_are_classes_and_counts_are_numbers(app: App) -> None:
    found = upload(app, ids())
    assert (found["labelled"]["task"], len(found["labelled"]["classes"])) == ("multiclass", 30)
    assert found["references"][0]["feature_type"] == "categorical"
    assert "ids of classes" in found["labelled"]["task_reason"]
    assert "set task" in found["labelled"]["warnings"][0]
    found = upload(app, counts())
    assert found["labelled"]["task"] == "regression"
    assert found["references"][0]["feature_type"] == "continuous"
    assert "set task" in found["labelled"]["task_reason"]


def test_task_and_positive_class_can_be_said_with_a_reference(app: App) -> None:
    found = upload(app, counts(), task="multiclass")
    assert (found["labelled"]["task"], found["labelled"]["task_reason"]) == ("multiclass", "Set with the reference.")
    assert found["references"][0]["feature_type"] == "categorical"
    labelled = upload(app, fraud(), positive_class="legitimate")["labelled"]
    assert (labelled["positive_class"], labelled["score_of"]) == ("legitimate", "positive")
    rows = {"model_name": "m", "prediction": [1, 2, 3], "ground_truth": [1, 2, 2], "task": "regression"}
    found = app.post("reference", {**rows, "features": {"x": [1, 2, 3]}}, status=201)
    assert found["labelled"]["task"] == "regression"
    rows = {"model_name": "m", "prediction": [1, 0], "ground_truth": [True, False], "positive_class": False}
    found = app.post("reference", {**rows, "features": {"x": [1, 2]}}, status=201)
    assert (found["labelled"]["classes"], found["labelled"]["positive_class"]) == (["0", "1"], "0")


@pytest.mark.parametrize(
    ("columns", "query", "pointer"),
    [
        (fraud(), {"task": "ranking"}, "/task"),
        (fraud(), {"task": "regression"}, "/task"),
        (ids(), {"task": "binary"}, "/task"),
        (fraud(), {"positive_class": "frod"}, "/positive_class"),
        (ids(), {"positive_class": "3"}, "/positive_class"),
        ({"x": [1.0, 2.0]}, {"task": "binary"}, "/task"),
        ({"prediction": ["a", "b"]}, {"positive_class": "a"}, "/positive_class"),
    ],
)
def test_what_is_said_and_can_not_be_is_refused_by_name(
    app: App,
    columns: dict[str, list[Any]],
    query: dict[str, str],
    pointer: str,
) -> None:
    assert pointers(upload(app, columns, 422, **query)) == [pointer]


def test_task_and_positive_class_change_without_a_new_upload(app: App) -> None:
    """What is counted after the change is what a reference that said so from the beginning gives."""
    rows = outcomes(400, 1)
    set_labelled_reference(app.store, outcomes(2_000, 99))
    send_labelled(app.store, later(2), rows, at=NOON)
    before = performance(app)
    assert (before["positive_class"], before["score_of"]) == ("yes", "positive")
    app.request("PUT", "/api/v1/models/m/monitor", json={"positive_class": "no"})
    assert settle(app)
    after = performance(app)
    assert (after["positive_class"], after["positive_class_reason"]) == ("no", "Set in the model's monitor.")
    assert after["reference_labels"] == 2_000
    now, then = after["windows"][0]["metrics"], before["windows"][0]["metrics"]
    assert now["recall"]["value"] == then["specificity"]["value"]
    # What the scores are about was said with the class: those of `yes` are taken for those of `no` now.
    assert now["roc_auc"]["value"] == pytest.approx(1.0 - then["roc_auc"]["value"], abs=1e-3)
    app.request("PUT", "/api/v1/models/m/monitor", json={"task": "multiclass"})
    assert settle(app)
    assert (performance(app)["task"], performance(app)["reference_labels"]) == ("multiclass", 2_000)
    app.request("DELETE", "/api/v1/models/m/monitor")
    assert settle(app)
    again = performance(app)
    assert again["windows"] == before["windows"]
    assert not settle(app)


def test_a_regression_by_mistake_becomes_classes_without_a_new_upload(app: App) -> None:
    columns = counts()
    assert upload(app, columns)["labelled"]["task"] == "regression"
    sent = [Outcome(said, None, true) for said, true in zip(*counts(300).values(), strict=True)]
    send_labelled(app.store, later(2), sent, at=NOON)
    assert "mae" in performance(app)["windows"][0]["metrics"]
    app.request("PUT", "/api/v1/models/m/monitor", json={"task": "multiclass"})
    assert settle(app)
    found = performance(app)
    assert (found["task"], found["task_reason"]) == ("multiclass", "Set in the model's monitor.")
    right = sum(row.prediction == row.truth for row in sent) / 300
    assert found["windows"][0]["metrics"]["accuracy"]["value"] == right
    [labelled] = app.get("reference", model_name="m")["labelled"]
    assert labelled["labels"] == 900


def test_what_was_said_with_a_reference_holds_for_the_window_that_replaces_it(app: App) -> None:
    upload(app, fraud(), positive_class="legitimate")
    rows = fraud(600)
    columns = [rows[name] for name in ("prediction", "prediction_probability", "ground_truth")]
    send_labelled(app.store, later(2), [Outcome(*row) for row in zip(*columns, strict=True)], at=NOON)
    app.post("models/m/reference/from-window", {"lookback": "1h", "labels": True}, status=201)
    [labelled] = app.get("reference", model_name="m")["labelled"]
    assert (labelled["labels"], labelled["positive_class"]) == (600, "legitimate")
    assert labelled["positive_class_reason"] == "Set with the reference."


def test_what_a_monitor_says_and_labels_do_not_have_is_a_warning(app: App) -> None:
    app.request("PUT", "/api/v1/models/m/monitor", json={"positive_class": "frod", "task": "regression"})
    send_labelled(app.store, later(2), outcomes(400, 1), at=NOON)
    settle(app)
    warnings = upload(app, fraud())["labelled"]
    assert warnings is None
    app.request("PUT", "/api/v1/models/m/monitor", json={"positive_class": "frod"})
    labelled = upload(app, fraud())["labelled"]
    assert "'frod', is no class: there are 'fraud', 'legitimate'" in " ".join(labelled["warnings"])


def test_labels_in_other_words_than_predictions_are_said_and_give_no_figures(app: App) -> None:
    rows = [Outcome(number % 2, None, ["legitimate", "fraud"][number % 2]) for number in range(200)]
    send_labelled(app.store, later(2), rows, at=NOON)
    assert settle(app)
    report = performance(app)
    window = report["windows"][0]
    assert (window["unknown_labels"], window["labelled"]) == (200, 200)
    assert window["metrics"]["accuracy"]["value"] is None
    assert "predictions and labels have no class in common" in window["metrics"]["accuracy"]["reason"]
    assert any("200 of 200 labels" in warning for warning in report["warnings"])


def test_a_label_that_is_no_class_is_counted_and_said(app: App) -> None:
    set_labelled_reference(app.store, outcomes(2_000, 99))
    rows = outcomes(400, 1)
    strange = [Outcome(row.prediction, row.probability, "maybe") for row in rows[:30]]
    send_labelled(app.store, later(2), [*strange, *rows[30:]], at=NOON)
    report = performance(app)
    assert report["windows"][0]["unknown_labels"] == 30
    assert any(warning.startswith("30 of 400 labels in the 7d are of classes") for warning in report["warnings"])


@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_probabilities_whose_keys_are_no_class_are_counted_and_said(app: App, classes: str) -> None:
    def rows(n: int, prefix: str) -> list[Outcome]:
        names = [classes[number % len(classes)] for number in range(n)]
        return [Outcome(name, {prefix + each: float(each == name) for each in classes}, name) for name in names]

    set_labelled_reference(app.store, rows(600, ""))
    send_labelled(app.store, later(2), rows(300, "prob_"), at=NOON)
    report = performance(app)
    window = report["windows"][0]
    assert window["unnamed_probabilities"] == 300
    assert window["metrics"]["log_loss"]["value"] is None
    assert "do not include the predicted class" in window["metrics"]["log_loss"]["reason"]
    assert any("300 of 300 predictions" in warning for warning in report["warnings"])
