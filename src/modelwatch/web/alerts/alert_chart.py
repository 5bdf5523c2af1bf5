"""Chart of an alert: what was found, before and since it began, with its thresholds, and the state that it was in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from modelwatch.alerting.views import AlertReport, MemberReport
from modelwatch.api.state import ServiceState
from modelwatch.charts.drawing.marks import Severity, State
from modelwatch.charts.drawing.numbers import Format, written_value
from modelwatch.charts.lines import Event, Level, Span, line_chart, series_table
from modelwatch.charts.series import Role, Series
from modelwatch.errors import RequestError
from modelwatch.measures import in_sentence, metric_form
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.views.drift.subject_series import SeriesStep, SubjectSeries, subject_series
from modelwatch.views.stretches.stretch import Asked, usual_step
from modelwatch.web.frame.rendering import drawn, microseconds, when

HEIGHT = 210.0
MEMBERS_DRAWN = 2
SHORTEST_LEAD, LONGEST_LEAD = 6 * SECONDS_PER_HOUR, SECONDS_PER_DAY
LONGEST_STRETCH = 30 * SECONDS_PER_DAY
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
KINDS = {"prediction": "prediction", "score": "score", "latency": "latency"}


@dataclass(frozen=True, slots=True)
class AlertChart:
    """Chart with its table, and in words what it shows."""

    chart: Markup
    table: Markup
    aside: str


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Drawing: series and levels, as numbers or shares, and in words."""

    series: Sequence[Series]
    levels: Sequence[Level]
    form: Format
    aside: str


def alert_chart(state: ServiceState, report: AlertReport) -> AlertChart | None:
    """Chart of an alert's worst findings, of one version; None where nothing of it is kept over time."""
    members = report.members or report.still_found
    if not members:
        return None
    start, end = _stretch(report, members[0])
    try:
        found = _drawn_of(state, report, members[0], members, start, end)
    except RequestError:  # the model, the feature or its reference is gone
        return None
    if found is None or not any(len(each.times) for each in found.series):
        return None
    chart = line_chart(
        f"{report.alert.title}, over time",
        (start, end),
        found.series,
        levels=found.levels,
        events=_events(report, members, end),
        spans=_spans(report, start, end),
        form=found.form,
        height=HEIGHT,
    )
    return AlertChart(drawn(chart), drawn(series_table(report.alert.title, found.series, found.form)), found.aside)


def _stretch(report: AlertReport, worst: MemberReport) -> tuple[int, int]:
    """Start and end in seconds: from some time before it began to the newest data, or some time after its end."""
    alert = report.alert
    began = _seconds(alert.began or min(alert.bad_from, alert.started_at))
    end = _seconds(alert.ended_at or alert.data_until)
    lead = min(max(end - began, SHORTEST_LEAD), LONGEST_LEAD)
    if alert.ended_at is not None:
        end = min(end + lead, max(_seconds(alert.data_until), end))
    start = max(began - lead, end - LONGEST_STRETCH)
    return start, max(end, start + SHORTEST_LEAD)


def _drawn_of(
    state: ServiceState,
    report: AlertReport,
    worst: MemberReport,
    members: Sequence[MemberReport],
    start: int,
    end: int,
) -> _Drawn | None:
    alert = report.alert
    same = [each for each in members if each.model_version == worst.model_version][:MEMBERS_DRAWN]
    step = usual_step(end - start)
    asked = Asked(alert.model_name, alert.environment, worst.model_version, start, end, step)
    now = state.clock()
    match alert.kind:
        case "feature_drift" | "prediction_drift" | "latency_drift":
            wide = replace(asked, window=max(step, SECONDS_PER_HOUR))
            found = [subject_series(state.store, state.rules, wide, _subject(alert.kind, each), now) for each in same]
            return _drift(same, found, wide.window or step, step)
        case "data_quality":
            feature, _, rule = worst.subject.rpartition(": ")
            if rule not in RATES or not feature:
                return None
            one = subject_series(state.store, state.rules, asked, Subject("feature", feature), now)
            return _rate(worst, one, RATES[rule], step)
        case "performance":
            return _metric(state, report, worst, start, end)
        case "volume" | "freshness":
            version = None if alert.kind == "freshness" else worst.model_version
            volume = subject_series(
                state.store, state.rules, replace(asked, version=version), Subject("prediction"), now
            )
            times = [_seconds(each.start) for each in volume.steps]
            counts = Series("predictions", times, [float(each.predictions) for each in volume.steps], step, area=True)
            return _Drawn([counts], [], "number", f"predictions every {_length(step)}")
        case _:
            return None


