"""Series of an alert's chart: the numbers of its members over time, by the kind of the alert."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from modelwatch.alerting.views.alerts import AlertReport, MemberReport
from modelwatch.api.state import ServiceState
from modelwatch.charts.annotations import Level
from modelwatch.charts.drawing.marks import Severity
from modelwatch.charts.drawing.numbers import Format, written_value
from modelwatch.charts.series import Role, Series
from modelwatch.measures import in_sentence, metric_form
from modelwatch.monitoring.checks.performance.history import PerformanceHistory, performance_history
from modelwatch.monitoring.checks.performance.labels.coverage import COVERAGE
from modelwatch.monitoring.checks.performance.labels.shift import MEAN_SHIFT
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.views.drift.subject_series import SeriesStep, SubjectSeries, subject_series
from modelwatch.views.performance.series import MeanTargets, label_series, mean_targets
from modelwatch.views.quality.series import QualitySeries, quality_series
from modelwatch.views.stretches.stretch import SeriesQuery, usual_step
from modelwatch.web.frame.rendering import microseconds

MEMBERS_DRAWN = 2
STEPS_OF_METRICS = 48
ROLES: tuple[Role, ...] = ("now", "second")
# The rate that each rule of quality is about.
RATES = {
    "missing": "missing_rate",
    "disappeared": "missing_rate",
    "invalid_type": "invalid_rate",
    "unseen_category": "unseen_rate",
    "below_range": "out_of_range_rate",
    "above_range": "out_of_range_rate",
    "sentinel": "out_of_range_rate",
    "extreme": "out_of_range_rate",
}
REPEATS = "duplicates"
KINDS = {"prediction": "prediction", "score": "score", "latency": "latency"}


@dataclass(frozen=True, slots=True)
class AlertSeries:
    """Series and levels, as numbers or shares, and in words what they are."""

    series: Sequence[Series]
    levels: Sequence[Level]
    form: Format
    aside: str


def series_of(
    state: ServiceState,
    report: AlertReport,
    worst: MemberReport,
    members: Sequence[MemberReport],
    start: int,
    end: int,
) -> AlertSeries | None:
    """Series of an alert's members in a stretch, in seconds; None where nothing of it is kept over time."""
    alert = report.alert
    same = [each for each in members if each.model_version == worst.model_version][:MEMBERS_DRAWN]
    step = usual_step(end - start)
    query = SeriesQuery(alert.model_name, alert.environment, worst.model_version, start, end, step)
    now = state.clock()
    match alert.kind:
        case "feature_drift" | "prediction_drift" | "latency_drift":
            wide = replace(query, window=max(step, SECONDS_PER_HOUR))
            found = [subject_series(state.store, state.rules, wide, _subject(alert.kind, each), now) for each in same]
            return _drift(same, found, wide.window or step, step)
        case "data_quality" if worst.subject == REPEATS:
            return _repeats(worst, quality_series(state.store, query, now), step)
        case "data_quality":
            feature, _, rule = worst.subject.rpartition(": ")
            if rule not in RATES or not feature:
                return None
            one = subject_series(state.store, state.rules, query, Subject("feature", feature), now)
            return _rate(worst, one, RATES[rule], step)
        case "performance" if worst.subject == COVERAGE:
            return _coverage(_history(state, report, worst, start, end))
        case "performance":
            return _metric(worst, _history(state, report, worst, start, end))
        case "label_drift" if worst.score_name == MEAN_SHIFT:
            return _targets(mean_targets(state.store, query, now), step)
        case "label_drift":
            return _labels(label_series(state.store, query, now), step)
        case "volume" | "freshness":
            version = None if alert.kind == "freshness" else worst.model_version
            volume = subject_series(
                state.store, state.rules, replace(query, version=version), Subject("prediction"), now
            )
            times = [seconds(each.start) for each in volume.steps]
            counts = Series("predictions", times, [float(each.predictions) for each in volume.steps], step, area=True)
            return AlertSeries([counts], [], "number", f"predictions every {_length(step)}")
        case _:
            return None


def _subject(kind: str, member: MemberReport) -> Subject:
    own = KINDS.get(member.subject) if kind != "feature_drift" else None
    return Subject("feature", member.subject) if own is None else Subject(own)  # type: ignore[arg-type]


def _drift(members: Sequence[MemberReport], found: Sequence[SubjectSeries], window: int, step: int) -> AlertSeries:
    series = [
        Series(member.subject, *_points(one.steps, "psi"), role=role)
        for member, one, role in zip(members, found, ROLES, strict=False)
    ]
    worst = next((each for each in members if each.score_name == "PSI"), None)
    before = "hour" if window == SECONDS_PER_HOUR else _length(window)
    aside = f"PSI of the {before} before, every {_length(step)}"
    return AlertSeries(series, [] if worst is None else _levels(worst), "number", aside)


def _rate(member: MemberReport, found: SubjectSeries, name: str, step: int) -> AlertSeries:
    usual = found.reference
    before = None if usual is None else usual.missing / max(usual.n + usual.missing + usual.invalid, 1)
    levels = []
    if name == "missing_rate" and before is not None:
        levels = [Level(before, "reference"), *_levels(member, "percent", above=before)]
    at, values = _points(found.steps, name)
    what = name.removesuffix("_rate").replace("_", " ")
    series = [Series(f"{what} values", [each - step for each in at], values, step, area=True)]
    return AlertSeries(series, levels, "percent", f"{what} values, every {_length(step)}")


