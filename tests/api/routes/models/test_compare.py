"""Two sides of a model beside each other, over HTTP: stretches, versions, segments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.routes.checks.test_segments import START, monitor, reference, rows, send
from tests.support.app import App, pointers
from tests.support.events import event, open_ledger

PATH = "models/m/compare"
HOUR = 3_600


def at(hour: float) -> str:
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def told(app: App) -> App:
    """Two stretches of 2,000 predictions; in the second, those of FR are wrong more often and have other amounts."""
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(2_000, 2))
    send(app, rows(2_000, 3, wrong={"FR": 0.45}), START + timedelta(hours=6))
    return app


def subjects(found: Any) -> dict[str, Any]:
    return {each["feature_name"]: each for each in found["subjects"]}


def test_a_stretch_beside_the_one_before(told: App) -> None:
    found = told.get(PATH, start=at(6), end=at(12))
    assert (found["baseline"]["start"], found["baseline"]["end"]) == (at(0), at(6))
    assert (found["baseline"]["predictions"], found["current"]["predictions"]) == (2_000, 2_000)
    assert found["current"]["predictions_an_hour"] == pytest.approx(2_000 / 6)
    assert found["shared"] is False
    [accuracy] = [each for each in found["metrics"] if each["name"] == "accuracy"]
    assert found["metrics"][0] == accuracy
    change = accuracy["change"]
    assert change["value"] == pytest.approx(accuracy["current"]["value"] - accuracy["baseline"]["value"])
    assert change["low"] < change["value"] < change["high"] < 0
    assert change["certain"] is True
    amount, country = subjects(found)["amount"], subjects(found)["country"]
    assert amount["moved"] is True
    assert amount["psi"] > 0.25
    assert amount["adjusted_p_value"] < 1e-6
    assert amount["baseline_psi_to_reference"] < 0.1 < amount["current_psi_to_reference"]
    assert sum(amount["current_cells"]) == pytest.approx(1.0, abs=1e-4)
    assert country["moved"] is False


def test_two_segments_of_one_stretch_have_nothing_in_common(told: App) -> None:
    found = told.get(PATH, start=at(6), end=at(12), segment="country=FR", with_segment="country=DE")
    assert (found["baseline"]["segment"], found["current"]["segment"]) == ("country=DE", "country=FR")
    assert (found["baseline"]["start"], found["shared"]) == (at(6), False)
    assert found["metrics"][0]["change"]["high"] < -0.2
    assert subjects(found)["amount"]["moved"] is True
    whole = told.get(PATH, start=at(6), end=at(12), segment="country=FR", with_segment="")
    assert whole["shared"] is True
    assert whole["baseline"]["segment"] is None


def test_two_versions_over_the_same_time(told: App) -> None:
    send(told, rows(1_000, 4), START + timedelta(hours=6), version="2")
    found = told.get(PATH, version="2", with_version="1", start=at(6), end=at(12))
    assert (found["baseline"]["model_version"], found["current"]["model_version"]) == ("1", "2")
    assert (found["baseline"]["predictions"], found["current"]["predictions"]) == (2_000, 1_000)
    assert found["metrics"][0]["change"]["low"] > 0.05


def test_the_same_distribution_is_not_said_to_differ(app: App) -> None:
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(2_000, 2))
    send(app, rows(2_000, 5), START + timedelta(hours=6))
    found = app.get(PATH, start=at(6), end=at(12))
    assert not any(each["moved"] for each in found["subjects"])
    assert not any(each["change"]["certain"] for each in found["metrics"] if each["name"] == "accuracy")


def test_a_model_that_has_sent_nothing(app: App) -> None:
    reference(app, rows(300, 1))
    found = app.get(PATH)
    assert (found["baseline"], found["metrics"], found["reason"]) == (None, [], "No predictions have been received.")


def test_what_can_not_be_asked_is_named(told: App) -> None:
    assert told.problem("GET", "models/nobody/compare", 404)["status"] == 404
    assert (
        told.problem("GET", PATH, 404, params={"with_version": "9"})["detail"]
        == "m has sent nothing as 9 in production."
    )
    for query, pointer in (
        ({"start": at(5), "end": at(3)}, "/end"),
        ({"with_start": at(5), "with_end": at(3)}, "/with_end"),
        ({"start": at(6), "end": at(12), "with_start": at(6), "with_end": at(12)}, "/with_start"),
        ({"segment": "country=ES"}, "/segment"),
        ({"with_segment": "country=ES"}, "/with_segment"),
        ({"with_start": "yesterday"}, "/with_start"),
    ):
        assert pointers(told.problem("GET", PATH, 422, params=query)) == [pointer]


def test_references_of_their_own_are_other_cells(told: App) -> None:
    known = rows(3_000, 7)
    body = {"model_name": "m", "model_version": "2", "features": {"amount": [row["amount"] * 2 for row in known]}}
    told.post("reference", body, 201)
    send(told, rows(1_000, 4), START + timedelta(hours=6), version="2")
    found = told.get(PATH, version="2", with_version="1", start=at(6), end=at(12))
    amount = subjects(found)["amount"]
    assert (amount["psi"], amount["moved"]) == (None, False)
    assert amount["reason"].startswith("The two versions have their own references")
    assert amount["current_psi_to_reference"] is not None


def test_a_model_without_references_has_volumes_alone(app: App) -> None:
    open_ledger(app.store).commit([event(f"id-{index}") for index in range(10)])
    found = app.get(PATH)
    assert found["current"]["predictions"] == 10
    assert found["subjects"] == []
