"""Every page in a browser: at all widths, light and dark, for everybody, and without scripts."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.web.browser.addresses import PATTERNS, address_of
from tests.web.browser.conftest import ODD_NAME, Seen

WIDTHS = (390, 768, 1280, 1920)
SCHEMES = ("light", "dark")
# Looked at by axe: each scheme, and the narrowest and a usual width.
BY_AXE = ((390, "light"), (1280, "dark"))

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_page_fits_every_width_and_is_fit_for_everybody(tab: Page, service: str, seen: Seen, pattern: str) -> None:
    answer = tab.goto(address_of(pattern, service))
    assert answer is not None
    assert answer.status == 200
    for width in WIDTHS:
        for scheme in SCHEMES:
            tab.set_viewport_size({"width": width, "height": 900})
            tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"{width} {scheme}"
            if (width, scheme) in BY_AXE:
                found = Axe().run(tab)
                assert found.violations_count == 0, found.generate_report()
    assert seen.nothing, seen


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_page_is_complete_without_scripts(browser: Browser, service: str, pattern: str) -> None:
    with_scripts, without = (browser.new_context(java_script_enabled=each, base_url=service) for each in (True, False))
    texts = []
    for context in (with_scripts, without):
        page = context.new_page()
        page.goto(address_of(pattern, service))
        texts.append(" ".join(page.locator("main").inner_text().split()))
        context.close()
    assert len(texts[1]) > 40
    # No markup is shown as text.
    assert "</time>" not in texts[1]
    assert len(texts[0]) == pytest.approx(len(texts[1]), rel=0.02)


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
