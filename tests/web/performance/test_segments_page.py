"""The page of a model's segments: where it got worse, how much of the change that is, and the way to it alone."""

from __future__ import annotations

import re
from urllib.parse import urljoin

from tests.api.routes.checks.test_segments import monitor, reference, rows, send
from tests.support.app import App
from tests.support.events import event, open_ledger
from tests.web.test_pages import BASE, visit

PATH = "/ui/models/m/segments"


def test_the_segment_that_got_worse_is_said_with_its_part_and_leads_to_its_performance(app: App) -> None:
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(3_000, 2, wrong={"FR": 0.4}))
    page = visit(app, PATH)
    assert re.search(
        r"Accuracy is [\d.]+ % \(.+?\) from Sat 3 Jan, .+? to Mon 5 Jan, .+?; the reference had", page.text
    )
    assert "country = FR" in page.text
    assert "points of the change." in page.text
    assert "accuracy by country" in page.text.lower()
    assert page.links["country = FR"].endswith("/performance?segment=country%3DFR")
    target = urljoin(BASE + PATH, page.links["country = FR"]).removeprefix(BASE)
    assert "Only where country = FR" in visit(app, target).text
    assert page.links["F1"] == "?sort=f1"
    assert "F1 is" in visit(app, f"{PATH}?sort=f1").text


def test_what_may_be_chance_is_said_to_be(app: App) -> None:
    monitor(app)
    reference(app, rows(3_000, 1))
    send(app, rows(2_000, 2))
    text = visit(app, PATH).text
    assert "No segment is worse" in text
    assert "may be chance" in text


def test_without_segments_the_page_says_how_to_name_them(app: App) -> None:
    open_ledger(app.store).commit([event("a")])
    page = visit(app, PATH)
    assert "Name features under segments in the monitor : each of their values is then counted by itself" in page.text
    assert page.links["monitor"].endswith("ui/models/m/monitor")


def test_a_metric_that_the_task_has_not_is_refused(app: App) -> None:
    monitor(app)
    reference(app, rows(2_000, 1))
    send(app, rows(100, 2))
    assert "Expected one of" in visit(app, f"{PATH}?sort=beauty", 422).text


def test_the_stretch_of_the_address_is_looked_at(app: App) -> None:
    """Not the newest data."""
    monitor(app)
    reference(app, rows(2_000, 1))
    send(app, rows(1_000, 2))
    found = app.get("models/m/segments", end="2026-01-05T01:00:00Z", lookback="1h")["streams"][0]
    assert found["window"] == {"start": "2026-01-05T00:00:00Z", "end": "2026-01-05T01:00:00Z"}
    assert sum(each["predictions"] for each in found["features"][0]["segments"]) == 360
