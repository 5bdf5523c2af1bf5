"""Lanes of a model's overview on one time axis: volume, drift by subject, the main metric, quality and latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.charts.annotations import Event
from modelwatch.charts.bars import Stack, bar_chart
from modelwatch.charts.drawing.marks import State, key
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import Area, Plot
from modelwatch.charts.drawing.scales import Time
from modelwatch.charts.drawing.tables import TIME, table
from modelwatch.charts.heatmap import HeatRow, heat_class, heatmap
from modelwatch.charts.lines import line_chart
from modelwatch.charts.series import Role, Series
from modelwatch.charts.timeline import EventMark, Lane, event_marks, lanes
from modelwatch.measures import psi_text
from modelwatch.storage.verdicts.headlines import Reading
from modelwatch.text import clipped
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.drift.series import DriftLine, DriftSeries
from modelwatch.views.drift.subject_series import SubjectSeries
from modelwatch.views.models.events import EventKind, EventLine
from modelwatch.views.quality.volume import VolumeSeries
from modelwatch.web.frame.rendering import When, drawn, microseconds, name, when
from modelwatch.web.performance.lanes import LEFT, hours

VOLUME_HEIGHT, LOW_HEIGHT = 56.0, 34.0
# Rows of features of their own; the others are one row.
FEATURES_SHOWN = 6
OWN_NAMES = {"prediction": "prediction", "score": "score", "latency": "latency"}
CELL_STATES: dict[str, State] = {"alert": "alert", "warning": "warning", "shifted": "shifted", "stable": "stable"}
RANKS = ("alert", "warning", "shifted", "stable")
KEY = (
    ("h0 h1 h2 h3", "PSI without finding"),
    ("hs", "shifted"),
    ("hw", "warning"),
    ("ha hb hc", "alert"),
    ("hu", "not judged"),
)
# Letter and word of each kind of event.
EVENTS: dict[EventKind, tuple[str, str]] = {
    "version_first_seen": ("V", "new version"),
    "reference_set": ("R", "new reference"),
    "monitor_changed": ("M", "monitor changed"),
    "alert_opened": ("A", "alert opened"),
    "alert_resolved": ("✓", "alert resolved"),
}
LONGEST_ACTOR = 60


@dataclass(frozen=True, slots=True)
class HappenedEvent:
    """Event of a model, with its moment."""

    line: EventLine
    at: When

    @classmethod
    def of(cls, line: EventLine, now: int) -> HappenedEvent:
        """now: microseconds."""
        return cls(line, when(line.at, now))

    @property
    def seconds(self) -> int:
        """Seconds since 1970."""
        return microseconds(self.line.at) // MICROS_PER_SECOND

    @property
    def letter(self) -> str:
        """Mark on the time axis."""
        return EVENTS[self.line.kind][0]

    @property
    def state(self) -> State | None:
        """Severity of an alert that begins."""
        return self.line.severity if self.line.kind == "alert_opened" else None

    @property
    def text(self) -> str:
        """Sentence on it, without its time."""
        words = {"alert_opened": "Alert: ", "alert_resolved": "Resolved: "}
        who = f", by {clipped(self.line.actor, LONGEST_ACTOR)}" if self.line.actor else ""
        return f"{words.get(self.line.kind, '')}{self.line.title}{who}"


@dataclass(frozen=True, slots=True)
class OverviewLanes:
    """Lanes over [start, end) in seconds. of_performance: its lanes, ready made. events: lines through all lanes.
    happened: what else happened, the newest first. found: the state of each subject that is in an open alert, by name.
    ways: addresses of the subjects' pages, by name, where there are such pages."""

    times: tuple[int, int]
    volume: VolumeSeries
    drift: DriftSeries | None
    of_performance: Sequence[Lane]
    quality: Sequence[Reading]
    latency: SubjectSeries | None
    events: Sequence[Event]
    happened: Sequence[HappenedEvent]
    found: Mapping[str, State]
    ways: Mapping[str, str]

    @property
    def markup(self) -> Markup:
        rows = [*self._happened(), self._volume(), *self._drift(), *self.of_performance]
        rows += [each for each in (self._quality(), self._latency()) if each is not None]
        rows.append(Lane("", self._axis(), close=True))
        return drawn(lanes(rows))

    @property
    def key(self) -> Markup:
        """Key to the colours of the drift; empty without any."""
        return drawn(key(KEY)) if self.drift is not None and self.drift.subjects else Markup("")

    @property
    def _silent(self) -> list[Event]:
        return [Event(each.at, "", each.kind) for each in self.events]

    def _happened(self) -> list[Lane]:
        """The lane of events; none without any."""
        if not self.happened:
            return []
        marks = [EventMark(each.seconds, each.letter, each.line.title, each.state) for each in self.happened]
        chart = event_marks("Versions, references, changes and alerts over time", self.times, marks, left=LEFT)
        return [Lane("Events", chart)]

    @property
    def letters(self) -> list[tuple[str, str]]:
        """Letters of the events that are shown, with what they stand for."""
        shown = {each.line.kind for each in self.happened}
        return [(letter, word) for kind, (letter, word) in EVENTS.items() if kind in shown]

    def _volume(self) -> Lane:
        steps = self.volume.steps
        starts = [microseconds(each.start) // MICROS_PER_SECOND for each in steps]
        usual = None
        if any(each.low is not None for each in steps):
            usual = [_known(each.low) for each in steps], [_known(each.high) for each in steps]
        chart = bar_chart(
            "Predictions over time",
            self.times,
            starts,
            [Stack("predictions", [each.predictions for each in steps])],
            self.volume.step_seconds,
            usual=usual,
            events=self.events,
            height=VOLUME_HEIGHT,
            left=LEFT,
            axis=False,
        )
        total = sum(each.predictions for each in steps)
        remark = "" if usual is not None else "usual range not known yet"
        return Lane("Volume", chart, f"predictions in {hours(self.volume.step_seconds)}", number(total), remark)

    def _drift(self) -> list[Lane]:
        if self.drift is None or not self.drift.subjects:
            return []
        window = hours(self.drift.window_seconds)
        features = sorted((each for each in self.drift.subjects if each.kind == "feature"), key=self._rank)
        own = [each for each in self.drift.subjects if each.kind != "feature"]
        shown = features[:FEATURES_SHOWN]
        if len(features) > FEATURES_SHOWN:
            shown = [each for each in features if each.feature_name in self.found][:FEATURES_SHOWN]
        rest = features[len(shown) :]
        rows = [self._subject(each, f"PSI, {window}" if not place else "") for place, each in enumerate(shown)]
        if rest:
            word = "features" if not shown else "other features" if len(rest) > 1 else "other feature"
            rows.append(self._others(rest, f"{len(rest):,} {word}"))
        return [*rows, *(self._subject(each, "") for each in own)]

    def _rank(self, line: DriftLine) -> tuple[bool, float]:
        known = [each for each in line.psi if each is not None]
        return line.feature_name not in self.found, -(known[-1] if known else 0.0)

    def _subject(self, line: DriftLine, remark: str) -> Lane:
        cells = [
            None if severity == "no_data" else heat_class(_known(psi), CELL_STATES.get(severity, "unknown"))
            for psi, severity in zip(line.psi, line.severity, strict=True)
        ]
        last = next((each for each in reversed(line.psi) if each is not None), None)
        title = name(line.feature_name)
        return Lane(
            title,
            self._strip(f"PSI of {title}", cells, [_known(each) for each in line.psi], line.n),
            reading="" if last is None else psi_text(last),
            remark=remark,
            state=self.found.get(line.feature_name),
            way=self.ways.get(line.feature_name, ""),
            close=True,
        )

    def _others(self, lines: Sequence[DriftLine], title: str) -> Lane:
        cells: list[str | None] = []
        largest: list[float] = []
        last: float | None = None
        for place in range(len(lines[0].psi)):
            judged = [
                (RANKS.index(each.severity[place]), -_known(each.psi[place]))
                for each in lines
                if each.severity[place] in RANKS and each.psi[place] is not None
            ]
            largest.append(math.nan if not judged else -min(judged)[1])
            if judged:
                rank, psi = min(judged)
                last = -psi
                cells.append(heat_class(-psi, CELL_STATES[RANKS[rank]]))
            else:
                cells.append(None if all(each.severity[place] == "no_data" for each in lines) else "hu")
        return Lane(
            title,
            self._strip(f"Largest PSI of {title}", cells, largest),
            reading=psi_text(last),
            remark="not judged" if last is None else "worst",
            close=True,
        )

    def _strip(self, title: str, cells: Sequence[str | None], values: Sequence[float], n: Sequence[int] = ()) -> str:
        assert self.drift is not None, "used where it is there"
        return heatmap(
            title,
            self.times,
            [HeatRow("", cells, values=values, n=n)],
            start=self._first,
            step=self.drift.step_seconds,
            events=self._silent,
            names=LEFT,
            readings=8,
            flags=False,
            axis=False,
            margin=2,
        )

    @property
    def _first(self) -> float:
        assert self.drift is not None, "used where it is there"
        if self.drift.end is None:
            return float(self.times[0])
        # A step stands at its end, for any look-back.
        end = microseconds(self.drift.end) // MICROS_PER_SECOND
        return end - len(self.drift.steps) * self.drift.step_seconds

    def _quality(self) -> Lane | None:
        known = [each for each in self.quality if each.value is not None]
        if not known:
            return None
        step = self.volume.step_seconds
        series = Series(
            "values with issues", [each.start for each in known], [_known(each.value) for each in known], step
        )
        chart = line_chart(
            "Share of values with issues over time",
            self.times,
            [series],
            events=self._silent,
            form="percent",
            height=LOW_HEIGHT,
            left=LEFT,
            flags=False,
            axis=False,
        )
        state = known[-1].severity
        return Lane(
            "Values with issues",
            chart,
            "of all features",
            percent(_known(known[-1].value)),
            "a rule is broken" if state else "no rule broken",
            "alert" if state == "alert" else "warning" if state == "warning" else None,
        )

    def _latency(self) -> Lane | None:
        found = self.latency
        if found is None or not any(any(each.quantiles) for each in found.steps):
            return None
        places = [found.quantile_shares.index(share) for share in (0.5, 0.95) if share in found.quantile_shares]
        starts = [microseconds(each.end) // MICROS_PER_SECOND - found.step_seconds for each in found.steps]
        names: Sequence[tuple[str, Role]] = (("median", "now"), ("95 %", "quiet"))
        series = [
            Series(
                names[at][0],
                starts,
                [_known(each.quantiles[place]) if each.quantiles else math.nan for each in found.steps],
                found.step_seconds,
                role=names[at][1],
            )
            for at, place in enumerate(places)
        ]
        chart = line_chart(
            "Latency over time",
            self.times,
            series,
            events=self._silent,
            height=LOW_HEIGHT,
            left=LEFT,
            flags=False,
            axis=False,
            named=False,
        )
        last = [
            next((value for value in reversed(list(each.values)) if math.isfinite(value)), math.nan) for each in series
        ]
        reading = f"{number(last[0])}\u00a0ms" if last and math.isfinite(last[0]) else "–"
        remark = f"95 %: {number(last[1])}\u00a0ms" if len(last) > 1 and math.isfinite(last[1]) else ""
        return Lane("Latency", chart, "median and 95 %, ms", reading, remark)

    def _axis(self) -> str:
        """The time axis below all lanes."""
        x, plot = Time.over(*self.times), Plot(0, LEFT)
        plot.time_axis(Area(0, 0), x)
        return plot.svg("Time axis", "", kind="axis")

    @property
    def numbers(self) -> Markup:
        """Volume and PSI as a table, the newest first."""
        drift = self.drift
        shown = [] if drift is None else sorted(drift.subjects, key=self._rank)[:8]
        by_end = {} if drift is None else {each.end: place for place, each in enumerate(drift.steps)}
        rows = [
            [
                each.start,
                number(each.predictions),
                *(_cell(line, by_end.get(each.end)) for line in shown),
            ]
            for each in reversed(self.volume.steps)
        ]
        columns = [TIME, "predictions", *(f"PSI {name(line.feature_name)}" for line in shown)]
        return drawn(table("Over time", columns, rows))


def _cell(line: DriftLine, place: int | None) -> str:
    return psi_text(None if place is None else line.psi[place])


def _known(value: float | None) -> float:
    return math.nan if value is None else value
