"""A model's performance in a stretch that somebody names, over HTTP: the matured part, beside the reference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from modelwatch.stats.outcomes.outcome_layout import Outcome
from tests.api.routes.checks.test_segments import monitor, reference, rows, send
from tests.support.app import App, pointers
from tests.support.data.labelled import later, outcomes, send_labelled, set_labelled_reference, watch_yes
from tests.support.data.streams import HOUR
from tests.support.events import NOON, event, open_ledger

PATH = "models/m/performance/stretch"


def at(hour: float) -> str:
    return datetime.fromtimestamp((NOON + hour * HOUR) / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def labelled(app: App) -> App:
    """Five hours, labelled an hour after, wrong in the last two; and later an hour whose labels are still to come."""
    watch_yes(app.store, performance={"tolerance": 0.03, "limits": {"recall": 0.2}})
    set_labelled_reference(app.store, outcomes(3_000, 99))
    for hour in (0, 1, 2, 3, 4, 7):
        batch = outcomes(300, hour, flipped=0.5 if hour > 2 else 0.0)
        send_labelled(app.store, later(100), batch, at=NOON + hour * HOUR, label_after=HOUR if hour < 7 else None)
    return app


def stretch(app: App, **query: Any) -> Any:
    [found] = app.get(PATH, **query)["streams"]
    return found


def test_the_accuracy_since_an_onset_with_its_interval(labelled: App) -> None:
    """The two wrong hours that have matured, exactly; not the hour whose labels are still to come."""
    found = stretch(labelled, start=at(3))
    assert (found["asked"]["start"], found["asked"]["predictions"], found["asked"]["labelled"]) == (at(3), 900, 600)
    assert (found["matured"]["start"], found["matured"]["predictions"]) == (at(3), 600)
    assert (found["matured"]["labelled"], found["matured"]["coverage"]) == (600, 1.0)
    accuracy = found["outcomes"]["metrics"]["accuracy"]
    right = sum(row.prediction == row.truth for hour in (3, 4) for row in outcomes(300, hour, flipped=0.5))
    assert (accuracy["value"], accuracy["n"]) == (right / 600, 600)
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    before = stretch(labelled, start=at(0), end=at(3))["outcomes"]["metrics"]["accuracy"]
    assert before["n"] == 900
    assert before["low"] > accuracy["high"]


def test_the_reference_the_change_and_both_levels(labelled: App) -> None:
    found = stretch(labelled, start=at(3))
    value, known = found["outcomes"]["metrics"]["accuracy"]["value"], found["reference"]["metrics"]["accuracy"]["value"]
    change = found["changes"]["accuracy"]
    assert change["value"] == pytest.approx(value - known)
    assert change["low"] < change["value"] < change["high"] < 0
    assert change["certain"] is True
    assert found["levels"]["accuracy"] == {
        "reference": known,
        "warning": pytest.approx(known - 0.03),
        "alert": pytest.approx(known - 0.06),
        "limit": None,
        "lower_is_better": False,
    }
    loss = found["levels"]["log_loss"]
    assert (loss["warning"], loss["lower_is_better"]) == (pytest.approx(1.1 * loss["reference"]), True)
    assert loss["alert"] == pytest.approx(1.2 * loss["reference"])
    assert found["levels"]["recall"]["limit"] == 0.2
    assert "mcc" not in found["levels"]


def test_tables_and_curves_of_both_sides(labelled: App) -> None:
    found = stretch(labelled, start=at(3))
    for side, labels in ((found["outcomes"], 600), (found["reference"], 3_000)):
        assert side["labelled"] == labels
        assert sum(map(sum, side["confusion"]["matrix"])) == labels
        assert [each["name"] for each in side["per_class"]] == ["no", "yes"]
        assert sum(each["n"] for each in side["calibration"]) == labels
        [curve] = side["curves"]
        assert curve["class_name"] == found["positive_class"] == "yes"
        assert curve["positives"] + curve["negatives"] == labels
        assert curve["roc_auc"] == pytest.approx(side["metrics"]["roc_auc"]["value"])
        assert (curve["true_positive_rate"][0], curve["true_positive_rate"][-1]) == (0.0, 1.0)


def test_how_long_labels_take(labelled: App) -> None:
    delay = stretch(labelled)["label_delay"]
    assert delay["labels"] == 1_500
    shares = [each["share"] for each in delay["curve"]]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert delay["curve"][-1]["seconds"] == pytest.approx(3_600, rel=0.2)


def test_what_has_not_matured_tells_nothing(labelled: App) -> None:
    found = stretch(labelled, start=at(7), end=at(8))
    assert (found["matured"], found["outcomes"], found["changes"]) == (None, None, {})
    assert found["reason"] == "Labels for predictions of this time have not arrived yet."
    assert found["reference"]["labelled"] == 3_000
    # What the scores lead one to expect needs no labels.
    assert found["estimate"]["metrics"]["accuracy"]["value"] > 0.8


def test_by_default_it_is_the_day_up_to_what_has_matured(labelled: App) -> None:
    found = stretch(labelled)
    assert found["matured"]["labelled"] == 1_500
    assert found["asked"]["end"] > found["matured"]["end"]


def rides(n: int, bias: float) -> list[Outcome]:
    """Numbers that are predicted, and too high by so much."""
    rng = np.random.default_rng(n)
    truths = rng.uniform(0, 100, n).round(2)
    return [Outcome(float(truth + bias + rng.normal(0, 2)), None, float(truth)) for truth in truths]


def test_the_errors_of_a_regression_beside_those_of_the_reference(app: App) -> None:
    known, now = rides(1_000, 0.0), rides(600, 8.0)
    put = app.request("PUT", "/api/v1/models/m/monitor", json={"task": "regression"})
    assert put.status_code in (200, 201)
    set_labelled_reference(app.store, known, "continuous")
    send_labelled(app.store, later(100), now, at=NOON, label_after=0)
    found = stretch(app)
    errors = found["errors"]
    assert (found["task"], found["outcomes"]["confusion"], found["outcomes"]["curves"]) == ("regression", None, [])
    assert (errors["rows"], errors["labelled"]) == (600, 600)
    assert (sum(errors["counts"]), sum(errors["reference_counts"])) == (600, 1_000)
    assert len(errors["counts"]) == len(errors["edges"]) + 1
    # Nearly all errors are beyond what nearly all were within.
    assert errors["counts"][-1] > 500 > 50 > errors["reference_counts"][-1]
    for side, bias in (("by_prediction", 8.0), ("reference_by_prediction", 0.0)):
        assert len(errors[side]) == 10
        means = [each["predicted"] - each["truth"] for each in errors[side]]
        # At the edges rows are chosen by their errors.
        assert means[1:] == pytest.approx([bias] * 9, abs=1.0)
    bias = found["changes"]["mean_error"]
    assert bias["low"] < 8.0 < bias["high"]
    assert found["levels"]["mae"]["alert"] == pytest.approx(1.2 * found["levels"]["mae"]["reference"])


def test_a_classifier_has_no_errors(labelled: App) -> None:
    assert stretch(labelled)["errors"] is None


def test_a_model_without_labels_says_so(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    found = stretch(app)
    assert (found["task"], found["outcomes"], found["levels"]) == (None, None, {})
    assert found["reason"] == "None of these predictions has a label."


def test_a_segment_beside_the_reference_of_that_segment(app: App) -> None:
    monitor(app)
    known = rows(3_000, 1)
    reference(app, known)
    now = rows(2_000, 2, wrong={"FR": 0.4})
    send(app, now)
    french = [row for row in now if row["country"] == "FR"]
    found = stretch(app, segment="country=FR")
    right = sum(row["prediction"] == row["ground_truth"] for row in french)
    assert found["segment"] == "country=FR"
    assert found["matured"]["predictions"] == found["outcomes"]["labelled"] == len(french)
    assert found["outcomes"]["metrics"]["accuracy"]["value"] == pytest.approx(right / len(french))
    assert found["reference"]["labelled"] == sum(row["country"] == "FR" for row in known)
    assert found["changes"]["accuracy"]["high"] < -0.2
    others = stretch(app, segment="country=DE")["changes"]["accuracy"]
    assert others["certain"] is False


def test_a_history_of_a_segment(app: App) -> None:
    monitor(app)
    reference(app, rows(2_000, 1))
    now = rows(1_000, 2)
    send(app, now)
    [history] = app.get("models/m/performance", step="1h", segment="country=IT")["history"]
    assert history["segment"] == "country=IT"
    assert sum(each["labelled"] for each in history["windows"]) == sum(row["country"] == "IT" for row in now)


def test_what_can_not_be_asked_is_named(labelled: App) -> None:
    assert labelled.problem("GET", "models/nobody/performance/stretch", 404)["status"] == 404
    for query, pointer, message in (
        ({"start": at(5), "end": at(3)}, "/end", "It is not after the start"),
        ({"start": "yesterday"}, "/start", ""),
        ({"segment": "country=DE"}, "/segment", "The model has no segments: name features under `segments`"),
        ({"step": "1h"}, "/step", ""),
    ):
        problem = labelled.problem("GET", PATH, 422, params=query)
        assert pointers(problem) == [pointer]
        assert problem["errors"][0]["message"].startswith(message)
    problem = labelled.problem("GET", "models/m/performance", 422, params={"segment": "a=b", "step": "1h"})
    assert pointers(problem) == ["/segment"]


def test_a_segment_that_is_none_of_the_features_values(app: App) -> None:
    monitor(app)
    reference(app, rows(2_000, 1))
    send(app, rows(100, 2))
    problem = app.problem("GET", PATH, 422, params={"segment": "country=ES"})
    assert problem["errors"][0]["message"].startswith("Expected one of country=DE, ")
    problem = app.problem("GET", PATH, 422, params={"segment": "nothing"})
    assert problem["errors"][0]["message"] == "Expected a segment by country, amount"
