"""Small charts for tables, lists and tiles, without texts of their own: sparklines, pairs of histograms, gauges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from modelwatch.charts.drawing.marks import State, mark
from modelwatch.charts.drawing.markup import box, element, percent_of_plot, pixels, written
from modelwatch.charts.drawing.numbers import SPACE, Format, interval_text, written_value
from modelwatch.charts.drawing.plot import UNITS, Area, stretched
from modelwatch.charts.drawing.scales import Linear, Time, Values, floats
from modelwatch.charts.drawing.text import isolated
from modelwatch.charts.series import polyline, thinned

HEIGHT = 24.0
# A sparkline is 150 pixels wide at most: more points can't be told apart.
MOST_POINTS = 300
# Keeps strokes and dots at an edge inside of the box.
EDGE = 3.0


def sparkline(
    title: str,
    values: Values,
    *,
    threshold: float | None = None,
    reference: float | None = None,
    highest: float | None = None,
    height: float = HEIGHT,
) -> str:
    """Line through values at even distances, its last value as a dot; hatched when none is known.

    values: shape (n,), NaN is a gap. threshold: dashed, reference: grey line. highest: end of the scale, for charts
    that are compared; the scale then begins at 0.

    >>> sparkline("PSI", [0.1, 0.2]).count("<circle"), sparkline("PSI", []).count("f-unknown")
    (1, 1)
    """
    known, area = floats(values), Area(EDGE, height - EDGE)
    seen = np.flatnonzero(np.isfinite(known))
    if not seen.size:
        return _small(title, "no values", height, _hatched(height))
    others = [each for each in (threshold, reference) if each is not None]
    y = Linear.over(known, others) if highest is None else Linear.over([0.0, highest])
    low, high = (y.low, y.high) if highest is not None else _tight(known, others, y)
    y = Linear(low, high, y.ticks)
    x = Time.over(0, max(len(known) - 1, 1))
    at, level = thinned(range(len(known)), known, MOST_POINTS)
    drawn = "".join(
        _across(area.y(y.at(each)), style)
        for each, style in ((reference, "s-reference thin"), (threshold, "s-alert"))
        if each is not None
    )
    curve = element("path", d=polyline(area, x, y, at, level), class_="s-now", vector_effect="non-scaling-stroke")
    last = int(seen[-1])
    place, top = x.at(last), area.y(y.at(float(known[last])))
    # The dot of the last column would leave the box by half of itself.
    dot = element("circle", cx=percent_of_plot(place), cy=pixels(top), r=2.5, class_="d-end")
    return _small(title, "", height, drawn + stretched(area, curve) + dot)


def spark_bars(
    title: str,
    values: Values,
    *,
    styles: Sequence[str] | str = "f-reference",
    threshold: float | None = None,
    highest: float | None = None,
    height: float = HEIGHT,
) -> str:
    """Bars at even distances from 0 on, each in its class; NaN is hatched when all are, and no bar otherwise. values:
    shape (n,). Raises ValueError when the number of styles is another.

    >>> spark_bars("PSI", [0.1, 0.3], styles=["f-reference", "f-alert"], threshold=0.25).count("<path")
    2
    """
    known = np.maximum(floats(values), 0.0)
    if not np.isfinite(known).any():
        return _small(title, "no values", height, _hatched(height))
    ink = [styles] * len(known) if isinstance(styles, str) else list(styles)
    if len(ink) != len(known):
        raise ValueError(f"{len(ink)} styles for {len(known)} values")
    if len(known) > MOST_POINTS:
        # The largest of each column, in its own colour.
        chunks = np.array_split(np.arange(len(known)), MOST_POINTS)
        best = [int(chunk[np.argmax(np.nan_to_num(known[chunk], nan=-1.0))]) for chunk in chunks]
        known, ink = known[best], [ink[index] for index in best]
    area = Area(1, height - 1)
    y = Linear.over(known, [] if threshold is None else [threshold], [] if highest is None else [highest], zero=True)
    top = highest or max(float(np.nanmax(known)), threshold or 0.0) or y.high
    slot, paths = UNITS / len(known), dict[str, list[str]]()
    for index, (value, style) in enumerate(zip(known.tolist(), ink, strict=True)):
        if math.isfinite(value):
            tall = area.height * min(value / top, 1.0)
            paths.setdefault(style, []).append(
                box(slot * (index + 0.1), area.height, slot * (index + 0.9), area.height - max(tall, 0.5))
            )
    bars = "".join(element("path", d="".join(data), class_=style) for style, data in paths.items())
    line = "" if threshold is None else _across(area.y(min(threshold / top, 1.0)), "s-alert")
    return _small(title, "", height, stretched(area, bars) + _across(area.bottom, "axis") + line)


def histogram_pair(
    title: str, reference: Values, current: Values, *, moved: bool = False, height: float = HEIGHT
) -> str:
    """Small histogram: the reference as grey ground, now in blue (grey when it has not moved). reference, current:
    shares, shape (cells,). Raises ValueError when they differ in length.

    >>> histogram_pair("amount", [0.5, 0.5], [0.2, 0.8], moved=True).count("f-now")
    1
    """
    before, now = floats(reference), floats(current)
    if len(before) != len(now):
        raise ValueError(f"{len(before)} cells of the reference, {len(now)} of now")
    known = np.concatenate([before, now])
    if not np.isfinite(known).any():
        return _small(title, "no values", height, _hatched(height))
    top = float(np.nanmax(known)) or 1.0
    area, drawn = Area(1, height - 1), ""
    bottom = pixels(area.height)
    for values, inset, style in ((before, 0.04, "f-reference-soft"), (now, 0.24, "f-now" if moved else "f-reference")):
        data = [
            f"M{left} {bottom}H{right}V{pixels(area.height * (1 - min(max(value, 0.0) / top, 1.0)))}H{left}Z"
            for (left, right), value in zip(_columns(len(values), inset), values.tolist(), strict=True)
            if math.isfinite(value)
        ]
        drawn += element("path", d="".join(data), class_=style)
    return _small(title, "", height, stretched(area, drawn) + _across(area.bottom, "axis"))


@lru_cache(maxsize=256)
def _columns(number: int, inset: float) -> list[tuple[str, str]]:
    """Left and right edge of so many columns side by side, as they are written: a table has hundreds of charts."""
    slot = UNITS / number
    return [(pixels(slot * (index + inset)), pixels(slot * (index + 1 - inset))) for index in range(number)]


def level_bar(
    title: str,
    value: float,
    levels: Sequence[float],
    *,
    highest: float,
    style: str = "f-reference",
    height: float = 10.0,
) -> str:
    """Bar from 0 to a value, with a tick at each level; hatched when the value is not known. highest: end of the scale,
    the same for bars that are compared; a longer bar ends there.

    >>> level_bar("PSI", 0.3, [0.1, 0.25], highest=0.5, style="f-alert").count("<line")
    2
    """
    if not math.isfinite(value):
        return _small(title, "not judged", height, _hatched(height))
    whole = highest or 1.0
    drawn = "".join(
        element(
            "rect",
            x="0%",
            y=2,
            width=percent_of_plot(min(max(share, 0.0), 1.0)),
            height=pixels(height - 4),
            class_=name,
        )
        for share, name in ((1.0, "f-empty"), (value / whole, style))
    )
    for level in levels:
        at = percent_of_plot(level / whole)
        if level <= whole:
            drawn += element("line", x1=at, x2=at, y1=0, y2=pixels(height), class_="s-reference")
    return _small(title, written_value(value, "number"), height, drawn)


@dataclass(frozen=True, slots=True)
class Metric:
    """Metric with its interval, the reference's value and the threshold of its alert; NaN or None for not known."""

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    reference: float | None = None
    threshold: float | None = None
    form: Format = "number"
    state: State = "stable"


