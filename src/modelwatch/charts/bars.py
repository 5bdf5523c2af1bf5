"""Bars over time: volume with what is usual, stacked counts, and shares of categories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.charts.annotations import Event, Level, draw_event, draw_level
from modelwatch.charts.drawing.labels import LINE, Spot
from modelwatch.charts.drawing.markup import box
from modelwatch.charts.drawing.numbers import Format, number, percent, short_time, tick_texts
from modelwatch.charts.drawing.plot import RIGHT, UNITS, Area, Plot, gutter
from modelwatch.charts.drawing.scales import Floats, Linear, Time, Values, floats
from modelwatch.charts.drawing.text import isolated, shortened_apart
from modelwatch.charts.series import Series, readable, ribbon

HEIGHT = 72.0
# Of a bar's step, what lies between it and the next.
BETWEEN = 0.16
# Bars beyond this number are drawn as the means of columns: a screen has no room for more.
MOST_BARS = 400
# From the largest loss of share to the largest gain, and a bound between two of them: a factor against the reference.
CHANGES = ("c-2", "c-1", "c0", "c1", "c2", "c3")
FACTORS = (0.4, 1 / 1.35, 1.35, 2.0, 3.0)
MOST_LAYERS = 24
SHARES_GUTTER = 136


@dataclass(frozen=True)
class Stack:
    """One part of stacked bars: its name, the values of shape (n,), and the class of its ground."""

    name: str
    values: Values
    style: str = "f-reference"


def bar_chart(
    title: str,
    times: tuple[float, float],
    at: Values,
    stacks: Sequence[Stack],
    step: float,
    *,
    usual: tuple[Values, Values] | None = None,
    levels: Sequence[Level] = (),
    events: Sequence[Event] = (),
    form: Format = "number",
    height: float = HEIGHT,
    left: int | None = None,
    right: int = RIGHT,
    flags: bool = True,
    axis: bool = True,
) -> str:
    """Bars over time, stacked when there are several parts, from 0 on; NaN is no bar.

    at: where bars begin, in seconds, shape (n,), ascending; each is `step` seconds wide. usual: lowest and highest
    usual values, shape (n,). left, right: widths of the gutters in pixels. Raises ValueError when a stack has another
    length than `at`.

    >>> markup = bar_chart("Predictions", (0, 7200), [0, 3600], [Stack("predictions", [120, 80])], 3600)
    >>> "<title>Predictions</title>" in markup and "80 to 120, last 80" in markup
    True
    """
    for stack in stacks:
        if len(stack.values) != len(at):
            raise ValueError(f"stack {stack.name!r} has {len(stack.values)} values, {len(at)} are expected")
    x = Time.over(*times)
    starts, width, values = _columns(floats(at), [np.maximum(floats(each.values), 0) for each in stacks], step)
    known = [np.isfinite(each) for each in values]
    total = np.sum([np.nan_to_num(each, nan=0.0) for each in values], axis=0) if values else np.zeros(len(starts))
    y = Linear.over(
        total,
        *(usual or ()),
        [each.value for each in levels],
        zero=True,
        most=max(2, min(5, int(height // 26))),
        least=0.0,
    )
    plot = Plot(height, gutter(tick_texts(y.ticks, form)) if left is None else left, right)
    area = Area(0, height)
    plot.value_axis(area, y, form)
    base = np.zeros(len(starts))
    for stack, each, seen in zip(stacks, values, known, strict=True):
        top = base + np.nan_to_num(each, nan=0.0)
        plot.curve(area, _bars(area, x, y, starts[seen], base[seen], top[seen], width), stack.style)
        base = top
    if usual is not None:
        plot.curve(area, ribbon(area, x, y, at, *usual, step), "f-usual")
    plot.time_axis(area, x, texts=axis)
    plot.horizontal(area.bottom, "axis")
    for event in events:
        draw_event(plot, area, x, event, flags=flags)
    for level in levels:
        draw_level(plot, area, y, level)
    seen_any = np.any(known, axis=0) if known else np.zeros(0, dtype=np.bool_)
    if not seen_any.any():
        plot.label("no values in this range", Spot(0.5, area.y(0.5) + 4, "middle"), style="halo")
    description = f"{short_time(x.low)} to {short_time(x.high)} UTC."
    if seen_any.any():
        shown = total[seen_any]
        write = percent if form == "percent" else number
        description += f" {write(float(shown.min()))} to {write(float(shown.max()))}, last {write(float(shown[-1]))}."
    shown_series = [Series(each.name, at, each.values, step) for each in stacks]
    return plot.svg(
        title,
        description,
        kind="bars",
        start=x.low,
        end=x.high,
        low=y.low,
        high=y.high,
        form=form,
        series=readable(shown_series),
    )


def _columns(at: Floats, values: list[Floats], step: float) -> tuple[Floats, float, list[Floats]]:
    """Bars that a screen can show: of more, means of several neighbours."""
    if len(at) <= MOST_BARS:
        return at, step, values
    each = math.ceil(len(at) / MOST_BARS)
    places = np.floor((at - at[0]) / (step * each)).astype(np.int64)
    columns, first = np.unique(places, return_index=True)
    with np.errstate(invalid="ignore"):
        means = [np.array([_mean(part[places == column]) for column in columns], dtype=np.float64) for part in values]
    del first
    return at[0] + columns * step * each, step * each, means


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.mean(known)) if known.size else math.nan


def _bars(area: Area, x: Time, y: Linear, starts: Floats, low: Floats, high: Floats, step: float) -> str:
    margin = step * BETWEEN / 2
    sides = zip(UNITS * x.all_at(starts + margin), UNITS * x.all_at(starts + step - margin), strict=True)
    heights = zip(area.height * (1 - y.all_at(low)), area.height * (1 - y.all_at(high)), strict=True)
    return "".join(
        box(float(start), float(bottom), float(end), float(top))
        for (start, end), (bottom, top) in zip(sides, heights, strict=True)
        if end > start and bottom > top
    )


def change_class(share: float, reference: float) -> str:
    """Class of a share against the reference's: green-blue for fewer, brown for more, by the factor between them.

    >>> change_class(0.33, 0.10), change_class(0.10, 0.10), change_class(0.01, 0.10), change_class(0.1, 0)
    ('c3', 'c0', 'c-2', 'c3')
    """
    if math.isnan(share) or math.isnan(reference):
        return "hu"
    if reference <= 0:
        return "c3" if share > 0 else "c0"
    return CHANGES[sum(share / reference >= bound for bound in FACTORS)]


def share_chart(
    title: str,
    times: tuple[float, float],
    at: Values,
    shares: Sequence[tuple[str, Values]],
    step: float,
    *,
    reference: Sequence[float],
    events: Sequence[Event] = (),
    height: float = 180.0,
    left: int | None = None,
    flags: bool = True,
    axis: bool = True,
) -> str:
    """Shares of categories over time, stacked in their order from below, and coloured by how their last share changed.

    shares: name and values of shape (n,), NaN where there was no data. reference: share of each category. Raises
    ValueError when it has another length than `shares`.

    >>> shares = [("a", [0.5, 0.9]), ("b", [0.5, 0.1])]
    >>> markup = share_chart("Shares", (0, 7200), [0, 3600], shares, 3600, reference=[0.5, 0.5])
    >>> 'class="c1 edge"' in markup and 'class="c-2 edge"' in markup, markup.count("&quot;values&quot;:")
    (True, 2)
    """
    if len(shares) != len(reference):
        raise ValueError(f"reference has {len(reference)} shares, {len(shares)} are expected")
    layers = [(name, floats(values), float(each)) for (name, values), each in zip(shares, reference, strict=True)]
    if len(layers) > MOST_LAYERS:
        rest = layers[MOST_LAYERS - 1 :]
        others = np.sum([each[1] for each in rest], axis=0)
        layers = [*layers[: MOST_LAYERS - 1], (f"{len(rest)} others", others, sum(each[2] for each in rest))]
    x, y = Time.over(*times), Linear(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))
    plot = Plot(height, gutter(tick_texts(y.ticks, "percent")) if left is None else left, SHARES_GUTTER)
    area = Area(0, height)
    plot.value_axis(area, y, "percent")
    base = np.zeros(len(floats(at)))
    readings: list[tuple[float, str, float, bool]] = []
    for name, values, of_reference in layers:
        top = base + values
        # Where a layer below is not known, this one has no place.
        known = np.flatnonzero(np.isfinite(top))
        last = float(values[known[-1]]) if known.size else math.nan
        style = change_class(last, of_reference)
        plot.curve(area, ribbon(area, x, y, at, base, top, step), f"{style} edge")
        if known.size:
            middle = float(base[known[-1]]) + last / 2
            readings.append((area.y(y.at(middle)), name, last, style not in ("c0", "hu")))
        base = top
    for event in events:
        draw_event(plot, area, x, event, flags=flags)
    plot.time_axis(area, x, texts=axis)
    room = SHARES_GUTTER - 8
    named = [name for _, name, _, _ in readings]
    shorter = dict(zip(named, shortened_apart(named, room - 48, bold=True), strict=True))
    for wanted, name, last, changed in sorted(readings, key=lambda each: -each[2]):
        short = shorter[name]
        text = f"{short} {percent(last)}"
        tries = [Spot(1, min(max(wanted + 4 + shift, 9), height), dx=8) for shift in (0, -5, 5, -LINE + 4, LINE - 4)]
        plot.label(text, *tries, bold=changed, title=name if short != isolated(name) else None)
    description = f"{short_time(x.low)} to {short_time(x.high)} UTC. " + ", ".join(
        f"{isolated(name[:120])} {percent(last)}" for _, name, last, _ in readings[:12]
    )
    # The last ones are on top, and so they stand in what a script shows.
    shown = [Series(name, at, values, step) for name, values, _ in layers[::-1]]
    return plot.svg(
        title,
        description,
        kind="shares",
        start=x.low,
        end=x.high,
        low=0.0,
        high=1.0,
        form="percent",
        series=readable(shown),
    )
