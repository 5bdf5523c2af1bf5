"""Data quality over time, over HTTP: how often each rule is broken, step by step, beside the reference."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.rates import data_quality_score, unsound_counts, unsound_counts_of_windows
from modelwatch.views.quality.series import soundness_by_step
from tests.support.app import App, pointers
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, event, open_ledger

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


def test_a_table_has_the_same_numbers(told: App) -> None:
    asked = {"start": at(0), "end": at(2), "step": "1h"}
    found = told.get(PATH, **asked)
    answer = told.request("GET", f"/api/v1/{PATH}.csv", params=asked)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["predictions"]) for row in rows] == [step["predictions"] for step in found["steps"]]
    assert [float(row["score"]) if row["score"] else None for row in rows] == [step["score"] for step in found["steps"]]
    assert [row["age missing"] for row in rows] == ["0.0", "0.2", ""]
    assert [row["country unseen_category"] for row in rows] == ["0.0", "0.1", ""]


def test_rates_and_the_score_are_those_of_the_profiles_of_the_windows() -> None:
    rng = np.random.default_rng(3)
    numeric = numeric_binning(np.arange(50.0))
    categorical = categorical_binning(["a"] * 30 + ["b"] * 20)
    numbers: list[list[object]] = [
        [None if part < 0.1 else "x" if part < 0.2 else 200 * part - 60 for part in rng.random(90)] for _ in range(4)
    ]
    names: list[list[object]] = [
        [("a", "b", "z", None, 1.5)[place] for place in rng.integers(5, size=80)] for _ in range(4)
    ]
    of_windows = []
    for binning, values in ((numeric, [*numbers, []]), (categorical, [*names, []])):
        profiles = [Profile.of(binning, each) for each in values]
        found = unsound_counts_of_windows(binning, np.stack([each.counts for each in profiles]))
        for place, profile in enumerate(profiles):
            assert {rule: (int(a[place]), int(b[place])) for rule, (a, b) in found.items()} == unsound_counts(profile)
        of_windows.append((profiles, found))
    scores = soundness_by_step([found for _, found in of_windows], 5)
    expected = [data_quality_score([profiles[place] for profiles, _ in of_windows]).score for place in range(5)]
    assert scores[-1] is expected[-1] is None
    assert scores[:-1] == pytest.approx(expected[:-1], abs=1e-15)
