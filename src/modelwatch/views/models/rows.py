"""Rows of the list of models: newest data, verdict, alerts and state of each from few reads for all, and orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, readable_alerts
from modelwatch.charts.drawing.marks import State
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.storage.alerts.alerts import unfinished_alerts
from modelwatch.storage.counts.streams import Newest, newest_windows
from modelwatch.storage.engine.models import StreamKey, known_models
from modelwatch.storage.references.monitors import all_monitors
from modelwatch.storage.verdicts.evaluations import EvaluationProgress, evaluation_progress
from modelwatch.storage.verdicts.headlines import SEVERITIES, NewestState, newest_states
from modelwatch.times import (
    MICROS_PER_SECOND,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
)
from modelwatch.views.models.without_alert import DriftWithoutAlert, drift_without_alert

# In one word: what the marks of a model, its place in a list and its sentence go by.
ModelState = State
# As much data without an evaluation is behind, not just between two of them.
BEHIND_SECONDS = 6 * SECONDS_PER_HOUR
STATES: tuple[ModelState, ...] = ("alert", "warning", "unknown", "catching_up", "no_data", "shifted", "stable")

# A model that is used every week is not silent in between.
SILENT_SECONDS = 8 * SECONDS_PER_DAY


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filter of the lines: those whose model, owner or tags contain `search`, in these states; None: any. `sort`: worst
    first or by name. range: a name of RANGES."""

    search: str | None = None
    state: ModelState | None = None
    environment: str | None = None
    owner: str | None = None
    tag: str | None = None
    sort: str = "worst"
    range: str = "7d"


@dataclass(frozen=True, slots=True)
class ModelRow:
    """Facts of every line before any report is read. stream: None before the first prediction. without_alert: of a
    verdict of drift while no alert is open."""

    model: str
    stream: StreamKey | None
    versions: int
    newest: Newest | None
    verdict: NewestState | None
    alerts: Sequence[Alert]
    owner: str | None
    tags: Sequence[str]
    state: ModelState
    without_alert: DriftWithoutAlert | None = None


def read_rows(connection: Connection, now: int, only: Callable[[str], bool]) -> list[ModelRow]:
    """A row for each model and environment, in no order. now: microseconds. only: the models that may be seen."""
    newest, verdicts = newest_windows(connection), newest_states(connection)
    progress = evaluation_progress(connection)
    monitors = {each.model: each.config for each in all_monitors(connection)}
    alerts: dict[tuple[str, str], list[Alert]] = {}
    for alert in readable_alerts(unfinished_alerts(connection)):
        if alert.is_open:
            alerts.setdefault((alert.model, alert.environment), []).append(alert)
    places: dict[tuple[str, str | None], list[StreamKey]] = {}
    for key in newest:
        places.setdefault((key.model, key.environment), []).append(key)
    sending = {model for model, _ in places}
    for model in known_models(connection):
        if model not in sending:
            places[model, None] = []
    streams = {
        place: max(there, key=lambda each: (newest[each].latest_ts, each), default=None)
        for place, there in places.items()
        if only(place[0])
    }
    quiet = {
        stream
        for stream in streams.values()
        if stream in verdicts
        and verdicts[stream].severity in SEVERITIES
        and (stream.model, stream.environment) not in alerts
    }
    unalerted = drift_without_alert(connection, quiet, monitors)
    found = []
    for (model, environment), stream in streams.items():
        window = None if stream is None else newest[stream]
        verdict = None if stream is None else verdicts.get(stream)
        open_alerts = alerts.get((model, environment or ""), [])
        without_alert = None if stream is None else unalerted.get(stream)
        silent = window is not None and 0 < window.arrived_at < now - SILENT_SECONDS * MICROS_PER_SECOND
        state = model_state(
            [each.severity for each in open_alerts],
            None if verdict is None else verdict.severity,
            has_data=window is not None and not silent,
            is_behind=is_behind(progress, window, verdict),
            is_resolved=without_alert is not None and without_alert.is_resolved,
        )
        config = monitors.get(model)
        owner = None if config is None else config.owner
        tags = () if config is None else config.tags or ()
        versions = len(places[model, environment])
        found.append(ModelRow(model, stream, versions, window, verdict, open_alerts, owner, tags, state, without_alert))
    return found


def behind(window: Newest | None, verdict: NewestState | None) -> int:
    """Seconds of data after the newest verdict; 0 where there is none yet."""
    if window is None or verdict is None:
        return 0
    return window.window_start + BASE_WINDOW_SECONDS - verdict.window_end


def matches(row: ModelRow, wanted: Wanted) -> bool:
    """True for a row that the filter lets through."""
    if wanted.state not in (None, row.state) or wanted.owner not in (None, row.owner):
        return False
    if wanted.environment is not None and (row.stream is None or row.stream.environment != wanted.environment):
        return False
    if wanted.tag is not None and wanted.tag not in row.tags:
        return False
    if wanted.search is None:
        return True
    text = wanted.search.casefold()
    return any(text in each.casefold() for each in (row.model, row.owner or "", *row.tags))


def _by_name(row: ModelRow) -> tuple[str, str]:
    return row.model, "" if row.stream is None else row.stream.environment


def _worst_first(row: ModelRow) -> tuple[int, int, str, str]:
    findings = sum(len(each.members) for each in row.alerts)
    return (STATES.index(row.state), -findings, *_by_name(row))


ORDERS: Mapping[str, Callable[[ModelRow], tuple[object, ...]]] = {"worst": _worst_first, "name": _by_name}


def is_behind(progress: EvaluationProgress | None, newest: Newest | None, verdict: NewestState | None) -> bool:
    """True while much of a stream's data is still to be evaluated.

    progress: of all evaluations. newest: newest window of the stream; verdict: newest verdict on its drift.
    """
    if progress is None or not progress.waiting or newest is None or verdict is None:
        return False
    return newest.window_start + BASE_WINDOW_SECONDS - verdict.window_end > BEHIND_SECONDS


def model_state(
    alerts: Iterable[str],
    severity: str | None,
    *,
    has_data: bool,
    is_behind: bool = False,
    is_resolved: bool = False,
) -> ModelState:
    """State by the severities of the open alerts, and that of the newest verdict on drift (None: not evaluated yet).

    has_data: anything was received. is_behind: much of what was received is still to be evaluated. is_resolved: a
    person has resolved all that the verdict finds.

    >>> model_state(["warning"], "stable", has_data=True), model_state([], "insufficient_data", has_data=True)
    ('warning', 'unknown')
    >>> model_state([], "shifted", has_data=True)
    'shifted'
    >>> model_state([], "alert", has_data=True), model_state([], "alert", has_data=True, is_resolved=True)
    ('alert', 'stable')
    """
    open_severities = set(alerts)
    if "alert" in open_severities:
        return "alert"
    if "warning" in open_severities:
        return "warning"
    if not has_data:
        return "no_data"
    if severity is None or is_behind:
        return "catching_up"
    if severity == "shifted":
        return "shifted"
    if severity in SEVERITIES and not is_resolved:
        # It drifts, though it is no finding yet.
        return "alert" if severity == "alert" else "warning"
    # What is found and was taken as the new normal, or was resolved by a person, is no longer wrong.
    return "stable" if severity in (*SEVERITIES, "stable") else "unknown"
