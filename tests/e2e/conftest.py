"""Two services on one store, with Prometheus, Alertmanager and the shipped rules beside them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.conftest import REPOSITORY
from tests.e2e.world import Traffic
from tests.support.servers.alertmanager import Alertmanager, alertmanager
from tests.support.servers.doubles import Receiver
from tests.support.servers.live_service import LiveService
from tests.support.servers.prometheus import Prometheus, prometheus

RULES = REPOSITORY / "rules"
# The shipped files with times that a test can wait for.
SHORTER = {
    "modelwatch.rules.yaml": (
        (r"^( +)for: \w+$", r"\1for: 2s"),
        # On a busy machine a scrape or two may not be answered within their second.
        (r"^( +)keep_firing_for: \w+$", r"\1keep_firing_for: 5s"),
    ),
    "alertmanager.example.yaml": (
        (r"group_wait: \w+", "group_wait: 500ms"),
        (r"group_interval: \w+", "group_interval: 1s"),
    ),
}


@dataclass(frozen=True)
class Installation:
    """Everything that runs. told: what Alertmanager has sent; notified: what the service itself has sent."""

    services: tuple[LiveService, LiveService]
    traffic: Traffic
    prometheus: Prometheus
    alertmanager: Alertmanager
    told: Receiver
    notified: Receiver


def shortened(name: str) -> str:
    """A shipped file with short times."""
    text = (RULES / name).read_text()
    for pattern, replacement in SHORTER[name]:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count, (name, pattern)
    return text


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Started side by side; nothing was sent yet."""
    folder = tmp_path_factory.mktemp("installation")
    rules = folder / "modelwatch.rules.yaml"
    rules.write_text(shortened(rules.name))
    with ExitStack() as stack:
        told, notified = (stack.enter_context(Receiver()) for _ in range(2))
        settings = {
            "LOOKBACKS": "1h",
            "LEASE_SECONDS": "6",
            "ALERT_WEBHOOK_URL": notified.url,
        }
        services = tuple(LiveService(folder / "data", **settings) for _ in range(2))
        for service in services:
            service.start(wait=False)
            stack.callback(service.stop)
        configuration = re.sub(r"http://127\.0\.0\.1:9099", told.url, shortened("alertmanager.example.yaml"))
        manager = stack.enter_context(alertmanager(folder / "alertmanager", told.url, configuration=configuration))
        watching = stack.enter_context(
            prometheus(
                folder / "prometheus",
                [service.url for service in services],
                rules=[rules],
                alertmanagers=[manager.url],
            )
        )
        for service in services:
            service.wait_until_ready()
        yield Installation((services[0], services[1]), Traffic(services), watching, manager, told, notified)
