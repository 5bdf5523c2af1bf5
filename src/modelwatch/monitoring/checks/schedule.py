"""Schedule of a stream's evaluations: a pure function of its own windows, so that a replay is evaluated as live traffic
was.

An evaluation stands at the end of a base window with data. It is due when the interval has passed since the one before
it, or earlier when enough new predictions have come; the first one at once, so that there is a state to show. A window
is evaluated once it is closed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

# A stream that nothing arrives for so long is not in the middle of something: its newest window closes by the clock.
IDLE_SECONDS = 30


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
    if now - arrived_at >= IDLE_SECONDS * MICROS_PER_SECOND:
        newest_end = (watermark // MICROS_PER_SECOND // BASE_WINDOW_SECONDS + 1) * BASE_WINDOW_SECONDS
        return min(newest_end, whole_windows(now - grace * MICROS_PER_SECOND))
    return whole_windows(watermark - grace * MICROS_PER_SECOND)


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


def labels_until(label: tuple[int, int], closed: int, arrived_at: int, now: int, interval: int = 0) -> int:
    """Time, in seconds, up to which labels and predictions are evaluated together.

    label: of the newest label its own time and its arrival, in microseconds. closed: up to where the windows of
    predictions are. arrived_at: of the newest prediction. interval: seconds between two evaluations.

    While labels come, each in the order of its time, those before the newest are all there; later ones wait. Labels
    that have paused hold nothing up, and neither do predictions; after an interval without any, the evaluation that
    comes an interval after the last one is due.
    """
    newest, pause = min(label[0], now), IDLE_SECONDS * MICROS_PER_SECOND
    if now - label[1] >= pause:
        # The window of the newest label is over by the clock, as that of the newest prediction is.
        over = whole_windows(newest) + BASE_WINDOW_SECONDS
        if now - max(label[1], arrived_at) >= interval * MICROS_PER_SECOND:
            over += interval
        return max(closed, min(over, whole_windows(now))) if now - arrived_at >= pause else closed
    # Others may have the very time of the newest.
    known = whole_windows(newest - 1)
    return known if now - arrived_at >= pause else min(known, closed)


def label_points(
    previous: int | None, first: int, as_of: int, interval: int, enough: Callable[[int, int], bool]
) -> Iterator[Point]:
    """The evaluations of labelled predictions up to `as_of`, the time up to which labels are evaluated.

    previous: window end of the evaluation before, None when there is none. first: end of the window in which the first
    label became known. enough: whether so much is new between two times that it is worth a look; where it is, it is
    also between times that are further apart. They stand whole intervals apart, where enough is new, and else a day,
    however late it is that they are made.

    >>> [point.end for point in label_points(None, 300, 8_000, 3_600, lambda start, end: True)]
    [300, 3900, 7500]
    >>> list(label_points(7_500, 300, 90_000, 3_600, lambda start, end: False))
    []
    >>> list(label_points(7_500, 300, 94_000, 3_600, lambda start, end: False))
    [Point(end=93900, elapsed=3600)]
    """
    step = -(-interval // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
    longest = -(-SECONDS_PER_DAY // step) * step
    if previous is None and first <= as_of:
        previous = first
        yield Point(previous, BASE_WINDOW_SECONDS)
    while previous is not None:
        last = min(previous + longest, previous + (as_of - previous) // step * step)
        if last == previous:
            return
        end = last
        if enough(previous, previous + step):
            # Mostly so, and cheaper to ask for than all that is new.
            end = previous + step
        elif enough(previous, last):
            ends = range(previous + 2 * step, last, step)
            place = bisect_left(ends, True, key=partial(enough, previous))
            end = ends[place] if place < len(ends) else last
        elif last < previous + longest:
            return
        yield Point(end, min(end - previous, interval))
        previous = end


def whole_windows(microseconds: int) -> int:
    """The start, in seconds, of the base window of a time in microseconds."""
    return microseconds // MICROS_PER_SECOND // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS
