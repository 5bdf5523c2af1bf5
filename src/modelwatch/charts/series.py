"""Series over time as curves: steps or slopes, gaps where nothing is known, and no more points than a screen has."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from modelwatch.charts.drawing.markup import path, pixels
from modelwatch.charts.drawing.plot import UNITS, Area
from modelwatch.charts.drawing.scales import Floats, Scale, Time, Values, floats

# Points of a series that leave the server at most: the lowest and the highest of each column.
MOST_POINTS = 1_500
# More than a pointer can tell apart, and a page should hold.
MOST_READABLE = 600
# Times further apart than this many steps have a gap between them.
LONGEST_STEP = 1.5

Mask = npt.NDArray[np.bool_]
Role = Literal["now", "second", "estimate", "reference", "quiet"]


@dataclass(frozen=True)
class Series:
    """Values over time. Arrays of shape (n,): times in seconds, ascending; values, NaN for not known.

    step: seconds that a value stands for, from its time on; 0 for values of a moment, joined by slopes.
    low, high: interval of each value. immature: since when (seconds) the values are not final, drawn dotted and
    without interval.
    """

    name: str
    times: Values
    values: Values
    step: float = 0.0
    low: Values | None = None
    high: Values | None = None
    role: Role = "now"
    immature: float | None = None
    area: bool = False

    def __post_init__(self) -> None:
        for name in ("times", "values", "low", "high"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.times):
                raise ValueError(
                    f"{name} of series {self.name!r} has {len(given)} values, {len(self.times)} are expected"
                )
        if np.any(np.diff(floats(self.times)) < 0):
            raise ValueError(f"times of series {self.name!r} must be ascending")

    @property
    def mature(self) -> Mask:
        """Mask of shape (n,) of the values that are final."""
        times = floats(self.times)
        return times < (np.inf if self.immature is None else self.immature)


def thinned(times: Values, values: Values, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """At most about `most` points that draw the same curve: the lowest and the highest of each column, and its gaps.

    >>> times, values = thinned(range(10_000), [0.0] * 5_000 + [9.0] + [0.0] * 4_999, most=100)
    >>> len(times) <= 100, max(values)
    (True, np.float64(9.0))
    """
    at, level = floats(times), floats(values)
    if len(at) <= most:
        return at, level
    kept: set[int] = set()
    for column in np.array_split(np.arange(len(at)), max(most // 3, 1)):
        known = column[np.isfinite(level[column])]
        if known.size:
            kept.update((int(known[np.argmin(level[known])]), int(known[np.argmax(level[known])])))
        if known.size < column.size:
            kept.add(int(column[~np.isfinite(level[column])][0]))
    chosen = np.array(sorted(kept), dtype=np.intp)
    return at[chosen], level[chosen]


def polyline(area: Area, x: Time, y: Scale, times: Values, values: Values, step: float = 0.0) -> str:
    """Path data of a line through an area, in UNITS along x and pixels from its top.

    times: seconds, values: shape (n,), NaN for not known. step: seconds that each value lasts; 0: joined by slopes.

    >>> from modelwatch.charts.drawing.scales import Linear
    >>> polyline(Area(0, 100), Time(0, 100), Linear.over([0, 1]), [0, 50], [0.0, 1.0])
    'M0 100L500 0'
    >>> polyline(Area(0, 100), Time(0, 100), Linear.over([0, 1]), [0, 50], [0.0, 1.0], step=50)
    'M0 100L500 100L500 0L1000 0'
    """
    at, level = thinned(times, values, MOST_POINTS // 2 if step else MOST_POINTS)
    thin = len(at) < len(times)
    starts = UNITS * x.all_at(at)
    heights = area.height * (1 - y.all_at(level))
    if not step:
        return path(zip(starts.tolist(), heights.tolist(), strict=True))
    # Of a thinned series each value lasts until the next one.
    ends = (
        np.append(starts[1:], UNITS * x.at(float(at[-1]) + step)) if thin and len(at) else UNITS * x.all_at(at + step)
    )
    points: list[tuple[float, float]] = []
    for index, (start, end, height) in enumerate(zip(starts.tolist(), ends.tolist(), heights.tolist(), strict=True)):
        if index and at[index] - at[index - 1] > LONGEST_STEP * step and not thin:
            points.append((float("nan"), 0.0))
        points += [(start, height), (end, height)]
    return path(points)


def ribbon(area: Area, x: Time, y: Scale, times: Values, low: Values, high: Values, step: float = 0.0) -> str:
    """Path data of the ground between two bounds, with gaps where one of them is not known.

    times: seconds, low, high: shape (n,). step: seconds that each value lasts; 0: joined by slopes.

    >>> from modelwatch.charts.drawing.scales import Linear
    >>> ribbon(Area(0, 100), Time(0, 100), Linear.over([0, 1]), [0, 100], [0.0, 0.0], [1.0, 1.0])
    'M0 0L1000 0L1000 100L0 100Z'
    """
    at, under, over = floats(times), floats(low), floats(high)
    known = np.isfinite(under) & np.isfinite(over)
    thin = len(at) > MOST_POINTS
    if thin:
        at, under, over, known = _columns(at, under, over, known)
    pieces: list[str] = []
    for run in runs(at, known, 0.0 if thin else step):
        start = UNITS * x.all_at(at[run])
        # A value lasts until the next one.
        ends = np.append(start[1:], UNITS * x.at(float(at[run[-1]]) + step))
        places = np.column_stack([start, ends]).ravel() if step else start
        repeat = 2 if step else 1
        tops = np.repeat(area.height * (1 - y.all_at(over[run])), repeat)
        bottoms = np.repeat(area.height * (1 - y.all_at(under[run])), repeat)
        around = [*zip(places, tops, strict=True), *zip(places[::-1], bottoms[::-1], strict=True)]
        pieces.append("M" + "L".join(f"{pixels(float(a))} {pixels(float(b))}" for a, b in around) + "Z")
    return "".join(pieces)


def runs(times: Floats, known: Mask, step: float) -> list[list[int]]:
    """Indices of the known values, parted at gaps: by what is unknown, and by times too far apart for the step.

    times: seconds, known: shape (n,). step: seconds; 0: no times are too far apart.
    """
    found: list[list[int]] = []
    for index in np.flatnonzero(known).tolist():
        joined = found and found[-1][-1] == index - 1
        if joined and not (step and times[index] - times[index - 1] > LONGEST_STEP * step):
            found[-1].append(index)
        else:
            found.append([index])
    return found


def _columns(at: Floats, under: Floats, over: Floats, known: Mask) -> tuple[Floats, Floats, Floats, Mask]:
    chunks = np.array_split(np.arange(len(at)), MOST_POINTS // 2)
    whole = np.array([bool(known[chunk].all()) for chunk in chunks])
    lows = np.array([float(np.min(under[chunk])) for chunk in chunks])
    highs = np.array([float(np.max(over[chunk])) for chunk in chunks])
    return at[[int(chunk[0]) for chunk in chunks]], lows, highs, whole


def known_values(series: Sequence[Series]) -> list[Floats]:
    """All values and bounds of series, for a scale over them; bounds of immature values are not drawn."""
    found = [floats(each.values) for each in series]
    for each in series:
        mature = each.mature
        found += [np.where(mature, floats(bound), np.nan) for bound in (each.low, each.high) if bound is not None]
    return found


def readable(series: Sequence[Series]) -> str:
    """The values of series as JSON, for a script that shows them at a time: name, step, times, and values with four
    digits, null where not known.

    >>> readable([Series("psi", [0, 60], [0.123456, float("nan")], step=60)])
    '[{"name":"psi","step":60.0,"at":[0.0,60.0],"values":[0.1235,null]}]'
    """
    found = []
    for each in series:
        times, values = thinned(each.times, each.values, MOST_READABLE)
        known = [float(f"{value:.4g}") if math.isfinite(value) else None for value in values.tolist()]
        found.append({"name": each.name, "step": float(each.step), "at": times.tolist(), "values": known})
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))
