"""Data quality over time: volume, the rates that rose most, repeats, and every rule that is broken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from modelwatch.charts.annotations import Event, Level
from modelwatch.charts.bars import Stack, bar_chart
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import gutter
from modelwatch.charts.drawing.tables import TIME, table
from modelwatch.charts.heatmap import HeatRow, heatmap
from modelwatch.charts.lines import line_chart
from modelwatch.charts.series import Series
from modelwatch.charts.timeline import Lane, lanes
from modelwatch.measures import RULE_NAMES
from modelwatch.monitoring.checks.quality.report import QualityReport, RateReport
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.quality.series import QualitySeries, RuleRates
from modelwatch.views.quality.volume import VolumeSeries
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import drawn, microseconds, moments, name, when
from modelwatch.web.performance.lanes import hours
from modelwatch.web.quality.words import STATES

MOST_BARS = 2_000

LEFT = gutter(["100.00 %"])
HEIGHT, VOLUME_HEIGHT = 64.0, 96.0
MOST_LANES, MOST_ROWS, MOST_NUMBERS = 8, 60, 500
# Rises of a rate between the steps of the ramp.
RISES = (0.002, 0.02, 0.1)
FOUND = ("alert", "warning")

Ranked = tuple[str, RuleRates, RateReport | None]


@dataclass(frozen=True)
class QualityCharts:
    """Charts of a stream's data quality. report: None before the first evaluation. began: when what is wrong began, as
    an RFC 3339 text; None while nothing is."""

    of_model: ModelFrame
    series: QualitySeries
    volume: VolumeSeries
    report: QualityReport | None
    began: str | None

    @property
    def _times(self) -> tuple[float, float]:
        return float(self.of_model.start), float(self.of_model.end)

    @property
    def _events(self) -> list[Event]:
        if self.began is None:
            return []
        found = when(self.began, self.of_model.now)
        at = microseconds(self.began) / MICROS_PER_SECOND
        return [Event(at, f"began {found.short}", "since", moments(found))]

    @cached_property
    def _starts(self) -> list[int]:
        return [microseconds(each.start) // MICROS_PER_SECOND for each in self.series.steps]

    @cached_property
    def ranked(self) -> list[Ranked]:
        """Features and rules that are ever broken: those that are found first, then by how far a rate has risen."""
        report = self.report
        judged = {
            (feature.feature_name, rule.rule): rule
            for feature in (report.features if report else ())
            for rule in feature.rules
        }
        found = [
            (feature.feature_name, rule, judged.get((feature.feature_name, rule.rule)))
            for feature in self.series.features
            for rule in feature.rules
            if any(rule.rates)
        ]

        def rank(each: Ranked) -> tuple[bool, bool, float, str]:
            severity = "" if each[2] is None else each[2].severity
            return severity != "alert", severity != "warning", -_rise(each[1]), each[0]

        return sorted(found, key=rank)

    @property
    def over_time(self) -> Markup:
        """Volume, the rates that rose most, and repeats, as lanes of one time axis."""
        rates = [each for each in self.ranked if _rise(each[1]) > 0.0][:MOST_LANES]
        repeats = any(each.duplicates for each in self.series.steps)
        rows = [self._volume(axis=not rates and not repeats)]
        for place, (feature, rule, judged) in enumerate(rates):
            rows.append(self._rate(feature, rule, judged, axis=place == len(rates) - 1 and not repeats))
        if repeats:
            rows.append(self._repeats())
        return drawn(lanes(rows))

    def _volume(self, *, axis: bool) -> Lane:
        steps, volume = self.volume.steps, self.volume
        starts, predictions = even_bars(volume)
        # What is usual is known of steps that are stored as they are shown.
        known = any(each.usual is not None for each in steps) and len(starts) == len(steps)
        usual = ([_of(each.low) for each in steps], [_of(each.high) for each in steps]) if known else None
        chart = bar_chart(
            "Predictions, with the usual range of that hour",
            self._times,
            starts,
            [Stack("predictions", predictions)],
            volume.step_seconds,
            usual=usual,
            events=self._events,
            height=VOLUME_HEIGHT,
            left=LEFT,
            axis=axis,
        )
        total = sum(each.predictions for each in steps)
        remark = "usual range of that hour in blue" if known else "usual range not known yet"
        return Lane("Volume", chart, f"predictions in {hours(volume.step_seconds)}", number(total), remark)

    def _rate(self, feature: str, rule: RuleRates, judged: RateReport | None, *, axis: bool) -> Lane:
        levels = (
            []
            if rule.reference_rate is None
            else [Level(rule.reference_rate, f"reference {percent(rule.reference_rate)}")]
        )
        state = None if judged is None else STATES.get(judged.severity, "unknown")
        if (
            judged is not None
            and judged.alert_threshold is not None
            and rule.reference_rate is not None
            and state in ("alert", "warning")
        ):
            limit = rule.reference_rate + judged.alert_threshold
            if limit <= 1.0:
                levels.append(Level(limit, f"alert from {percent(limit)}", "alert"))
        series = Series(
            RULE_NAMES.get(rule.rule, rule.rule),
            self._starts,
            [_of(each) for each in rule.rates],
            self.series.step_seconds,
        )
        chart = line_chart(
            f"{feature}: {RULE_NAMES.get(rule.rule, rule.rule)}",
            self._times,
            [series],
            levels=levels,
            events=self._events,
            form="percent",
            height=HEIGHT,
            left=LEFT,
            flags=False,
            axis=axis,
        )
        now = next((each for each in reversed(rule.rates) if each is not None), None)
        reading = percent(_of(now))
        return Lane(name(feature), chart, RULE_NAMES.get(rule.rule, rule.rule), reading, "in the last step", state)

    def _repeats(self) -> Lane:
        steps = self.series.steps
        chart = bar_chart(
            "Repeated predictions",
            self._times,
            self._starts,
            [
                Stack("the same", [float(each.duplicates - each.changed_duplicates) for each in steps]),
                Stack("with different content", [float(each.changed_duplicates) for each in steps], "f-alert"),
            ],
            self.series.step_seconds,
            events=self._events,
            height=HEIGHT,
            left=LEFT,
            flags=False,
        )
        total, changed = (sum(getattr(each, field) for each in steps) for field in ("duplicates", "changed_duplicates"))
        return Lane("Duplicates", chart, "sent again", number(total), f"{number(changed)} with different content")

    @cached_property
    def heat(self) -> Markup:
        """Every rule that is ever broken, over time; darker is a larger rise over the reference."""
        shown = self.ranked[:MOST_ROWS]
        rules = list(dict.fromkeys(rule.rule for _, rule, _ in shown))
        n = [each.predictions for each in self.series.steps]
        rows = []
        for name_of_rule in rules:
            heading = RULE_NAMES.get(name_of_rule, name_of_rule)
            for feature, rule, judged in shown:
                if rule.rule != name_of_rule:
                    continue
                rows.append(
                    HeatRow(
                        feature,
                        [_heat(rate, rule.reference_rate) for rate in rule.rates],
                        percent(max((each for each in rule.rates if each is not None), default=math.nan)),
                        None if judged is None or judged.severity not in FOUND else STATES[judged.severity],
                        heading,
                        [_of(rate) for rate in rule.rates],
                        n,
                    )
                )
                heading = ""
        if not rows:
            return Markup("")
        starts = self._starts
        return drawn(
            heatmap(
                "Rates of values with issues over time",
                self._times,
                rows,
                start=float(starts[0]),
                step=float(self.series.step_seconds),
                events=self._events,
                names=160,
                flags=False,
                form="percent",
            )
        )

    @property
    def numbers(self) -> Markup:
        """The rates as a table, newest first."""
        shown = self.ranked[:MOST_LANES]
        columns = [
            TIME,
            "predictions",
            "duplicates",
            *(f"{feature}, {RULE_NAMES.get(rule.rule, rule.rule)}" for feature, rule, _ in shown),
        ]
        rows = [
            [
                step.start,
                number(step.predictions),
                number(step.duplicates),
                *(percent(_of(rule.rates[place])) for _, rule, _ in shown),
            ]
            for place, step in reversed(list(enumerate(self.series.steps)))
        ]
        return drawn(table("Rates over time", columns, rows[:500]))


def _rise(rule: RuleRates) -> float:
    known = [each for each in rule.rates if each is not None]
    return max(known, default=0.0) - (rule.reference_rate or 0.0)


def _heat(rate: float | None, reference: float | None) -> str | None:
    if rate is None:
        return None
    rise = rate - (reference or 0.0)
    return ("h0", "h1", "h2", "h3")[sum(rise >= bound for bound in RISES)]


def _of(value: float | None) -> float:
    return math.nan if value is None else float(value)


def even_bars(volume: VolumeSeries) -> tuple[Sequence[int], Sequence[float]]:
    """Starts of the bars, in seconds, and their predictions; a longer step is divided evenly among its bars.

    >>> from modelwatch.views.quality.volume import VolumeStep
    >>> steps = [VolumeStep("1970-01-01T00:00:00Z", "1970-01-01T02:00:00Z", 10)]
    >>> even_bars(VolumeSeries("m", None, "production", None, None, 3600, 0, steps, None))
    ([0, 3600], [5.0, 5.0])
    """
    starts: list[int] = []
    values: list[float] = []
    for each in volume.steps:
        start, end = (microseconds(at) // MICROS_PER_SECOND for at in (each.start, each.end))
        bars = max(1, round((end - start) / volume.step_seconds))
        if len(starts) + bars > MOST_BARS:
            bars = 1
        starts += [start + place * volume.step_seconds for place in range(bars)]
        values += [each.predictions / bars] * bars
    return starts, values
