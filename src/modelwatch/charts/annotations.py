"""Annotations of a chart over time: levels, events, spans of a state, and notes at a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from modelwatch.charts.drawing.labels import LINE, Moments, Spot
from modelwatch.charts.drawing.marks import Severity, State
from modelwatch.charts.drawing.numbers import short_time
from modelwatch.charts.drawing.plot import Area, Plot
from modelwatch.charts.drawing.scales import Floats, Scale, Time
from modelwatch.charts.drawing.text import ASCENT, DESCENT, clipped, width

# Rows of flags above a plot at most.
MOST_FLAGS = 3
LONGEST_LABEL = 240.0
# Of a plot, in pixels.
USUAL_WIDTH = 480.0

_GROUNDS: dict[State, str] = {
    "alert": "f-alert",
    "warning": "f-warning",
    "shifted": "f-shifted",
    "stable": "f-stable",
    "unknown": "f-unknown",
    "catching_up": "f-unknown",
    "no_data": "f-unknown",
}


@dataclass(frozen=True, slots=True)
class Level:
    """Line across the plot: a threshold of a severity, or the reference's value."""

    value: float
    text: str
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something at one time (seconds). kind "since" is when a finding began: one line in red.

    moments: parts of the text that are times in UTC, each with its seconds, so that the reader's zone can be applied.
    """

    at: float
    text: str
    kind: Literal["since", "event"] = "event"
    moments: Moments = ()


@dataclass(frozen=True, slots=True)
class Span:
    """State from one time to another (seconds), for the strip below a plot."""

    start: float
    end: float
    state: State


@dataclass(frozen=True, slots=True)
class Note:
    """Dot with a text at one value of a series."""

    at: float
    value: float
    text: str


def draw_spans(plot: Plot, strip: Area, x: Time, spans: Sequence[Span]) -> None:
    """States as boxes, on a ground that says where there is none."""
    if spans:
        plot.rect(strip, 0, 1, "f-empty")
    for span in spans:
        if span.end > x.low and span.start < x.high:
            title = f"{span.state.replace('_', ' ')}, {short_time(span.start)} to {short_time(span.end)} UTC"
            plot.rect(strip, x.at(span.start), x.at(span.end), _GROUNDS[span.state], title=title)


def draw_event(plot: Plot, area: Area, x: Time, event: Event, *, flags: bool) -> None:
    """Line at the event, and its flag in the lowest row that has room."""
    if not x.low <= event.at <= x.high:
        return
    at, since = x.at(event.at), event.kind == "since"
    row = 0
    if flags:
        spots = [spot for row in range(MOST_FLAGS) for spot in _flag_spots(at, -6 - LINE * row)]
        label = plot.label(
            clipped(event.text, LONGEST_LABEL, bold=since),
            *spots,
            style="halo t-alert" if since else "halo",
            bold=since,
            title=whole_if_cut(event.text),
            moments=event.moments,
        )
        if label is not None:
            row = round((-6 - label.spot.y) / LINE)
            plot.need(above=LINE * (row + 1) + 6)
    top = -4 - LINE * row if flags else area.top
    plot.vertical(at, Area(top, area.bottom), "s-since" if since else "s-event", over=True)


def _flag_spots(at: float, y: float) -> list[Spot]:
    return [Spot(at, y, "start", 4), Spot(at, y, "end", -4)]


def whole_if_cut(text: str, room: float = LONGEST_LABEL) -> str | None:
    """The text as the title of a label, where this has not all of it."""
    return text if clipped(text, room) != text else None


def draw_level(plot: Plot, area: Area, y: Scale, level: Level, lines: Sequence[tuple[Floats, Floats]] = ()) -> None:
    """Line of a level, and its text where fewest of the lines (their places and heights) go through it."""
    at = y.at(level.value)
    if not math.isfinite(at) or not y.low <= level.value <= y.high:
        return
    height = area.y(at)
    plot.horizontal(height, f"s-{level.severity}" if level.severity else "s-reference", over=True)
    above, below = height - 4, height + 12
    text = clipped(level.text, LONGEST_LABEL)
    part = min(width(text) / USUAL_WIDTH, 1.0)
    spots = [Spot(0, above, dx=3), Spot(0, below, dx=3), Spot(1, above, "end", -3), Spot(1, below, "end", -3)]
    spots += [Spot(place, baseline, "middle") for place in (0.25, 0.5, 0.75) for baseline in (above, below)]
    inside = [each for each in spots if area.top + 9 <= each.y <= area.bottom - 3]
    inside.sort(key=lambda spot: sum(crossings(line, _centre(spot, part), spot.y, part) for line in lines))
    plot.label(
        text, *inside, style=f"halo t-{level.severity}" if level.severity else "halo", title=whole_if_cut(level.text)
    )


def draw_notes(plot: Plot, area: Area, x: Time, y: Scale, notes: Sequence[Note]) -> None:
    """Dots, each with its text above."""
    for note in notes:
        at, height = x.at(note.at), area.y(y.at(note.value))
        if math.isfinite(at) and math.isfinite(height):
            plot.dot(at, height, "d-now")
            above = max(height - 7, area.top + 10)
            spots = [Spot(at, above, "middle"), Spot(at, above, "end", -6), Spot(at, above, "start", 6)]
            plot.label(clipped(note.text, LONGEST_LABEL), *spots, style="halo", bold=True)


def _centre(spot: Spot, part: float) -> float:
    """Middle of a text of this part of the plot."""
    return spot.x + {"start": part / 2, "middle": 0.0, "end": -part / 2}[spot.anchor]


def crossings(line: tuple[Floats, Floats], centre: float, baseline: float, part: float) -> int:
    """Number of points of a line inside of a text."""
    places, heights = line
    near = np.abs(places - centre) <= part / 2
    return int(np.sum(near & (heights > baseline - ASCENT) & (heights < baseline + DESCENT)))
