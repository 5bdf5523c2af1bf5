"""How far the evaluation of what was replayed has come."""

from __future__ import annotations

from typing import Any

import pytest

from modelwatch.cli.client import ServiceClient
from modelwatch.cli.replay.progress import QUIET_SECONDS, Evaluated

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
    """A service whose readiness says these things, one after the other, with how many streams wait; a second each."""

    def __init__(self, *said: tuple[str, int], looks: bool = True) -> None:
        self.now, self.asked = 0.0, 0
        super().__init__("http://127.0.0.1:1", clock=lambda: self.now, sleep=self.wait)
        self.said, self.looks = list(said), looks

    def get(self, path: str, params: object = None) -> Any:
        self.asked += 1
        status, waiting = self.said.pop(0) if len(self.said) > 1 else self.said[0]
        looked_at = f"2026-01-01T00:{self.asked // 60:02}:{self.asked % 60:02}Z" if self.looks else None
        return {"evaluation": {"status": status, "waiting": waiting, "looked_at": looked_at}}

    def wait(self, seconds: float) -> None:
        self.now += seconds


WAITING, DONE = ("waiting", 1), ("up to date", 0)


def test_waiting_ends_when_nothing_more_becomes_due() -> None:
    service = Ready(WAITING, WAITING, DONE, WAITING, DONE)
    looks: list[float] = []
    assert service.wait_until_evaluated(lambda: looks.append(service.now), quiet_seconds=QUIET_SECONDS)
    # The first calm was not the last: the windows at the end close by the clock.
    assert service.now == 4 + QUIET_SECONDS
    assert len(looks) == service.asked


def test_what_was_looked_at_before_or_was_under_way_does_not_count() -> None:
    service = Ready(DONE)
    assert service.wait_until_evaluated(lambda: None)
    assert service.asked == 3


@pytest.mark.parametrize(("said", "looks"), [(WAITING, True), (("stopped", 0), True), (DONE, False)])
def test_waiting_ends_after_the_longest_time(said: tuple[str, int], looks: bool) -> None:
    service = Ready(said, looks=looks)
    assert not service.wait_until_evaluated(lambda: None, longest_seconds=30.0)
    assert 30 < service.now < 35


def test_a_stream_that_can_not_be_evaluated_is_not_waited_for() -> None:
    assert Ready(WAITING, ("failing", 0)).wait_until_evaluated(lambda: None, quiet_seconds=QUIET_SECONDS)
