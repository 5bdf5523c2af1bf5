"""The page of a comparison: what differs between two sides, by how much, and whether it is more than chance."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import urljoin

import pytest

from modelwatch.charts.drawing.numbers import number, short_time
from modelwatch.measures import chance, plain, psi_text
from tests.api.routes.checks.test_segments import START, monitor, reference, rows, send
from tests.api.routes.models.test_compare import at
from tests.support.app import App
from tests.support.events import event, open_ledger
from tests.web.test_pages import BASE, HOSTILE, visit

PATH = "/ui/models/m/compare"


def test_two_stretches_with_metrics_drift_and_volumes(app: App) -> None:
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(2_000, 2))
    send(app, rows(2_000, 3, wrong={"FR": 0.45}), START + timedelta(hours=6))
    page = visit(app, f"{PATH}?from={at(6)}&to={at(12)}")
    assert "Accuracy is" in page.text
    assert re.search(r"(1 of \d+ subjects differs|[2-9] of \d+ subjects differ), amount most \(PSI", page.text)
    assert "beyond chance" in page.text
    assert "Volume, baseline" in page.text
    assert "2,000, 333 an hour" in page.text
    assert page.links["amount"].endswith(
        f"models/m/features/amount?from={at(6).replace(':', '%3A')}&to={at(12).replace(':', '%3A')}"
    )
    [form] = [each for each in page.forms if "with_version" in each.fields]
    assert form.method == "get"
    assert {"version", "from", "to", "segment", "with_from", "with_to", "with_segment"} <= set(form.fields)
    before = urljoin(BASE + PATH, page.links["The preceding range"]).removeprefix(BASE)
    assert "Accuracy is" in visit(app, before).text


def test_the_form_as_a_browser_sends_it(app: App) -> None:
    monitor(app)
    reference(app, rows(2_000, 1))
    send(app, rows(2_000, 2))
    query = "version=1&environment=production&from=2026-01-05T00:00&to=2026-01-05T05:00&segment=country%3DFR"
    other = (
        "with_version=1&with_environment=production&with_from=2026-01-05T00:00&with_to=2026-01-05T05:00&with_segment="
    )
    text = visit(app, f"{PATH}?{query}&{other}").text
    assert "Both sides have predictions in common." in text
    assert "only country = FR" in text


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"?from={at(0)}&to={at(12)}",
        f"?from={at(6)}&to={at(12)}",
        f"?from={at(6)}&to={at(12)}&with_from={at(0)}&with_to={at(3)}",
        f"?from={at(6)}&to={at(12)}&segment=country%3DFR&with_segment=",
        f"?from={at(6)}&to={at(12)}&segment=country%3DFR&with_segment=country%3DDE",
        f"?from={at(6)}&to={at(12)}&with_segment=country%3DFR",
        f"?from={at(0)}&to={at(12)}&with_version=1&with_environment=production&with_segment=country%3DFR",
    ],
)
def test_the_same_as_json_is_of_the_sides_that_are_shown(app: App, query: str) -> None:
    monitor(app)
    reference(app, rows(1_000, 1))
    send(app, rows(600, 2))
    send(app, rows(600, 3, wrong={"FR": 0.45}), START + timedelta(hours=6))
    page = visit(app, PATH + query)
    answer = app.request("GET", urljoin(BASE + PATH, page.links["This page as JSON"]).removeprefix(BASE))
    assert answer.status_code == 200, answer.text
    told, shown = answer.json(), page.text.replace(" ,", ",")
    for word, side in (("current", told["current"]), ("baseline", told["baseline"])):
        assert side["predictions"] > 0
        spoken = f"{side['predictions']:,}, {number(side['predictions_an_hour'])} an hour"
        only = f", only {side['segment'].replace('=', ' = ')}" if side["segment"] else ""
        between = " to ".join(short_time(datetime.fromisoformat(side[each]).timestamp()) for each in ("start", "end"))
        assert f"Volume, {word} {spoken} version 1 in production, {between}{only} " in re.sub(r" \d{4}, ", ", ", shown)
    [amount] = [each for each in told["subjects"] if each["feature_name"] == "amount"]
    assert plain(f" {psi_text(amount['psi'])} {chance(amount['adjusted_p_value'])} ") in shown


@pytest.mark.parametrize(
    "query", ["?from=1900-01-01&to=1900-01-02", "?to=1900-01-02", "?from=9999-12-30&to=9999-12-31"]
)
def test_the_same_as_json_is_there_at_the_ends_of_time_too(app: App, query: str) -> None:
    send(app, rows(60, 2))
    page = visit(app, PATH + query)
    answer = app.request("GET", urljoin(BASE + PATH, page.links["This page as JSON"]).removeprefix(BASE))
    assert answer.status_code == 200, answer.text
    for side in (answer.json()["current"], answer.json()["baseline"]):
        assert short_time(datetime.fromisoformat(side["start"]).timestamp(), with_year=True) in page.text


def test_what_can_not_be_compared_is_said(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    assert "Expected a time after the start" in visit(app, f"{PATH}?with_from=2026-01-05&with_to=2026-01-04", 422).text
    assert "Expected a time such as" in visit(app, f"{PATH}?with_from=then", 422).text
    assert "has sent nothing as" in visit(app, f"{PATH}?with_version=9", 404).text
    page = visit(app, PATH)
    assert "No predictions on the current side: version 1 in production" in page.text
    assert "Choose a time range, a version or a segment that has predictions on both sides." in page.text
    assert "Metrics" not in page.text


def test_a_range_before_the_first_prediction_is_not_halved(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    page = visit(app, f"{PATH}?from=2020-01-01&to=2020-01-02")
    assert "later half" not in page.text
    assert "Choose a time range, a version or a segment that has predictions on both sides." in page.text


def test_a_model_before_its_first_prediction(app: App) -> None:
    reference(app, rows(300, 1))
    assert "This model has sent no predictions yet." in visit(app, PATH).text


def test_names_made_of_markup_are_text(app: App) -> None:
    app.post("reference", {"model_name": "m", "features": {HOSTILE: [float(each) for each in range(300)]}}, 201)
    events = [event(f"{place}", {HOSTILE: float(place)}, version="<b>2</b>") for place in range(200)]
    open_ledger(app.store).commit(events)
    page = visit(app, PATH)
    assert page.tags.count("img") == 1
    assert page.tags.count("script") == 1
