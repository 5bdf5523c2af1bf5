"""Windows and look-backs: which stretch of event time an evaluation looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Connection

from modelwatch.config import BASE_WINDOW_SECONDS, parse_lookback
from modelwatch.storage import rolled_windows, widened


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in seconds since 1970; `lookback` is the name of the span it came from, if any."""

    start: int
    end: int
    lookback: str | None = None


class StreamPart(Protocol):
    """What is looked at: a model in an environment, and one of its versions or all."""

    @property
    def model(self) -> str: ...

    @property
    def environment(self) -> str: ...

    @property
    def version(self) -> str | None: ...


def look_back(watermark: int, lookback: str) -> Window:
    """The window of this length that ends at the watermark (the end of the newest base window with data)."""
    return Window(watermark - parse_lookback(lookback), watermark, lookback)


def stored_whole(connection: Connection, query: StreamPart, windows: Sequence[Window]) -> tuple[Window, ...]:
    """The windows, widened where an edge lies in one that was rolled up; look-backs keep their names."""
    if not windows:
        return ()
    start, end = min(each.start for each in windows), max(each.end for each in windows)
    rolled = rolled_windows(connection, query.model, query.environment, start, end, query.version)
    return tuple(Window(*widened((each.start, each.end), rolled), each.lookback) for each in windows)


def covering(start: int, end: int) -> Window:
    """The base windows that [start, end) in microseconds touches."""
    first = start // 1_000_000 // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    last = -(-end // (1_000_000 * BASE_WINDOW_SECONDS)) * BASE_WINDOW_SECONDS
    return Window(first, last)


def watermark(last_window_end: int, now: int) -> int:
    """The end of the newest window with data, but never beyond the base window that is open now (microseconds)."""
    open_window_end = (now // 1_000_000 // BASE_WINDOW_SECONDS + 1) * BASE_WINDOW_SECONDS
    return min(last_window_end, open_window_end)


@lru_cache(maxsize=1_024)
def iso(seconds: int) -> str:
    """RFC 3339 text of a time in seconds since 1970, UTC.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
