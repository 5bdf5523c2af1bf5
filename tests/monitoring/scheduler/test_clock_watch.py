"""A clock that jumps, or is apart from that of the store, is told once."""

from __future__ import annotations

import pytest

from modelwatch.monitoring.scheduler.runner import ClockWatch
from tests.support.events import NOON

SECOND = 1_000_000


@pytest.mark.parametrize(("jump", "way"), [(86_400, "ahead by 86400 s"), (-3_600, "back by 3600 s")])
def test_a_jump_is_told_once(caplog: pytest.LogCaptureFixture, jump: int, way: str) -> None:
    elapsed = iter([0.0, 2.0, 4.0])
    watch = ClockWatch(lambda: next(elapsed))
    watch.look(NOON, NOON)
    for second in (2, 4):
        now = NOON + (second + jump) * SECOND
        watch.look(now, now)
    assert caplog.messages == [f"The clock of this machine jumped {way}."]


def test_time_that_passes_is_no_jump(caplog: pytest.LogCaptureFixture) -> None:
    elapsed = iter([0.0, 900.0])
    watch = ClockWatch(lambda: next(elapsed))
    watch.look(NOON, NOON + SECOND)
    watch.look(NOON + 903 * SECOND, NOON + 900 * SECOND)
    assert not caplog.messages


def test_a_clock_apart_from_that_of_the_store_is_told_until_it_is_right(caplog: pytest.LogCaptureFixture) -> None:
    watch = ClockWatch(lambda: 0.0)
    for apart in (60, 60, 0, -60):
        watch.look(NOON, NOON - apart * SECOND)
    assert caplog.messages == [
        "The clock of this machine is 60 s ahead of that of the store: set it.",
        "The clock of this machine is 60 s behind that of the store: set it.",
    ]
