"""The page of a model's segments: where it got worse, how much of the change that is, and the way to it alone."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import pytest

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
        r"Accuracy is [\d.]+ % \(.+?\) from Sat 3 Jan.*?, .+? to Mon 5 Jan.*?, .+?; reference: ", page.text
    )
    assert "country = FR" in page.text
    assert re.search(r"country = FR got worse: it accounts for −[\d.]+ points of the change\.", page.text)
    assert re.search(r"to the change of accuracy: −[\d.]+ points by their own values, .+? by a shift", page.text)
    assert "A shift in the shares" not in page.text
    # The bar of a segment is larger or smaller than its part among the worst, which says why.
    assert "Changes by their own values alone; the bars of the change also count the shift of their shares" in page.text
    assert "accuracy by country" in page.text.lower()
    assert page.links["country = FR"].endswith("/performance?segment=country%3DFR")
    target = urljoin(BASE + PATH, page.links["country = FR"]).removeprefix(BASE)
    assert "Only where country = FR" in visit(app, target).text
    assert page.links["F1"] == "?sort=f1"
    assert "F1 is" in visit(app, f"{PATH}?sort=f1").text


def test_a_shift_in_mix_is_no_segment_that_got_worse(app: App) -> None:
    monitor(app, segments=["country"])
    reference(app, rows(6_000, 1, wrong={"IT": 0.5}))
    send(app, rows(6_000, 2, wrong={"DE": 0.08, "FR": 0.08, "IT": 0.45}, weights=[0.25, 0.15, 0.6]))
    text = visit(app, PATH).text
    assert re.search(
        r"No segment is worse\. A shift in the shares of country accounts for −1\d\.\d points of the change\.", text
    )
    assert "Worst segments" not in text
    overview = visit(app, "/ui/models/m").text
    assert re.search(r"No segment is worse\. A shift in the shares of country accounts for −1", overview)


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
    assert "Name features under segments in the monitor : performance, drift and data quality are then" in page.text
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


@pytest.mark.parametrize(
    "stretch", ["from=2023-01-01", "from=1900-01-01", "to=9999-12-31", "from=1900-01-01&to=9999-12-31"]
)
def test_a_stretch_may_be_as_long_as_any(app: App, stretch: str) -> None:
    monitor(app, segments=["country"])
    reference(app, rows(600, 1))
    send(app, rows(600, 2))
    assert "country" in visit(app, f"{PATH}?{stretch}").text
    # Which shows them, too, or refuses to draw so many points.
    overview = app.request("GET", f"/ui/models/m?{stretch}")
    assert overview.status_code == (422 if "1900" in stretch else 200), overview.text


@pytest.mark.parametrize(
    "path", ["", "/drift", "/segments", "/quality", "/performance", "/compare", "/features/amount"]
)
@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_first_and_the_last_time_there_is_are_refused(app: App, path: str, time: str) -> None:
    reference(app, rows(60, 1))
    send(app, rows(60, 2))
    for name in ("from", "to"):
        assert "Expected a time from" in visit(app, f"/ui/models/m{path}?{name}={time}", 422).text
