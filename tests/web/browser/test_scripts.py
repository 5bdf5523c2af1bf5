"""What scripts add: crosshair, zoom, zone, refresh; and that the keyboard is enough."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.servers.live_service import LiveService
from tests.web.browser.addresses import MODEL
from tests.web.browser.conftest import Seen

CHART = "svg[data-start][data-series]"

pytestmark = pytest.mark.timeout(120)


def point(page: Page, across: float) -> None:
    """Moves the pointer over the first chart, to a part of its width."""
    box = page.locator(CHART).first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * across, box["y"] + 30)


def test_a_pointer_shows_the_values_of_all_charts_of_the_time_axis(tab: Page, seen: Seen) -> None:
    tab.goto(f"/ui/models/{MODEL}")
    point(tab, 0.8)
    expect(tab.locator(".tip")).to_contain_text("Volume")
    expect(tab.locator(".tip")).to_contain_text(re.compile(r"\d\d:\d\d UTC"))
    assert tab.locator(".crosshair").count() > 2
    tab.mouse.move(5, 5)
    expect(tab.locator(".tip")).to_be_hidden()
    assert seen.nothing, seen


def test_dragging_over_a_chart_sets_the_stretch_of_the_address(tab: Page) -> None:
    tab.goto(f"/ui/models/{MODEL}?range=24h")
    point(tab, 0.5)
    tab.mouse.down()
    point(tab, 0.9)
    tab.mouse.up()
    tab.wait_for_url(re.compile(r"from=[^&]+&to="))
    assert "range=" not in tab.url
    expect(tab.locator("h1")).to_contain_text(MODEL)


def test_keys_move_the_crosshair_and_zoom(tab: Page) -> None:
    tab.goto(f"/ui/models/{MODEL}")
    tab.locator(CHART).first.focus()
    for key in ("End", "ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowLeft"):
        tab.keyboard.press(key)
    expect(tab.locator(".tip")).to_be_visible()
    tab.keyboard.press("Escape")
    expect(tab.locator(".tip")).to_be_hidden()
    for key in ("End", "Shift+Home", "Enter"):
        tab.keyboard.press(key)
    tab.wait_for_url(re.compile(r"from=[^&]+&to="))


def test_times_can_be_read_in_the_zone_of_the_browser(browser: Browser, service: str) -> None:
    context = browser.new_context(timezone_id="Europe/Berlin", base_url=service)
    page = context.new_page()
    page.goto(f"/ui/models/{MODEL}")
    there = page.locator(".verdict time, .clock time").first
    utc = there.inner_text()
    page.get_by_role("button", name="your zone").click()
    expect(page.locator(".clock")).to_contain_text("Berlin")
    assert there.inner_text() != utc
    page.reload()
    expect(page.locator(".clock")).to_contain_text("Berlin")
    page.get_by_role("button", name="in UTC").click()
    expect(there).to_have_text(re.compile(r"\d\d:\d\d"))
    context.close()


def test_the_axis_and_the_flags_of_charts_follow_the_zone(browser: Browser, service: str) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata", base_url=service)
    page = context.new_page()
    page.goto(f"/ui/models/{MODEL}")
    tick = page.locator("svg text[data-at]").filter(has_text=re.compile(r"^\d\d:00$")).first
    flag = page.locator("svg tspan[data-at]").first
    at, utc = tick.get_attribute("data-at"), flag.inner_html()
    assert at is not None
    expect(page.locator("svg text.zone").first).to_have_text("UTC")
    page.get_by_role("button", name="your zone").click()
    there = datetime.fromtimestamp(float(at), ZoneInfo("Asia/Kolkata"))
    expect(page.locator(f'svg text[data-at="{at}"]').first).to_have_text(f"{there:%H:%M}")
    expect(page.locator("svg text.zone").first).to_have_text("GMT+5:30")
    assert flag.inner_html() != utc
    page.get_by_role("button", name="in UTC").click()
    expect(flag).to_have_text(utc)
    expect(page.locator("svg text.zone").first).to_have_text("UTC")
    context.close()


def test_cells_of_a_heat_map_have_their_value_by_pointer_and_by_keys(tab: Page, seen: Seen) -> None:
    tab.goto(f"/ui/models/{MODEL}/drift")
    heat = tab.locator("svg[data-cells]").first
    first, second, *_ = json.loads(heat.get_attribute("data-cells") or "")["rows"]
    heat.focus()
    for key in ("End", "ArrowLeft"):
        tab.keyboard.press(key)
    expect(tab.locator(".tip")).to_contain_text(re.compile(rf"{re.escape(first['name'])} [\d.]+, n [\d,]+"))
    tab.keyboard.press("ArrowDown")
    expect(tab.locator(".tip")).to_contain_text(second["name"])
    tab.keyboard.press("ArrowUp")
    expect(tab.locator(".tip")).to_contain_text(first["name"])
    tab.keyboard.press("Escape")
    box = heat.bounding_box()
    assert box is not None
    tab.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + second["top"] + 6)
    expect(tab.locator(".tip")).to_contain_text(second["name"])
    assert seen.nothing, seen


def test_the_content_is_renewed_and_what_is_open_stays_open(tab: Page) -> None:
    tab.goto(f"/ui/models/{MODEL}")
    tab.clock.install()
    tab.goto(f"/ui/models/{MODEL}")
    tab.locator("main details summary").first.click()
    tab.locator("h1").evaluate("each => { each.dataset.old = 'yes'; }")
    tab.evaluate("document.activeElement.blur()")
    tab.clock.run_for(16_000)
    expect(tab.locator("h1[data-old]")).to_have_count(0)
    assert tab.locator("main details").first.evaluate("each => each.open")


def test_what_is_being_filled_in_is_left_alone(tab: Page) -> None:
    tab.clock.install()
    tab.goto("/ui/models")
    tab.locator("input[type=search]").fill("cred")
    tab.locator("h1").evaluate("each => { each.dataset.old = 'yes'; }")
    tab.clock.run_for(40_000)
    assert tab.locator("h1[data-old]").count() == 1


def test_the_keyboard_reaches_everything_and_is_seen(tab: Page) -> None:
    tab.goto("/ui/models")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement === document.body"):
            break
        outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline not in ("none", ""), tab.evaluate("document.activeElement.outerHTML")
        reached.append(tab.evaluate("document.activeElement.textContent.trim()"))
    assert reached.index("modelwatch") < reached.index("Models") < reached.index("Table") < reached.index(MODEL)
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.type") == "search"


def test_from_the_list_to_the_histogram_of_the_finding_and_its_alert_by_clicks(tab: Page, seen: Seen) -> None:
    tab.goto("/")
    expect(tab.locator("h1")).to_have_text("Models")
    tab.get_by_role("link", name=MODEL, exact=True).click()
    expect(tab.locator(".verdict")).to_contain_text("drift")
    tab.locator(".rows").get_by_role("link", name="income_monthly").first.click()
    expect(tab.locator("h1")).to_contain_text("income_monthly")
    expect(tab.locator(".chart-histogram").first).to_be_visible()
    tab.get_by_role("link", name="Alert", exact=True).click()
    expect(tab.locator("h1")).to_contain_text("drift")
    tab.get_by_role("button", name="Acknowledge").first.click()
    expect(tab.locator("main")).to_contain_text("cknowledged")
    tab.get_by_role("button", name="1 h", exact=True).first.click()
    expect(tab.locator("main")).to_contain_text("ilenced until")
    assert seen.nothing, seen


def test_the_start_turns_into_the_list_when_the_first_prediction_arrives(browser: Browser, tmp_path: Path) -> None:
    with LiveService(tmp_path) as empty:
        page = browser.new_page()
        page.goto(f"{empty.url}/ui/models")
        expect(page.locator("h1")).to_have_text("No predictions yet")
        expect(page.locator("pre").first).to_contain_text(f"curl {empty.url}/api/v1/predictions")
        first = {"model_name": "my_model", "model_version": "1", "features": {"amount": 42.5}, "prediction": "fine"}
        assert httpx.post(f"{empty.url}/api/v1/predictions", json=first).status_code == 202
        expect(page.get_by_role("link", name="my_model")).to_be_visible(timeout=20_000)
        page.close()


def test_a_page_that_can_not_be_renewed_says_since_when(tab: Page) -> None:
    tab.clock.install()
    tab.goto(f"/ui/models/{MODEL}")
    tab.route("**/*", lambda route: route.fulfill(status=503, body="gone"))
    tab.clock.run_for(16_000)
    expect(tab.locator("[data-old]")).to_contain_text("Not renewed since")
    expect(tab.locator("[data-old] time")).to_have_text(tab.locator(".clock time").inner_text())
    tab.unroute("**/*")
    tab.clock.run_for(16_000)
    expect(tab.locator("[data-old]")).to_have_count(0)


def test_a_page_of_an_error_comes_back_by_itself(tab: Page, service: str) -> None:
    tab.clock.install()
    page = httpx.get(f"{service}/ui/models", timeout=30).text
    away = page.replace('data-refresh="15"', 'data-refresh="5" data-reload')
    assert away != page
    tab.route("**/ui/models", lambda route: route.fulfill(status=503, content_type="text/html", body=away))
    tab.goto("/ui/models")
    tab.clock.run_for(6_000)
    expect(tab.locator("main[data-reload]")).to_have_count(1)
    tab.unroute("**/ui/models")
    tab.clock.run_for(6_000)
    expect(tab.locator("main[data-reload]")).to_have_count(0)
    expect(tab.locator("main[data-refresh]")).to_have_count(1)
