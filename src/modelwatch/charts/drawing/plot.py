"""Plot: the frame that a chart is drawn in, with gutters for its ticks, layers, axes and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from modelwatch.charts.drawing.labels import BREAKPOINTS, LINE, Anchor, Label, Labels, Moments, Spot
from modelwatch.charts.drawing.markup import classes, element, percent_of_plot, pixels, written
from modelwatch.charts.drawing.numbers import Format, tick_texts
from modelwatch.charts.drawing.scales import Scale, Time
from modelwatch.charts.drawing.text import ASCENT, DESCENT, clipped, shortened, width

# Curves are drawn in these units and stretched to the width of the plot; their strokes and all texts are not.
UNITS = 1_000.0
# Gutters are a multiple of STEP and at most this wide: each is a rule of the style sheet.
STEP, WIDEST_GUTTER = 8, 160
TICK_ROOM = 8.0
# Room above the first and below the last line of a plot for half a tick's text.
EDGE = 8.0
# The name of a time zone that takes most room, where that is shown instead of UTC.
LONGEST_ZONE = "GMT+12:45"
# Width of the right gutter of a chart that has nothing in it, in pixels.
RIGHT = 8


def gutter(texts: Sequence[str], *, most: int = 88, bold: bool = False) -> int:
    """Width in pixels of a gutter that holds these texts, `most` at most.

    >>> gutter(["0", "100"]), gutter(["x" * 1000]), gutter([])
    (32, 88, 8)
    """
    longest = max((width(text[:WIDEST_GUTTER], bold=bold) for text in texts), default=-TICK_ROOM)
    return min(math.ceil((longest + TICK_ROOM) / STEP) * STEP or STEP, most)


@dataclass(frozen=True, slots=True)
class Area:
    """Part of a plot between two heights in pixels; `y` grows downwards."""

    top: float
    bottom: float

    @property
    def height(self) -> float:
        """Pixels."""
        return self.bottom - self.top

    def y(self, fraction: float) -> float:
        """Height of a scale's fraction: 0 is the bottom."""
        return self.bottom - fraction * self.height


def stretched(area: Area, content: str) -> str:
    """Paths in UNITS along x and pixels from the area's top, drawn as wide as their surroundings.

    >>> 'viewBox="0 0 1000 40" preserveAspectRatio="none"' in stretched(Area(0, 40), '<path d="M0 0H1000"/>')
    True
    """
    return element(
        "svg",
        content,
        y=pixels(area.top),
        width="100%",
        height=pixels(area.height),
        viewBox=f"0 0 {UNITS:.0f} {pixels(area.height)}",
        preserveAspectRatio="none",
        class_="curves",
    )