def gauge(metric: Metric, *, height: float = 16.0) -> str:
    """Gauge of a metric: its value as a dot on its interval, with ticks for the reference and the threshold.

    >>> markup = gauge(Metric("accuracy", 0.842, 0.833, 0.85, reference=0.898, threshold=0.858, form="percent"))
    >>> "84.2" in markup and markup.count("<line")
    3
    """
    given = [metric.value, metric.low, metric.high, metric.reference, metric.threshold]
    known = [each for each in given if each is not None and math.isfinite(each)]
    title = f"{metric.name}: {_reading(metric)}"
    if not math.isfinite(metric.value):
        return _small(title, "not judged", height, _hatched(height))
    x = Linear.over(known)
    low, high = _tight(floats(known), [], x)
    room = (high - low) * 0.06
    x = Linear(low - room, high + room, x.ticks)
    middle, drawn = height / 2, _across(height / 2, "hair")
    if math.isfinite(metric.low) and math.isfinite(metric.high):
        drawn += element(
            "rect",
            x=percent_of_plot(x.at(metric.low)),
            width=percent_of_plot(max(x.at(metric.high) - x.at(metric.low), 0)),
            y=middle - 4,
            height=8,
            rx=2,
            class_="f-band",
        )
    for value, style in ((metric.reference, "s-ink"), (metric.threshold, "s-alert")):
        if value is not None and math.isfinite(value):
            at = percent_of_plot(x.at(value))
            drawn += element("line", x1=at, x2=at, y1=pixels(1), y2=pixels(height - 1), class_=style)
    style = {"alert": "d-alert", "warning": "d-warning"}.get(metric.state, "d-now")
    drawn += element("circle", cx=percent_of_plot(x.at(metric.value)), cy=pixels(middle), r=4, class_=style)
    return _small(title, "", height, drawn)


