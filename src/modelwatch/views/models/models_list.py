"""List of models: one line a model and environment, the worst first, with what is read of it at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection

from modelwatch.alerting.alert import Alert, alert_from_row
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.findings import FindingSeverity, Kind
from modelwatch.monitoring.checks.headline import Headline, decode_headline
from modelwatch.storage.alerts.alerts import unfinished_alerts
from modelwatch.storage.counts.streams import Newest, newest_windows
from modelwatch.storage.engine.models import StreamKey, known_models
from modelwatch.storage.references.monitors import all_monitors
from modelwatch.storage.references.references import newest_references
from modelwatch.storage.verdicts.evaluations import evaluation_progress
from modelwatch.storage.verdicts.headlines import NewestState, Reading, newest_of, newest_states, readings_of
from modelwatch.storage.verdicts.verdicts import DRIFT, PERFORMANCE
from modelwatch.times import (
    MICROS_PER_SECOND,
    SECONDS_PER_DAY,
    SECONDS_PER_HOUR,
    iso_of_micros,
    iso_of_seconds,
)
from modelwatch.views.models.model_sentence import DRIFT_KINDS, members_of, seconds_since, sentence_of
from modelwatch.views.models.model_state import STATES, ModelState, model_state

POINTS = 84
RANGES = {"24h": SECONDS_PER_DAY, "7d": 7 * SECONDS_PER_DAY, "30d": 30 * SECONDS_PER_DAY}
# A model that is used every week is not silent in between.
SILENT_SECONDS = 8 * SECONDS_PER_DAY
# So much is left to evaluate while windows close and looks come round; more of it is a backlog.
BEHIND_SECONDS = 6 * SECONDS_PER_HOUR


class WorstFinding(msgspec.Struct, frozen=True):
    """The worst finding of the open alerts, of drift if there is any.

    since: when it began, as far as that is known, else when it was found.
    """

    alert_id: str
    kind: Kind
    subject: str
    severity: FindingSeverity
    score_name: str
    score: float
    threshold: float
    since: str
    detail: str


class MetricNow(msgspec.Struct, frozen=True):
    """The main metric in its newest window whose labels have come, with a 95 % interval, beside the reference.

    coverage: share of the window's predictions that have a label. immature: why it is not judged, else null.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    reference: float | None
    coverage: float | None
    window_end: str | None
    immature: str | None


class ReferenceNow(msgspec.Struct, frozen=True):
    """The reference in force: `own`, or `provisional` until one is set; when the newest part of it was set."""

    kind: str
    set_at: str


class SmallSeries(msgspec.Struct, frozen=True):
    """Values at even steps from `start` on; null where nothing was evaluated.

    psi: largest PSI of the verdicts that end in a step, and severity: their worst finding. metric: mean of the main
    metric. predictions_per_hour: mean rate.
    """

    start: str
    step_seconds: int
    psi: list[float | None]
    severity: list[FindingSeverity | None]
    metric: list[float | None]
    predictions_per_hour: list[float | None]


class ModelLine(msgspec.Struct, frozen=True):
    """A model in an environment, by its version with the newest data.

    state: `alert`, `warning`, `stable`, `unknown` (not judged), `catching_up` or `no_data`. sentence: on the state.
    alerts: open ones. psi, psi_subject, psi_threshold: the largest of the newest verdict, whose it is, and from which
    value it would be an alert. predictions: in the newest `predictions_seconds`. data_until: of the newest prediction;
    arrived_at: when the last one came. Null where there is none.
    """

    model_name: str
    environment: str | None
    model_version: str | None
    versions: int
    owner: str | None
    tags: list[str]
    state: ModelState
    sentence: str
    alerts: int
    worst: WorstFinding | None
    psi: float | None
    psi_subject: str | None
    psi_threshold: float | None
    metric: MetricNow | None
    predictions: int | None
    predictions_seconds: int | None
    series: SmallSeries
    data_until: str | None
    arrived_at: str | None
    evaluated_until: str | None
    reference: ReferenceNow | None


class ModelsOverview(msgspec.Struct, frozen=True):
    """A page of the list. total: lines that match. states: of all lines, by state, whatever the filters.

    environments, owners, tags: that there are to filter by. waiting: streams that are due to be evaluated.
    """

    models: list[ModelLine]
    total: int
    states: dict[ModelState, int]
    environments: list[str]
    owners: list[str]
    tags: list[str]
    waiting: int
    next_cursor: str | None


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
class _Row:
    """Facts of every line before any report is read. stream: None before the first prediction."""

    model: str
    stream: StreamKey | None
    versions: int
    newest: Newest | None
    verdict: NewestState | None
    alerts: Sequence[Alert]
    owner: str | None
    tags: Sequence[str]
    state: ModelState


