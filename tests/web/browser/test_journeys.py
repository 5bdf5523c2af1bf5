"""Ways of people through the pages: signing in where keys are required, and the break of a real data set, by clicks."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from playwright.sync_api import Browser, expect

from modelwatch.cli.client import ServiceClient
from modelwatch.storage.engine.store import Store
from tests.support.data.data_sets import DataSets
from tests.support.data.scenarios import load
from tests.support.keys import make_key
from tests.support.servers.live_service import LiveService
from tests.web.browser.conftest import Seen, watch

BREAK, SHOWN_UNTIL = datetime(1997, 5, 5, tzinfo=UTC), datetime(1997, 5, 15, tzinfo=UTC)


def moved(table: pa.Table, later: timedelta) -> pa.Table:
    """The rows, so much later."""
    place = table.schema.get_field_index("timestamp")
    times = pc.add(pc.cast(table["timestamp"], pa.timestamp("us", tz="UTC")), pa.scalar(later, pa.duration("us")))
    return table.set_column(place, "timestamp", times)


def test_signing_in_where_keys_are_required(browser: Browser, seen: Seen, tmp_path: Path) -> None:
    with LiveService(tmp_path, API_KEYS_REQUIRED="true") as live:
        store = Store(f"sqlite:///{tmp_path / 'modelwatch.db'}")
        _, reading = make_key(store, "read")
        _, sending = make_key(store, "ingest")
        store.close()
        page = browser.new_page(base_url=live.url)
        page.goto("/ui/models")
        expect(page.locator("h1")).to_have_text("Sign in")
        for wrong in ("mw_nonsense", sending):
            page.get_by_label("API key").fill(wrong)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_be_visible()
        watch(page, live.url, seen)
        page.get_by_label("API key").fill(reading)
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("No predictions yet")
        assert reading not in page.content()
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("h1")).to_have_text("Sign in")
        page.goto("/ui/alerts")
        expect(page.locator("h1")).to_have_text("Sign in")
        page.close()
        assert not seen.elsewhere


def test_the_break_of_elec2_from_the_list_to_the_histogram(
    browser: Browser, seen: Seen, shared_data: DataSets, tmp_path: Path
) -> None:
    """Three features that had been constant come alive when Victoria joins the market; here, ten days ago."""
    scenario = load(shared_data / "elec2_binary")
    later = timedelta(days=(datetime.now(UTC) - SHOWN_UNTIL).days)
    until = pa.scalar(SHOWN_UNTIL + later, pa.timestamp("us", tz="UTC"))
    reference, production = (moved(table, later) for table in (scenario.reference, scenario.production))
    production = production.filter(pc.less(production["timestamp"], until))
    with LiveService(tmp_path) as live:
        monitor = {"drift": {"lookbacks": ["7d"]}, "schedule": {"every": "1d", "on_new_data": False}}
        put = httpx.put(f"{live.url}/api/v1/models/elec2/monitor", json=monitor)
        assert put.status_code in (200, 201), put.text
        for path, table in (("reference", reference), ("predictions/batch", production)):
            sink = io.BytesIO()
            pq.write_table(table, sink)
            answer = httpx.post(
                f"{live.url}/api/v1/{path}",
                params={"model_name": "elec2"},
                headers={"Content-Type": "application/vnd.apache.parquet"},
                content=sink.getvalue(),
                timeout=120,
            )
            assert answer.status_code in (201, 202), answer.text
        with ServiceClient(live.url) as client:
            assert client.wait_until_evaluated(lambda: None, longest_seconds=100)
        page = browser.new_page(base_url=live.url, viewport={"width": 1280, "height": 900})
        watch(page, live.url, seen)
        page.goto("/")
        page.get_by_role("link", name="elec2", exact=True).click()
        expect(page.locator(".verdict")).to_contain_text("drift")
        page.get_by_role("navigation").get_by_role("link", name="Drift").click()
        expect(page.locator(".verdict")).to_contain_text("vicprice")
        page.locator("table").get_by_role("link", name="vicprice").click()
        expect(page.locator("h1")).to_contain_text("vicprice")
        expect(page.locator(".chart-histogram").first).to_be_visible()
        began = page.locator(".verdict time").first.get_attribute("datetime") or ""
        assert abs(datetime.fromisoformat(began) - (BREAK + later)) <= timedelta(days=2)
        page.close()
        assert seen.nothing, seen
