"""Curves over a share or a score: ROC, precision and recall, calibration, delay; and importance against drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelwatch.charts.drawing.labels import Spot
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.markup import path
from modelwatch.charts.drawing.numbers import Format, number, percent, psi_text, tick_texts
from modelwatch.charts.drawing.plot import UNITS, Area, Plot, gutter
from modelwatch.charts.drawing.scales import Floats, Linear, Log, Scale, Values, floats
from modelwatch.charts.drawing.text import clipped, isolated, shortened_apart

HEIGHT = 220.0
UNIT = Linear(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))
MOST_POINTS = 600
# Between the outermost feature of the quadrant and its edge, as a factor.
HEADROOM = 2.0
# What is less stands at the edge of the quadrant.
LEAST_DRIFT, LEAST_IMPORTANCE = 0.001, 0.0005
# Features without finding that the quadrant names.
MOST_QUIET = 3
_HOUR, _DAY = 3_600.0, 86_400.0


@dataclass(frozen=True)
class Curve:
    """Curve through points of shape (n,). role: "now", "reference" or "second"."""

    name: str
    x: Values
    y: Values
    role: str = "now"

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"curve {self.name!r} has {len(self.x)} places and {len(self.y)} values")


@dataclass(frozen=True, slots=True)
class CalibrationPoint:
    """Predictions of similar score: their mean score, the share that was positive, and its interval."""

    score: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AgreementPoint:
    """Rows with similar predictions: the mean that was predicted, the mean that was true, and its interval."""

    predicted: float
    truth: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, slots=True)
class Driver:
    """Feature of the quadrant: its importance (a share), its drift (PSI), and its state."""

    name: str
    importance: float
    drift: float
    state: State = "stable"


def roc_curve(title: str, curves: Sequence[Curve], *, height: float = HEIGHT) -> str:
    """ROC curves: false alarms along x, what is found along y, both as shares, and the diagonal of guessing.

    >>> markup = roc_curve("ROC", [Curve("now", [0, 0.1, 1], [0, 0.8, 1])])
    >>> "false positive rate" in markup and "M0 220L100 44L1000 0" in markup
    True
    """
    return _unit_chart(
        title, curves, "false positive rate", "true positive rate", height, diagonal="guessing", kind="roc"
    )


def precision_recall_curve(
    title: str, curves: Sequence[Curve], *, base: float | None = None, height: float = HEIGHT
) -> str:
    """Curves of precision over recall. base: share of positives, which is the precision of guessing.

    >>> "recall" in precision_recall_curve("Precision and recall", [Curve("now", [0, 1], [1, 0.1])], base=0.1)
    True
    """
    return _unit_chart(title, curves, "recall", "precision", height, base=base, kind="precision-recall")


def calibration_curve(title: str, points: Sequence[CalibrationPoint], *, height: float = HEIGHT) -> str:
    """Calibration: scores along x, share of positives with its interval along y, and the line of perfect scores.

    >>> markup = calibration_curve("Calibration", [CalibrationPoint(0.2, 0.15, 0.1, 0.2)])
    >>> "perfectly calibrated" in markup and "<circle" in markup
    True
    """
    plot, area = _unit_plot(height)
    plot.curve(area, path([(0, area.height), (UNITS, 0)]), "s-reference")
    plot.label(
        "perfectly calibrated",
        Spot(0.5, area.y(0.5) - 8, "end", -6),
        Spot(0.35, area.y(0.35) - 10, "end", -6),
        style="halo",
    )
    for each in points:
        x, share, low, high = (UNIT.at(value) for value in (each.score, each.share, each.low, each.high))
        if math.isfinite(x) and math.isfinite(share):
            if math.isfinite(low) and math.isfinite(high):
                plot.whisker(x, area.y(low), area.y(high), "s-now")
            interval = f"{percent(each.low)} to {percent(each.high)}"
            tooltip = f"score {number(each.score)}: {percent(each.share)} positive ({interval})"
            plot.dot(x, area.y(share), "d-now", radius=3, title=tooltip)
    known = [each for each in points if math.isfinite(each.score) and math.isfinite(each.share)]
    if known:
        lean = float(np.mean([each.share - each.score for each in known]))
        if abs(lean) >= 0.02:
            few = lean < 0
            spot = Spot(1, area.bottom - 8, "end", -6) if few else Spot(0, area.top + 14, dx=6)
            plot.label(
                "fewer positives than predicted" if few else "more positives than predicted",
                spot,
                style="halo t-now",
                bold=True,
            )
    else:
        plot.label("no scores with labels yet", Spot(0.5, area.y(0.5) + 16, "middle"), style="halo")
    description = " ".join(f"Score {number(each.score)}: {percent(each.share)}." for each in known[:12])
    return _finished(plot, area, UNIT, "score", title, description, "calibration")


def agreement_curve(
    title: str, points: Sequence[AgreementPoint], *, reference: Sequence[AgreementPoint] = (), height: float = HEIGHT
) -> str:
    """Numbers that were predicted along x, what was true with its interval along y, and the line where both agree.

    reference: the same of the reference, in grey.

    >>> markup = agreement_curve("Agreement", [AgreementPoint(10, 8, 7, 9), AgreementPoint(30, 31, 28, 34)])
    >>> "as predicted" in markup, markup.count("<circle")
    (True, 2)
    """
    known = [each for each in points if math.isfinite(each.predicted) and math.isfinite(each.truth)]
    before = [each for each in reference if math.isfinite(each.predicted) and math.isfinite(each.truth)]
    both = [each.predicted for each in (*known, *before)], [each.truth for each in (*known, *before)]
    ends = [end for each in known for end in (each.low, each.high)]
    scale = Linear.over(*both, ends, most=5)
    plot = Plot(height, gutter(tick_texts(scale.ticks)), 16)
    area = Area(0, height)
    plot.value_axis(area, scale)
    plot.label("actual", Spot(0, -8, dx=0))
    plot.need(above=20)
    plot.curve(area, path([(0, area.height), (UNITS, 0)]), "s-reference")
    if before:
        places = [(UNITS * scale.at(each.predicted), area.height * (1 - scale.at(each.truth))) for each in before]
        plot.curve(area, path(places), "s-chance")
    for each in known:
        x = scale.at(each.predicted)
        if math.isfinite(each.low) and math.isfinite(each.high):
            plot.whisker(x, area.y(scale.at(each.low)), area.y(scale.at(each.high)), "s-now")
        said = f"predicted {number(each.predicted)}: {number(each.truth)} ({number(each.low)} to {number(each.high)})"
        plot.dot(x, area.y(scale.at(each.truth)), "d-now", radius=3, title=said)
    spots = [Spot(0.5, area.y(0.5) - 8, "end", -6), Spot(0.35, area.y(0.35) - 10, "end", -6)]
    plot.label("as predicted", *spots, style="halo")
    if not known:
        plot.label("no labels yet", Spot(0.5, area.y(0.5) + 16, "middle"), style="halo")
    said = " ".join(f"Predicted {number(each.predicted)}: {number(each.truth)}." for each in known[:12])
    return _finished(plot, area, scale, "predicted", title, said, "agreement")


def delay_curve(
    title: str, delays: Values, shares: Values, *, marks: Sequence[tuple[float, str]] = (), height: float = 120.0
) -> str:
    """Delay of labels: share that has arrived, over the time since the prediction.

    delays: seconds, ascending, shape (n,). shares: of all that come, shape (n,). marks: share and text of dots on the
    curve. Raises ValueError when delays and shares differ in number.

    >>> markup = delay_curve("Delay", [0, 3600, 7200], [0.0, 0.5, 1.0], marks=[(0.5, "half")])
    >>> "half in 1 h" in markup and "hours" in markup
    True
    """
    at, share = floats(delays), floats(shares)
    if len(at) != len(share):
        raise ValueError(f"{len(at)} delays and {len(share)} shares")
    known = np.isfinite(at) & np.isfinite(share)
    at, share = at[known], share[known]
    unit, name = _unit_of_time(float(at.max()) if at.size else 0.0)
    x = _to_the_last(Linear.over(at / unit, zero=True, most=6, least=0.0), float(at.max()) / unit if at.size else 0.0)
    y = Linear(0.0, 1.0, (0.0, 0.5, 0.9))
    plot = Plot(height, gutter(tick_texts(y.ticks, "percent")))
    area = Area(0, height)
    plot.value_axis(area, y, "percent")
    plot.curve(area, _stroke(area, x, y, at / unit, share), "s-now")
    for level, text in marks:
        if at.size and share[0] <= level <= share[-1]:
            when = float(np.interp(level, share, at))
            place, top = x.at(when / unit), area.y(y.at(level))
            plot.dot(place, top, "d-now", radius=3.5)
            caption = f"{text} in {number(round(when / unit, 1))} {name[0] if name != 'min' else name}"
            plot.label(caption, Spot(place, top + 14, dx=6), Spot(place, top - 7, "end", -4), style="halo", bold=True)
    if not at.size:
        plot.label("no labels yet", Spot(0.5, area.y(0.5) + 4, "middle"), style="halo")
    return _finished(plot, area, x, f"{name} after the prediction", title, "", "delay")


def quadrant(
    title: str, drivers: Sequence[Driver], *, threshold: float = 0.1, important: float = 0.03, height: float = 260.0
) -> str:
    """Importance over drift, both logarithmic: what drifts and matters stands at the upper right.

    threshold: PSI, and important: share of importance, from which on a feature is in that corner.

    >>> markup = quadrant("Importance and drift", [Driver("income", 0.12, 0.21, "warning"), Driver("age", 0.02, 0.01)])
    >>> "look here first" in markup and "income" in markup
    True
    """
    known = [each for each in drivers if math.isfinite(each.importance) and math.isfinite(each.drift)]
    drifts = [max(each.drift, LEAST_DRIFT) for each in known]
    importances = [max(each.importance, LEAST_IMPORTANCE) for each in known]
    x = Log.over(drifts, [HEADROOM * each for each in drifts], [threshold / 2, threshold * 4])
    y = Log.over(importances, [HEADROOM * each for each in importances], [important / 2, important * 4])
    plot = Plot(height, gutter(tick_texts(y.ticks, "percent")))
    area = Area(0, height)
    corner = Area(area.top, area.y(y.at(important)))
    plot.rect(corner, x.at(threshold), 1, "f-alert-soft")
    _each_tick(plot, area, y, "percent")
    plot.vertical(x.at(threshold), area, "s-warning")
    plot.horizontal(corner.bottom, "s-chance")
    titles = [each.name for each in known]
    names = sorted(known, key=lambda each: (each.state not in ("alert", "warning"), -each.drift * each.importance))
    short = dict(zip(titles, shortened_apart(titles, 140, bold=True), strict=True))
    for each in names[::-1]:
        style = {"alert": "d-alert", "warning": "d-warning"}.get(each.state, "d-quiet")
        tooltip = f"{isolated(each.name)}: PSI {psi_text(each.drift)}, importance {percent(each.importance)}"
        place, level = x.at(max(each.drift, x.low)), area.y(y.at(max(each.importance, y.low)))
        plot.dot(place, level, style, radius=3 if style == "d-quiet" else 4, title=tooltip)
        if style != "d-quiet":
            plot.labels.keep_clear(place, level)
    corner_spots = [Spot(1, corner.bottom - 6, "end", -5), Spot(1, area.top + 12, "end", -5)]
    plot.label("look here first", *corner_spots, style="halo t-alert")
    for each in names[: MOST_QUIET + sum(each.state in ("alert", "warning") for each in known)]:
        place, top = x.at(max(each.drift, x.low)), area.y(y.at(max(each.importance, y.low)))
        spots = [
            Spot(place, top + 4, "start", 8),
            Spot(place, top + 4, "end", -8),
            Spot(place, top - 10, "middle"),
            Spot(place, top - 10, "end", 6),
            Spot(place, top - 10, "start", -6),
            Spot(place, top + 16, "middle"),
        ]
        inside = [spot for spot in spots if area.top + 9 <= spot.y <= area.bottom - 2]
        plot.label(short[each.name], *inside, style="halo", bold=each.state in ("alert", "warning"))
    if not known:
        plot.label("no importances are known", Spot(0.5, area.y(0.5) + 4, "middle"), style="halo")
    description = " ".join(
        f"{isolated(each.name[:120])}: PSI {psi_text(each.drift)}, {percent(each.importance)} of importance."
        for each in names[:8]
    )
    return _finished(plot, area, x, "PSI", title, description, "quadrant")


def _unit_chart(
    title: str,
    curves: Sequence[Curve],
    below: str,
    beside: str,
    height: float,
    *,
    kind: str,
    diagonal: str = "",
    base: float | None = None,
) -> str:
    plot, area = _unit_plot(height)
    plot.label(beside, Spot(0, -8, dx=0))
    plot.need(above=20)
    if diagonal:
        plot.curve(area, path([(0, area.height), (UNITS, 0)]), "s-chance")
        plot.label(diagonal, Spot(0.5, area.y(0.5) + 16, "start", 4), style="halo")
    if base is not None and math.isfinite(UNIT.at(base)):
        plot.horizontal(area.y(UNIT.at(base)), "s-chance")
        plot.label(f"guessing {percent(base)}", Spot(0, area.y(UNIT.at(base)) - 4, dx=4), style="halo")
    drawn = False
    for each in sorted(curves, key=lambda each: each.role == "now"):
        x, y = floats(each.x), floats(each.y)
        data = _stroke(area, UNIT, UNIT, x, y)
        drawn = drawn or bool(data)
        plot.curve(area, data, f"s-{each.role}")
    for each in curves:
        x, y = floats(each.x), floats(each.y)
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        spots = []
        for part in (0.5, 0.7, 0.3, 0.9):
            if known.size:
                index = int(known[int(part * (known.size - 1))])
                place, top = UNIT.at(float(x[index])), area.y(UNIT.at(float(y[index])))
                spots += [Spot(place, top + 16, "start", 6), Spot(place, top - 6, "end", -6)]
        inside = [spot for spot in spots if area.top + 9 <= spot.y <= area.bottom - 3]
        style = "halo t-quiet" if each.role == "reference" else f"halo t-{each.role}"
        plot.label(clipped(each.name, 200, bold=True), *inside, style=style, bold=True)
    if not drawn:
        plot.label("no scores with labels yet", Spot(0.5, area.y(0.5) - 10, "middle"), style="halo")
    description = "; ".join(f"{isolated(each.name[:120])}: {len(each.x)} points" for each in curves)
    return _finished(plot, area, UNIT, below, title, description, kind)


def _unit_plot(height: float) -> tuple[Plot, Area]:
    plot, area = Plot(height, gutter(tick_texts(UNIT.ticks)), 16), Area(0, height)
    plot.value_axis(area, UNIT)
    return plot, area


def _each_tick(plot: Plot, area: Area, scale: Scale, form: Format) -> None:
    """Ticks of a logarithmic scale: each with its own digits, 0.3 % and 10 %."""
    for tick in scale.ticks:
        y = area.y(scale.at(tick))
        plot.horizontal(y, "hair")
        plot.aside(tick_texts([tick], form)[0], y + 4)


def _stroke(area: Area, x: Scale, y: Scale, at: Floats, values: Floats) -> str:
    if len(at) > MOST_POINTS:
        kept = np.unique(np.linspace(0, len(at) - 1, MOST_POINTS).round().astype(np.intp))
        at, values = at[kept], values[kept]
    return path(zip((UNITS * x.all_at(at)).tolist(), (area.height * (1 - y.all_at(values))).tolist(), strict=True))


def _finished(plot: Plot, area: Area, x: Scale, below: str, title: str, description: str, kind: str) -> str:
    plot.value_axis_below(area, x, unit=below)
    return plot.svg(title, description, kind=kind)


def _to_the_last(scale: Linear, last: float) -> Linear:
    """Scale that ends with the data, not with a tick."""
    return Linear(scale.low, last, tuple(tick for tick in scale.ticks if tick <= last)) if last > scale.low else scale


def _unit_of_time(longest: float) -> tuple[float, str]:
    if longest >= 4 * _DAY:
        return _DAY, "days"
    return (_HOUR, "hours") if longest >= 2 * _HOUR else (60.0, "min")
