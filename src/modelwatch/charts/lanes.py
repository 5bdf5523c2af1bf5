"""Lanes: charts of one time axis below each other, each between its name with unit and its value now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.markup import breakable, element, written


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
