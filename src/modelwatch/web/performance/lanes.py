"""Performance over time as lanes of one time axis: each metric with its interval and thresholds, and its labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from modelwatch.charts.annotations import Event, Level
from modelwatch.charts.bars import Stack, bar_chart
from modelwatch.charts.drawing.numbers import number, percent
from modelwatch.charts.drawing.plot import gutter
from modelwatch.charts.drawing.tables import TIME, table
from modelwatch.charts.lines import line_chart
from modelwatch.charts.series import Series
from modelwatch.charts.timeline import Lane, lanes
from modelwatch.measures import metric_form, metric_interval, metric_name, metric_value
from modelwatch.monitoring.checks.performance.history import PerformanceHistory
from modelwatch.monitoring.checks.performance.report import LabelledWindowReport, MetricReport
from modelwatch.text import clipped
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.performance.stretch import LabelDelay, MetricLevels, PerformanceStretch
from modelwatch.web.frame.rendering import drawn, microseconds

LONGEST_CLASS = 24
EXPLAINED = {
    "accuracy": "share of correct predictions",
    "precision": "of those predicted as {positive}",
    "recall": "of all that are labelled {positive}",
    "f1": "of precision and recall",
    "roc_auc": "ranking of the scores",
    "pr_auc": "ranking of the scores",
    "log_loss": "lower is better",
    "brier": "lower is better",
    "mae": "mean absolute error",
    "rmse": "large errors count more",
    "mean_error": "prediction minus label",
    "mape": "absolute error, relative to the label",
    "f1_macro": "mean over the classes",
}

HEIGHT, FIRST_HEIGHT, MAIN_HEIGHT, LABELS_HEIGHT = 96.0, 180.0, 120.0, 34.0
# Wide enough for the ticks of every metric.
LEFT = gutter(["100.00 %"])
MOST_LANES = 6
# A share of predictions that get a label is not believed where it is less than this part of the share that has come.
PLAUSIBLE_COVERAGE = 0.5
# How far beyond the mature values and the thresholds, of their range, an immature value is drawn.
REACH = 1.0
# A range is divided into so many stretches at most.
MOST_STRETCHES = 30
STEPS = (300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800)


def step_for(start: int, end: int) -> int:
    """The length of the stretches of a range, in seconds.

    >>> [step_for(0, hours * 3_600) for hours in (6, 24, 48, 7 * 24, 30 * 24)]
    [900, 3600, 7200, 21600, 86400]
    """
    return next((step for step in STEPS if end - start <= MOST_STRETCHES * step), STEPS[-1])


@dataclass(frozen=True, slots=True)
class PerformanceLanes:
    """Lanes of the watched metrics. times: start and end in seconds. worst: the metrics that are not stable."""

    history: PerformanceHistory
    stretch: PerformanceStretch
    times: tuple[int, int]
    events: Sequence[Event]
    worst: Sequence[str]

    @property
    def names(self) -> list[str]:
        """The metrics that have a lane."""
        known = self.stretch.levels or ({} if self.stretch.outcomes is None else self.stretch.outcomes.metrics)
        return list(known)[:MOST_LANES]

    @property
    def markup(self) -> Markup:
        """The lanes; empty without metrics."""
        rows = [self._metric(name, is_first=not place) for place, name in enumerate(self.names)]
        rows[1:1] = [self._labels(axis=len(rows) == 1)] if rows else []
        return drawn(lanes(rows))

    def main(self, wanted: str | None = None) -> list[Lane]:
        """The lanes of one metric and of its labels. wanted: which; the first where that has no lane of its own."""
        names = self.names
        if not names:
            return []
        chosen = wanted if wanted in names else names[0]
        return [self._metric(chosen, is_first=True, alone=True), self._labels(axis=False)]

    @property
    def numbers(self) -> Markup:
        """The lanes as a table, newest first."""
        names = self.names
        columns = [TIME, "predictions", "labelled", *map(metric_name, names)]
        rows = [
            [
                each.start,
                number(each.predictions),
                percent(math.nan if each.coverage is None else each.coverage),
                *(_cell(name, each.metrics.get(name)) for name in names),
            ]
            for each in reversed(self.history.windows)
        ]
        return drawn(table("Performance over time", columns, rows))

    @property
    def _starts(self) -> list[int]:
        return [microseconds(each.start) // MICROS_PER_SECOND for each in self.history.windows]

    @property
    def _immature(self) -> int | None:
        """Since when no stretch has matured; None when the last has."""
        since = None
        for start, window in zip(self._starts, self.history.windows, strict=True):
            since = None if window.immature is None else start if since is None else since
        return since

    def _metric(self, name: str, *, is_first: bool, alone: bool = False) -> Lane:
        form, names = metric_form(name), self.names
        found = [each.metrics.get(name) for each in self.history.windows]
        levels = _levels(name, self.stretch.levels.get(name), all_of_them=is_first)
        series = [
            Series(
                metric_name(name),
                self._starts,
                self._within_reach(found, [each.value for each in levels]),
                self.history.step_seconds,
                low=[_number(None if each is None else each.low) for each in found],
                high=[_number(None if each is None else each.high) for each in found],
                immature=self._immature,
            )
        ]
        estimate = [self._estimate(name, each) for each in self.history.windows]
        if is_first and any(map(math.isfinite, estimate)):
            series.append(
                Series("estimated without labels", self._starts, estimate, self.history.step_seconds, role="estimate")
            )
        chart = line_chart(
            f"{metric_name(name)} over time",
            self.times,
            series,
            levels=levels,
            events=self.events,
            form=form,
            height=(MAIN_HEIGHT if alone else FIRST_HEIGHT) if is_first else HEIGHT,
            left=LEFT,
            flags=is_first and not alone,
            axis=name == names[-1] and not alone and not (is_first and len(names) == 1),
            named=False,
        )
        outcomes, known = self.stretch.outcomes, self.stretch.levels.get(name)
        now = None if outcomes is None else outcomes.metrics.get(name)
        reference = None if known is None else known.reference
        return Lane(
            metric_name(name),
            chart,
            metric_remark(name, self.stretch.positive_class),
            "" if now is None else metric_value(name, now.value),
            "" if reference is None else f"reference {metric_value(name, reference)}",
            "alert" if name in self.worst else None,
        )

    def _within_reach(self, found: Sequence[MetricReport | None], levels: Sequence[float]) -> list[float]:
        """The values; of the immature ones those that leave the others room: few labels, mostly of one class, say
        anything."""
        values = [_number(None if each is None else each.value) for each in found]
        mature = [window.immature is None for window in self.history.windows]
        known = [each for each, is_mature in zip(values, mature, strict=True) if is_mature and math.isfinite(each)]
        if not known:
            return values
        low, high = min(*known, *levels, math.inf), max(*known, *levels, -math.inf)
        reach = REACH * (high - low)
        return [
            each if is_mature or low - reach <= each <= high + reach else math.nan
            for each, is_mature in zip(values, mature, strict=True)
        ]

    def _estimate(self, name: str, window: LabelledWindowReport) -> float:
        found = None if window.estimate is None else window.estimate.metrics.get(name)
        return math.nan if found is None else _number(found.value)

    def _labels(self, *, axis: bool) -> Lane:
        chart = bar_chart(
            "Share of predictions that have a label",
            self.times,
            self._starts,
            [Stack("labelled", [_number(each.coverage) for each in self.history.windows])],
            self.history.step_seconds,
            events=self.events,
            form="percent",
            height=LABELS_HEIGHT,
            left=LEFT,
            flags=False,
            axis=axis,
        )
        coming = self.stretch.to_come
        reading, remark = coverage_words(self.stretch.label_delay, None if coming is None else coming.coverage)
        return Lane("Labelled", chart, "share of predictions", reading, remark)


def usual_coverage(delay: LabelDelay, so_far: float | None) -> float | None:
    """Share of predictions that get a label; None where it is not known, or far below what has come already.

    so_far: share of the newest predictions that have one. Labels that were sent all at once teach nothing about others.

    >>> delay = LabelDelay(500, 3600.0, 7200.0, 9000.0, 7500, 0.01, [])
    >>> usual_coverage(delay, 0.005), usual_coverage(delay, 0.35)
    (0.01, None)
    """
    if not delay.coverage or (so_far is not None and delay.coverage < PLAUSIBLE_COVERAGE * so_far):
        return None
    return delay.coverage


def coverage_words(delay: LabelDelay | None, so_far: float | None = None) -> tuple[str, str]:
    """Text on the share of predictions that get a label, and the time within which most of them arrive. so_far: share
    of the newest predictions that have one."""
    if delay is None or not delay.labels:
        return "", "no labels yet"
    if delay.unknown is not None:
        return "", "how late is not known yet"
    coverage = usual_coverage(delay, so_far)
    if coverage is None:
        # They came later than the data reaches, as those of a file that is sent at once: nothing is learned from them.
        return "", ""
    return percent(coverage), f"most within {hours(delay.lag_seconds)}" if delay.lag_seconds else "arrive at once"


def hours(seconds: float) -> str:
    """A time in the unit that fits it.

    >>> hours(300), hours(28_800), hours(259_200)
    ('5\\xa0min', '8\\xa0h', '3\\xa0d')
    """
    for size, unit in ((2 * 86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{number(round(seconds / (86_400 if unit == 'd' else size), 1))}\u00a0{unit}"
    return f"{seconds:.0f}\u00a0s"


def _levels(name: str, of: MetricLevels | None, *, all_of_them: bool) -> list[Level]:
    """Reference and thresholds; in a low lane without that of a warning."""
    if of is None:
        return []
    found: list[Level] = []
    beyond = "above" if of.lower_is_better else "below"
    if of.reference is not None:
        found.append(Level(of.reference, f"reference {metric_value(name, of.reference)}"))
    if of.alert is not None:
        found.append(Level(of.alert, f"alert {beyond} {metric_value(name, of.alert)}", "alert"))
        if name == "mean_error":
            found.append(Level(-of.alert, f"alert below {metric_value(name, -of.alert)}", "alert"))
    if of.warning is not None and all_of_them:
        found.append(Level(of.warning, f"warning {beyond} {metric_value(name, of.warning)}", "warning"))
    if of.limit is not None:
        found.append(Level(of.limit, f"limit {metric_value(name, of.limit)}", "alert"))
    return found


def _cell(name: str, metric: MetricReport | None) -> str:
    if metric is None:
        return "–"
    interval = metric_interval(name, metric)
    return metric_value(name, metric.value) + (f" ({interval})" if interval else "")


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def metric_remark(name: str, positive: str | None = None) -> str:
    """Short explanation of a metric. positive: the positive class.

    >>> metric_remark("precision", "fraud"), metric_remark("precision"), metric_remark("mcc")
    ('of those predicted as fraud', 'of those predicted as positive', '')
    """
    return EXPLAINED.get(name, "").format(positive=clipped(positive or "positive", LONGEST_CLASS))
