"""Page with the performance of one model: over time, now against the reference, and how the labels come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.alerting.text import lookback
from modelwatch.api.state import ServiceState
from modelwatch.charts.curves import (
    AgreementPoint,
    CalibrationPoint,
    Curve,
    agreement_curve,
    calibration_curve,
    delay_curve,
    precision_recall_curve,
    roc_curve,
)
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.drawing.numbers import percent
from modelwatch.charts.histogram import histogram, histogram_table
from modelwatch.charts.lines import Event
from modelwatch.charts.matrix import confusion_matrix, confusion_table
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.times import MICROS_PER_SECOND
from modelwatch.views.labelled_stretch import StretchQuery
from modelwatch.views.outcomes import OutcomesView, ScoreCurves
from modelwatch.views.performance_judged import JudgedPerformance, judged_performance
from modelwatch.views.performance_stretch import LabelDelay, PerformanceStretch, performance_stretch
from modelwatch.web.metric_words import metric_change, metric_interval, metric_name, metric_value
from modelwatch.web.model_frame import ModelFrame
from modelwatch.web.performance_lanes import PerformanceLanes, hours, step_for
from modelwatch.web.performance_verdict import COVERAGE, LABELS, STATES, PerformanceVerdict, onset_of
from modelwatch.web.rendering import drawn, microseconds, when
from modelwatch.web.site import page, root_of, segment_of, site_of

CURVE_HEIGHT = 220.0
MOST_CLASSES = 50
SUBJECTS = {LABELS: "Drift of the labels", COVERAGE: "Label coverage"}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A row of the table of metrics: texts, and the state of what is judged."""

    name: str
    value: str
    interval: str
    reference: str
    change: str
    state: State | None