def models_overview(
    connection: Connection,
    wanted: Wanted,
    *,
    now: int,
    offset: int = 0,
    limit: int = 50,
    only: Callable[[str], bool] = lambda _model: True,
) -> tuple[ModelsOverview, int | None]:
    """The lines from `offset` on that match, and the offset of the next page; None at the end. now: microseconds.

    only: the models that may be seen. Of models that are not on the page, no headline is read.
    """
    rows = _rows(connection, now, only)
    matching = sorted((each for each in rows if _matches(each, wanted)), key=_ORDERS[wanted.sort])
    shown = matching[offset : offset + limit]
    progress = evaluation_progress(connection)
    following = offset + limit if offset + limit < len(matching) else None
    view = ModelsOverview(
        models=_lines(connection, shown, wanted.range, now),
        total=len(matching),
        states={state: sum(each.state == state for each in rows) for state in STATES},
        environments=sorted({each.stream.environment for each in rows if each.stream is not None}),
        owners=sorted({each.owner for each in rows if each.owner is not None}),
        tags=sorted({tag for each in rows for tag in each.tags}),
        waiting=0 if progress is None else progress.waiting,
        next_cursor=None,
    )
    return view, following


def _rows(connection: Connection, now: int, only: Callable[[str], bool]) -> list[_Row]:
    newest, verdicts = newest_windows(connection), newest_states(connection)
    progress = evaluation_progress(connection)
    are_waiting = progress is not None and progress.waiting > 0
    monitors = {each.model: each.config for each in all_monitors(connection)}
    alerts: dict[tuple[str, str], list[Alert]] = {}
    for alert in map(alert_from_row, unfinished_alerts(connection)):
        if alert.is_open:
            alerts.setdefault((alert.model, alert.environment), []).append(alert)
    places: dict[tuple[str, str | None], list[StreamKey]] = {}
    for key in newest:
        places.setdefault((key.model, key.environment), []).append(key)
    sending = {model for model, _ in places}
    for model in known_models(connection):
        if model not in sending:
            places[model, None] = []
    found = []
    for (model, environment), there in places.items():
        if not only(model):
            continue
        stream = max(there, key=lambda each: (newest[each].latest_ts, each), default=None)
        window = None if stream is None else newest[stream]
        verdict = None if stream is None else verdicts.get(stream)
        open_alerts = alerts.get((model, environment or ""), [])
        silent = window is not None and 0 < window.arrived_at < now - SILENT_SECONDS * MICROS_PER_SECOND
        state = model_state(
            [each.severity for each in open_alerts],
            None if verdict is None else verdict.severity,
            has_data=window is not None and not silent,
            is_behind=are_waiting and _behind(window, verdict) > BEHIND_SECONDS,
        )
        config = monitors.get(model)
        owner = None if config is None else config.owner
        tags = () if config is None else config.tags or ()
        found.append(_Row(model, stream, len(there), window, verdict, open_alerts, owner, tags, state))
    return found


def _behind(window: Newest | None, verdict: NewestState | None) -> int:
    if window is None or verdict is None:
        return 0
    return window.window_start + BASE_WINDOW_SECONDS - verdict.window_end


def _matches(row: _Row, wanted: Wanted) -> bool:
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


def _by_name(row: _Row) -> tuple[str, str]:
    return row.model, "" if row.stream is None else row.stream.environment


def _worst_first(row: _Row) -> tuple[int, int, str, str]:
    findings = sum(len(each.members) for each in row.alerts)
    return (STATES.index(row.state), -findings, *_by_name(row))


_ORDERS: Mapping[str, Callable[[_Row], tuple[object, ...]]] = {"worst": _worst_first, "name": _by_name}


def _lines(connection: Connection, rows: Sequence[_Row], chosen: str, now: int) -> list[ModelLine]:
    streams = [row.stream for row in rows if row.stream is not None]
    drift, performance = (newest_of(connection, streams, check) for check in (DRIFT, PERFORMANCE))
    references = newest_references(connection, [row.model for row in rows])
    ends = {row.stream: _series_end(row, RANGES[chosen], now) for row in rows if row.stream is not None}
    step = RANGES[chosen] // POINTS
    series: dict[StreamKey, tuple[list[Reading], list[Reading]]] = {}
    for end in set(ends.values()):
        there = [stream for stream in streams if ends[stream] == end]
        of_drift, of_performance = (
            readings_of(connection, there, check, end - POINTS * step, end, step) for check in (DRIFT, PERFORMANCE)
        )
        series |= {stream: (of_drift.get(stream, []), of_performance.get(stream, [])) for stream in there}
    return [
        _line(
            row,
            _headline(drift, row.stream),
            _headline(performance, row.stream),
            references.get(row.model),
            _series(series.get(row.stream, ([], [])) if row.stream else ([], []), _end(row, ends, now), step),
            now,
        )
        for row in rows
    ]


