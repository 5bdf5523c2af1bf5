"""Accepting what was received as the new normal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from modelwatch.alerting.alert import Alert
from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.events import GroundTruth
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.references.outcome_references import outcomes_in_force
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import Subject
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.app import App, pointers
from tests.support.background import background, run_out
from tests.support.events import NOON, numbered, open_ledger

HOUR = 3_600
MODEL = "m"
PATH = f"models/{MODEL}/reference/from-window"
HOUR_BEFORE, HOUR_AFTER = "2025-06-15T14:00:00Z", "2025-06-15T16:00:00Z"
DAY = {"lookback": "24h", "actor": "ann", "note": "new prices"}


def send(app: App, shift: float, *, hours: float = 0.0, count: int = 400, **given: Any) -> None:
    """Predictions whose amounts have moved, so many hours after noon."""
    moved = [
        structs.replace(
            each,
            prediction_id=f"{hours:g}h-{each.prediction_id}",
            timestamp=each.timestamp + int(hours * HOUR * 1_000_000),
        )
        for each in traffic(count, shift={"amount": shift}, **given)
    ]
    open_ledger(app.store, prefix=f"{hours:g}-").commit(moved)


def evaluate(app: App, hours: float = 0.0) -> None:
    app.desk.clock.now = max(app.desk.clock.now, NOON + int((hours * HOUR + 400) * 1_000_000))
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))


def alert(app: App, kind: str = "feature_drift") -> Alert:
    [found] = [each for each in app.desk.alerts() if each.kind == kind]
    return found


@pytest.fixture
def drifting(app: App) -> App:
    """A service with an alert about `amount`, which has moved by a standard deviation."""
    set_reference(app.store)
    send(app, 1.0)
    evaluate(app)
    assert [member.finding.subject for member in alert(app).members] == ["amount"]
    return app


def test_a_window_becomes_the_reference_and_the_alert_ends_as_accepted(drifting: App) -> None:
    answer = drifting.post(PATH, DAY, 201)
    assert (answer["predictions"], answer["taken"], answer["warnings"], answer["left_out"]) == (400, 400, [], [])
    assert set(answer["subjects"]) == {"amount", "merchant", "unreferenced", "prediction", "score", "latency"}
    ended = alert(drifting)
    assert answer["alerts_ended"] == [ended.id]
    assert (ended.state, ended.resolved_by) == ("resolved", "ann")
    last = drifting.get(f"alerts/{ended.id}")["events"][-1]
    assert (last["event"], last["actor"], last["note"]) == ("accepted", "ann", "new prices")
    assert last["summary"].startswith("Accepted as new normal by ann: “new prices”.")
    [told] = [sent for sent in drifting.desk.sent() if sent.event == "resolved"]
    assert told.notice.summary == last["summary"]
    entries = [each for each in drifting.get("audit")["entries"] if each["action"] == "reference.from_window"]
    assert [(each["actor"], each["target"], each["detail"]["note"]) for each in entries] == [
        ("ann", "model/m", "new prices")
    ]


def test_what_comes_then_is_compared_with_it(drifting: App) -> None:
    drifting.post(PATH, DAY, 201)
    with drifting.store.read() as connection:
        references = {each.subject: each for each in in_force(connection, MODEL)}
    assert references[Subject("feature", "amount")].profile.n == 400
    assert references[Subject("feature", "amount")].source.startswith("window 2025-06-14T15:10:00Z to 2025-06-15T15:10")
    send(drifting, 1.0, hours=1)
    evaluate(drifting, 1)
    assert alert(drifting).state == "resolved"
    send(drifting, 3.0, hours=2, count=800)
    evaluate(drifting, 2)
    assert alert(drifting).state == "firing"


def test_look_backs_that_reach_to_before_the_change_do_not_open_the_alert_again(app: App) -> None:
    set_reference(app.store)
    send(app, 0.0)
    send(app, 1.0, hours=2)
    evaluate(app, 2)
    app.post(PATH, {"start": "2025-06-15T16:00:00Z", "end": "2025-06-15T19:00:00Z"}, 201)
    send(app, 1.0, hours=3, count=100)
    evaluate(app, 3)
    assert app.post("drift/check", {"model_name": MODEL})["summary"]["drifted"] == ["amount"]
    assert alert(app).state == "resolved"


def test_features_can_be_chosen_and_an_alert_about_others_too_stays_open(app: App) -> None:
    set_reference(app.store, features=1)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0, "f0": 1.0}, features=1))
    evaluate(app)
    answer = app.post(PATH, {**DAY, "features": ["amount"]}, 201)
    assert (answer["subjects"], answer["alerts_ended"]) == (["amount"], [])
    assert alert(app).is_open
    assert app.post(PATH, {**DAY, "features": ["f0", "amount"]}, 201)["alerts_ended"] == [alert(app).id]


def test_a_version_gets_a_reference_of_its_own(drifting: App) -> None:
    answer = drifting.post(PATH, {**DAY, "model_version": "1"}, 201)
    assert (answer["model_version"], answer["alerts_ended"]) == ("1", [alert(drifting).id])
    with drifting.store.read() as connection:
        assert {each.version for each in in_force(connection, MODEL)} == {None, "1"}
    assert drifting.problem("POST", PATH, 409, json={**DAY, "model_version": "9.9"})["detail"] == (
        "There is no data of 'm' version '9.9' in 'production'."
    )


def test_a_common_reference_does_not_end_the_alert_of_a_version_with_its_own(app: App) -> None:
    set_reference(app.store)
    set_reference(app.store, version="1")
    send(app, 1.0)
    evaluate(app)
    assert app.post(PATH, DAY, 201)["alerts_ended"] == []
    assert alert(app).is_open


def test_types_stay_what_they_were(app: App) -> None:
    body = {"model_name": MODEL, "feature_name": "amount", "data_type": "categorical", "values": [1, 2, 3] * 50}
    app.post("reference", body, 201)
    send(app, 0.0)
    app.post(PATH, DAY, 201)
    references = app.get("reference", model_name=MODEL)["references"]
    assert {each["feature_type"] for each in references if each["feature_name"] == "amount"} == {"categorical"}


def test_labels_become_what_performance_is_compared_with(app: App) -> None:
    set_reference(app.store)
    send(app, 0.0, count=200)
    with app.store.read() as connection:
        assert outcomes_in_force(connection, MODEL) == []
    assert "has a label" in app.problem("POST", PATH, 409, json={**DAY, "labels": True})["detail"]
    labels = [GroundTruth(MODEL, f"0h-{each.prediction_id}", each.prediction, each.timestamp) for each in traffic(200)]
    open_ledger(app.store, prefix="l").commit([], labels)
    answer = app.post(PATH, {**DAY, "labels": True, "features": ["amount"]}, 201)
    assert (answer["labels"], answer["subjects"]) == (200, ["amount", "prediction", "score"])
    with app.store.read() as connection:
        [outcomes] = outcomes_in_force(connection, MODEL)
    assert outcomes.counts.n == 200


class TestWithoutStoredValues:
    def test_a_model_that_stores_no_feature_is_told_so(self, app: App) -> None:
        put(app, {"privacy": {"store": "profiles"}})
        set_reference(app.store)
        send(app, 1.0)
        problem = app.problem("POST", PATH, 422, json=DAY)
        assert pointers(problem) == ["/features"]
        assert "No feature's values are stored with these predictions" in problem["errors"][0]["message"]

    def test_a_feature_that_is_dropped_is_left_as_it_was(self, app: App) -> None:
        put(app, {"privacy": {"features": {"amount": "drop"}}})
        set_reference(app.store)
        send(app, 1.0)
        answer = app.post(PATH, DAY, 201)
        assert answer["left_out"] == ["amount"]
        assert "merchant" in answer["subjects"]
        problem = app.problem("POST", PATH, 422, json={**DAY, "features": ["amount"]})
        assert problem["errors"][0]["message"].startswith("Its values are not stored with these predictions")

    def test_a_feature_that_was_never_sent_is_named(self, app: App) -> None:
        set_reference(app.store)
        send(app, 0.0)
        problem = app.problem("POST", PATH, 422, json={**DAY, "features": ["amonut"]})
        assert problem["errors"][0]["message"] == "No prediction of the window has a value of it: amonut"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/lookback"),
        ({"lookback": "soon"}, "/lookback"),
        ({"lookback": "6h", "start": HOUR_BEFORE, "end": HOUR_AFTER}, "/lookback"),
        ({"start": HOUR_BEFORE}, "/end"),
        ({"end": HOUR_AFTER}, "/start"),
        ({"start": HOUR_AFTER, "end": HOUR_BEFORE}, "/end"),
        ({"lookback": "6h", "features": []}, "/features"),
        ({"lookback": "6h", "environment": "a\0b"}, "/environment"),
        ({"lookback": "6h", "actor": "a" * 201}, "/actor"),
        ({"lookbak": "6h"}, "/lookbak"),
    ],
)
def test_what_is_wrong_is_named(drifting: App, body: dict[str, Any], pointer: str) -> None:
    assert pointers(drifting.problem("POST", PATH, 422, json=body)) == [pointer]
    with drifting.store.read() as connection:
        assert {each.source for each in in_force(connection, MODEL)} == {"test"}


def test_a_window_without_predictions_and_a_model_that_is_unknown(drifting: App) -> None:
    empty = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
    problem = drifting.problem("POST", PATH, 409, json=empty)
    assert problem["detail"] == (
        "No prediction of 'm' in 'production' is stored from 2020-01-01T00:00:00Z to 2020-01-02T00:00:00Z."
    )
    drifting.problem("POST", "models/nobody/reference/from-window", 404, json=DAY)


def test_of_very_many_predictions_a_sample_is_taken(drifting: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwatch.monitoring.references.windows.MOST_ROWS", 200)
    answer = drifting.post(PATH, DAY, 201)
    assert answer["predictions"] == 400
    assert 150 < answer["taken"] < 250
    monkeypatch.setattr("modelwatch.monitoring.references.windows.MOST_LOOKED_AT", 300)
    assert pointers(drifting.problem("POST", PATH, 422, json=DAY)) == ["/start"]


def put(app: App, document: dict[str, Any]) -> None:
    config = parse_monitor(json.loads(json.dumps(document)))
    put_monitor(app.store, MODEL, config, source="test", actor="test", now=NOON, new_id=numbered("monitor"))
