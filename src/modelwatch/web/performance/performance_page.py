"""Page with the performance of one model: over time, now against the reference, and how the labels come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from modelwatch.api.state import ServiceState
from modelwatch.charts.annotations import Event
from modelwatch.charts.drawing.labels import Moments
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import percent
from modelwatch.measures import metric_change, metric_interval, metric_name, metric_value
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.monitoring.checks.performance.report import MetricReport, unjudged_metrics
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.text import lookback
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.newest_verdicts import JudgedPerformance, judged_performance
from modelwatch.views.performance.stretch import PerformanceStretch, performance_stretch
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import moments, near, when
from modelwatch.web.frame.site import root_of, views_page
from modelwatch.web.frame.verdict import joined
from modelwatch.web.performance.charts import PerformanceCharts
from modelwatch.web.performance.lanes import PerformanceLanes, hours, step_for, usual_coverage
from modelwatch.web.performance.verdict import (
    COVERAGE,
    LABELS,
    STATES,
    PerformanceVerdict,
    loss_began,
    may_be_chance,
)

SUBJECTS = {LABELS: "Drift of the labels", COVERAGE: "Label coverage"}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A row of the table of metrics: texts, and the state of what is judged.

    may_be_chance: why a loss that would matter is no finding; empty for every other row.
    """

    name: str
    value: str
    interval: str
    reference: str
    change: str
    state: State | None
    may_be_chance: str = ""


@dataclass(frozen=True)
class PerformancePage:
    """Page on the performance of a stream. stretch: since the onset of what is open, else of the range."""

    of_model: ModelFrame
    stretch: PerformanceStretch
    judged: JudgedPerformance | None
    lanes: PerformanceLanes
    charts: PerformanceCharts
    words: PerformanceVerdict

    @property
    def about(self) -> str:
        """Subject of the charts over time."""
        parts = [f"{hours(self.lanes.history.step_seconds)} steps with 95 % intervals"]
        if self.stretch.task == "binary":
            parts.append(f"positive class: {self.stretch.positive_class}")
        return "; ".join(parts)

    @property
    def csv(self) -> str:
        """Way from the root to the charts over time as CSV."""
        address = self.of_model.api_address("performance.csv", with_segment=True)
        return f"{address}&step={self.lanes.history.step_seconds // 60}m"

    @property
    def span(self) -> str:
        """The stretch that values are of; empty where nothing has matured."""
        matured = self.stretch.matured
        if matured is None:
            return ""
        start, end = (when(each, self.of_model.now) for each in (matured.start, matured.end))
        return joined([near(start), near(end)], " to ")

    @property
    def is_judged(self) -> bool:
        """True where the table of metrics is that of the newest evaluation: not of a segment."""
        return self.judged is not None and self.judged.window is not None and self.stretch.segment is None

    @property
    def warnings(self) -> list[str]:
        """Reasons to distrust the figures, by the newest evaluation."""
        return [] if self.judged is None else self.judged.report.warnings

    @property
    def judged_span(self) -> str:
        """The window of the newest evaluation."""
        window = None if self.judged is None else self.judged.window
        if window is None:
            return self.span
        length = "" if window.lookback is None else f"{lookback(window.lookback)} "
        early = ", early" if self.words.early is not None else ""
        return joined([f"{length}to ", near(when(window.end, self.of_model.now)), early], "")

    @property
    def metrics(self) -> list[MetricRow]:
        """The metrics: of the newest evaluation, or of the stretch where that is not judged."""
        if self.is_judged and self.judged is not None and self.judged.window is not None:
            found = self.judged.window.metrics
            watched = [name for name in self.stretch.levels if name in found]
            return [_judged_row(name, found[name]) for name in watched]
        return self._of_stretch(list(self.stretch.levels))

    @property
    def other_metrics(self) -> list[MetricRow]:
        """Metrics that are not watched."""
        outcomes = self.stretch.outcomes
        names = () if outcomes is None else outcomes.metrics
        return self._of_stretch([name for name in names if name not in self.stretch.levels])

    def _of_stretch(self, names: Sequence[str]) -> list[MetricRow]:
        outcomes, known, changes = self.stretch.outcomes, self.stretch.reference, self.stretch.changes
        if outcomes is None:
            return []
        return [
            MetricRow(
                metric_name(name),
                metric_value(name, found.value),
                metric_interval(name, found),
                metric_value(name, None if known is None or name not in known.metrics else known.metrics[name].value),
                metric_change(name, None if name not in changes else changes[name].value, unit=False),
                None,
            )
            for name in names
            if (found := outcomes.metrics.get(name)) is not None
        ]

    @property
    def not_judged(self) -> list[tuple[str, str]]:
        """Subjects that are not judged, with the reasons."""
        found: list[tuple[str, str]] = []
        coming, delay = self.stretch.to_come, self.stretch.label_delay
        if coming is not None and coming.predictions and delay is not None and delay.labels:
            since = near(when(coming.start, self.of_model.now))
            usual = usual_coverage(delay, coming.coverage)
            so_far = "" if usual is None else f", {percent(usual)} is usual"
            so_far += f": most labels arrive within {hours(delay.lag_seconds)}"
            if delay.unknown is not None:
                so_far = f"; how late most labels are is not known yet: {delay.unknown}"
            share = percent(math.nan if coming.coverage is None else coming.coverage)
            found.append(
                (
                    joined(["Since ", since], ""),
                    f"{share} are labelled so far{so_far}.",
                )
            )
        if self.stretch.immature is not None and self.stretch.outcomes is not None:
            found.append((self.span, f"{self.stretch.immature}."))
        report = None if self.judged is None else self.judged.report
        for each in () if report is None else unjudged_metrics(report):
            names = [SUBJECTS.get(name, metric_name(name)) for name in each.subjects]
            found.append((", ".join(names) or f"{each.count:,} others", each.reason or ""))
        return found

    @property
    def expected(self) -> list[tuple[str, str]]:
        """Metrics that are expected without labels, with their intervals; and why there are none."""
        estimate = self.stretch.estimate
        if estimate is None:
            return []
        return [
            (metric_name(name), f"{metric_value(name, found.value)} ({metric_interval(name, found)})")
            for name, found in estimate.metrics.items()
            if found.value is not None
        ]