def _history(
    state: ServiceState, report: AlertReport, member: MemberReport, start: int, end: int
) -> PerformanceHistory:
    alert = report.alert
    stream = StreamKey(alert.model_name, member.model_version, alert.environment)
    with state.store.read() as connection:
        monitor = monitor_of(connection, alert.model_name)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    step = max(1, -(-(end - start) // STEPS_OF_METRICS // SECONDS_PER_HOUR)) * SECONDS_PER_HOUR
    return performance_history(state.store, stream, start, end, step, rules=rules)


def _metric(member: MemberReport, found: PerformanceHistory) -> AlertSeries | None:
    step = found.step_seconds
    known = [(each, each.metrics[member.subject]) for each in found.windows if member.subject in each.metrics]
    if not known:
        return None
    metrics = [metric for _, metric in known]
    series = Series(
        in_sentence(member.subject),
        [seconds(window.start) for window, _ in known],
        [_number(metric.value) for metric in metrics],
        step,
        low=[_number(metric.low) for metric in metrics],
        high=[_number(metric.high) for metric in metrics],
        immature=next((seconds(window.start) for window, _ in known if window.immature), None),
    )
    reference = next((metric.reference for metric in metrics if metric.reference is not None), None)
    levels = [] if reference is None else [Level(reference, "reference")]
    return AlertSeries([series], levels, metric_form(member.subject), f"steps of {_length(step)}, 95 % intervals")


def _coverage(found: PerformanceHistory) -> AlertSeries:
    """Share of the predictions that have a label by now; the newest are still to come."""
    step, windows = found.step_seconds, found.windows
    series = Series(
        "predictions with a label",
        [seconds(each.start) for each in windows],
        [_number(each.coverage) for each in windows],
        step,
        immature=next((seconds(each.start) for each in windows if each.immature), None),
        area=True,
    )
    return AlertSeries([series], [], "percent", f"predictions that have a label by now, every {_length(step)}")


def _labels(found: SubjectSeries, step: int) -> AlertSeries | None:
    """The classes whose share has moved most from the reference."""
    reference = found.reference
    if reference is None:
        return None
    labelled = [each for each in found.steps if each.n]
    counts = np.sum([each.counts for each in labelled], axis=0) if labelled else np.zeros(len(reference.cells))
    moved = np.abs(counts / max(counts.sum(), 1) - np.array(reference.shares))
    # With two classes one share shows both.
    drawn = np.argsort(-moved, kind="stable")[: 1 if np.count_nonzero(moved) <= 2 else MEMBERS_DRAWN].tolist()
    series = [
        Series(
            reference.cells[cell],
            [seconds(each.start) for each in labelled],
            [each.shares[cell] for each in labelled],
            step,
            role=role,
        )
        for cell, role in zip(drawn, ROLES, strict=False)
    ]
    levels = [Level(reference.shares[drawn[0]], f"{reference.cells[drawn[0]]} in the reference")]
    named = " and ".join(each.name for each in series)
    return AlertSeries(series, levels, "percent", f"share of {named} in the labels, every {_length(step)}")


def _targets(found: MeanTargets, step: int) -> AlertSeries:
    series = Series(
        "mean target",
        [seconds(each.start) for each in found.steps],
        [_number(each.mean) for each in found.steps],
        step,
    )
    levels = [] if found.reference is None else [Level(found.reference, "reference")]
    return AlertSeries([series], levels, "number", f"mean of the labels, every {_length(step)}")


def _repeats(member: MemberReport, found: QualitySeries, step: int) -> AlertSeries:
    sent = [(each, each.predictions + each.duplicates) for each in found.steps]
    series = Series(
        "repeats with different content",
        [seconds(each.start) for each, _ in sent],
        [each.changed_duplicates / of if of else math.nan for each, of in sent],
        step,
        area=True,
    )
    aside = f"share of what was sent, every {_length(step)}"
    return AlertSeries([series], _levels(member, "percent"), "percent", aside)


def _points(steps: Sequence[SeriesStep], name: str) -> tuple[list[float], list[float]]:
    """Ends of the steps in seconds, and the values there."""
    return [seconds(each.end) for each in steps], [_number(getattr(each, name)) for each in steps]


def _levels(member: MemberReport, form: Format = "number", *, above: float = 0.0) -> list[Level]:
    found = []
    limits: tuple[tuple[Severity, float | None], ...] = (
        ("warning", member.warning_threshold),
        ("alert", member.alert_threshold),
    )
    for severity, limit in limits:
        if limit is not None:
            found.append(Level(above + limit, f"{severity} from {written_value(above + limit, form)}", severity))
    return found


def _length(seconds: int) -> str:
    for size, unit in ((SECONDS_PER_DAY, "d"), (SECONDS_PER_HOUR, "h")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}\u00a0{unit}"
    return f"{seconds // 60}\u00a0min"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def seconds(iso: str) -> int:
    """Seconds of an RFC 3339 text."""
    return microseconds(iso) // MICROS_PER_SECOND
