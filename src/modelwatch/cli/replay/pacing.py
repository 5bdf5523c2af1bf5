"""The order in which rows and labels are sent, and event time played back faster than it was lived."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

from modelwatch.cli.replay.labels import Label
from modelwatch.cli.replay.rows import LabelRows, Rows

SLICE_SECONDS = 0.5

# Arrival, number of the row, line.
Waiting = tuple[int, int, bytes]


def paced(
    stretches: Iterable[Rows], speed: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Rows]:
    """The same rows in smaller parts, each given when it is due: event time passes `speed` times as fast as the clock.

    Rows without a time, and those older than what was given before, are due at once.
    """
    began: float | None = None
    first = newest = 0
    for rows in stretches:
        times = filled_forward(rows.times())
        for start, end in parts(times, slice_of(speed)):
            time = max(times[start], newest)
            if began is None:
                began, first = clock(), time
            newest = time
            wait = began + (time - first) / 1_000_000 / speed - clock()
            if wait > 0:
                sleep(wait)
            yield rows.part(start, end)


def slice_of(speed: float) -> float:
    """The microseconds of event time that are given at once."""
    return speed * SLICE_SECONDS * 1_000_000


def parts(times: Sequence[int], longest: float) -> Iterator[tuple[int, int]]:
    """The borders of parts of at most this many microseconds."""
    start = 0
    for index, time in enumerate(times):
        if time - times[start] > longest:
            yield start, index
            start = index
    if times:
        yield start, len(times)


def filled_forward(times: Sequence[int | None]) -> list[int]:
    """Each time, never before an earlier one; a missing one is that of the row before, or of the first that has one."""
    result: list[int] = []
    last = next((time for time in times if time is not None), 0)
    for time in times:
        last = max(last, time or 0)
        result.append(last)
    return result


def in_order(stretches: Iterable[Rows], longest: float, size: int) -> Iterator[Rows]:
    """The rows in parts, and before each the labels that have arrived by its end, also those of its own rows, which
    wait in the service for them.

    So whatever windows a part closes, all labels from before their end are there: the service evaluates them as soon
    as they are closed, and labels that followed the part would come sooner or later than that.

    longest: microseconds that a part may span; no label comes earlier than that. size: labels in one part, at most.
    A label whose arrival can't be read comes with its row. Labels of later arrival wait in memory.
    """
    waiting: list[Waiting] = []
    for rows in stretches:
        times = filled_forward(rows.times())
        for start, end in parts(times, longest):
            part = rows.part(start, end)
            for label in part.labels:
                if label is not None:
                    heapq.heappush(waiting, _entry(label, times[start]))
            yield from _due(waiting, times[end - 1], size)
            yield part
    yield from _due(waiting, None, size)


def _entry(label: Label, earliest: int) -> Waiting:
    return (earliest if label.arrival is None else label.arrival, label.row, label.line)


def _due(waiting: list[Waiting], until: int | None, size: int) -> Iterator[LabelRows]:
    """Takes the labels that have arrived until then; None: all of them."""
    while waiting and (until is None or waiting[0][0] <= until):
        numbers: list[int] = []
        lines: list[bytes] = []
        while waiting and len(lines) < size and (until is None or waiting[0][0] <= until):
            _, number, line = heapq.heappop(waiting)
            numbers.append(number)
            lines.append(line)
        yield LabelRows(lines, numbers)