def _judged_row(name: str, found: MetricReport) -> MetricRow:
    return MetricRow(
        metric_name(name),
        metric_value(name, found.value),
        metric_interval(name, found),
        metric_value(name, found.reference),
        metric_change(name, found.change, unit=False),
        STATES.get(found.severity or "", "unknown"),
        (found.reason or "") if may_be_chance(found) else "",
    )


def read_page(state: ServiceState, of_model: ModelFrame, request: Request) -> PerformancePage | None:
    """The page of the stream that is shown; None where the model has sent nothing."""
    stream = of_model.stream
    if stream is None:
        return None
    root = root_of(request)
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
        # Labels come after their predictions: where the newest data are shown, so is the newest evaluation of them.
        until = of_model.end if of_model.selection.end is not None else of_model.now // MICROS_PER_SECOND
        judged = judged_performance(connection, stream, max(until, of_model.end))
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    segment = of_model.selection.segment_text
    began = loss_began(of_model)
    since = of_model.start if began is None or began >= of_model.end else began
    stretch = performance_stretch(state.store, rules, StretchQuery(stream, since, of_model.end, segment))
    step = step_for(of_model.start, of_model.end)
    start = of_model.start - of_model.start % step
    history = performance_history(state.store, stream, start, of_model.end, step, rules=rules, segment=segment)
    words = PerformanceVerdict(of_model, stretch, judged, root)
    events = [] if began is None else [Event(began, *_onset_text(words))]
    lanes = PerformanceLanes(history, stretch, (start, of_model.end), events, words.worst)
    return PerformancePage(of_model, stretch, judged, lanes, PerformanceCharts(stretch, _shifted_class(judged)), words)


def _shifted_class(judged: JudgedPerformance | None) -> str | None:
    """The class whose odds among the labels decided in the newest evaluation; None where none did."""
    window = None if judged is None else judged.window
    drift = None if window is None else window.label_drift
    return drift.odds_class if drift is not None and isinstance(drift.odds_class, str) else None


def _onset_text(words: PerformanceVerdict) -> tuple[str, Literal["since"], Moments]:
    """Short text on its onset and its detection, as an event has it."""
    named = [] if words.began is None else [("began", words.began)]
    named += [] if words.told is None else [("found", when(words.told.detected_at, words.of_model.now))]
    text = ", ".join(f"{word} {at.short}" for word, at in named)
    return text, "since", moments(*(at for _, at in named))


ROUTES = (
    views_page(
        "performance",
        "performance/performance.html",
        read_page,
        lambda of_model: of_model.api_address("performance/stretch", with_segment=True),
    ),
)
