"""Labels of a fluid chart: where each may stand, and from which width of the chart on it has room.

Along x a label's edges are at a part of the plot's width plus some pixels. So for two labels, or for a label and the
box, there is one width from which on they stay apart, and no label has to be laid out in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from modelwatch.charts.drawing.markup import classes, element, percent_of_plot, pixels, written
from modelwatch.charts.drawing.text import ASCENT, DESCENT, clean, isolated, width

Anchor = Literal["start", "middle", "end"]

# Widths of a chart from which on more labels are shown, in pixels: each is a rule of the style sheet.
BREAKPOINTS = (0, 160, 200, 240, 280, 320, 360, 400, 440, 480, 560, 640, 720, 800, 960, 1_120, 1_280, 1_440)
# Between two labels of a line, in pixels.
SPACE_BETWEEN = 7.0
LINE = 14.0
# The narrowest that charts with texts are drawn for.
NARROWEST = 320


@dataclass(frozen=True, slots=True)
class Spot:
    """Place of a label: x as a part of the plot, moved by dx pixels; y of its baseline in pixels."""

    x: float
    y: float
    anchor: Anchor = "start"
    dx: float = 0.0


# Parts of a text that are times, each with its moment in seconds since 1970: a script writes them in the reader's zone.
Moments = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Label:
    """Label that has found its place, and the width of the chart in pixels from which on it is shown."""

    text: str
    spot: Spot
    least: int
    style: str | None
    left: float  # pixels from the spot's x
    right: float
    title: str | None = None
    moments: Moments = ()

    @property
    def shown_from(self) -> str | None:
        """Class that hides it below its width."""
        return f"from-{self.least}" if self.least else None

    def svg(self) -> str:
        """Element `<text>`."""
        at = next((moment for text, moment in self.moments if text == self.text), None)
        content = written(self.text) if at is not None else _with_moments(self.text, self.moments)
        return element(
            "text",
            content if self.title is None else f"{element('title', written(self.title))}{content}",
            x=percent_of_plot(self.spot.x),
            dx=pixels(self.spot.dx) if self.spot.dx else None,
            y=pixels(self.spot.y),
            data_at=at,
            class_=classes((self.spot.anchor if self.spot.anchor != "start" else None, self.style, self.shown_from)),
        )


def _with_moments(text: str, moments: Moments) -> str:
    """The text as markup, each of its times in an element of its own; one that was cut off is left out.

    >>> _with_moments("began Sat 20:45, found", [("Sat 20:45", 60.0), ("Sat 21:10", 70.0)])
    'began <tspan data-at="60">Sat 20:45</tspan>, found'
    """
    parts, rest = [], text
    for part, at in moments:
        before, found, after = rest.partition(part)
        if found:
            parts += [written(before), element("tspan", written(part), data_at=at)]
            rest = after
    return "".join([*parts, written(rest)])


@dataclass(slots=True)
class Labels:
    """Labels of one chart; the one that comes first has its place for sure.

    left, right: pixels beside the plot that labels may use.

    >>> labels = Labels(left=40, right=8)
    >>> labels.place("first", [Spot(0.5, 10, "middle")]).least
    160
    >>> labels.place("second", [Spot(0.6, 10, "middle")]).least
    440
    >>> labels.place("never", [Spot(0.5, 12, "middle")]) is None
    True
    """

    left: float
    right: float
    placed: list[Label] = field(default_factory=list)
    # Labels and dots by the line that they are on.
    _lines: dict[int, list[Label]] = field(default_factory=dict)

    def keep_clear(self, x: float, y: float) -> None:
        """Dot that no later label covers; its own label begins 8 pixels beside it or 10 above."""
        self._note(Label("", Spot(x, y + DESCENT), 0, None, -1.0, 1.0))

    def place(
        self,
        text: str,
        spots: Iterable[Spot],
        *,
        style: str | None = None,
        bold: bool = False,
        title: str | None = None,
        within: int = BREAKPOINTS[-1],
        moments: Moments = (),
        room: str | None = None,
    ) -> Label | None:
        """Label at the spot that needs least room; None, when it has none at the width `within`.

        room: the longest text that a script may put in its place.
        """
        longest = text if room is None else room
        found = self._best(longest, spots, bold)
        if found is None or _breakpoint(found[0]) is None or found[0] > within:
            return None
        extent = _extent(longest, found[1], bold)
        return self._set(text, found[1], found[0], style, bold, title, moments, extent)

    def group(
        self,
        texts: Sequence[str],
        spots: Sequence[Spot],
        *,
        style: str | None = None,
        bold: bool = False,
        levels: Sequence[int] = (),
        moments: Sequence[float] = (),
        whole: Sequence[str] = (),
    ) -> list[Label | None]:
        """Labels of one kind, as the ticks of an axis: those of one level are shown together, lower levels first.

        moments: of texts that are times. whole: the texts before they were cut, for their titles. Only one that stands
        in the way of the box, or of a label from before, waits for more room by itself.
        Returns the labels in the order of the texts, None for those that never have room.
        """
        levels = levels or [0] * len(texts)
        found: list[Label | None] = [None] * len(texts)
        before = list(self.placed)
        shared: list[int] = []
        extents = [_extent(text, spot, bold) for text, spot in zip(texts, spots, strict=True)]
        for level in sorted(set(levels)):
            members = [index for index, each in enumerate(levels) if each == level]
            shared.extend(members)
            together = _all_apart([spots[index] for index in shared], [extents[index] for index in shared])
            for index in members:
                alone = self._least(spots[index], extents[index], before)
                least = max(alone, together + self.left + self.right if math.isfinite(together) else together)
                if _breakpoint(least) is not None:
                    text = texts[index]
                    when = ((clean(text), moments[index]),) if moments else ()
                    title = isolated(whole[index]) if whole and isolated(whole[index]) != text else None
                    found[index] = self._set(text, spots[index], least, style, bold, title, when, extents[index])
        return found

    def _best(self, text: str, spots: Iterable[Spot], bold: bool) -> tuple[float, Spot] | None:
        needed = [(self._least(spot, _extent(text, spot, bold), self._near(spot)), spot) for spot in spots]
        # Above this width a spot is no better for needing less: the first one is what the chart prefers.
        return min(needed, key=lambda each: max(each[0], NARROWEST), default=None)

    def _near(self, spot: Spot) -> list[Label]:
        """The labels and dots that may be in the way at a spot."""
        line = int(spot.y // LINE)
        return [each for at in (line - 1, line, line + 1) for each in self._lines.get(at, ())]

    def _note(self, label: Label) -> None:
        self._lines.setdefault(int(label.spot.y // LINE), []).append(label)

    def _least(self, spot: Spot, extent: tuple[float, float], others: Iterable[Label]) -> float:
        left, right = extent
        plot = max(_over(-self.left - left, spot.x), _over(right - self.right, 1 - spot.x))
        gutters = self.left + self.right
        for other in others:
            if abs(other.spot.y - spot.y) >= ASCENT + DESCENT:
                continue
            apart = _apart(spot, extent, other.spot, (other.left, other.right))
            # Below the other's own width there is nothing to keep apart from.
            if apart + gutters > other.least:
                plot = max(plot, apart)
        return plot + gutters if plot > 0 else 0.0

    def _set(
        self,
        text: str,
        spot: Spot,
        least: float,
        style: str | None,
        bold: bool,
        title: str | None,
        moments: Moments,
        extent: tuple[float, float],
    ) -> Label:
        shown = classes((style, "strong" if bold else None))
        label = Label(clean(text), spot, _breakpoint(least) or 0, shown, *extent, title, moments)
        self.placed.append(label)
        self._note(label)
        return label


def _breakpoint(least: float) -> int | None:
    return next((each for each in BREAKPOINTS if each >= least), None)


def _extent(text: str, spot: Spot, bold: bool) -> tuple[float, float]:
    long = width(clean(text), bold=bold)
    start = {"start": 0.0, "middle": -long / 2, "end": -long}[spot.anchor] + spot.dx
    return start, start + long


def _over(room: float, part: float) -> float:
    """Width of the plot whose `part` is at least `room`."""
    if room <= 1e-9:
        return 0.0
    return room / part if part > 1e-9 else math.inf


def _all_apart(spots: Sequence[Spot], extents: Sequence[tuple[float, float]]) -> float:
    """Width of the plot from which on none of the labels touches another: `_apart` of all pairs at once."""
    x, y = np.array([spot.x for spot in spots]), np.array([spot.y for spot in spots])
    left, right = np.array(extents).reshape(-1, 2).T
    before = x[:, None] < x[None, :]
    same_x = np.triu(x[:, None] == x[None, :], k=1)
    same_line = np.abs(y[:, None] - y[None, :]) < ASCENT + DESCENT
    room = right[:, None] + SPACE_BETWEEN - left[None, :]
    if np.any(same_x & same_line & (np.minimum(room, room.T) > 0)):
        return math.inf
    close = before & same_line & (room > 0)
    return float(np.max(room[close] / (x[None, :] - x[:, None])[close], initial=0.0))


def _apart(a: Spot, of_a: tuple[float, float], b: Spot, of_b: tuple[float, float]) -> float:
    """Width of the plot from which on two labels don't touch; 0 when they never do."""
    if a.y + DESCENT <= b.y - ASCENT or b.y + DESCENT <= a.y - ASCENT:
        return 0.0
    if a.x > b.x:
        a, of_a, b, of_b = b, of_b, a, of_a
    needed = _over(of_a[1] + SPACE_BETWEEN - of_b[0], b.x - a.x)
    if math.isinf(needed) and of_b[1] + SPACE_BETWEEN <= of_a[0]:
        return 0.0
    return needed
