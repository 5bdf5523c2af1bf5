"""How far the evaluation of what was replayed has come."""

from __future__ import annotations

from typing import Any

import pytest

from modelwatch.cli.client import ServiceClient
from modelwatch.cli.replay.progress import QUIET_SECONDS, Evaluated, wait_for_evaluations

FIRST, LAST = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"


@pytest.mark.parametrize(
    ("evaluated", "share"),
    [
        (Evaluated(None, None, None), 0.0),
        (Evaluated(FIRST, LAST, None), 0.0),
        (Evaluated(FIRST, LAST, "2026-01-02T00:00:00Z"), 0.5),
        (Evaluated(FIRST, LAST, "2025-12-01T00:00:00Z"), 0.0),
        (Evaluated(FIRST, LAST, "2026-01-03T00:05:00Z"), 1.0),
        (Evaluated(FIRST, FIRST, FIRST), 1.0),
    ],
)
def test_the_share_of_time_that_is_evaluated(evaluated: Evaluated, share: float) -> None:
    assert evaluated.share == share


class Ready(ServiceClient):
    """A service whose readiness says these things, one after the other; the last for ever."""

    def __init__(self, *said: str) -> None:
        super().__init__("http://127.0.0.1:1")
        self.said = list(said)
        self.now = 0.0
        self.asked = 0

    def get(self, path: str, params: object = None) -> Any:
        self.asked += 1
        return {"evaluation": {"status": self.said.pop(0) if len(self.said) > 1 else self.said[0]}}

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_waiting_ends_when_nothing_more_becomes_due() -> None:
    service = Ready("waiting", "up to date", "waiting", "up to date")
    looks: list[float] = []
    wait_for_evaluations(service, lambda: looks.append(service.now), lambda: service.now, service.sleep)
    # The first calm was not the last: the windows at the end close by the clock.
    assert service.now == 4 + QUIET_SECONDS
    assert len(looks) == service.asked
