"""Page with the overview of one model: its verdict, lanes on one time axis, and what is wrong, watched and known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from starlette.requests import Request

from modelwatch.alerting.alert import Member
from modelwatch.alerting.text import span
from modelwatch.api.state import ServiceState
from modelwatch.charts.drawing.marks import State
from modelwatch.charts.lanes import Lane
from modelwatch.charts.lines import Event
from modelwatch.charts.small import histogram_pair, spark_bars
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import InvalidInput
from modelwatch.measures import metric_name
from modelwatch.monitoring.checks.not_judged import KNOWN_STATES
from modelwatch.monitoring.checks.performance.history import performance_history
from modelwatch.monitoring.checks.rules import DriftRules, rules_for
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.subjects import LATENCY
from modelwatch.storage.verdicts.headlines import Reading, readings_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE, QUALITY
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY, iso_of_micros, iso_of_seconds
from modelwatch.views.drift.drift_series import DriftLine, DriftSeries, drift_series
from modelwatch.views.drift.subject_series import SubjectSeries, subject_series
from modelwatch.views.models.events import EventLine, model_events
from modelwatch.views.models.model_sentence import DRIFT_KINDS
from modelwatch.views.models.model_situation import ModelSituation, model_situation
from modelwatch.views.models.unwatched import Unwatched, unwatched
from modelwatch.views.performance.performance_stretch import PerformanceStretch, performance_stretch
from modelwatch.views.quality.volume_series import VolumeSeries, volume_series
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.views.stretches.stretch import SeriesQuery
from modelwatch.web.frame.model_frame import TAB_OF_KIND, ModelFrame
from modelwatch.web.frame.rendering import When, about, dated, drawn, moments, name, near, when
from modelwatch.web.frame.site import root_of, segment_of, views_page
from modelwatch.web.frame.verdict import Verdict, joined
from modelwatch.web.models.overview_lanes import HappenedEvent, OverviewLanes
from modelwatch.web.models.overview_verdict import OverviewVerdict, detail_of, onset, state_of
from modelwatch.web.performance.performance_lanes import PerformanceLanes, step_for
from modelwatch.web.performance.segments_page import SegmentsPage
from modelwatch.web.performance.segments_page import read_page as read_segments

WRONG_SHOWN = 10
TILES_SHOWN = 12
SEGMENTS_SHOWN = 6
# A window with so many predictions tells a shift from chance.
ENOUGH = 500
# What began within so many seconds of the first moved together.
TOGETHER_SECONDS = 3_600
EVENTS_SHOWN = 40
STYLES = {"alert": "f-alert", "warning": "f-warning"}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One finding: its state, name and way (empty without a page), value and a sentence."""

    state: State
    name: str
    way: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True)
class Tile:
    """One subject: its state, name and way, its PSI now and over time, and the reference and now as a pair of
    histograms, empty where nothing is known."""

    state: State
    name: str
    way: str
    value: str
    chart: Markup
    pair: Markup


