"""Time line of an alert over its states; lanes: charts of one time axis, with events as letters above them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelwatch.charts.annotations import Span, draw_spans
from modelwatch.charts.drawing.labels import LINE, NARROWEST, Spot
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.markup import breakable, element, written
from modelwatch.charts.drawing.numbers import short_time
from modelwatch.charts.drawing.plot import Area, Plot
from modelwatch.charts.drawing.scales import Time
from modelwatch.charts.drawing.tables import TIME, iso, table
from modelwatch.charts.drawing.text import clipped, isolated

ROWS = 4
STRIP = 10.0
LONGEST = 200.0
# Of the marks of events, in pixels.
RADIUS = 8.0


@dataclass(frozen=True, slots=True)
class Step:
    """Step of an alert at a time (seconds): its name, what more is to say, and the state that it led to."""

    at: float
    text: str
    detail: str = ""
    state: State | None = None


def timeline(title: str, times: tuple[float, float], steps: Sequence[Step], *, spans: Sequence[Span] = ()) -> str:
    """Steps on a time axis, their texts in up to four rows so that none covers another; below them a strip of states.

    times: start and end of the axis, in seconds.

    >>> steps = [Step(600, "began"), Step(1800, "found", state="alert")]
    >>> markup = timeline("Alert", (0, 7200), steps, spans=[Span(1800, 7200, "alert")])
    >>> "began" in markup and markup.count("<circle")
    2
    """
    x = Time.over(*times)
    height = LINE * ROWS + 10
    strip = Area(height, height + STRIP)
    plot = Plot(strip.bottom, 8, 8)
    known = [
        each
        for each in sorted(steps, key=lambda each: each.at)
        if math.isfinite(each.at) and x.low <= each.at <= x.high
    ]
    draw_spans(plot, strip, x, spans)
    if not spans:
        plot.rect(strip, 0, 1, "f-empty")
    # The first and the last step are what one looks for; what has no room is in the table.
    for each in [*known[:1], *known[1:][-1:], *known[1:-1]]:
        at = x.at(each.at)
        style = {"alert": "d-alert", "warning": "d-warning"}.get(each.state or "", "d-ring")
        spots = [spot for row in range(ROWS) for spot in _sides(at, height - 8 - LINE * row)]
        text = clipped(each.text, LONGEST, bold=True)
        tooltip = f"{isolated(each.text)}, {short_time(each.at)} UTC" + (
            f": {isolated(each.detail)}" if each.detail else ""
        )
        tone = f"halo t-{each.state}" if each.state in ("alert", "warning") else "halo"
        label = plot.label(text, *spots, style=tone, bold=True, title=tooltip)
        plot.vertical(at, Area(strip.top - 4 if label is None else label.spot.y - 9, strip.bottom), "s-event")
        plot.dot(at, strip.top + STRIP / 2, style, radius=4, title=tooltip)
    if not known:
        plot.label("no steps in this range", Spot(0.5, height / 2, "middle"))
    used = max((-label.spot.y for label in plot.labels.placed), default=-height + 8)
    plot.above = used + LINE
    plot.time_axis(Area(strip.bottom, strip.bottom), x)
    description = " ".join(f"{isolated(each.text[:120])}, {short_time(each.at)} UTC." for each in known[:12])
    return plot.svg(title, description, kind="timeline", start=x.low, end=x.high)


@dataclass(frozen=True, slots=True)
class EventMark:
    """Event at a time (seconds): its letter, text, and the state that colours it."""

    at: float
    letter: str
    text: str
    state: State | None = None


def event_marks(
    title: str, times: tuple[float, float], events: Sequence[EventMark], *, left: int = 8, right: int = 8
) -> str:
    """Events as letters on one line, for the top of lanes; neighbours that would touch in a narrow chart are one mark
    with their number. The title of a mark has their times and texts.

    times: start and end of the axis, in seconds. left, right: gutters, in pixels.

    >>> marks = [EventMark(600, "V", "version 2"), EventMark(660, "R", "new reference"), EventMark(6000, "A", "alert")]
    >>> markup = event_marks("Events", (0, 7200), marks)
    >>> markup.count("<circle"), ">2</text>" in markup, ">A</text>" in markup
    (2, True, True)
    """
    x = Time.over(*times)
    plot = Plot(2 * RADIUS + 2, left, right, above=2, below=2)
    inside = NARROWEST - left - right
    known = sorted(
        (each for each in events if math.isfinite(each.at) and x.low <= each.at <= x.high), key=lambda each: each.at
    )
    groups: list[list[EventMark]] = []
    for each in known:
        if groups and (x.at(each.at) - x.at(groups[-1][0].at)) * inside < 2 * RADIUS + 3:
            groups[-1].append(each)
        else:
            groups.append([each])
    middle = RADIUS + 1
    for group in groups:
        at = x.at(group[0].at)
        told = "; ".join(f"{short_time(each.at)} UTC: {isolated(each.text)}" for each in group)
        worst = next((each for each in ("alert", "warning") if any(one.state == each for one in group)), None)
        plot.dot(at, middle, "d-ring" if worst is None else f"d-ring r-{worst}", radius=RADIUS, title=told)
        text = group[0].letter if len(group) == 1 else str(len(group))
        style = "t-ink" if worst is None else f"t-{worst}"
        plot.label(text, Spot(at, middle + 4, "middle"), style=style, bold=True, title=told)
    description = "; ".join(f"{short_time(each.at)} UTC: {isolated(each.text[:120])}" for each in known[:12])
    return plot.svg(title, f"{description}." if description else "", kind="events", start=x.low, end=x.high)


def _sides(at: float, y: float) -> list[Spot]:
    return [Spot(at, y, "start", 5), Spot(at, y, "end", -5)]


def timeline_table(title: str, steps: Sequence[Step]) -> str:
    """Table twin: a row a step, in the order of time.

    >>> "1970-01-01T00:10:00Z" in timeline_table("Alert", [Step(600, "began")])
    True
    """
    known = sorted((each for each in steps if math.isfinite(each.at)), key=lambda each: each.at)
    return table(
        title,
        [TIME, "step", "detail"],
        [[iso(each.at), isolated(each.text), isolated(each.detail)] for each in known],
    )


@dataclass(frozen=True, slots=True)
class Lane:
    """Lane: its chart, drawn with one `left` for all lanes, its name with the unit, its value now with a remark.

    way: address that the name leads to. close: no line and little room between this lane and the one before.
    """

    name: str
    chart: str
    unit: str = ""
    reading: str = ""
    remark: str = ""
    state: State | None = None
    way: str = ""
    close: bool = False


def lanes(rows: Sequence[Lane]) -> str:
    """Lanes as a grid of three columns; where there is little room, name and value stand above their chart.

    >>> markup = lanes([Lane("PSI", "<div></div>", "of the last hour", "0.68", state="alert")])
    >>> markup.count('class="lane"'), "t-alert" in markup
    (1, True)
    """
    return element("div", "".join(map(_lane, rows)), class_="chart-lanes") if rows else ""


def _lane(row: Lane) -> str:
    word = element("a", breakable(row.name), href=row.way) if row.way else breakable(row.name)
    name = (element("b", word, dir="auto") if row.name else "") + _small(row.unit)
    tone = f"t-{row.state}" if row.state in ("alert", "warning") else None
    reading = (element("b", written(row.reading), class_=tone) if row.reading else "") + _small(row.remark)
    return element(
        "div",
        element("div", name or "\u200b", class_="name")
        + element("div", reading or "\u200b", class_="reading")
        + element("div", row.chart or "\u200b", class_="plot"),
        class_="lane close" if row.close else "lane",
    )


def _small(text: str) -> str:
    return element("span", written(text)) if text else ""
