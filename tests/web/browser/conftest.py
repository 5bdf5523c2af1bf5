"""One live service with the small models of the demo, and a browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from modelwatch.cli.client import ServiceClient
from modelwatch.demo.others import OTHERS, send_others
from modelwatch.demo.story import SEED, Plan
from tests.support.servers.live_service import LiveService
from tests.support.servers.programs import installed

ODD_NAME = 'اختبار 予測 <b onclick="x">&amp;</b> ' + "long" * 40
LABELS_EVERY = 2
# Five seconds are its own, which may pass on a busy machine before a page is drawn.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a service with a drifting model, healthy ones, and one with a name that is hard to show."""
    with LiveService(tmp_path_factory.mktemp("pages"), PROVISIONAL_REFERENCE_SIZE="100000") as live:
        with ServiceClient(live.url) as client:
            fill(client)
        yield live.url


def fill(client: ServiceClient) -> None:
    """Sends what the pages are about, and waits until it is evaluated."""
    plan = Plan.ending(time.time(), "1")
    send_others(client, plan, np.random.default_rng(SEED + 1))
    labelled = next(each for each in OTHERS if each.shift)
    labels = [
        {
            "model_name": labelled.name,
            "prediction_id": f"demo-{plan.version}-{plan.end}-{index}",
            "ground_truth": "yes" if index % 3 == 0 else "no",
        }
        for index in range(0, labelled.rows, LABELS_EVERY)
    ]
    client.post_json("/api/v1/ground-truth/batch", labels)
    odd = [
        {
            "model_name": ODD_NAME,
            "environment": ODD_NAME,
            "model_version": ODD_NAME,
            "features": {ODD_NAME: index, "ميزة": "<i>"},
            "prediction": ODD_NAME,
        }
        for index in range(150)
    ]
    client.post_json("/api/v1/predictions/batch", odd)
    assert client.wait_until_evaluated(lambda: None, longest_seconds=120)


@dataclass
class Seen:
    """What a page did that it must not: messages, requests to elsewhere, what the policy refused."""

    messages: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not self.messages and not self.elsewhere

    def clear(self) -> None:
        self.messages.clear()
        self.elsewhere.clear()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Of a module alone: while it runs, no other event loop can in this thread."""
    chromium = installed("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def tab(browser: Browser, service: str, seen: Seen) -> Iterator[Page]:
    """A tab whose misdeeds are written down."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=service)
    page = context.new_page()
    watch(page, service, seen)
    yield page
    context.close()


def watch(page: Page, service: str, seen: Seen) -> None:
    """Writes down what a page does that it must not. A refusal of the policy is a message, too."""
    page.on("console", lambda message: seen.messages.append(message.text))
    page.on("pageerror", lambda error: seen.messages.append(str(error)))

    def requested(request: Any) -> None:
        if not request.url.startswith((service, "data:")):
            seen.elsewhere.append(request.url)

    page.on("request", requested)
