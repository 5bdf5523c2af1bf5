"""Levels at which windows are stored: a span whose edge lies inside a rolled-up window is widened to hold all of it.

Counts of a rolled-up window can't be divided. So an answer is about the whole windows that the span touches, and says
which span that is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.times import SECONDS_PER_DAY

if TYPE_CHECKING:
    from modelwatch.storage.counts.sliding import Span

HOUR = 3_600
DAY = SECONDS_PER_DAY
# Base windows are kept at least so long before they become hours, and hours before they become days.
HOURS_AFTER_SECONDS = 2 * DAY
DAYS_AFTER_SECONDS = 14 * DAY


@dataclass(frozen=True, slots=True)
class Grain:
    """Times up to which windows are rolled up, in seconds: whole days before `days`, whole hours before `hours`."""

    hours: int
    days: int

    @classmethod
    def of(cls, hours: int, days: int) -> Grain:
        """The grain for two times, each moved back to a whole window; the hours go at least as far as the days."""
        before_days = days // DAY * DAY
        return cls(max(hours // HOUR * HOUR, before_days), before_days)

    def window(self, start: int) -> Span:
        """Start and end of the window that a base window becomes part of.

        >>> Grain.of(hours=7_300, days=-1).window(3_900), Grain.of(7_300, -1).window(7_500)
        ((3600, 7200), (7500, 7800))
        """
        length = DAY if start < self.days else HOUR if start < self.hours else BASE_WINDOW_SECONDS
        first = start - start % length
        return first, first + length

    def edge(self, moment: int) -> int:
        """The latest edge of a window of this grain that is not after a time.

        >>> Grain.of(hours=7_300, days=-1).edge(4_000)
        3600
        """
        return self.window(moment)[0]


def widen_to_stored(span: Span, rolled: Collection[Span]) -> Span:
    """The span with whole windows at its edges.

    >>> widen_to_stored((5_000, 9_000), [(3_600, 7_200), (7_200, 10_800)])
    (3600, 10800)
    >>> widen_to_stored((3_600, 7_200), [(3_600, 7_200)])
    (3600, 7200)
    """
    start, end = span
    if start >= end:
        return span
    while True:
        first = min((a for a, b in rolled if a < start < b), default=start)
        last = max((b for a, b in rolled if a < end < b), default=end)
        if (first, last) == (start, end):
            return start, end
        start, end = first, last


def whole(boundaries: Sequence[int], rolled: Collection[Span]) -> list[int]:
    """The ascending boundaries that lie in no rolled-up window; the outermost are moved to the edges of theirs.

    >>> whole([0, 3_600, 7_200, 90_000], [(0, 86_400), (86_400, 90_000)])
    [0, 90000]
    """
    if len(boundaries) < 2:
        return list(boundaries)
    start, end = widen_to_stored((boundaries[0], boundaries[-1]), rolled)
    inner = [each for each in boundaries[1:-1] if not any(a < each < b for a, b in rolled)]
    return [start, *(each for each in inner if start < each < end), end]