def _series_end(row: _Row, seconds: int, now: int) -> int:
    """Now, on a common axis; of a history that was replayed, its end."""
    clock = now // MICROS_PER_SECOND
    clock -= clock % BASE_WINDOW_SECONDS
    data = clock if row.newest is None else row.newest.window_start + BASE_WINDOW_SECONDS
    return clock if clock - seconds < data <= clock else data


def _end(row: _Row, ends: Mapping[StreamKey, int], now: int) -> int:
    return now // MICROS_PER_SECOND if row.stream is None else ends[row.stream]


def _headline(found: Mapping[StreamKey, tuple[NewestState, bytes | None]], stream: StreamKey | None) -> Headline | None:
    return decode_headline(found[stream][1]) if stream is not None and stream in found else None


def _series(readings: tuple[list[Reading], list[Reading]], end: int, step: int) -> SmallSeries:
    start = end - POINTS * step
    drift, performance = ({(each.start - start) // step: each for each in some} for some in readings)
    return SmallSeries(
        start=iso_of_seconds(start),
        step_seconds=step,
        psi=[drift[at].value if at in drift else None for at in range(POINTS)],
        severity=[_finding(drift[at].severity) if at in drift else None for at in range(POINTS)],
        metric=[performance[at].value if at in performance else None for at in range(POINTS)],
        predictions_per_hour=[drift[at].rate if at in drift else None for at in range(POINTS)],
    )


def _finding(severity: str | None) -> FindingSeverity | None:
    return "alert" if severity == "alert" else "warning" if severity == "warning" else None


def _line(
    row: _Row,
    drift: Headline | None,
    performance: Headline | None,
    reference: tuple[str, int] | None,
    series: SmallSeries,
    now: int,
) -> ModelLine:
    stream, newest, verdict = row.stream, row.newest, row.verdict
    arrived = None if newest is None or not newest.arrived_at else newest.arrived_at
    sentence = sentence_of(
        row.state,
        row.alerts,
        None if verdict is None else verdict.severity,
        drift,
        performance,
        behind=_behind(newest, verdict),
        silent=None if arrived is None else seconds_since(arrived, now),
        has_reference=reference is not None,
    )
    return ModelLine(
        model_name=row.model,
        environment=None if stream is None else stream.environment,
        model_version=None if stream is None else stream.version,
        versions=row.versions,
        owner=row.owner,
        tags=list(row.tags),
        state=row.state,
        sentence=sentence,
        alerts=len(row.alerts),
        worst=_worst(row.alerts),
        psi=None if drift is None else drift.value,
        psi_subject=None if drift is None else drift.subject,
        psi_threshold=None if drift is None else drift.alert,
        metric=_metric(performance),
        predictions=None if drift is None or not drift.seconds else drift.predictions,
        predictions_seconds=None if drift is None or not drift.seconds else drift.seconds,
        series=series,
        data_until=None if newest is None else iso_of_micros(newest.latest_ts),
        arrived_at=None if arrived is None else iso_of_micros(arrived),
        evaluated_until=None if verdict is None else iso_of_seconds(verdict.window_end),
        reference=None
        if reference is None
        else ReferenceNow("own" if reference[0] == "active" else reference[0], iso_of_micros(reference[1])),
    )


def _worst(alerts: Sequence[Alert]) -> WorstFinding | None:
    # By the data, if they have moved: that explains the others, and labels tell an onset by hours only.
    members = members_of(alerts, *DRIFT_KINDS) or members_of(alerts)
    if not members:
        return None
    finding = members[0].finding
    alert = next(each for each in alerts if members[0] in each.members)
    since = finding.began if finding.began is not None else finding.since
    return WorstFinding(
        alert_id=alert.id,
        kind=finding.kind,
        subject=finding.subject,
        severity=finding.severity,
        score_name=finding.score_name,
        score=finding.score,
        threshold=finding.threshold,
        since=iso_of_seconds(since),
        detail=finding.detail,
    )


def _metric(headline: Headline | None) -> MetricNow | None:
    if headline is None or headline.subject is None:
        return None
    return MetricNow(
        name=headline.subject,
        value=headline.value,
        low=headline.low,
        high=headline.high,
        reference=headline.reference,
        coverage=headline.coverage,
        window_end=None if headline.end is None else iso_of_seconds(headline.end),
        immature=headline.reason,
    )
