"""Durations of what happened lately."""

from __future__ import annotations

from modelwatch.exposition.recent_durations import RecentDurations
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.durations import bucket_of


def test_what_is_older_is_left_out() -> None:
    durations = RecentDurations(300)
    durations.add(0.001)
    assert sum(durations.recent(0).values()) == 1
    for second in range(10, 300, 10):
        durations.recent(second * MICROS_PER_SECOND)
    durations.add(0.004)
    assert durations.recent(299 * MICROS_PER_SECOND) == {bucket_of(0.001): 1, bucket_of(0.004): 1}
    assert durations.recent(330 * MICROS_PER_SECOND) == {bucket_of(0.004): 1}
    for second in range(340, 700, 10):
        left = durations.recent(second * MICROS_PER_SECOND)
    assert left == {}