@dataclass(frozen=True)
class PerformancePage:
    """Page on the performance of a stream. stretch: since the onset of what is open, else of the range."""

    of_model: ModelFrame
    stretch: PerformanceStretch
    judged: JudgedPerformance | None
    lanes: PerformanceLanes
    told: PerformanceVerdict

    @property
    def about(self) -> str:
        """Subject of the charts over time."""
        parts = [f"{hours(self.lanes.history.step_seconds)} steps with 95 % intervals"]
        if self.stretch.task == "binary":
            parts.append(f"positive class: {self.stretch.positive_class}")
        return "; ".join(parts)

    @property
    def span(self) -> str:
        """The stretch that values are of; empty where nothing has matured."""
        matured = self.stretch.matured
        if matured is None:
            return ""
        start, end = (when(each, self.of_model.now) for each in (matured.start, matured.end))
        return f"{start.short} to {end.short}"

    @property
    def is_judged(self) -> bool:
        """True where the table of metrics is that of the newest evaluation: not of a segment."""
        return self.judged is not None and self.judged.window is not None and self.stretch.segment is None

    @property
    def judged_span(self) -> str:
        """The window of the newest evaluation."""
        window = None if self.judged is None else self.judged.window
        if window is None:
            return self.span
        length = "" if window.lookback is None else f"{lookback(window.lookback)} "
        return f"{length}to {when(window.end, self.of_model.now).short}"

    @property
    def metrics(self) -> list[MetricRow]:
        """The metrics: of the newest evaluation, or of the stretch where that is not judged."""
        if self.is_judged and self.judged is not None and self.judged.window is not None:
            found = self.judged.window.metrics
            watched = [name for name in self.stretch.levels if name in found]
            return [
                MetricRow(
                    metric_name(name),
                    metric_value(name, found[name].value),
                    metric_interval(name, found[name]),
                    metric_value(name, found[name].reference),
                    metric_change(name, found[name].change, unit=False),
                    STATES.get(found[name].severity or "", "unknown"),
                )
                for name in watched
            ]
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
            since = when(coming.start, self.of_model.now).short
            usual = "" if delay.coverage is None else f", {percent(delay.coverage)} is usual"
            share = percent(math.nan if coming.coverage is None else coming.coverage)
            found.append(
                (
                    f"Since {since}",
                    f"{share} are labelled so far{usual}: most labels come within {hours(delay.lag_seconds)}.",
                )
            )
        if self.stretch.immature is not None and self.stretch.outcomes is not None:
            found.append((self.span, f"{self.stretch.immature}."))
        report = None if self.judged is None else self.judged.report
        for each in () if report is None else report.not_judged:
            names = ", ".join(SUBJECTS.get(name, metric_name(name)) for name in each.subjects)
            found.append((names, each.reason or ""))
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

    @cached_property
    def matrix(self) -> Markup:
        """The confusion matrix now, above that of the reference, and its table."""
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or now.confusion is None:
            return Markup("")
        classes, counts, reference = _without_other(now, known)
        title = "Predictions by what was true"
        return drawn(
            confusion_matrix(title, classes, counts, reference=reference) + confusion_table(title, classes, counts)
        )

    @property
    def has_classes(self) -> bool:
        """True for classifiers."""
        return self.stretch.outcomes is not None and self.stretch.outcomes.confusion is not None

    @property
    def classes(self) -> list[tuple[str, ...]]:
        """Name, support, precision, recall, F1, and the reference's F1 of each class, the most frequent first."""
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or now.per_class is None:
            return []
        before = {} if known is None else {each.name: each.f1 for each in known.per_class or ()}
        ranked = sorted(now.per_class, key=lambda each: -each.support)[:MOST_CLASSES]
        return [
            (
                each.name,
                f"{each.support:,}",
                *(metric_value("precision", share) for share in (each.precision, each.recall, each.f1)),
                metric_value("f1", before.get(each.name)),
            )
            for each in ranked
        ]

    @property
    def calibration(self) -> Markup:
        """Share of positives by score; empty without scores."""
        now = self.stretch.outcomes
        if now is None or not now.calibration:
            return Markup("")
        points = [
            CalibrationPoint(each.score, each.observed, _or_nan(each.observed_low), _or_nan(each.observed_high))
            for each in now.calibration
            if each.score is not None and each.observed is not None
        ]
        return drawn(calibration_curve("Share of positives by score", points, height=CURVE_HEIGHT))

    @property
    def curve_class(self) -> str:
        """The class that the curves are of: the positive one, of more classes the one with the least area."""
        chosen = self._chosen_curves()
        return "" if chosen is None else chosen[0].class_name

    @property
    def roc(self) -> Markup:
        """ROC curves now and in the reference; empty without scores."""
        chosen = self._chosen_curves()
        if chosen is None:
            return Markup("")
        curves = [
            Curve(_with_area(word, each), each.false_positive_rate, each.true_positive_rate, role)
            for each, word, role in _sides(chosen)
        ]
        return drawn(roc_curve("ROC", curves, height=CURVE_HEIGHT))

    @property
    def precision_recall(self) -> Markup:
        """Precision by recall now and in the reference; empty without scores."""
        chosen = self._chosen_curves()
        if chosen is None:
            return Markup("")
        now = chosen[0]
        # What calls nothing has no precision.
        curves = [
            Curve(word, each.true_positive_rate[1:], each.precision[1:], role) for each, word, role in _sides(chosen)
        ]
        base = now.positives / (now.positives + now.negatives)
        return drawn(precision_recall_curve("Precision and recall", curves, base=base, height=CURVE_HEIGHT))

    def _chosen_curves(self) -> tuple[ScoreCurves, ScoreCurves | None] | None:
        now, known = self.stretch.outcomes, self.stretch.reference
        if now is None or not now.curves:
            return None
        worst = min(now.curves, key=lambda each: _or_nan(each.roc_auc))
        before = () if known is None else known.curves
        return worst, next((each for each in before if each.class_name == worst.class_name), None)

    @property
    def error_histogram(self) -> Markup:
        """Errors of a regression beside those of the reference; empty for classifiers."""
        found = self.stretch.errors
        if found is None:
            return Markup("")
        now, before = _shares(found.counts), _shares(found.reference_counts or found.counts)
        title = "Errors, prediction less truth"
        return drawn(
            histogram(title, found.edges, before, now, height=CURVE_HEIGHT)
            + histogram_table(title, found.edges, before, now)
        )

    @property
    def agreement(self) -> Markup:
        """Targets by predicted value; empty for classifiers."""
        found = self.stretch.errors
        if found is None:
            return Markup("")
        now, before = (
            [AgreementPoint(each.predicted, each.truth, _or_nan(each.low), _or_nan(each.high)) for each in cells]
            for cells in (found.by_prediction, found.reference_by_prediction)
        )
        return drawn(agreement_curve("Predicted against actual", now, reference=before, height=CURVE_HEIGHT))

    @property
    def delay(self) -> Markup:
        """Text on the delay of labels; empty without labels."""
        return delay_chart(self.stretch.label_delay)