@dataclass(slots=True)
class Plot:
    """Frame of one chart. Heights are pixels; labels above 0 and below the height make the box larger.

    >>> plot = Plot(height=40, left=32, right=8)
    >>> plot.rect(Area(0, 40), 0.25, 0.5, "ground")
    >>> plot.svg("Prices", "Nothing but a ground.", kind="line")  # doctest: +ELLIPSIS
    '<div class="chart chart-line"><svg class="l-32 r-8" width="100%" height="56" role="img"><title>Prices</title>...'
    """

    height: float
    left: int = 48
    right: int = RIGHT
    above: float = EDGE
    below: float = EDGE
    labels: Labels = field(init=False)
    _ground: list[str] = field(default_factory=list)
    _curves: dict[Area, list[str]] = field(default_factory=dict)
    _marks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.labels = Labels(self.left, self.right)

    def rect(self, area: Area, start: float, end: float, style: str, *, title: str | None = None) -> None:
        """Rectangle over the height of an area, between two fractions of the width; below the curves."""
        self._ground.append(
            element(
                "rect",
                "" if title is None else element("title", written(title)),
                x=percent_of_plot(start),
                y=pixels(area.top),
                width=percent_of_plot(max(end - start, 0.0)),
                height=pixels(max(area.height, 0.0)),
                class_=style,
            )
        )

    def horizontal(self, y: float, style: str, *, start: float = 0.0, end: float = 1.0, over: bool = False) -> None:
        """Line across the plot, or across a part of it; over: above the curves."""
        self._layer(over).append(
            element(
                "line", x1=percent_of_plot(start), x2=percent_of_plot(end), y1=pixels(y), y2=pixels(y), class_=style
            )
        )

    def vertical(self, x: float, area: Area, style: str, *, shown_from: str | None = None, over: bool = False) -> None:
        """Line from the top to the bottom of an area."""
        at = percent_of_plot(x)
        self._layer(over).append(
            element(
                "line", x1=at, x2=at, y1=pixels(area.top), y2=pixels(area.bottom), class_=classes((style, shown_from))
            )
        )

    def curve(self, area: Area, data: str, style: str) -> None:
        """Path in UNITS along x and pixels from the area's top; stretched with the plot, its stroke is not."""
        if data:
            effect = None if style.startswith("f-") else "non-scaling-stroke"
            self._curves.setdefault(area, []).append(element("path", d=data, class_=style, vector_effect=effect))

    def dot(self, x: float, y: float, style: str, *, radius: float = 3.0, title: str | None = None) -> None:
        """Round mark above the curves."""
        self._marks.append(
            element(
                "circle",
                "" if title is None else element("title", written(title)),
                cx=percent_of_plot(x),
                cy=pixels(y),
                r=pixels(radius),
                class_=style,
            )
        )

    def whisker(self, x: float, y0: float, y1: float, style: str) -> None:
        """Upright line above the curves, between two heights."""
        self.vertical(x, Area(min(y0, y1), max(y0, y1)), style, over=True)

    def label(
        self,
        text: str,
        *spots: Spot,
        style: str | None = None,
        bold: bool = False,
        title: str | None = None,
        moments: Moments = (),
        room: str | None = None,
    ) -> Label | None:
        """Label at the first of the spots that need least room; None when it has none. moments, room: see Labels."""
        return self.labels.place(text, spots, style=style, bold=bold, title=title, moments=moments, room=room)

    def aside(
        self,
        text: str,
        y: float,
        *,
        side: Anchor = "end",
        style: str | None = None,
        bold: bool = False,
        indent: float = 0.0,
        short: str | None = None,
    ) -> Label | None:
        """Text in a gutter: side "end" the left one, ending at the plot; "start" the right one. Cut to its room, in its
        middle, unless it is given how it is drawn there."""
        if short is None:
            short = shortened(text, self.room(side) - indent, bold=bold)
        x, dx = (0.0, -TICK_ROOM - indent) if side == "end" else (1.0, TICK_ROOM + indent)
        title = text if short != text else None
        spot = Spot(x, y, side, dx)
        return self.label(short, spot, style=style, bold=bold, title=title) if short else None

    def room(self, side: Anchor = "end") -> float:
        """Width of what may stand in a gutter."""
        return (self.left if side == "end" else self.right) - TICK_ROOM

    def value_axis(self, area: Area, scale: Scale, form: Format = "number", *, grid: bool = True) -> None:
        """Ticks of a value scale in the left gutter, with hairlines through the plot."""
        for tick, text in zip(scale.ticks, tick_texts(scale.ticks, form), strict=True):
            y = area.y(scale.at(tick))
            if grid:
                self.horizontal(y, "hair")
            self.aside(text, y + 4)

    def time_axis(self, area: Area, scale: Time, *, texts: bool = True) -> None:
        """Grid of a time scale, and below the area its ticks, days and the zone."""
        ticks = scale.ticks()
        places = [scale.at(tick.at) for tick in ticks]
        contexts = [(scale.at(at), text, at) for at, text in scale.contexts() if text]
        if not texts:
            for tick, x in zip(ticks, places, strict=True):
                if tick.level < 2:
                    self.vertical(x, area, "day" if tick.level == 0 else "hair")
            return
        first, second = area.bottom + 16, area.bottom + 16 + LINE
        self.label("UTC", Spot(1, second, "end"), style="zone", room=LONGEST_ZONE)
        labels = self.labels.group(
            [tick.text for tick in ticks],
            [Spot(x, first, "middle") for x in places],
            levels=[tick.level for tick in ticks],
            moments=[tick.at for tick in ticks],
        )
        for tick, x, label in zip(ticks, places, labels, strict=True):
            if label is not None:
                self.vertical(x, area, "day" if tick.level == 0 else "hair", shown_from=label.shown_from)
                self.vertical(x, Area(area.bottom, area.bottom + 4), "axis", shown_from=label.shown_from)
        begins = [each for each in contexts if each[0] > 0] or contexts
        rest = [each for each in contexts if each not in begins]
        for group in (begins, rest):
            found = self.labels.group(
                [text for _, text, _ in group],
                [Spot(x, second, dx=3 if x > 0 else 0) for x, _, _ in group],
                bold=True,
                moments=[at for _, _, at in group],
            )
            for (x, _, _), label in zip(group, found, strict=True):
                if label is not None and x > 0:
                    self.vertical(x, Area(second - ASCENT, second + 2), "axis", shown_from=label.shown_from)
        self.horizontal(area.bottom, "axis")
        self.need(below=second + DESCENT + 2 - self.height)

    def value_axis_below(self, area: Area, scale: Scale, form: Format = "number", *, unit: str = "") -> None:
        """Ticks of a value scale below the area, with hairlines through it, and the name of what they count."""
        first, second = area.bottom + 16, area.bottom + 16 + LINE
        texts = tick_texts(scale.ticks, form)
        places = [scale.at(tick) for tick in scale.ticks]
        levels = [index % 2 for index in range(len(texts))]
        labels = self.labels.group(texts, [Spot(x, first, "middle") for x in places], levels=levels)
        for x, label in zip(places, labels, strict=True):
            self.vertical(x, area, "hair", shown_from=None if label is None else label.shown_from)
        self.horizontal(area.bottom, "axis")
        if unit:
            self.label(clipped(unit, 220), Spot(1, second, "end"))
        self.need(below=(second if unit else first) + DESCENT + 2 - self.height)

    def need(self, *, above: float = 0.0, below: float = 0.0) -> None:
        """Makes room above or below the plot, in pixels."""
        self.above, self.below = max(self.above, above), max(self.below, below)

    def _layer(self, over: bool) -> list[str]:
        return self._marks if over else self._ground

    def svg(self, title: str, description: str, *, kind: str, **data: str | float | None) -> str:
        """Chart as markup, with its name and what it shows for those who don't see it. data: `data-` attributes."""
        curves = [stretched(area, "".join(paths)) for area, paths in self._curves.items()]
        drawn = "".join((*self._ground, *curves, *self._marks, *(label.svg() for label in self.labels.placed)))
        above = math.ceil(self.above)
        named = element("title", written(title)) + (element("desc", written(description)) if description else "")
        return element(
            "div",
            element(
                "svg",
                named + element("g", drawn, transform=f"translate(0 {above})"),
                class_=f"l-{self.left} r-{self.right}",
                width="100%",
                height=pixels(above + self.height + math.ceil(self.below)),
                role="img",
                **{f"data_{key}": value for key, value in data.items()},
            ),
            class_=f"chart chart-{kind}",
        )


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
