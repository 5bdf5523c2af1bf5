"""Data quality over time, over HTTP: how often each rule is broken, step by step, beside the reference."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.app import App, pointers
from tests.support.events import NOON, event, open_ledger
from tests.support.streams import HOUR, SECOND

PATH = "models/m/quality/series"


def at(hour: float) -> str:
    return datetime.fromtimestamp((NOON + hour * HOUR) / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def told(app: App) -> App:
    """Two hours of 100 predictions: in the second, every fifth age is missing, and there are new countries."""
    known: dict[str, Any] = {"age": [float(each) for each in range(200)], "country": ["DE", "FR"] * 100}
    app.post("reference", {"model_name": "m", "features": known}, 201)
    ledger = open_ledger(app.store)
    for hour in range(2):
        events = []
        for index in range(100):
            age = None if hour and index % 5 == 0 else float(index)
            country = "ES" if hour and index % 10 == 0 else "DE"
            features = {"age": age, "country": country}
            events.append(event(f"{hour}-{index}", features, timestamp=NOON + hour * HOUR + index * SECOND))
        ledger.commit(events)
    again = [event("0-1", {"age": 1.0, "country": "DE"}, timestamp=NOON + SECOND)]
    other = [event("0-2", {"age": 99.0, "country": "DE"}, timestamp=NOON + 2 * SECOND)]
    ledger.commit(again + other)
    ledger.close()
    return app


def test_rates_by_rule_and_step_beside_the_reference(told: App) -> None:
    found = told.get(PATH, start=at(0), end=at(2), step="1h")
    assert [each["predictions"] for each in found["steps"]] == [100, 100, 0]
    rates = {
        (feature["feature_name"], rule["rule"]): rule for feature in found["features"] for rule in feature["rules"]
    }
    assert rates.keys() == {("age", "missing"), ("country", "unseen_category")}
    assert rates["age", "missing"]["rates"] == [0.0, 0.2, None]
    assert (rates["age", "missing"]["reference_rate"], rates["age", "missing"]["dimension"]) == (0.0, "completeness")
    assert rates["country", "unseen_category"]["rates"] == [0.0, 0.1, None]


def test_repeats_and_the_score_of_each_step(told: App) -> None:
    first, second, _ = told.get(PATH, start=at(0), end=at(2), step="1h")["steps"]
    assert (first["duplicates"], first["changed_duplicates"], first["score"]) == (2, 1, 1.0)
    assert (second["duplicates"], second["changed_duplicates"]) == (0, 0)
    assert second["score"] == pytest.approx(1 - (0.2 + 0.1) / 2)


def test_without_a_reference_there_are_no_rates_and_it_says_why(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    found = app.get(PATH)
    assert (found["features"], [each["predictions"] for each in found["steps"] if each["predictions"]]) == ([], [1])
    assert found["reason"] == "No reference is set: POST one to /api/v1/reference."


def test_what_can_not_be_asked_is_named(told: App) -> None:
    assert told.problem("GET", "models/nobody/quality/series", 404)["status"] == 404
    for query, pointer in (({"step": "7m"}, "/step"), ({"segment": "a=b"}, "/segment"), ({"end": "x"}, "/end")):
        assert pointers(told.problem("GET", PATH, 422, params=query)) == [pointer]