def delay_chart(delay: LabelDelay | None) -> Markup:
    """The curve of the labels' delay; empty without labels."""
    if delay is None or not delay.curve or delay.p99_seconds == 0:
        # What comes with its prediction has no curve.
        return Markup("")
    # The longest hundredth of delays would take most of the width.
    kept = [
        each for each in delay.curve if delay.p99_seconds is None or each.seconds <= delay.p99_seconds
    ] or delay.curve
    seconds, shares = [each.seconds for each in kept], [each.share for each in kept]
    if seconds[0] > 0:
        # Delays are known by cell, four an octave: none is shorter than the first one's.
        seconds, shares = [0.0, seconds[0] / 2**0.25, *seconds], [0.0, 0.0, *shares]
    marks = [(0.5, "half"), (0.9, "90 %")]
    return drawn(delay_curve("How long labels take", seconds, shares, marks=marks))


def _sides(chosen: tuple[ScoreCurves, ScoreCurves | None]) -> list[tuple[ScoreCurves, str, str]]:
    now, before = chosen
    return [(now, "now", "now"), *([] if before is None else [(before, "reference", "reference")])]


def _with_area(word: str, curve: ScoreCurves) -> str:
    return word if curve.roc_auc is None else f"{word} {metric_value('roc_auc', curve.roc_auc)}"


def _without_other(
    now: OutcomesView, known: OutcomesView | None
) -> tuple[list[str], list[list[int]], list[list[int]] | None]:
    """The classes and both matrices, without that of all others where there are none."""
    assert now.confusion is not None, "of classifiers"
    matrices = [now.confusion.matrix]
    if known is not None and known.confusion is not None and known.confusion.classes == now.confusion.classes:
        matrices.append(known.confusion.matrix)
    used = any(any(each[-1]) or any(row[-1] for row in each) for each in matrices)
    kept = len(now.confusion.classes) - (not used)
    cut = [[row[:kept] for row in each[:kept]] for each in matrices]
    return now.confusion.classes[:kept], cut[0], cut[1] if len(cut) > 1 else None


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts)
    return [each / total if total else math.nan for each in counts]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def read_page(state: ServiceState, of_model: ModelFrame, root: str) -> PerformancePage | None:
    """The page of the stream that is shown; None where the model has sent nothing."""
    stream = of_model.stream
    if stream is None:
        return None
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
        judged = judged_performance(connection, stream, of_model.end)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    segment = "" if of_model.selection.segment is None else "=".join(of_model.selection.segment)
    found = [onset_of(each) for each in of_model.alerts if each.kind in ("performance", "label_drift")]
    began = min((microseconds(each) // MICROS_PER_SECOND for each in found), default=None)
    since = of_model.start if began is None or began >= of_model.end else began
    stretch = performance_stretch(state.store, rules, StretchQuery(stream, since, of_model.end, segment))
    step = step_for(of_model.start, of_model.end)
    start = of_model.start - of_model.start % step
    history = performance_history(state.store, stream, start, of_model.end, step, rules=rules, segment=segment)
    told = PerformanceVerdict(of_model, stretch, judged, root)
    events = [] if began is None else [Event(began, f"began {when_text(told)}", "since")]
    lanes = PerformanceLanes(history, stretch, (start, of_model.end), events, told.worst)
    return PerformancePage(of_model, stretch, judged, lanes, told)


def when_text(told: PerformanceVerdict) -> str:
    """Short text on its onset and its detection."""
    seen = when(told.alerts[0].detected_at, told.of_model.now).short if told.alerts else ""
    began = "" if told.began is None else told.began.short
    return f"{began}, found {seen}" if seen else began


def _twin(of_model: ModelFrame) -> str:
    return f"api/v1/models/{segment_of(of_model.model)}/performance/stretch"


async def performance(request: Request) -> Response:
    """Page with the performance of a model."""
    site = site_of(request)
    return await site.show_model_views(
        request,
        "performance.html",
        "performance",
        lambda of_model: read_page(site.state, of_model, root_of(request)),
        twin=_twin,
    )


ROUTES = (page("/models/{model_name:segment}/performance", performance),)
