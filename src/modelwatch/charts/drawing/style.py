"""Style sheet of the charts: what is drawn in which colour, and from which width on a label is shown."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from modelwatch.charts.drawing.labels import BREAKPOINTS
from modelwatch.charts.drawing.plot import STEP, WIDEST_GUTTER


@cache
def stylesheet() -> str:
    """Style sheet as text, for a page, a report or a notebook; its rules are for `.chart…` and the marks.

    >>> "prefers-color-scheme: dark" in stylesheet() and ".from-480" in stylesheet()
    True
    """
    gutters = "".join(
        f".chart .l-{each}{{padding-left:{each}px}}.chart .r-{each}{{padding-right:{each}px}}\n"
        for each in range(STEP, WIDEST_GUTTER + STEP, STEP)
    )
    shown = "".join(
        f"@container mw-chart (max-width: {each - 0.02}px){{.chart .from-{each}{{display:none}}}}\n"
        for each in BREAKPOINTS[1:]
    )
    return files("modelwatch.charts").joinpath("charts.css").read_text("utf-8") + gutters + shown
