"""The overview of a model: what is found, since when, why and what to do, over lanes of one time axis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from modelwatch.monitoring.checks.quality.rules import QualityRules
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.events import NOON, event, open_ledger
from tests.web.test_pages import visit

PATH = "/ui/models/m"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path)
    yield app
    app.close()


def evaluate(app: App) -> None:
    app.desk.clock.now = NOON + 400_000_000
    quality = QualityRules.of(RULES)
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9, quality=quality))


def test_it_says_what_drifts_since_when_how_much_why_and_what_to_do(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate(app)
    page = visit(app, PATH)
    assert "1 of 2 features drifts since" in page.text
    assert "PSI up to 0.93" in page.text
    assert "alert from 0.25" in page.text
    assert "amount: " in page.text
    for head in ("Since", "How bad", "Why", "What to do", "What is wrong", "Everything compared", "Up to when"):
        assert head in page.text
    assert "1 finding, 1 alert" in page.text
    assert page.links["Runbook"] == "../../ui/runbooks#modeldriftsignificant"
    assert page.links["Alert"] == f"../../ui/alerts/{app.desk.alert().id}"


def test_its_lanes_are_drawn_over_the_stretch_of_the_address(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400))
    evaluate(app)
    answer = app.request("GET", f"{PATH}?from=2025-06-15T10:00:00Z&to=2025-06-15T16:00:00Z")
    for title in ("Predictions over time", "PSI of amount", "PSI of merchant", "PSI of latency", "Latency over time"):
        assert f"<title>{title}</title>" in answer.text
    assert 'data-start="1749981600"' in answer.text
    assert 'data-end="1750003200"' in answer.text
    assert "<title>Accuracy over time</title>" not in answer.text


def test_of_many_features_those_that_are_found_have_rows_and_the_others_one(app: App) -> None:
    set_reference(app.store, features=10)
    open_ledger(app.store).commit(traffic(400, shift={"f3": 1.0}, features=10))
    evaluate(app)
    answer = app.request("GET", PATH)
    assert "<title>PSI of f3</title>" in answer.text
    assert "11 other features" in answer.text


def test_a_model_without_a_reference_says_what_is_not_watched(app: App) -> None:
    open_ledger(app.store).commit(traffic(40))
    evaluate(app)
    page = visit(app, PATH)
    assert "What is wrong" not in page.text
    assert "No reference is set, so there is nothing to compare it with." in page.text
    assert "Everything compared" not in page.text
    assert "Reference none" in page.text


def test_a_model_before_its_first_prediction_says_so(app: App) -> None:
    set_reference(app.store)
    assert "This model has sent no predictions yet." in visit(app, PATH).text


def test_what_is_not_evaluated_yet_is_not_called_stable(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(40))
    page = visit(app, PATH)
    assert "catching up" in page.text
    assert "Evaluated not yet" in page.text


def test_names_made_of_markup_are_text(app: App) -> None:
    named = '"><script>alert(1)</script>{{ 7*7 }}'
    events = [event(f"{each}", {named: float(each)}, model=named, prediction="a") for each in range(40)]
    open_ledger(app.store).commit(events)
    evaluate(app)
    page = visit(app, f"/ui/models/{quote(named, safe='')}")
    assert page.tags.count("script") == 1
    assert page.text.count(named) >= 2
