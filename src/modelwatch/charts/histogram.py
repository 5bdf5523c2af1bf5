"""Histogram of the reference beside now, over the cells frozen with the reference, and their parts in the PSI."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.numbers import bare_percent, number, percent, psi_text, tick_texts
from modelwatch.charts.drawing.plot import Area, Plot, gutter
from modelwatch.charts.drawing.scales import Floats, Linear, Values, floats
from modelwatch.charts.drawing.tables import table
from modelwatch.charts.drawing.text import shortened_apart

HEIGHT = 160.0
PARTS_HEIGHT = 44.0
# Of a cell's place: what the reference and what now fills.
REFERENCE_PART, NOW_PART = 0.92, 0.56
# Of a smaller PSI, two decimals of its parts would all be 0.
LEAST_WHOLE = 0.05


def histogram(
    title: str,
    edges: Values,
    reference: Values,
    current: Values,
    *,
    extra: Sequence[str] = (),
    parts: Values | None = None,
    to_scale: bool = False,
    height: float = HEIGHT,
    left: int | None = None,
) -> str:
    """Shares of the reference (grey ground) and of now (blue) in cells of unequal width.

    edges: the k inner edges of k + 1 cells, ascending; the first and the last cell are open. reference, current:
    shares of shape (k + 1 + len(extra),). extra: cells that are no range (missing, invalid), at the end. parts:
    part of each cell in the PSI, drawn below. to_scale: cells are as wide as their range and the area, not the
    height, is the share; otherwise all are equally wide, which shows narrow and open cells as well as others.
    Raises ValueError when lengths don't fit or edges don't ascend.

    >>> markup = histogram("Amount", [10, 20, 50], [0.25] * 4, [0.1, 0.2, 0.3, 0.4])
    >>> markup.count('class="f-now"'), "40.0" in markup
    (4, True)
    """
    inner, before, now = floats(edges), floats(reference), floats(current)
    cells = len(inner) + 1 + len(extra)
    for name, values in (
        ("reference", before),
        ("current", now),
        ("parts", before if parts is None else floats(parts)),
    ):
        if len(values) != cells:
            raise ValueError(f"{name} has {len(values)} cells, {cells} are expected")
    # As they are given: the least number below 0 and 0 itself, between which zeros are, are drawn as one.
    given = np.asarray(list(edges), dtype=np.float64)
    if np.any(~np.isfinite(given)) or np.any(np.diff(given) <= 0):
        raise ValueError("edges must be finite and ascending")
    slots = _slots(inner, len(extra), to_scale=to_scale)
    widths = np.diff(slots) * cells
    heights = (before / widths, now / widths) if to_scale else (before, now)
    y = Linear.over(*heights, zero=True, most=5, least=0.0)
    texts = tick_texts(y.ticks, "percent")
    plot = Plot(height, gutter(texts) if left is None else left)
    area = Area(0, height)
    plot.need(above=20)
    if not to_scale:
        plot.value_axis(area, y, "percent")
    names = cell_names(given, extra)
    for index in range(cells):
        start, end = float(slots[index]), float(slots[index + 1])
        tooltip = f"{names[index]}: reference {percent(float(before[index]))}, now {percent(float(now[index]))}"
        for level, part, style in ((heights[0], REFERENCE_PART, "f-reference-soft"), (heights[1], NOW_PART, "f-now")):
            fraction = y.at(float(level[index]))
            if math.isfinite(fraction):
                inset = (end - start) * (1 - part) / 2
                top = area.y(fraction)
                plot.rect(Area(top, area.bottom), start + inset, end - inset, style, title=tooltip)
                if style == "f-reference-soft":
                    plot.horizontal(top, "s-reference", start=start + inset, end=end - inset)
    plot.horizontal(area.bottom, "axis")
    _readings(plot, area, y, slots, heights, now)
    bottom = _edge_texts(plot, area, given, slots, extra)
    if parts is not None:
        bottom = _parts(
            plot,
            Area(bottom + 20, bottom + 20 + PARTS_HEIGHT),
            slots,
            floats(parts),
            floats(current) - floats(reference),
        )
    plot.need(below=bottom + 4 - height)
    known = np.flatnonzero(np.isfinite(before) & np.isfinite(now))
    most = max(known.tolist(), key=lambda index: abs(float(now[index] - before[index])), default=None)
    description = f"{cells} cells."
    if most is not None:
        was, is_now = percent(float(before[most])), percent(float(now[most]))
        description += f" Most changed: {names[most]}, {was} in the reference, {is_now} now."
    return plot.svg(title, description, kind="histogram")


def cell_names(edges: Values, extra: Sequence[str] = ()) -> list[str]:
    """Names of the cells between inner edges, and of the extra ones.

    >>> cell_names([10, 20.5], ["missing"])
    ['≤ 10', '(10, 20.5]', '> 20.5', 'missing']
    >>> cell_names([-5e-324, 0.0])
    ['< 0', '= 0', '> 0']
    """
    if not len(edges):
        return ["all values", *extra]
    texts = edge_texts(edges)
    between = [f"= {high}" if low == high else f"({low}, {high}]" for low, high in itertools.pairwise(texts)]
    first = "<" if texts[0] in texts[1:2] else "≤"
    return [f"{first} {texts[0]}", *between, f"> {texts[-1]}", *extra]


def edge_texts(edges: Values) -> list[str]:
    """Edges as texts, with as many digits as tell neighbours apart: four, or more.

    The number directly below the next edge, between which a single value is, is written as that.

    >>> edge_texts([19.9312, 30.2105, 203.94]), edge_texts([1.00001, 1.00002])
    (['19.93', '30.21', '203.9'], ['1.00001', '1.00002'])
    >>> edge_texts([math.nextafter(7.0, 0.0), 7.0])
    ['7', '7']
    """
    given = np.asarray(list(edges), dtype=np.float64)
    under = np.flatnonzero(np.nextafter(given[:-1], np.inf) == given[1:])
    given[under] = given[under + 1]
    values = floats(given).tolist()
    for digits in range(4, 17):
        texts = [_edge(value, digits) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return [repr(value) for value in values]


def _edge(value: float, digits: int) -> str:
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return number(value) if digits == 4 else f"{value:.{digits - 1}e}"
    text = f"{value:,.{max(0, digits - 1 - math.floor(math.log10(size)))}f}" if size else "0"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def histogram_table(title: str, edges: Values, reference: Values, current: Values, *, extra: Sequence[str] = ()) -> str:
    """Table twin of a histogram: a row a cell.

    >>> "(10, 20]" in histogram_table("Amount", [10, 20], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5])
    True
    """
    rows = [
        [name, percent(float(before)), percent(float(now))]
        for name, before, now in zip(cell_names(edges, extra), floats(reference), floats(current), strict=True)
    ]
    return table(title, ["cell", "reference", "now"], rows)


def _slots(inner: Floats, extra: int, *, to_scale: bool) -> Floats:
    """Borders of the cells' places, shape (cells + 1,), from 0 to 1."""
    cells = len(inner) + 1 + extra
    if not to_scale or len(inner) < 2:
        return np.arange(cells + 1) / cells
    widths = np.diff(inner / max(1.0, float(np.abs(inner).max())))
    # An open cell has no width of its own; a cell is never thinner than a stroke.
    open_cell = float(np.median(widths))
    all_widths = np.concatenate([[open_cell], widths, [open_cell] * (1 + extra)])
    all_widths = np.maximum(all_widths / all_widths.sum(), 0.004)
    return np.concatenate([[0.0], np.cumsum(all_widths) / all_widths.sum()])