def _subject(kind: str, member: MemberReport) -> Subject:
    own = KINDS.get(member.subject) if kind != "feature_drift" else None
    return Subject("feature", member.subject) if own is None else Subject(own)  # type: ignore[arg-type]


def _drift(members: Sequence[MemberReport], found: Sequence[SubjectSeries], window: int, step: int) -> _Drawn:
    series = [
        Series(member.subject, *_points(one.steps, "psi"), role=role)
        for member, one, role in zip(members, found, ROLES, strict=False)
    ]
    worst = next((each for each in members if each.score_name == "PSI"), None)
    before = "hour" if window == SECONDS_PER_HOUR else _length(window)
    aside = f"PSI of the {before} before, every {_length(step)}"
    return _Drawn(series, [] if worst is None else _levels(worst), "number", aside)


def _rate(member: MemberReport, found: SubjectSeries, name: str, step: int) -> _Drawn:
    usual = found.reference
    before = None if usual is None else usual.missing / max(usual.n + usual.missing + usual.invalid, 1)
    levels = []
    if name == "missing_rate" and before is not None:
        levels = [Level(before, "reference"), *_levels(member, "percent", above=before)]
    at, values = _points(found.steps, name)
    what = name.removesuffix("_rate").replace("_", " ")
    series = [Series(f"{what} values", [each - step for each in at], values, step, area=True)]
    return _Drawn(series, levels, "percent", f"{what} values, every {_length(step)}")


def _metric(state: ServiceState, report: AlertReport, member: MemberReport, start: int, end: int) -> _Drawn | None:
    alert = report.alert
    stream = StreamKey(alert.model_name, member.model_version, alert.environment)
    with state.store.read() as connection:
        monitor = monitor_of(connection, alert.model_name)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    step = max(1, -(-(end - start) // STEPS_OF_METRICS // SECONDS_PER_HOUR)) * SECONDS_PER_HOUR
    found = performance_history(state.store, stream, start, end, step, rules=rules)
    known = [(each, each.metrics[member.subject]) for each in found.windows if member.subject in each.metrics]
    if not known:
        return None
    metrics = [metric for _, metric in known]
    series = Series(
        in_sentence(member.subject),
        [_seconds(window.start) for window, _ in known],
        [_number(metric.value) for metric in metrics],
        step,
        low=[_number(metric.low) for metric in metrics],
        high=[_number(metric.high) for metric in metrics],
        immature=next((_seconds(window.start) for window, _ in known if window.immature), None),
    )
    reference = next((metric.reference for metric in metrics if metric.reference is not None), None)
    levels = [] if reference is None else [Level(reference, "reference")]
    return _Drawn([series], levels, metric_form(member.subject), f"steps of {_length(step)}, 95 % intervals")


def _points(steps: Sequence[SeriesStep], name: str) -> tuple[list[float], list[float]]:
    """Ends of the steps in seconds, and the values there."""
    return [_seconds(each.end) for each in steps], [_number(getattr(each, name)) for each in steps]


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


def _events(report: AlertReport, members: Sequence[MemberReport], end: int) -> list[Event]:
    alert = report.alert
    found = []
    if alert.began is not None:
        found.append(Event(_seconds(alert.began), f"began {_clock(alert.began)}", "since"))
    detected = _seconds(alert.detected_at)
    found.append(Event(detected, f"found {_clock(alert.detected_at)}"))
    if alert.ended_at is not None:
        found.append(Event(_seconds(alert.ended_at), f"ended {_clock(alert.ended_at)}"))
    return found


def _spans(report: AlertReport, start: int, end: int) -> list[Span]:
    """The states of the alert in event time; nothing of one whose steps an earlier release has stored."""
    found: list[Span] = []
    since: int | None = None
    severity: State = "warning"
    for step in report.events:
        if step.event_time is None:
            continue
        at = _seconds(step.event_time)
        if since is not None and at > since:
            found.append(Span(since, at, severity))
        since = None if step.event in ("resolved", "calmed") else at
        severity = step.severity
    if since is not None and report.alert.state != "resolved":
        found.append(Span(since, end, severity))
    return found


def _clock(iso: str) -> str:
    day = when(iso, microseconds(iso)).day
    return f"{day[:3]} {day[-5:]}"


def _length(seconds: int) -> str:
    for size, unit in ((SECONDS_PER_DAY, "d"), (SECONDS_PER_HOUR, "h")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size}\u00a0{unit}"
    return f"{seconds // 60}\u00a0min"


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _seconds(iso: str) -> int:
    return microseconds(iso) // MICROS_PER_SECOND
