"""Heat map: a row a feature (or a cell, or a rule) over time, neighbouring cells of one class being one path."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from modelwatch.charts.annotations import Event, draw_event
from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.markup import pixels
from modelwatch.charts.drawing.numbers import Format, short_time
from modelwatch.charts.drawing.plot import UNITS, Area, Plot
from modelwatch.charts.drawing.scales import Time, Values, floats
from modelwatch.charts.drawing.text import clipped, isolated, shortened_apart

ROW, GAP = 15.0, 3.0
# Headings may go on over the plot.
HEADING = 220.0
NAMES, READINGS = 136, 88
# Bounds of the PSI between the steps of one ramp: without finding, and of an alert.
FOUND_NOTHING = (0.02, 0.05, 0.1)
FOUND_ALERT = (0.35, 0.7)
CLASSES = frozenset(("h0", "h1", "h2", "h3", "hs", "hw", "ha", "hb", "hc", "hu", "c-2", "c-1", "c0", "c1", "c2", "c3"))


@dataclass(frozen=True, slots=True)
class HeatRow:
    """Row: its name, one class a column (None where there is no data), and the reading at its end.

    state: draws its mark before the name. heading: a line above the first row of a group. values, n: of each column,
    for a script that shows them at a time; NaN where not known.
    """

    name: str
    classes: Sequence[str | None]
    reading: str = ""
    state: State | None = None
    heading: str = ""
    values: Values = ()
    n: Sequence[int] = ()


def heat_class(psi: float, state: State) -> str:
    """Class of a cell: lightness says how large the PSI is, and colour comes with a finding only.

    >>> heat_class(0.01, "stable"), heat_class(0.3, "stable"), heat_class(0.15, "warning"), heat_class(0.9, "alert")
    ('h0', 'h3', 'hw', 'hc')
    >>> heat_class(0.06, "shifted"), heat_class(float("nan"), "unknown")
    ('hs', 'hu')
    """
    if state in ("unknown", "catching_up", "no_data") or math.isnan(psi):
        return "hu"
    if state == "shifted":
        return "hs"
    if state == "warning":
        return "hw"
    if state == "alert":
        return ("ha", "hb", "hc")[sum(psi >= bound for bound in FOUND_ALERT)]
    return ("h0", "h1", "h2", "h3")[sum(psi >= bound for bound in FOUND_NOTHING)]


def heatmap(
    title: str,
    times: tuple[float, float],
    rows: Sequence[HeatRow],
    *,
    start: float | None = None,
    step: float,
    events: Sequence[Event] = (),
    names: int = NAMES,
    readings: int = READINGS,
    flags: bool = True,
    axis: bool = True,
    margin: float | None = None,
    form: Format = "number",
) -> str:
    """Rows of classes over time. Columns begin at `start` (by default the first of `times`), each `step` seconds wide.

    names, readings: width of both gutters in pixels, a multiple of 8. margin: pixels above and below, for rows that
    stand close. form: of the rows' values. Raises ValueError for a class that the style sheet has not.

    >>> markup = heatmap("Drift", (0, 14400), [HeatRow("amount", ["h0", "ha", "ha", None], "0.68")], step=3600)
    >>> markup.count('class="ha"'), "M250 0H750V12H250Z" in markup
    (1, True)
    """
    unknown = {each for row in rows for each in row.classes if each is not None} - CLASSES
    if unknown:
        raise ValueError(f"unknown classes of cells: {', '.join(sorted(map(repr, unknown)))}")
    x = Time.over(*times)
    first = x.low if start is None else start
    headings = sum(bool(row.heading) for row in rows)
    height = ROW * max(len(rows), 1) + (ROW + 6) * headings
    plot = Plot(height, names, readings)
    if margin is not None:
        plot.above = plot.below = margin
    area = Area(0, height)
    drawn: dict[str, list[str]] = {}
    # The same columns in every row: each edge is placed and written once.
    edge = cache(lambda column: UNITS * x.at(first + column * step))
    written_edge = cache(lambda column: pixels(edge(column)))
    top = 0.0
    tops: list[float] = []
    shown = shortened_apart([row.name for row in rows], plot.room())
    for row, short in zip(rows, shown, strict=True):
        if row.heading:
            top += ROW + 6
            plot.label(clipped(row.heading, HEADING, bold=True), Spot(0, top - 5, dx=2 - names), bold=True)
        upper, lower = pixels(top), pixels(top + ROW - GAP)
        for begin, end, style in _stretches(row.classes):
            left, right = edge(begin), edge(end)
            if right > left and style == "hu":
                # Outside of what is stretched: its hatching keeps its slope.
                plot.rect(Area(top, top + ROW - GAP), left / UNITS, right / UNITS, style)
            elif right > left:
                at = written_edge(begin)
                drawn.setdefault(style, []).append(f"M{at} {upper}H{written_edge(end)}V{lower}H{at}Z")
        plot.aside(isolated(row.name), top + 10, style="t-ink", short=short)
        if row.reading:
            bad = f"t-{row.state}" if row.state in ("alert", "warning") else "t-ink"
            is_bold = row.state in ("alert", "warning")
            plot.aside(row.reading, top + 10, side="start", style=bad, bold=is_bold)
        tops.append(top)
        top += ROW
    for style, boxes in drawn.items():
        plot.curve(area, "".join(boxes), style)
    if not rows:
        plot.label("nothing is compared yet", Spot(0.5, ROW / 2 + 4, "middle"))
    for event in events:
        draw_event(plot, area, x, event, flags=flags)
    plot.time_axis(area, x, texts=axis)
    description = f"{len(rows)} rows, {short_time(x.low)} to {short_time(x.high)} UTC." + "".join(
        f" {isolated(row.name[:120])}: {row.reading or 'no reading'}." for row in rows[:8]
    )
    return plot.svg(
        title,
        description,
        kind="heatmap",
        start=x.low,
        end=x.high,
        form=form,
        cells=_readable(rows, [each + math.ceil(plot.above) for each in tops], first, step),
    )


def _readable(rows: Sequence[HeatRow], tops: Sequence[float], first: float, step: float) -> str | None:
    """The values as JSON, for a script: start and step of the columns; name, top, values and their numbers of each row.

    None where no values are given.
    """
    if not any(len(row.values) for row in rows):
        return None
    found = [
        {
            "name": row.name,
            "top": top,
            "values": [float(f"{each:.3g}") if math.isfinite(each) else None for each in floats(row.values).tolist()],
            "n": list(row.n),
        }
        for row, top in zip(rows, tops, strict=True)
    ]
    return json.dumps({"start": first, "step": step, "rows": found}, ensure_ascii=False, separators=(",", ":"))


def _stretches(classes: Sequence[str | None]) -> list[tuple[int, int, str]]:
    """Neighbours of one class: first column, column after the last, class."""
    if not classes:
        return []
    codes = np.array([each or "" for each in classes])
    edges = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
    return [(a, b, str(codes[a])) for a, b in itertools.pairwise(edges) if codes[a]]
