"""Lines over time: a metric with its interval, thresholds, events and what is not final yet; quantiles as a fan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from modelwatch.charts.annotations import (
    Event,
    Level,
    Note,
    Span,
    crossings,
    draw_event,
    draw_level,
    draw_notes,
    draw_spans,
    whole_if_cut,
)
from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.numbers import Format, short_time, tick_texts, written_value
from modelwatch.charts.drawing.plot import RIGHT, Area, Plot, gutter
from modelwatch.charts.drawing.scales import Floats, Linear, Log, Scale, Time, Values, floats
from modelwatch.charts.drawing.tables import TIME, iso, table
from modelwatch.charts.drawing.text import clipped, isolated
from modelwatch.charts.series import Role, Series, known_values, polyline, readable, ribbon, thinned

HEIGHT = 120.0
LONGEST_NAME = 160.0
MOST_ROWS = 500
# Of the plot that a name takes, about.
NAME_PART = 0.25

STROKES: dict[Role, str] = {
    "now": "s-now",
    "second": "s-second",
    "estimate": "s-estimate",
    "reference": "s-reference",
    "quiet": "s-quiet",
}
_TEXTS: dict[Role, str] = {
    "now": "t-now",
    "second": "t-second",
    "estimate": "t-estimate",
    "reference": "t-quiet",
    "quiet": "t-quiet",
}


def line_chart(
    title: str,
    times: tuple[float, float],
    series: Sequence[Series],
    *,
    levels: Sequence[Level] = (),
    events: Sequence[Event] = (),
    spans: Sequence[Span] = (),
    notes: Sequence[Note] = (),
    form: Format = "number",
    scale: Scale | None = None,
    height: float = HEIGHT,
    left: int | None = None,
    right: int = RIGHT,
    flags: bool = True,
    axis: bool = True,
    named: bool | None = None,
) -> str:
    """Series over one stretch of time, with intervals, thresholds, events and a strip of states.

    times: start and end in seconds. scale: of the values; by default round and just large enough for all values and
    levels. left, right: widths of the gutters in pixels, the same for charts that stand below each other. flags, axis:
    texts of events and of the time axis, which only the first and the last of such charts need. named: write each
    series' name at its line; by default when there are several.

    >>> psi = Series("psi", [0, 3600], [0.01, 0.4])
    >>> markup = line_chart("PSI", (0, 7200), [psi], levels=[Level(0.25, "alert from 0.25", "alert")])
    >>> "<title>PSI</title>" in markup and "alert from 0.25" in markup
    True
    """
    x = Time.over(*times)
    y = scale or Linear.over(
        *known_values(series),
        [each.value for each in levels],
        zero=any(each.area for each in series),
        most=max(2, min(6, int(height // 28))),
        least=0.0 if form == "percent" and _within(series, 0.0, math.inf) else None,
        top=1.0 if form == "percent" and _within(series, -math.inf, 1.0) else None,
    )
    plot = Plot(height, gutter(tick_texts(y.ticks, form)) if left is None else left, right)
    area = Area(0, height)
    strip = Area(height + 4, height + 12) if spans else Area(height, height)
    plot.height = strip.bottom
    _immature(plot, area, x, series)
    draw_spans(plot, strip, x, spans)
    plot.value_axis(area, y, form)
    for each in series:
        _curve(plot, area, x, y, each)
    since = [each for each in events if each.kind == "since"]
    for event in (*since, *(each for each in events if each.kind != "since")):
        draw_event(plot, Area(0, strip.bottom), x, event, flags=flags)
    plot.time_axis(Area(0, strip.bottom), x, texts=axis)
    draw_notes(plot, area, x, y, notes)
    lines = [_heights(area, x, y, each) for each in series]
    for level in levels:
        draw_level(plot, area, y, level, lines)
    if len(series) > 1 if named is None else named:
        for each in series:
            _name(plot, area, x, y, each, [other for other in series if other is not each])
    if not any(np.isfinite(floats(each.values)).any() for each in series):
        judged = all(each.state != "unknown" for each in spans)
        said = "no values in this range" if judged else "not judged in this range"
        plot.label(said, Spot(0.5, area.y(0.5) + 4, "middle"), style="halo")
    return plot.svg(
        title,
        _description(x, series, form),
        kind="line",
        start=x.low,
        end=x.high,
        low=y.low,
        high=y.high,
        form=form,
        series=readable(series),
    )


def quantile_fan(
    title: str,
    times: tuple[float, float],
    at: Values,
    quantiles: Sequence[Values],
    *,
    reference: Sequence[float] | None = None,
    step: float = 0.0,
    logarithmic: bool = False,
    events: Sequence[Event] = (),
    height: float = HEIGHT,
    left: int | None = None,
    flags: bool = True,
    axis: bool = True,
) -> str:
    """Five quantiles over time (5, 25, 50, 75, 95 %): two bands around the median; the reference's as a grey ground.

    at: shape (n,), seconds. quantiles: five arrays of shape (n,), NaN where not known. reference: its five numbers.
    Raises ValueError unless there are five.

    >>> "median" in quantile_fan("Amounts", (0, 7200), [0, 3600], [[1, 1], [2, 2], [3, 3], [4, 4], [5, 6]])
    True
    """
    if len(quantiles) != 5 or (reference is not None and len(reference) != 5):
        raise ValueError("a fan has five quantiles: 5, 25, 50, 75 and 95 %")
    known = [*quantiles, reference or ()]
    y: Scale = Log.over(*known) if logarithmic else Linear.over(*known, most=max(2, min(6, int(height // 28))))
    x = Time.over(*times)
    plot = Plot(height, gutter(tick_texts(y.ticks)) if left is None else left)
    area = Area(0, height)
    if reference is not None:
        low, lower, middle, upper, high = (area.y(y.at(each)) for each in reference)
        for bottom, top, style in ((low, high, "f-reference-soft"), (lower, upper, "f-reference-half")):
            if math.isfinite(bottom) and math.isfinite(top):
                plot.rect(Area(top, bottom), 0, 1, style)
        if math.isfinite(middle):
            plot.horizontal(middle, "s-reference", over=True)
    plot.value_axis(area, y)
    plot.curve(area, ribbon(area, x, y, at, quantiles[0], quantiles[4], step), "f-fan-outer")
    plot.curve(area, ribbon(area, x, y, at, quantiles[1], quantiles[3], step), "f-fan-inner")
    median = Series("median", at, quantiles[2], step)
    plot.curve(area, polyline(area, x, y, at, median.values, step), STROKES["now"])
    for event in events:
        draw_event(plot, area, x, event, flags=flags)
    plot.time_axis(area, x, texts=axis)
    _name(plot, area, x, y, Series(median.name, at, median.values, step))
    # Inside of the band a name would be another quantile's.
    _name(plot, area, x, y, Series("95 %", at, quantiles[4], step, role="quiet"), sides=("above",))
    _name(plot, area, x, y, Series("5 %", at, quantiles[0], step, role="quiet"), sides=("below",))
    return plot.svg(
        title,
        _description(x, [median], "number"),
        kind="fan",
        start=x.low,
        end=x.high,
        low=y.low,
        high=y.high,
        series=readable([median]),
    )


def series_table(title: str, series: Sequence[Series], form: Format = "number") -> str:
    """Table twin of series that share their times: a row a time, newest first, 500 rows at most.

    >>> "2026-11-28T21:15:00Z" in series_table("PSI", [Series("psi", [1_795_900_500], [0.68])])
    True
    """
    columns = [TIME]
    by_time: dict[float, dict[int, str]] = {}
    for index, each in enumerate(series):
        columns.append(each.name)
        bounds = (each.low, each.high) if each.low is not None and each.high is not None else None
        for row, (at, value) in enumerate(zip(floats(each.times).tolist(), floats(each.values).tolist(), strict=True)):
            text = written_value(value, form)
            if bounds is not None and math.isfinite(float(bounds[0][row])):
                text += (
                    f" ({written_value(float(bounds[0][row]), form)} to {written_value(float(bounds[1][row]), form)})"
                )
            by_time.setdefault(at, {})[index] = text
    rows = [
        [iso(at), *(by_time[at].get(index, "–") for index in range(len(series)))]
        for at in sorted(by_time, reverse=True)[:MOST_ROWS]
    ]
    return table(title, columns, rows)


def _curve(plot: Plot, area: Area, x: Time, y: Scale, series: Series) -> None:
    times, values, mature = floats(series.times), floats(series.values), series.mature
    if series.area:
        base = np.full(len(values), y.low if isinstance(y, Log) else 0.0)
        plot.curve(area, ribbon(area, x, y, times, base, values, series.step), "f-area")
    if series.low is not None and series.high is not None:
        low, high = (np.where(mature, floats(each), np.nan) for each in (series.low, series.high))
        plot.curve(area, ribbon(area, x, y, times, low, high, series.step), "f-band")
    plot.curve(area, polyline(area, x, y, times, np.where(mature, values, np.nan), series.step), STROKES[series.role])
    if not mature.all():
        # The dotted line goes on from the last value that is final.
        first = int(np.flatnonzero(~mature)[0])
        begin = first if series.step or not first else first - 1
        plot.curve(
            area, polyline(area, x, y, times[begin:], values[begin:], series.step), f"{STROKES[series.role]} dotted"
        )


def _immature(plot: Plot, area: Area, x: Time, series: Sequence[Series]) -> None:
    since = min((each.immature for each in series if each.immature is not None), default=math.inf)
    if since < x.high:
        plot.rect(area, x.at(since), 1, "f-unknown", title="not final: labels are still to come")
        plot.label(
            "immature", Spot(x.at(since), area.bottom - 6, dx=4), Spot(1, area.bottom - 6, "end", -4), style="halo"
        )


def _name(
    plot: Plot,
    area: Area,
    x: Time,
    y: Scale,
    series: Series,
    others: Sequence[Series] = (),
    *,
    sides: Sequence[Literal["above", "below"]] = ("above", "below"),
) -> None:
    """Name of a series above or below its line, near its end, where no other label is, nor another line if possible."""
    at, level = thinned(series.times, series.values, 60)
    seen = np.flatnonzero(np.isfinite(level) & (at >= x.low) & (at <= x.high))
    if not seen.size:
        return
    places = x.all_at(at + series.step)
    heights = np.array([area.y(each) for each in y.all_at(level)])
    lines = [_heights(area, x, y, each) for each in others]
    spots: list[tuple[bool, Spot]] = []
    for index in seen[::-1].tolist():
        place, left = float(places[index]), places[index] > 0.5
        beside = seen[np.abs(places[seen] - place + (NAME_PART if left else -NAME_PART) / 2) <= NAME_PART / 2]
        # Free of the line over the width that the name takes.
        centre = place + (-NAME_PART if left else NAME_PART) / 2
        spots += [
            (
                any(crossings(line, centre, float(baseline), NAME_PART) for line in lines),
                Spot(place, float(baseline), "end" if left else "start", -4 if left else 4),
            )
            for side, baseline in (
                ("above", heights[beside].min(initial=heights[index]) - 6),
                ("below", heights[beside].max(initial=heights[index]) + 13),
            )
            if side in sides and area.top + 9 <= baseline <= area.bottom - 3
        ]
    plot.label(
        clipped(series.name, LONGEST_NAME),
        *(spot for _, spot in sorted(spots, key=lambda each: each[0])),
        style=f"halo {_TEXTS[series.role]}",
        bold=True,
        title=whole_if_cut(series.name, LONGEST_NAME),
    )


def _heights(area: Area, x: Time, y: Scale, series: Series) -> tuple[Floats, Floats]:
    """Places and heights of a line, without its gaps."""
    at, level = thinned(series.times, series.values, 60)
    known = np.isfinite(level)
    return x.all_at(at[known]), area.bottom - area.height * y.all_at(level[known])


def _within(series: Sequence[Series], low: float, high: float) -> bool:
    known = np.concatenate([*known_values(series), np.array([0.5])])
    known = known[np.isfinite(known)]
    return bool(known.min() >= low and known.max() <= high)


def _description(x: Time, series: Sequence[Series], form: Format) -> str:
    description = [f"{short_time(x.low)} to {short_time(x.high)} UTC."]
    for each in series[:8]:
        values = floats(each.values)
        known = values[np.isfinite(values)]
        if known.size:
            low, high, last = (written_value(float(value), form) for value in (known.min(), known.max(), known[-1]))
            description.append(f"{isolated(each.name[:120])}: {low} to {high}, last {last}.")
        else:
            description.append(f"{isolated(each.name[:120])}: no values.")
    return " ".join(description)