@dataclass(frozen=True, slots=True)
class Lost:
    """One segment: its name and way, its part in the change of the metric as text and bar, and the values."""

    name: str
    way: str
    part: str
    bar: Markup
    values: str
    certain: bool


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Overview of a model. segments: None where its monitor names none. next_evaluation: text on when that is."""

    of_model: ModelFrame
    situation: ModelSituation
    verdict_words: OverviewVerdict
    lanes: OverviewLanes
    drift: DriftSeries | None
    not_watched: Sequence[Unwatched]
    segments: SegmentsPage | None
    next_evaluation: str
    root: str

    @property
    def verdict(self) -> Verdict:
        return self.verdict_words.verdict

    @property
    def title(self) -> str:
        """Title of the lanes: their span of time."""
        seconds = self.of_model.end - self.of_model.start
        if self.of_model.selection.start is None and self.of_model.selection.end is None:
            return f"Last {span(seconds)}" if seconds >= SECONDS_PER_DAY * 3 else f"Last {seconds // 3_600} hours"
        return joined([dated(self.when_seconds(each)) for each in (self.of_model.start, self.of_model.end)], " to ")

    @property
    def wrong(self) -> list[Wrong]:
        """The findings, the worst first."""
        return [self._wrong(each) for each in self.verdict_words.members[:WRONG_SHOWN]]

    @property
    def findings(self) -> str:
        members, alerts = len(self.verdict_words.members), len(self.situation.alerts)
        counted = ((members, "finding"), (alerts, "alert"))
        return ", ".join(f"{number:,} {word}{'' if number == 1 else 's'}" for number, word in counted)

    def _wrong(self, member: Member) -> Wrong:
        finding = member.finding
        if finding.kind == "performance":
            subject, value = metric_name(finding.subject), ""
        else:
            subject = name(finding.subject)
            value = f"PSI {finding.score:.2f}" if finding.score_name == "PSI" else ""
        since = near(self.when_seconds(onset(member)))
        way = self.lanes.ways.get(finding.subject, "") or self._tab(TAB_OF_KIND[finding.kind])
        detail = detail_of(member).removeprefix(f"{subject}: ")
        return Wrong(state_of(member), subject, way, value, joined([detail, "; since ", since], ""))

    def _tab(self, last: str) -> str:
        path = f"/models/{{model_name:segment}}/{last}"
        query = self.of_model.chosen.query(sort=None)
        return f"{self.root}{self.of_model.below}/{last}{query}" if path in self.of_model.paths else ""

    @property
    def together(self) -> list[Tile]:
        """Subjects that began to drift within an hour of the first, inputs first; empty when it is alone."""
        moved = [each for each in self.verdict_words.members if each.finding.score_name == "PSI"]
        first = min(map(onset, moved), default=0)
        names = dict.fromkeys(each.finding.subject for each in moved if onset(each) - first <= TOGETHER_SECONDS)
        lines = [] if self.drift is None else [each for each in self.drift.subjects if each.feature_name in names]
        return [self._tile(each) for each in lines[:6]] if len(lines) > 1 else []

    @property
    def together_since(self) -> When:
        return self.when_seconds(self.verdict_words.began or self.of_model.end)

    @property
    def tiles(self) -> list[Tile]:
        """Everything that is compared, the worst first."""
        if self.drift is None:
            return []
        return [self._tile(each) for each in sorted(self.drift.subjects, key=self._rank)[:TILES_SHOWN]]

    @property
    def compared(self) -> int:
        return 0 if self.drift is None else len(self.drift.subjects)

    def _rank(self, line: DriftLine) -> tuple[bool, float]:
        return line.feature_name not in self.lanes.found, -(_last(line) or 0.0)

    def _tile(self, line: DriftLine) -> Tile:
        values = [math.nan if each is None else min(each, 1.0) for each in line.psi]
        styles = [STYLES.get(each, "f-reference") for each in line.severity]
        last = _last(line)
        severity = line.severity[-1] if line.severity else "no_data"
        judged: State = "shifted" if severity == "shifted" else "stable" if severity in KNOWN_STATES else "unknown"
        title = name(line.feature_name)
        state = self.lanes.found.get(line.feature_name, judged)
        return Tile(
            state,
            title,
            self.lanes.ways.get(line.feature_name, ""),
            "–" if last is None else f"{last:.3f}" if last < 0.1 else f"{last:.2f}",
            drawn(spark_bars(f"PSI of {title}", values, styles=styles, threshold=line.psi_alert, highest=1.0)),
            _pair(title, line, moved=state in ("alert", "warning")),
        )

    @property
    def lost(self) -> list[Lost]:
        """Segments that lost most."""
        if self.segments is None:
            return []
        return [
            Lost(words, f"{self.root}{way}", part, bar, values, certain)
            for (words, way, part, values, certain), bar in zip(
                self.segments.worst[:SEGMENTS_SHOWN], self.segments.bars, strict=False
            )
        ]

    @property
    def why_no_segment(self) -> str:
        """Reason why no segment is shown, where the monitor names some."""
        if self.segments is None:
            return ""
        report = self.segments.report
        compared = any(each.baseline is not None and each.baseline.n for each in report.features)
        why = next((each.reason for each in report.features if each.reason), "Nothing is known to compare them with.")
        return report.reason or ("No segment is worse." if compared else why)

    @property
    def up_to(self) -> list[tuple[str, str]]:
        """Text on the times up to which there are data and evaluations."""
        of_model, situation = self.of_model, self.situation
        found = []
        if of_model.newest is not None:
            found.append(("Data", self._moment(of_model.newest.latest_ts)))
        evaluated, labels = situation.state(DRIFT), situation.headline(PERFORMANCE)
        found.append(
            ("Evaluated", "not yet" if evaluated is None else self._moment(evaluated.window_end * MICROS_PER_SECOND))
        )
        if labels is not None and labels.end is not None:
            found.append(("Labels judged", self._moment(labels.end * MICROS_PER_SECOND)))
        found.append(("Next evaluation", self.next_evaluation))
        if situation.reference is None:
            found.append(("Reference", "none"))
        else:
            kind = "own" if situation.reference[0] == "active" else "provisional"
            since = near(when(iso_of_micros(situation.reference[1]), of_model.now))
            found.append(("Reference", joined([kind, joined(["set ", since], "")])))
        return found

    def _moment(self, micros: int) -> str:
        at = when(iso_of_micros(micros - micros % MICROS_PER_SECOND), self.of_model.now)
        return joined([near(at), f"{about(self.of_model.now - micros)} ago" if at.ago else ""])

    def when_seconds(self, seconds: int) -> When:
        return when(iso_of_seconds(seconds), self.of_model.now)


def _last(line: DriftLine) -> float | None:
    return next((each for each in reversed(line.psi) if each is not None), None)


def _pair(title: str, line: DriftLine, *, moved: bool) -> Markup:
    before, now = sum(line.reference_cells), sum(line.current_cells)
    if not before or not now:
        return Markup("")
    sides = [each / before for each in line.reference_cells], [each / now for each in line.current_cells]
    return drawn(histogram_pair(f"{title}, reference and now", *sides, moved=moved))


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
        return "is due"
    return "when new predictions come"


@dataclass(frozen=True, slots=True)
class _Read:
    rules: DriftRules
    has_segments: bool
    situation: ModelSituation
    not_watched: Sequence[Unwatched]
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
    stretch, lanes_of_performance = _performance(state, of_model, stream, read.situation, since, segment)
    verdict_words = OverviewVerdict(
        of_model, read.situation, stretch, 0 if evaluated is None else max(data - evaluated.window_end, 0), root
    )
    drift = _drift(state, series_query, volume, of_model)
    found: dict[str, State] = {}
    for member in reversed(verdict_words.members):
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
        of_model, read.situation, verdict_words, lanes, drift, read.not_watched, segments, upcoming, root
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
        return _Read(
            rules,
            config is not None and bool(config.segments),
            model_situation(connection, stream),
            unwatched(connection, stream, rules, state.quality.with_monitor(config), of_model.now),
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
    state: ServiceState, of_model: ModelFrame, stream: StreamKey, situation: ModelSituation, since: int, segment: str
) -> tuple[PerformanceStretch | None, Sequence[Lane]]:
    """Performance since the onset, and its lanes; nothing of a model without labels."""
    headline = situation.headline(PERFORMANCE)
    if situation.state(PERFORMANCE) is None:
        return None, ()
    with state.store.read() as connection:
        monitor = monitor_of(connection, stream.model)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    stretch = performance_stretch(state.store, rules, StretchQuery(stream, since, of_model.end, segment))
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
    query, below = of_model.chosen.query(sort=None), f"{root}{of_model.below}"
    has_features = any(path.startswith("/models/{model_name:segment}/features/") for path in of_model.paths)
    ways = {}
    for each in drift.subjects:
        if each.kind == "feature" and has_features:
            ways[each.feature_name] = f"{below}/features/{segment_of(each.feature_name)}{query}"
        elif f"/models/{{model_name:segment}}/{each.kind}" in of_model.paths:
            ways[each.feature_name] = f"{below}/{each.kind}{query}"
    return ways


ROUTES = (
    views_page(
        "",
        "models/overview.html",
        read_page,
        lambda of_model: f"api/v1/models/{segment_of(of_model.model)}",
    ),
)
