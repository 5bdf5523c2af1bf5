"""Page with the overview of one model: its verdict, lanes on one time axis, and what is wrong, watched and known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from modelwatch.api.state import ServiceState
from modelwatch.charts.annotations import Event
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.timeline import Lane
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import InvalidInput
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.subjects import LATENCY
from modelwatch.storage.verdicts.evaluations import evaluation_progress
from modelwatch.storage.verdicts.headlines import Reading, readings_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY
from modelwatch.views.drift.series import DriftSeries, drift_series
from modelwatch.views.drift.subject_series import SubjectSeries, subject_series
from modelwatch.views.models.events import EventLine, model_events
from modelwatch.views.models.rows import is_behind
from modelwatch.views.models.sentence import DRIFT_KINDS
from modelwatch.views.models.unwatched import JudgedSubject, Unwatched, judged_subjects, newest_drift, unwatched
from modelwatch.views.newest_verdicts import ModelSituation, model_situation
from modelwatch.views.performance.stretch import PerformanceStretch, performance_stretch
from modelwatch.views.quality.volume import VolumeSeries, volume_series
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.views.stretches.stretch import SeriesQuery
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.rendering import moments, near
from modelwatch.web.frame.site import root_of, segment_of, views_page
from modelwatch.web.frame.verdict import joined
from modelwatch.web.models.overview_content import OverviewPage
from modelwatch.web.models.overview_lanes import HappenedEvent, OverviewLanes
from modelwatch.web.models.overview_verdict import OverviewVerdict, state_of
from modelwatch.web.performance.lanes import PerformanceLanes, step_for
from modelwatch.web.performance.segments_page import read_page as read_segments
from modelwatch.web.performance.verdict import loss_began

# A window with so many predictions tells a shift from chance.
ENOUGH = 500
EVENTS_SHOWN = 40


def _next_evaluation(read: _Read, of_model: ModelFrame) -> str:
    """Text on when the next evaluation of the inputs is due, by event time: data are evaluated as they come."""
    evaluated, newest, rules = read.situation.state(DRIFT), of_model.newest, read.rules
    if evaluated is None or newest is None:
        return "with the first complete window"
    sooner = f", or after {rules.min_samples:,} predictions" if rules.on_new_data else ""
    due = evaluated.window_end + rules.check_interval
    if due * MICROS_PER_SECOND > of_model.now:
        return joined(["by ", near(of_model.when(due)), sooner], "")
    if newest.window_start + BASE_WINDOW_SECONDS >= due:
        return "due now"
    if rules.on_new_data:
        return "when new predictions arrive"
    return joined(["with the first predictions after ", near(of_model.when(due))], "")


@dataclass(frozen=True, slots=True)
class _Read:
    rules: DriftRules
    has_segments: bool
    situation: ModelSituation
    not_watched: Sequence[Unwatched]
    judged: Mapping[tuple[str, str], JudgedSubject]
    quality: Sequence[Reading]
    events: Sequence[EventLine]


def read_page(state: ServiceState, of_model: ModelFrame, request: Request) -> OverviewPage | None:
    """The overview of the stream that is shown; None where the model has sent nothing."""
    stream = of_model.stream
    if stream is None:
        return None
    root = root_of(request)
    segment = of_model.selection.segment_text
    series_query = SeriesQuery(
        stream.model, stream.environment, stream.version, of_model.start, of_model.end, segment=segment
    )
    volume = volume_series(state.store, series_query, of_model.now)
    read = _read(state, of_model, stream, volume.step_seconds)
    evaluated = read.situation.state(DRIFT)
    data = 0 if of_model.newest is None else of_model.newest.window_start + BASE_WINDOW_SECONDS
    began = OverviewVerdict(of_model, read.situation, None, 0, root).began
    since = began if began is not None and began < of_model.end else of_model.start
    lost = loss_began(of_model)
    # As the page of performance: a loss is measured since its own onset.
    measured = since if lost is None else lost if lost < of_model.end else of_model.start
    stretch, lanes_of_performance = _performance(state, of_model, stream, read.situation, (measured, since), segment)
    verdict_words = OverviewVerdict(
        of_model, read.situation, stretch, 0 if evaluated is None else max(data - evaluated.window_end, 0), root
    )
    drift = _drift(state, series_query, volume, of_model)
    found: dict[str, State] = {}
    for member in reversed(verdict_words.of_version):
        found[member.finding.subject] = state_of(member)
    lanes = OverviewLanes(
        (of_model.start, of_model.end),
        volume,
        drift,
        lanes_of_performance,
        read.quality,
        _latency(state, series_query, drift, of_model),
        _onset(verdict_words),
        [HappenedEvent.of(each, of_model.now) for each in read.events],
        found,
        {} if drift is None else _ways(of_model, drift, root),
    )
    segments = read_segments(state, of_model, request) if read.has_segments else None
    upcoming = _next_evaluation(read, of_model)
    return OverviewPage(
        of_model, read.situation, verdict_words, lanes, drift, read.judged, read.not_watched, segments, upcoming, root
    )


def _read(state: ServiceState, of_model: ModelFrame, stream: StreamKey, step: int) -> _Read:
    start, end = of_model.start, of_model.end
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
        config = None if monitor is None else monitor.config
        events = model_events(
            connection,
            stream.model,
            start=start * MICROS_PER_SECOND,
            end=end * MICROS_PER_SECOND,
            version=stream.version,
            environment=stream.environment,
            limit=EVENTS_SHOWN,
        )
        rules = rules_for(state.rules, config)
        situation = model_situation(connection, stream)
        behind = is_behind(evaluation_progress(connection), of_model.newest, situation.state(DRIFT))
        drift = newest_drift(connection, stream)
        return _Read(
            rules,
            config is not None and bool(config.segments),
            situation,
            unwatched(connection, stream, drift, rules, state.quality.with_monitor(config), of_model.now),
            # A verdict is of all predictions, up to the newest that it knew.
            judged_subjects(drift or ()) if of_model.selection.is_newest and not behind else {},
            readings_of(connection, [stream], QUALITY, start, end, step).get(stream, []),
            events.lines,
        )


def _drift(
    state: ServiceState, series_query: SeriesQuery, volume: VolumeSeries, of_model: ModelFrame
) -> DriftSeries | None:
    """Drift by step, each over as many steps as have enough predictions; None where that is too much to compute."""
    received = sorted(each.predictions for each in volume.steps if each.predictions)
    if not received:
        return None
    usual, step = received[len(received) // 2], volume.step_seconds
    steps = min(max(math.ceil(ENOUGH / usual), 1), max(SECONDS_PER_DAY // step, 1))
    wanted = SeriesQuery(
        series_query.model,
        series_query.environment,
        series_query.version,
        series_query.start,
        series_query.end,
        step,
        series_query.segment,
        steps * step,
    )
    try:
        return drift_series(state.store, state.rules, wanted, of_model.now)
    except InvalidInput:
        return None


def _latency(
    state: ServiceState, series_query: SeriesQuery, drift: DriftSeries | None, of_model: ModelFrame
) -> SubjectSeries | None:
    if drift is None or all(each.kind != LATENCY.kind for each in drift.subjects):
        return None
    return subject_series(state.store, state.rules, series_query, LATENCY, of_model.now)


def _performance(
    state: ServiceState,
    of_model: ModelFrame,
    stream: StreamKey,
    situation: ModelSituation,
    onsets: tuple[int, int],
    segment: str,
) -> tuple[PerformanceStretch | None, Sequence[Lane]]:
    """Performance since the first of two onsets, and its lanes with a line at the second one; nothing of a model
    without labels."""
    measured, since = onsets
    headline = situation.headline(PERFORMANCE)
    if situation.state(PERFORMANCE) is None:
        return None, ()
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    stretch = performance_stretch(state.store, rules, StretchQuery(stream, measured, of_model.end, segment))
    step = step_for(of_model.start, of_model.end)
    start = of_model.start - of_model.start % step
    history = performance_history(state.store, stream, start, of_model.end, step, rules=rules, segment=segment)
    worst = () if headline is None else headline.names
    began = [Event(since, "", "since")] if since > of_model.start else []
    lanes = PerformanceLanes(history, stretch, (of_model.start, of_model.end), began, worst)
    return stretch, lanes.main(None if headline is None else headline.subject)


def _onset(verdict_words: OverviewVerdict) -> list[Event]:
    """Onset of the findings and when they were found; empty without findings."""
    if verdict_words.began is None:
        return []
    seen = min(each.finding.times.detected_at for each in verdict_words.of_kind(*DRIFT_KINDS) or verdict_words.members)
    began, found = verdict_words.when(verdict_words.began), verdict_words.when(seen)
    return [Event(verdict_words.began, f"began {began.short}, found {found.short}", "since", moments(began, found))]


def _ways(of_model: ModelFrame, drift: DriftSeries, root: str) -> dict[str, str]:
    query = of_model.chosen.elsewhere()
    has_features = any(path.startswith("/models/{model_name:segment}/features/") for path in of_model.paths)
    return {
        each.feature_name: f"{root}{of_model.subject_path(each.kind, each.feature_name)}{query}"
        for each in drift.subjects
        if (has_features if each.kind == "feature" else f"/models/{{model_name:segment}}/{each.kind}" in of_model.paths)
    }


ROUTES = (
    views_page(
        "",
        "models/overview.html",
        read_page,
        lambda of_model: f"api/v1/models/{segment_of(of_model.model)}",
    ),
)