def _readings(plot: Plot, area: Area, y: Linear, slots: Floats, heights: tuple[Floats, Floats], now: Floats) -> None:
    """Shares above the bars: the largest always, the others where all have room."""
    shown = [index for index in np.argsort(-np.nan_to_num(now), kind="stable").tolist() if math.isfinite(now[index])]
    tops = [area.y(y.at(float(heights[1][index]))) for index in shown]
    spots = [
        Spot(float(slots[index] + slots[index + 1]) / 2, top - 5, "middle")
        for index, top in zip(shown, tops, strict=True)
    ]
    if shown:
        edges = (
            [spots[0], Spot(1, spots[0].y, "end"), Spot(0, spots[0].y)] if shown[0] in (0, len(now) - 1) else [spots[0]]
        )
        plot.label(percent(float(now[shown[0]])), *edges, style="halo", bold=True)
    texts = [bare_percent(float(now[index])) for index in shown[1:]]
    plot.labels.group(texts, spots[1:], style="halo", bold=True)


def _edge_texts(plot: Plot, area: Area, inner: Floats, slots: Floats, extra: Sequence[str]) -> float:
    line = area.bottom + 15
    places = slots[1 : len(inner) + 1].tolist()
    levels = [0 if index % 4 == 0 else 1 if index % 2 == 0 else 2 for index in range(len(inner))]
    if extra:
        first = len(inner) + 1
        centres = [(float(slots[first + index]) + float(slots[first + index + 1])) / 2 for index in range(len(extra))]
        plot.labels.group(shortened_apart(extra, 88), [Spot(x, line, "middle") for x in centres], whole=extra)
        plot.vertical(float(slots[first]), area, "day")
    found = plot.labels.group(edge_texts(inner), [Spot(x, line, "middle") for x in places], levels=levels)
    for x, label in zip(places, found, strict=True):
        plot.vertical(
            x, Area(area.bottom, area.bottom + 4), "axis", shown_from=None if label is None else label.shown_from
        )
    return line + 3


def _parts(plot: Plot, area: Area, slots: Floats, parts: Floats, change: Floats) -> float:
    """Parts in the PSI: brown where there are more than in the reference, green-blue where there are fewer."""
    y = Linear.over(parts, zero=True, most=2, least=0.0)
    whole = float(np.nansum(parts))
    plot.label(f"contribution to the PSI, {psi_text(whole)} in total", Spot(0, area.top - 3))
    decimals = 2 if whole >= LEAST_WHOLE else 4
    order = [
        index for index in np.argsort(-np.nan_to_num(parts), kind="stable").tolist() if math.isfinite(parts[index])
    ]
    area = Area(area.top + 12, area.bottom + 12)
    texts, spots = [], []
    for index in order:
        start, end = float(slots[index]), float(slots[index + 1])
        inset = (end - start) * (1 - NOW_PART) / 2
        top = area.y(y.at(max(float(parts[index]), 0.0)))
        plot.rect(Area(top, area.bottom), start + inset, end - inset, "c2" if change[index] > 0 else "c-2")
        texts.append(f"{parts[index]:.{decimals}f}".replace("-", "−"))
        spots.append(Spot((start + end) / 2, top - 4, "middle"))
    plot.labels.group(texts[:1], spots[:1], style="halo")
    plot.labels.group(texts[1:], spots[1:], style="halo")
    plot.horizontal(area.bottom, "axis")
    return area.bottom
