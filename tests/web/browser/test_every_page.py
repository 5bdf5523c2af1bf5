"""Every page in a browser: at all widths, light and dark, for everybody, and without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.examples import is_night
from tests.web.browser.addresses import PATTERNS, address_of
from tests.web.browser.conftest import ODD_NAME, Seen, watch

WIDTHS = (390, 768, 1280, 1920)
SCHEMES = ("light", "dark")
# Looked at by axe: each scheme, and the narrowest and a usual width.
BY_AXE = ((390, "light"), (1280, "dark"))
# Colours take no room: but for the night, each width is looked at in one scheme.
LOOKS = (*BY_AXE, (768, "light"), (1920, "dark"))

pytestmark = pytest.mark.timeout(180)


@dataclass(frozen=True)
class Visit:
    """A page as it is shown with scripts: in which tab, how it was answered, its text, and what it did."""

    tab: Page
    pattern: str
    status: int
    text: str
    seen: Seen


@pytest.fixture(scope="module")
def with_scripts(browser: Browser, service: str) -> Iterator[Page]:
    """The tab in which all pages are looked at: a new one for each takes longer than the page does."""
    context = browser.new_context(base_url=service)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def without_scripts(browser: Browser, service: str) -> Iterator[Page]:
    """The same for pages whose scripts do not run."""
    context = browser.new_context(java_script_enabled=False, base_url=service)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def in_another_zone(browser: Browser, service: str) -> Iterator[Page]:
    """The same for a reader elsewhere, who has chosen the own zone."""
    context = browser.new_context(base_url=service, timezone_id="Asia/Kolkata")
    context.add_init_script("localStorage.setItem('zone', 'own')")
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def everything_seen(with_scripts: Page, service: str) -> Seen:
    """What the tab's pages have done since it was last cleared."""
    seen = Seen()
    watch(with_scripts, service, seen)
    return seen


@pytest.fixture(scope="module", params=PATTERNS)
def visit(request: pytest.FixtureRequest, with_scripts: Page, service: str, everything_seen: Seen) -> Visit:
    """Each page in turn, for all tests of it."""
    with_scripts.set_viewport_size({"width": 1280, "height": 900})
    with_scripts.emulate_media(color_scheme="light")
    everything_seen.clear()
    answer = with_scripts.goto(address_of(request.param, service))
    assert answer is not None
    return Visit(with_scripts, request.param, answer.status, text_of(with_scripts), everything_seen)


def text_of(page: Page) -> str:
    return " ".join(page.locator("main").inner_text().split())


# What sticks out of its card, unless it is cut there or can be scrolled to.
STICKING_OUT = """() => [...document.querySelectorAll(".card")].flatMap((card) => {
  const clips = (each) => getComputedStyle(each).overflowX !== "visible";
  const isCut = (each) => each !== card && (clips(each) || isCut(each.parentElement));
  const right = card.getBoundingClientRect().right + 1;
  return [...card.querySelectorAll("*:not(svg *)")]
    .filter((each) => each.getBoundingClientRect().right > right && !isCut(each))
    .map((each) => each.outerHTML.slice(0, 100));
})"""


def test_a_page_fits_every_width_and_is_fit_for_everybody(visit: Visit) -> None:
    tab = visit.tab
    assert visit.status == 200
    for width, scheme in product(WIDTHS, SCHEMES) if is_night() else LOOKS:
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{width} {scheme}"
        assert tab.evaluate(STICKING_OUT) == [], f"{width} {scheme}"
        if (width, scheme) in BY_AXE:
            found = Axe().run(tab)
            assert found.violations_count == 0, found.generate_report()
    assert visit.seen.nothing, visit.seen


def test_a_page_is_complete_without_scripts(visit: Visit, without_scripts: Page, service: str) -> None:
    without_scripts.goto(address_of(visit.pattern, service))
    text = text_of(without_scripts)
    assert len(text) > 40
    # No markup is shown as text.
    assert "</time>" not in text
    assert len(visit.text) == pytest.approx(len(text), rel=0.02)


# Texts with a time of day that no script can put into another zone. Fields for times say that they are in UTC.
IN_NO_ZONE = """() => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    const isApart = parentElement.closest("time, [data-at], svg title, svg desc, script");
    if (!isApart && /\\b\\d\\d:\\d\\d\\b/.test(data)) found.push(data);
  }
  return found;
}"""


def test_every_time_follows_the_zone_of_the_reader(visit: Visit, in_another_zone: Page, service: str) -> None:
    answer = in_another_zone.goto(address_of(visit.pattern, service))
    assert answer is not None
    assert answer.status == 200
    assert in_another_zone.evaluate(IN_NO_ZONE) == []


def test_names_that_are_hard_to_show_break_no_page(tab: Page, seen: Seen) -> None:
    tab.goto("/ui/models")
    tab.set_viewport_size({"width": 390, "height": 900})
    tab.locator(".models a", has_text="اختبار").first.click()
    expect(tab).to_have_title(re.compile(re.escape(ODD_NAME[:20])))
    for last in ("", "/performance", "/quality"):
        tab.goto(tab.url.split("?")[0].removesuffix("/performance").removesuffix("/quality") + last)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator("b[onclick]").count() == 0
    assert seen.nothing, seen
