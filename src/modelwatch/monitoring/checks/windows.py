"""Windows and look-backs: the stretch of event time that an evaluation covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.storage.counts.rollup_levels import (
    DAYS_AFTER_SECONDS,
    HOURS_AFTER_SECONDS,
    Grain,
)

# How far back is looked where the look-backs hold too little.
FURTHER = ("24h", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in seconds since 1970; `lookback` is the name of the span it came from, if any."""

    start: int
    end: int
    lookback: str | None = None


def look_back(watermark: int, lookback: str) -> Window:
    """The window of this length that ends at the watermark (the end of the newest base window with data).

    watermark: seconds.
    """
    return Window(watermark - parse_lookback(lookback), watermark, lookback)


def reaching_back(
    windows: Sequence[Window], mark: int, enough: int, count: Callable[[Window], int]
) -> tuple[Window, ...]:
    """The look-backs that end at the watermark `mark`, and one that reaches further where the longest of them holds
    fewer than `enough`: the first that holds enough, else the furthest if it holds more. count: what a window holds.

    It begins at an edge that the store keeps however old its windows are, so that it is the same at any time.

    >>> day = 86_400
    >>> newest = look_back(60 * day, "24h")
    >>> further = reaching_back([newest], 60 * day, 100, lambda window: 20 * (window.end - window.start) // day)
    >>> [window.lookback for window in further]
    ['24h', '7d']
    """
    longest = max(windows, key=lambda window: window.end - window.start)
    grain = Grain.of(mark - HOURS_AFTER_SECONDS, mark - DAYS_AFTER_SECONDS)
    held = count(longest)
    further = [Window(grain.edge(mark - parse_lookback(name)), mark, name) for name in FURTHER]
    further = [window for window in further if window.start < longest.start]
    # What the furthest does not hold, none between holds.
    if held >= enough or not further or count(further[-1]) <= held:
        return tuple(windows)
    reached = next((window for window in further[:-1] if count(window) >= enough), further[-1])
    return (*windows, reached)


def covering(start: int, end: int) -> Window:
    """The base windows that [start, end) in microseconds touches."""
    first = start // 1_000_000 // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    last = -(-end // (1_000_000 * BASE_WINDOW_SECONDS)) * BASE_WINDOW_SECONDS
    return Window(first, last)


def watermark(last_window_end: int, now: int) -> int:
    """The end of the newest window with data, but never beyond the base window that is open now (microseconds)."""
    open_window_end = (now // 1_000_000 // BASE_WINDOW_SECONDS + 1) * BASE_WINDOW_SECONDS
    return min(last_window_end, open_window_end)
