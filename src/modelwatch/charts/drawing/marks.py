"""Marks of states, keys, and what a page holds once for all charts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from modelwatch.charts.drawing.markup import element, written

State = Literal["alert", "warning", "shifted", "stable", "unknown", "catching_up", "no_data"]
Severity = Literal["alert", "warning"]

STATES: dict[State, str] = {
    "alert": "alert",
    "warning": "warning",
    "shifted": "shifted",
    "stable": "stable",
    "unknown": "not judged",
    "catching_up": "catching up",
    "no_data": "no data",
}
HATCHING = "mw-hatch"


def definitions() -> str:
    """Shared SVG definitions, once for each page: the hatching of what is not judged.

    >>> definitions().count('id="mw-hatch"')
    1
    """
    hatching = element(
        "pattern",
        element("path", d="M-1 1L1 -1M0 6L6 0M5 7L7 5"),
        id=HATCHING,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    return element("svg", element("defs", hatching), class_="chart-defs", width=0, height=0, aria_hidden="true")


@cache
def mark(state: State) -> str:
    """Mark of a state by its shape, for beside its word: a diamond, a triangle, a ring with a dot, a ring, …

    >>> mark("alert")
    '<svg class="chart-mark m-alert" viewBox="0 0 12 12" aria-hidden="true"><path d="M6 0L12 6L6 12L0 6Z"/></svg>'
    """
    shapes: dict[State, str] = {
        "alert": element("path", d="M6 0L12 6L6 12L0 6Z"),
        "warning": element("path", d="M6 1L12 11.5H0Z"),
        "shifted": element("circle", cx=6, cy=6, r=4.75, class_="ring thin") + element("circle", cx=6, cy=6, r=2.25),
        "stable": element("circle", cx=6, cy=6, r=4.25, class_="ring"),
        "unknown": element("rect", x=1.5, y=1.5, width=9, height=9, class_="ring thin")
        + element("path", d="M1.5 6L6 1.5M1.5 10.5L10.5 1.5M6 10.5L10.5 6", class_="ring thin"),
        "catching_up": element("circle", cx=6, cy=6, r=4.75, class_="ring thin")
        + element("path", d="M6 1.25A4.75 4.75 0 0 1 6 10.75Z"),
        "no_data": element("circle", cx=6, cy=6, r=4.5, class_="ring dashed"),
    }
    return element("svg", shapes[state], class_=f"chart-mark m-{state}", viewBox="0 0 12 12", aria_hidden="true")


def key(items: Sequence[tuple[str, str]]) -> str:
    """Key: pairs of the swatches' classes, parted by spaces, and their word.

    >>> key([("f-now", "now")]).count("<rect")
    1
    """
    return element(
        "ul",
        "".join(element("li", _swatches(styles.split()) + element("span", written(word))) for styles, word in items),
        class_="chart-key",
    )


def _swatches(styles: Sequence[str]) -> str:
    wide = 12
    drawn = "".join(
        element("path", d=f"M{index * (wide + 1)} 6H{index * (wide + 1) + wide}", class_=style)
        if style.startswith("s-")
        else element("rect", x=index * (wide + 1), y=1, width=wide, height=10, class_=style)
        for index, style in enumerate(styles)
    )
    return element("svg", drawn, width=len(styles) * (wide + 1) - 1, height=12, class_="chart", aria_hidden="true")
