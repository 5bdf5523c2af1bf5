"""The page of a model's data quality: what is wrong with which feature, rules, rates over time, volume and silence."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.data.labelled import later
from tests.support.data.streams import HOUR, SECOND
from tests.support.events import NOON, event, open_ledger
from tests.web.test_pages import BASE, HOSTILE, visit

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h",), 3_600)
PATH = "/ui/models/m/quality"


def send(app: App, missing: bool, name: str = "age", hours: int = 3, rows: int = 300) -> None:
    """Hours of `rows` predictions; in the last one every fourth value is missing. All is evaluated."""
    known: dict[str, Any] = {name: [float(each) for each in range(500)], "country": ["DE", "FR"] * 250}
    app.post("reference", {"model_name": "m", "features": known}, 201)
    ledger = open_ledger(app.store, later(100))
    for hour in range(hours):
        events = []
        for index in range(rows):
            value = None if missing and hour == hours - 1 and index % 4 == 0 else float(index)
            features = {name: value, "country": "DE"}
            events.append(event(f"{hour}-{index}", features, timestamp=NOON + hour * HOUR + index * SECOND))
        ledger.commit(events)
    ledger.close()
    app.desk.clock.now = later(101)()
    quality = QualityRules.of(RULES)
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, quality=quality))


def test_what_is_wrong_is_said_first_with_the_rate_and_that_of_the_reference(app: App) -> None:
    send(app, missing=True)
    page = visit(app, PATH)
    assert "age is missing in 25.0 % (reference 0 %)." in page.text
    assert "age, missing: +25 points , alert from +10" in page.text
    # Of the hour in which values are missing, by the windows of the counts.
    assert "Since Sun 15 Jun 2025, 17:05" in page.text
    assert page.links["Runbook"].endswith("ui/runbooks#modeldataunsound")
    assert "age: look upstream for a join or a source that no longer fills it." in page.text


def test_its_numbers_are_there_as_a_table(app: App) -> None:
    send(app, missing=True)
    address = urljoin(BASE + PATH, visit(app, PATH).links["Numbers as CSV"])
    answer = app.request("GET", address)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "age missing" in answer.text.splitlines()[0].split(",")


def test_a_grid_of_features_and_rules(app: App) -> None:
    send(app, missing=True)
    text = visit(app, PATH).text
    assert "Feature missing wrong type unseen below the range above the range age 25.0 % 0 %" in text
    assert "Rates of values with issues over time" in text
    assert "age: missing" in text
    assert "Predictions, with the usual range of that hour" in text


def test_sound_data_says_so_and_what_is_not_judged_says_why(app: App) -> None:
    send(app, missing=False)
    text = visit(app, PATH).text
    assert (
        "No issues: the values in 2 features and the schema are as in the reference. The volume is not judged" in text
    )
    assert "Not judged" in text
    assert "the same hours of at least 4 earlier weeks are needed" in text
    assert "Freshness" in text


def test_what_is_not_judged_has_its_own_reason(app: App) -> None:
    send(app, missing=False, hours=1, rows=24)
    text = visit(app, PATH).text
    assert "Nothing has been judged yet, for several reasons" in text
    assert "age, country 24 of at least 100 values: 76 more are needed." in text
    assert "volume of 7 d the same hours of at least 4 earlier weeks are needed" in text
    of_model = visit(app, "/ui/models/m").text
    assert "country 24 of at least 100 values: 76 more are needed." in of_model
    assert "volume of 1 h The same hours of at least 4 earlier weeks are needed" in of_model


def test_a_model_before_its_first_evaluation(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    text = visit(app, PATH).text
    assert "Data quality has not been evaluated yet." in text
    assert "No reference is set: POST one to /api/v1/reference." in text


def test_names_made_of_markup_are_text(app: App) -> None:
    send(app, missing=True, name=HOSTILE)
    page = visit(app, PATH)
    assert page.tags.count("script") == 1
    assert '"><script>alert(1)</script>' in page.text
