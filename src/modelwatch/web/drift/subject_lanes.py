"""One subject over time as lanes of one time axis: PSI, values or shares, cells against the reference, and rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from modelwatch.charts.annotations import Event, Level, Span
from modelwatch.charts.bars import SHARES_GUTTER, Stack, bar_chart, change_class, share_chart
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import RIGHT, gutter
from modelwatch.charts.drawing.tables import TIME, table
from modelwatch.charts.heatmap import HeatRow, heatmap
from modelwatch.charts.histogram import cell_names
from modelwatch.charts.lines import line_chart, quantile_fan
from modelwatch.charts.series import Series
from modelwatch.charts.timeline import Lane, lanes
from modelwatch.measures import chance, psi_text
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.drift.subject_series import SeriesStep, SubjectSeries
from modelwatch.web.frame.rendering import drawn, microseconds

PSI_HEIGHT, VALUES_HEIGHT, SHARES_HEIGHT, RATE_HEIGHT = 130.0, 110.0, 180.0, 26.0
MOST_CATEGORIES = 9
# Quantiles so many times apart are drawn on a logarithmic scale.
FAR_APART = 10.0
STATES: dict[str | None, State] = {
    "alert": "alert",
    "warning": "warning",
    "shifted": "shifted",
    "stable": "stable",
    "insufficient_data": "unknown",
    "no_reference": "unknown",
    "no_data": "no_data",
}


@dataclass(frozen=True)
class SubjectLanes:
    """Lanes of a subject. times: start and end in seconds. named: categories that are drawn, however rare they are."""

    series: SubjectSeries
    times: tuple[int, int]
    events: Sequence[Event]
    named: Collection[str] = ()

    @cached_property
    def markup(self) -> Markup:
        """The lanes; empty without a reference, or without steps."""
        reference = self.series.reference
        if reference is None or not self.series.steps:
            return Markup("")
        rows: list[Callable[[bool], Lane]] = [self._psi]
        if self.series.feature_type == "categorical":
            rows.append(self._shares)
        else:
            rows += [self._values, self._cells]
        rows += self._rates()
        last = len(rows) - 1
        return drawn(lanes([make(place == last) for place, make in enumerate(rows)]))

    @property
    def numbers(self) -> Markup:
        """The lanes as a table, newest first."""
        quantiles = [f"{percent(share)}" for share in self.series.quantile_shares]
        columns = [TIME, "values", "PSI", "p", *quantiles, "missing", "invalid", "unseen", "out of range"]
        rows = [
            [
                each.start,
                f"{each.n:,}",
                psi_text(each.psi),
                chance(each.p_value),
                *(number(_known(value)) for value in each.quantiles or [None] * len(quantiles)),
                *(
                    percent(_known(rate))
                    for rate in (each.missing_rate, each.invalid_rate, each.unseen_rate, each.out_of_range_rate)
                ),
            ]
            for each in reversed(self.series.steps)
        ]
        return drawn(table(f"{self.series.feature_name} over time", columns, rows))

    @property
    def _left(self) -> int:
        reference = self.series.reference
        assert reference is not None, "used where it is there"
        names = self._cell_names if self.series.feature_type != "categorical" else []
        return gutter(["100.0 %", *names], most=112)

    @property
    def _right(self) -> int:
        """Shares have their names beside them."""
        return SHARES_GUTTER if self.series.feature_type == "categorical" else RIGHT

    @property
    def _cell_names(self) -> list[str]:
        assert self.series.reference is not None, "used where it is there"
        return cell_names(self.series.reference.edges)

    @property
    def _begins(self) -> list[int]:
        # A window longer than its step is shown at the step.
        return [max(_seconds(each.start), _seconds(each.end) - self._length(each)) for each in self.series.steps]

    def _length(self, step: SeriesStep) -> int:
        whole = _seconds(step.end) - _seconds(step.start)
        return whole if self.series.window_seconds == self.series.step_seconds else self.series.step_seconds

    def _psi(self, axis: bool) -> Lane:
        steps = self.series.steps
        # A step with few values is allowed more; the lines are those of whole steps.
        limits = [(each.psi_alert, each.psi_warning) for each in steps if each.psi_alert and each.psi_warning]
        levels = []
        if limits:
            alert, warning = min(limits)
            levels.append(Level(alert, f"alert from {number(alert)}", "alert"))
            if warning < alert:
                levels.append(Level(warning, f"warning from {number(warning)}", "warning"))
        # What holds too little is chance: it would set the scale.
        values = [_known(each.psi) if each.severity != "insufficient_data" else math.nan for each in steps]
        chart = line_chart(
            f"PSI of {self.series.feature_name} over time",
            self.times,
            [Series("PSI", self._begins, values, self.series.step_seconds, area=True)],
            levels=levels,
            events=self.events,
            spans=self._spans(),
            height=PSI_HEIGHT,
            left=self._left,
            right=self._right,
            axis=axis,
        )
        newest = next((each for each in reversed(steps) if each.psi is not None), None)
        return Lane(
            "PSI",
            chart,
            "each step compared with the reference",
            "" if newest is None else psi_text(newest.psi),
            "last step" if newest is steps[-1] else "last step with values",
            None if newest is None else STATES.get(newest.severity),
        )

    def _spans(self) -> list[Span]:
        if self.series.alpha is None:
            return []
        found = []
        placed = zip(self._begins, self.series.steps, strict=True)
        for severity, some in itertools.groupby(placed, key=lambda each: each[1].severity):
            run = list(some)
            found.append(Span(run[0][0], _seconds(run[-1][1].end), STATES.get(severity, "unknown")))
        return found

    def _values(self, axis: bool) -> Lane:
        reference = self.series.reference
        assert reference is not None, "used where it is there"
        columns = [[_known(each.quantiles[place]) for each in self.series.steps] for place in range(5)]
        usual = [_known(each) for each in reference.quantiles]
        logarithmic = usual[0] > 0.0 and usual[4] / usual[0] > FAR_APART and _least(columns) > 0.0
        chart = quantile_fan(
            f"Values of {self.series.feature_name} over time",
            self.times,
            self._begins,
            columns,
            reference=usual,
            step=self.series.step_seconds,
            logarithmic=logarithmic,
            events=self.events,
            height=VALUES_HEIGHT,
            left=self._left,
            flags=False,
            axis=axis,
        )
        newest = next((each for each in reversed(self.series.steps) if each.n), None)
        median = math.nan if newest is None else _known(newest.quantiles[2])
        beyond = " beyond its range" if newest is not None and math.isnan(median) else ""
        return Lane(
            "Values",
            chart,
            "median, middle half, 5 to 95 %; grey: reference",
            number(median),
            f"median{beyond}, was {number(usual[2])}",
        )

    def _cells(self, axis: bool) -> Lane:
        reference = self.series.reference
        assert reference is not None, "used where it is there"
        names = self._cell_names
        rows = [
            HeatRow(
                names[cell],
                [
                    change_class(each.shares[cell], reference.shares[cell]) if each.n else None
                    for each in self.series.steps
                ],
                values=[each.shares[cell] if each.n else math.nan for each in self.series.steps],
                n=[each.n for each in self.series.steps],
            )
            for cell in reversed(range(len(names)))
        ]
        chart = heatmap(
            f"Cells of {self.series.feature_name} against the reference",
            self.times,
            rows,
            start=self._begins[0],
            step=self.series.step_seconds,
            events=self.events,
            names=self._left,
            readings=8,
            flags=False,
            axis=axis,
            form="percent",
        )
        return Lane("Cells", chart, "compared with the reference; brown: more, green: fewer")

    def _shares(self, axis: bool) -> Lane:
        reference = self.series.reference
        assert reference is not None, "used where it is there"
        # Those that are named, and the largest of the reference or of now; the others together.
        most = [
            max(reference.shares[cell], *(each.shares[cell] for each in self.series.steps))
            for cell in range(len(reference.cells))
        ]
        used = [cell for cell in range(len(most)) if most[cell] > 0]
        ranked = sorted(used, key=lambda cell: (reference.cells[cell] not in self.named, -most[cell], cell))
        shown = sorted(ranked[:MOST_CATEGORIES], key=lambda cell: -reference.shares[cell])
        rest = ranked[MOST_CATEGORIES:]
        parts = [(reference.cells[cell], [cell]) for cell in shown]
        if rest:
            parts.append((f"{len(rest)} others", rest))
        chart = share_chart(
            f"Shares of {self.series.feature_name} over time",
            self.times,
            self._begins,
            [
                (name, [sum(each.shares[cell] for cell in cells) if each.n else math.nan for each in self.series.steps])
                for name, cells in parts
            ],
            self.series.step_seconds,
            reference=[sum(reference.shares[cell] for cell in cells) for _, cells in parts],
            events=self.events,
            height=SHARES_HEIGHT,
            left=self._left,
            flags=False,
            axis=axis,
        )
        return Lane("Shares", chart, "brown: more than in the reference, green: fewer")

    def _rates(self) -> list[Callable[[bool], Lane]]:
        """Those that are not 0 all the time."""
        reference, steps = self.series.reference, self.series.steps
        assert reference is not None, "used where it is there"
        total = reference.n + reference.missing + reference.invalid
        given = reference.n + reference.invalid
        found: list[tuple[str, list[float | None], float]] = []
        if reference.missing or any(each.missing for each in steps):
            usual = reference.missing / total if total else math.nan
            found.append(("Missing", [each.missing_rate for each in steps], usual))
        if any(each.invalid for each in steps):
            usual = reference.invalid / given if given else math.nan
            found.append(("Invalid", [each.invalid_rate for each in steps], usual))
        if any(each.unseen for each in steps):
            found.append(("Unseen", [each.unseen_rate for each in steps], 0.0))
        if any(each.below_range or each.above_range for each in steps):
            found.append(("Out of range", [each.out_of_range_rate for each in steps], 0.0))
        return [self._rate(*each) for each in found]

    def _rate(self, title: str, rates: Sequence[float | None], usual: float) -> Callable[[bool], Lane]:
        def make(axis: bool) -> Lane:
            values = [_known(each) for each in rates]
            chart = bar_chart(
                f"{title} values of {self.series.feature_name} over time",
                self.times,
                self._begins,
                [Stack(title.lower(), values, "f-now")],
                self.series.step_seconds,
                events=self.events,
                form="percent",
                height=RATE_HEIGHT,
                left=self._left,
                right=self._right,
                flags=False,
                axis=axis,
            )
            newest = next((each for each in reversed(values) if not math.isnan(each)), math.nan)
            return Lane(title, chart, "", percent(newest), f"was {percent(usual)}")

        return make


def _known(value: float | None) -> float:
    return math.nan if value is None else value


def _least(columns: Sequence[Sequence[float]]) -> float:
    known = [value for column in columns for value in column if not math.isnan(value)]
    return min(known, default=math.nan)


def _seconds(iso: str) -> int:
    return microseconds(iso) // MICROS_PER_SECOND
