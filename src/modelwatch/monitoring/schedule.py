"""When a stream is evaluated: a pure function of its own windows, so that a replay is looked at as live traffic was.

An evaluation stands at the end of a base window with data. It is due when the interval has passed since the one before
it, or earlier when enough new predictions have come; the first one at once, so that there is a state to show. A window
is only looked at once it is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelwatch.config import BASE_WINDOW_SECONDS

MICROSECONDS = 1_000_000
# A stream that nothing arrives for so long is not in the middle of something: its newest window closes by the clock.
IDLE_SECONDS = 30
MOST_OF_A_BACKLOG = 200


@dataclass(frozen=True, slots=True)
class Point:
    """One evaluation: at which window end (seconds), and how many seconds of budget have accrued for it."""

    end: int
    elapsed: int


def closed_until(latest_ts: int, arrived_at: int, now: int, grace: int) -> int:
    """Up to which time, in seconds, base windows are closed. The first three arguments are in microseconds.

    The stream's own watermark closes a window once it has passed the window's end by `grace` seconds. A stream that has
    fallen silent has no such event: after a while its windows close by the clock.
    """
    watermark = min(latest_ts, now)
    if now - arrived_at >= IDLE_SECONDS * MICROSECONDS:
        newest_end = (watermark // MICROSECONDS // BASE_WINDOW_SECONDS + 1) * BASE_WINDOW_SECONDS
        return min(newest_end, whole_windows(now - grace * MICROSECONDS))
    return whole_windows(watermark - grace * MICROSECONDS)


def due_points(
    previous: int | None, windows: Iterable[tuple[int, int]], *, interval: int, enough: int | None
) -> Iterator[Point]:
    """The evaluations among these windows, in their order.

    previous: window end of the evaluation before them, None when there is none. windows: ends and numbers of
    predictions of the closed windows with data after it, ascending. enough: how many new predictions make an early
    evaluation; None: there are no early ones.

    >>> hour = [(300 * i, 10) for i in range(1, 13)]
    >>> [point.end for point in due_points(0, hour, interval=3600, enough=None)]
    [3600]
    >>> [point.end for point in due_points(0, hour, interval=3600, enough=50)]
    [1500, 3000]
    >>> next(due_points(None, hour, interval=3600, enough=50))
    Point(end=300, elapsed=300)
    """
    new = 0
    for end, predictions in windows:
        new += predictions
        elapsed = BASE_WINDOW_SECONDS if previous is None else end - previous
        if previous is None or elapsed >= interval or (enough is not None and new >= enough):
            yield Point(end, min(elapsed, interval))
            previous, new = end, 0


def label_points(previous: int | None, first: int, as_of: int, interval: int) -> Iterator[Point]:
    """The evaluations of labelled predictions up to `as_of`, the newest time that predictions or labels speak of.

    previous: window end of the evaluation before, None when there is none. first: end of the first window with labels.
    Labels don't keep the time of their arrival by window, so a backlog can't be looked at as it was live: a long one is
    passed in steps of a share of what is left.

    >>> [point.end for point in label_points(None, 300, 8_000, 3_600)]
    [300, 3900, 7500]
    >>> len(list(label_points(0, 300, 10**8, 3_600)))
    200
    """
    if previous is None:
        previous = min(first, as_of)
        yield Point(previous, BASE_WINDOW_SECONDS)
    share = (as_of - previous) // MOST_OF_A_BACKLOG // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
    step = max(-(-interval // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS, share)
    while previous + step <= as_of:
        previous += step
        yield Point(previous, min(step, interval))


def whole_windows(microseconds: int) -> int:
    """The start, in seconds, of the base window of a time in microseconds."""
    return microseconds // MICROSECONDS // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
