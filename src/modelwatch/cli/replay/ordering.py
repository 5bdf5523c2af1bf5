"""Predictions and what was true about them, in the order in which both became known."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from modelwatch.cli.replay.labels import Label
from modelwatch.cli.replay.pacing import filled_forward, parts
from modelwatch.cli.replay.rows import LabelRows, Rows

# Arrival, number of the row, line.
Waiting = tuple[int, int, bytes]


def in_order(stretches: Iterable[Rows], longest: float, size: int) -> Iterator[Rows]:
    """The rows in parts, and between them their labels: each before the first part that begins after its arrival.

    longest: microseconds that a part may span; no label comes later than that. size: labels in one part, at most.
    A label whose arrival can't be read, or lies before its own row, follows that row. Labels wait in memory.
    """
    waiting: list[Waiting] = []
    for rows in stretches:
        times = filled_forward(rows.times())
        for start, end in parts(times, longest):
            yield from _due(waiting, times[start], size)
            part = rows.part(start, end)
            yield part
            for label in part.labels:
                if label is not None:
                    heapq.heappush(waiting, _entry(label, times[start]))
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
