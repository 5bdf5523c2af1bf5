"""The overview of a model: what is found, since when, why and what to do, over lanes of one time axis."""

from __future__ import annotations

import re
from urllib.parse import quote

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.storage.references.monitors import put_monitor
from tests.api.routes.checks.test_segments import monitor, reference, rows, send
from tests.exposition.scraping import evaluate_app, set_reference, traffic
from tests.support.app import App
from tests.support.background import new_id
from tests.support.events import NOON, event, open_ledger
from tests.web.test_pages import visit

PATH = "/ui/models/m"


def test_it_says_what_drifts_since_when_how_much_why_and_what_to_do(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate_app(app)
    page = visit(app, PATH)
    assert "1 of 2 features drifts since" in page.text
    assert "PSI up to 0.926" in page.text
    assert "alert from 0.25" in page.text
    assert "amount: " in page.text
    for head in ("Since", "How bad", "Why", "What to do", "Findings", "All subjects", "Data and evaluations"):
        assert head in page.text
    assert "1 finding, 1 alert" in page.text
    assert page.links["Runbook"] == "../../ui/runbooks#modeldriftsignificant"
    assert page.links["Alert"] == f"../../ui/alerts/{app.desk.alert().id}"


def test_what_drifts_in_another_version_is_not_shown_as_of_this_one(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit([*traffic(400, shift={"amount": 1.0}), *traffic(400, version="next")])
    evaluate_app(app)
    drifting, calm = visit(app, f"{PATH}?version=1").text, visit(app, f"{PATH}?version=next").text
    assert "1 of 2 features drifts since" in drifting
    assert "1 of 2 features drifts in version 1 since" in calm
    assert "in version 1; since" in calm
    assert "amount 0.926 amount, reference and now" in drifting
    assert "0.926 amount, reference and now" not in calm


def test_its_tiles_have_the_psi_of_the_page_of_drift(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate_app(app)
    overview, drift = visit(app, PATH).text, visit(app, f"{PATH}/drift").text
    tiles = overview[overview.index("All subjects") :]
    table = drift[drift.index("Reference, now") :]
    for subject in ("amount", "merchant", "latency"):
        [of_tile] = re.findall(rf"\b{subject} (< 0\.001|[\d.]+) {subject}, reference and now", tiles)
        [of_table] = re.findall(rf"\b{subject} (< 0\.001|[\d.]+) PSI of {subject}", table)
        assert of_tile == of_table


def test_its_lanes_are_drawn_over_the_stretch_of_the_address(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400))
    evaluate_app(app)
    answer = app.request("GET", f"{PATH}?from=2025-06-15T10:00:00Z&to=2025-06-15T16:00:00Z")
    for title in ("Predictions over time", "PSI of amount", "PSI of merchant", "PSI of latency", "Latency over time"):
        assert f"<title>{title}</title>" in answer.text
    assert 'data-start="1749981600"' in answer.text
    assert 'data-end="1750003200"' in answer.text
    assert "<title>Accuracy over time</title>" not in answer.text


def test_of_many_features_those_that_are_found_have_rows_and_the_others_one(app: App) -> None:
    set_reference(app.store, features=10)
    open_ledger(app.store).commit(traffic(400, shift={"f3": 1.0}, features=10))
    evaluate_app(app)
    answer = app.request("GET", PATH)
    assert "<title>PSI of f3</title>" in answer.text
    assert "11 other features" in answer.text


def test_a_model_without_a_reference_says_what_is_not_watched(app: App) -> None:
    open_ledger(app.store).commit(traffic(40))
    evaluate_app(app)
    page = visit(app, PATH)
    assert "Findings" not in page.text
    assert "No reference is set, so there is nothing to compare it with." in page.text
    assert "All subjects" not in page.text
    assert "Reference none" in page.text


def test_a_model_before_its_first_prediction_says_so(app: App) -> None:
    set_reference(app.store)
    assert "This model has sent no predictions yet." in visit(app, PATH).text


def test_what_is_not_evaluated_yet_is_not_called_stable(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(40))
    page = visit(app, PATH)
    assert "catching up" in page.text
    assert "Evaluated up to not yet" in page.text


def test_what_no_verdict_knows_yet_is_marked_as_its_last_step_is(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    text = app.request("GET", PATH).text
    tiles = text[text.index("All subjects") :]
    found = dict(re.findall(r'<bdi>([^<]+)</bdi></a><b class="t-(\w+)">', tiles))
    assert (found["amount"], found["latency"]) == ("alert", "stable")


def test_events_are_marked_with_a_list_of_what_they_are(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    monitor = parse_monitor({"owner": "risk"})
    put_monitor(app.store, "m", monitor, source="api", actor="ann", now=NOON, new_id=new_id)
    evaluate_app(app)
    page = visit(app, PATH)
    assert "Versions, references, changes and alerts over time" in page.text
    assert "4 events: V new version, R new reference, M monitor changed, A alert opened" in page.text
    assert "Monitor changed, by ann" in page.text
    assert "Version 1 first seen in production" in page.text
    alert = app.desk.alert()
    assert page.links["Alert: Feature drift in m (production): amount"] == f"../../ui/alerts/{alert.id}"


def test_everything_compared_shows_the_reference_and_now(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate_app(app)
    text = visit(app, PATH).text
    for name in ("amount", "merchant", "latency"):
        assert f"{name}, reference and now" in text


def test_segments_that_lost_most_are_shown_where_the_monitor_names_some(app: App) -> None:
    monitor(app)
    reference(app, rows(3_000, 1))
    assert "Segments with the largest loss" not in visit(app, PATH).text
    send(app, rows(3_000, 2, wrong={"FR": 0.4}))
    page = visit(app, PATH)
    assert "Segments with the largest loss points of accuracy" in page.text
    assert re.search(r"country = FR −[\d.]+ .*?[\d.]+ % → [\d.]+ %, n", page.text)
    assert page.links["country = FR"].endswith("/performance?segment=country%3DFR")
    assert page.links["All segments"].startswith("../../ui/models/m/segments")


def test_segments_that_can_not_be_compared_say_why(app: App) -> None:
    monitor(app)
    send(app, rows(200, 2))
    text = visit(app, PATH).text
    assert "Segments with the largest loss" in text
    assert "they need references" in text


def test_a_model_without_segments_has_no_card_of_them(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(40))
    assert "Segments with the largest loss" not in visit(app, PATH).text


def test_the_next_evaluation_is_told(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400))
    assert "Next evaluation with the first complete window" in visit(app, PATH).text
    evaluate_app(app)
    # What was sent is months old: the next evaluation waits for newer predictions.
    assert "Next evaluation when new predictions arrive" in visit(app, PATH).text
    by_time = parse_monitor({"schedule": {"every": "1h", "on_new_data": False}})
    put_monitor(app.store, "m", by_time, source="test", actor="ann", now=NOON, new_id=new_id)
    assert re.search(
        r"Next evaluation with the first predictions after \w+ \d+ \w+ \d{4}, \d\d:\d\d", visit(app, PATH).text
    )


def test_names_made_of_markup_are_text(app: App) -> None:
    named = '"><script>alert(1)</script>{{ 7*7 }}'
    events = [event(f"{each}", {named: float(each)}, model=named, prediction="a") for each in range(40)]
    open_ledger(app.store).commit(events)
    evaluate_app(app)
    page = visit(app, f"/ui/models/{quote(named, safe='')}")
    assert page.tags.count("script") == 1
    assert page.text.count(named) >= 2
