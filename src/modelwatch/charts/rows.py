"""Charts with a row for each name: categories against the reference, and contributions as a waterfall."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.numbers import Format, bare_percent, from_to, number, percent
from modelwatch.charts.drawing.plot import Area, Plot, gutter
from modelwatch.charts.drawing.scales import Linear, floats
from modelwatch.charts.drawing.tables import table
from modelwatch.charts.drawing.text import isolated, shortened_apart

ROW = 26.0
MOST_NAMES, LONGER_NAMES = 128, 160
MOST_ROWS = 200


@dataclass(frozen=True, slots=True)
class Category:
    """Category with its shares in the reference and now; NaN for not known."""

    name: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """Part that a segment has in a change; certain: it is more than chance."""

    name: str
    value: float
    certain: bool = True


def most_frequent(rows: Sequence[Category], most: int, named: Collection[str] = ()) -> list[Category]:
    """The most frequent categories, so many at most, in the order given; those that are named are among them, however
    rare they are.

    >>> rows = [Category("DE", 0.6, 0.5), Category("FR", 0.39, 0.47), Category("rare", 0.01, 0.03)]
    >>> [each.name for each in most_frequent(rows, 2)], [each.name for each in most_frequent(rows, 2, ["rare"])]
    (['DE', 'FR'], ['DE', 'rare'])
    """

    def rank(place: int) -> tuple[bool, float]:
        shares = floats([rows[place].reference, rows[place].current])
        return rows[place].name not in named, -float(np.nan_to_num(shares).max())

    return [rows[place] for place in sorted(sorted(range(len(rows)), key=rank)[:most])]


def left_out(rows: int, drawn: int) -> str:
    """Sentence on the categories that are not drawn; empty where all are.

    >>> left_out(30, 15), left_out(16, 15), left_out(15, 15)
    ('15 of 30 categories are left out: rarer ones.', '1 of 16 categories is left out: a rarer one.', '')
    """
    if drawn >= rows:
        return ""
    said = "is left out: a rarer one" if rows - drawn == 1 else "are left out: rarer ones"
    return f"{rows - drawn:,} of {rows:,} categories {said}."


def categories(title: str, rows: Sequence[Category]) -> str:
    """Shares of categories: the reference in grey, now in blue, a row each in the order given, 200 rows at most.

    >>> markup = categories("Country", [Category("DE", 0.6, 0.4), Category("<FR>", 0.4, 0.6)])
    >>> "40.0" in markup and "&lt;FR&gt;" in markup
    True
    """
    shown = rows[:MOST_ROWS]
    x = Linear.over([each.reference for each in shown], [each.current for each in shown], zero=True, most=2, least=0.0)
    readings = [from_to(each.reference, each.current) for each in shown]
    plot = Plot(
        max(ROW * len(shown), ROW),
        gutter([each.name for each in shown], most=MOST_NAMES),
        gutter(readings, most=136, bold=True),
    )
    names = shortened_apart([each.name for each in shown], plot.room())
    for index, each in enumerate(shown):
        top = ROW * index
        if index:
            plot.horizontal(top, "hair", start=0)
        plot.aside(isolated(each.name), top + 17, style="t-ink", short=names[index])
        plot.aside(readings[index], top + 17, side="start", style="t-ink", bold=_moved(each))
        for value, style, y in ((each.reference, "f-reference", top + 5), (each.current, "f-now", top + 13)):
            if math.isfinite(value):
                plot.rect(Area(y, y + 7), 0, x.at(value), style, title=f"{isolated(each.name)}: {percent(value)}")
    plot.vertical(0, Area(0, plot.height), "axis")
    if not shown:
        plot.label("no categories", Spot(0.5, ROW / 2 + 4, "middle"))
    description = f"{len(rows)} categories." + "".join(
        f" {isolated(each.name[:120])}: {percent(each.reference)} in the reference, {percent(each.current)} now."
        for each in shown[:8]
    )
    return plot.svg(title, description, kind="categories")


def categories_table(title: str, rows: Sequence[Category]) -> str:
    """Table twin of categories, all of them.

    >>> "60.0" in categories_table("Country", [Category("DE", 0.6, 0.4)])
    True
    """
    return table(
        title,
        ["category", "reference", "now"],
        [[each.name, percent(each.reference), percent(each.current)] for each in rows],
    )


def waterfall(
    title: str, rows: Sequence[Contribution], *, total: str = "total", form: Format = "number", worse: str = "fewer"
) -> str:
    """Contributions to a change, each beginning where the one before has ended, and their sum.

    form: how values are written; a share as points of per cent. worse: "fewer" or "more", the direction that is
    drawn in red.

    >>> parts = [Contribution("country = DE", -0.014), Contribution("other", 0.002)]
    >>> markup = waterfall("Accuracy", parts, form="percent")
    >>> "−1.4" in markup, markup.count('class="f-alert"')
    (True, 2)
    """
    shown = rows[:MOST_ROWS]
    values = np.nan_to_num(floats([each.value for each in shown]), nan=0.0)
    ends = np.cumsum(values)
    begins = ends - values
    whole = float(ends[-1]) if len(shown) else 0.0
    x = Linear.over([0.0], ends, most=4)
    names = [*(each.name for each in shown), total]
    parts = [*(each.value for each in shown), whole]
    readings = [_points(each, form, fine=max(map(abs, [*values, whole])) < 0.01) for each in parts]
    plot = Plot(ROW * len(names), gutter(names, most=LONGER_NAMES, bold=True), gutter(readings, most=96, bold=True))
    bars = [*zip(begins.tolist(), ends.tolist(), (each.certain for each in shown), strict=True), (0.0, whole, True)]
    short = shortened_apart(names, plot.room(), bold=True)
    zero = x.at(0.0)
    plot.vertical(zero, Area(0, plot.height), "axis")
    for index, ((begin, end, certain), name) in enumerate(zip(bars, names, strict=True)):
        top, last = ROW * index, index == len(shown)
        if last:
            plot.horizontal(top, "axis")
        plot.aside(isolated(name), top + 17, bold=last, style="t-ink", short=short[index])
        plot.aside(readings[index], top + 17, side="start", bold=True)
        low, high = sorted((x.at(begin), x.at(end)))
        bad = end < begin if worse == "fewer" else end > begin
        style = "f-unknown" if not certain else "f-alert" if bad else "f-now"
        title_text = f"{isolated(name)}: {readings[index]}" + ("" if certain else ", may be chance")
        plot.rect(Area(top + 7, top + 19), low, high, style, title=title_text)
        if not last and index + 1 < len(shown):
            plot.vertical(x.at(end), Area(top + 19, top + ROW + 7), "axis")
    description = f"{readings[-1]} {total}." + "".join(
        f" {isolated(name[:120])}: {reading}." for name, reading in zip(names[:-1][:8], readings, strict=False)
    )
    return plot.svg(title, description, kind="waterfall")


def _moved(row: Category) -> bool:
    return abs(row.current - row.reference) >= 0.04


def _points(value: float, form: Format, *, fine: bool) -> str:
    """Signed text; points of per cent with one decimal, or with two where all are small."""
    if form == "number" or not abs(value) < 1e4:
        text = number(value) if form == "number" else bare_percent(value)
    else:
        text = f"{value * 100:.{2 if fine else 1}f}".replace("-", "−")
    if not text.strip("−0."):
        return text.removeprefix("−")
    return f"+{text}" if value > 0 else text
