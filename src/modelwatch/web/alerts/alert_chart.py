"""Chart of an alert: what was found, before and since it began, with its thresholds, and the state that it was in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from modelwatch.alerting.views.alerts import AlertReport, MemberReport
from modelwatch.api.state import ServiceState
from modelwatch.charts.annotations import Event, Span
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.lines import line_chart, series_table
from modelwatch.errors import RequestError
from modelwatch.times import SECONDS_PER_DAY, SECONDS_PER_HOUR
from modelwatch.web.alerts.alert_series import seconds, series_of
from modelwatch.web.frame.rendering import drawn, microseconds, when

HEIGHT = 210.0
SHORTEST_LEAD, LONGEST_LEAD = 6 * SECONDS_PER_HOUR, SECONDS_PER_DAY
LONGEST_STRETCH = 30 * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class AlertChart:
    """Chart with its table, and in words what it shows."""

    chart: Markup
    table: Markup
    aside: str


def alert_chart(state: ServiceState, report: AlertReport) -> AlertChart | None:
    """Chart of an alert's worst findings, of one version; None where nothing of it is kept over time."""
    members = report.members or report.still_found
    if not members:
        return None
    start, end = _stretch(report, members[0])
    try:
        found = series_of(state, report, members[0], members, start, end)
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
    began = seconds(alert.began or min(alert.bad_from, alert.started_at))
    end = seconds(alert.ended_at or alert.data_until)
    lead = min(max(end - began, SHORTEST_LEAD), LONGEST_LEAD)
    if alert.ended_at is not None:
        end = min(end + lead, max(seconds(alert.data_until), end))
    start = max(began - lead, end - LONGEST_STRETCH)
    return start, max(end, start + SHORTEST_LEAD)


def _events(report: AlertReport, members: Sequence[MemberReport], end: int) -> list[Event]:
    alert = report.alert
    found = []
    if alert.began is not None:
        found.append(_event("began", alert.since, "since"))
    found.append(_event("found", alert.detected_at))
    if alert.ended_at is not None:
        found.append(_event("ended", alert.ended_at))
    return found


def _event(word: str, iso: str, kind: Literal["since", "event"] = "event") -> Event:
    at, clock = seconds(iso), _clock(iso)
    return Event(at, f"{word} {clock}", kind, ((clock, at),))


def _spans(report: AlertReport, start: int, end: int) -> list[Span]:
    """The states of the alert in event time; nothing of one whose steps an earlier release has stored."""
    found: list[Span] = []
    since: int | None = None
    severity: State = "warning"
    for step in report.events:
        if step.event_time is None:
            continue
        at = seconds(step.event_time)
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
