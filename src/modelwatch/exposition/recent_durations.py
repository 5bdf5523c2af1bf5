"""Durations that a process counts, and those of them that are recent."""

from __future__ import annotations

from collections import deque

from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.durations import BUCKETS, bucket_of

# The counts are kept at so many moments of the stretch: it is longer than asked for by at most one part.
PARTS = 10


class RecentDurations:
    """Counts of durations over the last `seconds`.

    One thread adds, another one reads. Counts only grow, and what is recent is what they have grown by: so adding needs
    no lock.
    """

    def __init__(self, seconds: int) -> None:
        self._stretch = seconds * MICROS_PER_SECOND
        self._counts = [0] * BUCKETS
        self._before: deque[tuple[int, list[int]]] = deque()

    def add(self, seconds: float) -> None:
        """Counts one."""
        self._counts[bucket_of(seconds)] += 1

    @property
    def total(self) -> int:
        """Number of all that were added."""
        return sum(self._counts)

    def recent(self, now: int) -> dict[int, int]:
        """Counts by bucket since so long ago, or since the first call. now: microseconds."""
        counts, before = self._counts.copy(), self._before
        if not before:
            before.append((now, [0] * BUCKETS))
        elif now - before[-1][0] >= self._stretch // PARTS:
            before.append((now, counts))
        while len(before) > 1 and now - before[1][0] >= self._stretch:
            before.popleft()
        return {
            bucket: number - earlier
            for bucket, (number, earlier) in enumerate(zip(counts, before[0][1], strict=True))
            if number > earlier
        }