def tile(metric: Metric) -> str:
    """Tile of a metric: its state and name, its value, its interval and the reference in words, and its gauge.

    >>> markup = tile(Metric("accuracy", 0.842, 0.833, 0.85, reference=0.898, form="percent", state="alert"))
    >>> "84.2" in markup and "reference" in markup and "m-alert" in markup
    True
    """
    word = "" if metric.state == "stable" else f" {metric.state.replace('_', ' ').replace('unknown', 'not judged')}"
    head = element(
        "span",
        mark(metric.state)
        + element("bdi", written(metric.name))
        + (element("span", written(word), class_="state") if word else ""),
        class_="name",
    )
    value = element("strong", written(written_value(metric.value, metric.form)))
    details = [_interval(metric)] if math.isfinite(metric.low) and math.isfinite(metric.high) else []
    if metric.reference is not None and math.isfinite(metric.reference):
        details.append(f"reference {written_value(metric.reference, metric.form)}")
    return element(
        "div",
        head + value + element("span", written(", ".join(details)) or "\u200b", class_="interval") + gauge(metric),
        class_="chart-tile",
    )


def _interval(metric: Metric) -> str:
    return interval_text(metric.low, metric.high, metric.form) + (f"{SPACE}%" if metric.form == "percent" else "")


def _reading(metric: Metric) -> str:
    interval = f" ({_interval(metric)})" if math.isfinite(metric.low) and math.isfinite(metric.high) else ""
    return written_value(metric.value, metric.form) + interval


def _tight(known: Values, others: Sequence[float], y: Linear) -> tuple[float, float]:
    """Range of the values: a small chart has no ticks, and no room for what they would need."""
    every = np.concatenate([floats(known), floats(others)])
    every = every[np.isfinite(every)]
    low, high = float(every.min()), float(every.max())
    return (low, high) if high - low > 1e-9 * max(abs(low), abs(high)) and high - low > 1e-290 else (y.low, y.high)


def _across(y: float, style: str) -> str:
    return element("line", x1="0%", x2="100%", y1=pixels(y), y2=pixels(y), class_=style)


def _hatched(height: float) -> str:
    return element("rect", x="0%", y=pixels(height / 2 - 4), width="100%", height=8, class_="f-unknown")


def _small(title: str, description: str, height: float, drawn: str) -> str:
    named = element("title", written(isolated(title))) + (element("desc", written(description)) if description else "")
    return element("svg", named + drawn, class_="chart chart-small", width="100%", height=pixels(height), role="img")
