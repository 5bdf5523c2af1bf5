"""Page of one subject of a model: a feature, the prediction, its score or its latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from modelwatch.api.state import ServiceState
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import UnknownResource, excerpt
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.drift.report import SubjectReport
from modelwatch.monitoring.checks.drift.subject_report import SINCE
from modelwatch.monitoring.checks.drift.tolerance import DRIFTED
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.monitoring.segments.evidence import SegmentQuery
from modelwatch.monitoring.segments.report import SegmentReport
from modelwatch.monitoring.segments.report_building import segment_report
from modelwatch.storage.counts.stored_values import recent_values
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.references import all_references
from modelwatch.storage.references.subjects import Kind, Subject
from modelwatch.views.drift.subject_comparison import subject_comparison
from modelwatch.views.drift.subject_series import subject_series
from modelwatch.views.newest_verdicts import OpenFinding, open_findings
from modelwatch.views.stretches.stretch import SeriesQuery, window_for
from modelwatch.web.drift.subject_comparison import ComparedWindows
from modelwatch.web.drift.subject_content import SubjectPage
from modelwatch.web.frame.model_frame import ModelFrame
from modelwatch.web.frame.site import Endpoint, page, root_of, site_of

# Predictions of the newest day that are looked at for a feature that never had a reference.
PREDICTIONS_LOOKED_AT = 1_000
MOST_NEAREST, LONGEST_HINT = 3, 64


def read_subject(
    state: ServiceState,
    connection: Connection,
    of_model: ModelFrame,
    subject: Subject,
    compared_windows: ComparedWindows,
    root: str,
) -> SubjectPage | None:
    """Content of the page; None where the model has sent nothing yet. Raises UnknownResource for an unknown feature."""
    stream, segment = of_model.stream, of_model.selection.segment
    if stream is None or of_model.newest is None:
        return None
    findings = open_findings(connection, stream)
    if subject.kind == "feature":
        newest_end = of_model.newest.window_start + BASE_WINDOW_SECONDS
        _require_feature(connection, stream, newest_end, findings, subject.name)
    now = state.clock()
    stretch = SeriesQuery(
        stream.model,
        stream.environment,
        stream.version,
        of_model.start,
        of_model.end,
        segment=of_model.selection.segment_text,
    )
    query = DriftQuery(stream.model, stream.environment, stream.version)
    series = subject_series(state.store, state.rules, stretch, subject, now, known=False)
    window = window_for([each.n for each in series.steps], series.step_seconds, state.rules.min_samples)
    if window > series.step_seconds:
        stretch = replace(stretch, step=series.step_seconds, window=window)
        series = subject_series(state.store, state.rules, stretch, subject, now, known=False)
    compared = subject_comparison(state.store, state.rules, query, subject, now, end=of_model.end)
    whole = None
    if segment is not None:
        length = (of_model.end - of_model.start) // 300 * 300
        at_once = replace(stretch, start=of_model.end - 300, end=of_model.end, step=300, window=length)
        whole = subject_series(state.store, state.rules, at_once, subject, now, known=False)
    between = None
    if compared_windows.is_given:
        compared_window, baseline = compared_windows.windows()
        own = replace(query, window=compared_window)
        between = subject_comparison(state.store, state.rules, own, subject, now, baseline=baseline)
    segments = None
    if whole is None and compared.report.severity in ("alert", "warning"):
        segments = _segments(state, connection, stream, _reaching(compared.report), of_model.end)
    return SubjectPage(of_model, subject, series, compared, between, whole, segments, compared_windows, findings, root)


def _require_feature(
    connection: Connection, stream: StreamKey, end: int, findings: Sequence[OpenFinding], feature: str
) -> None:
    """Raises UnknownResource, with the nearest names, for a feature that nothing is known of: it never had a reference,
    no open alert is about it, and none of the newest predictions has a value of it. end: of the newest data, in
    seconds."""
    known = {each.subject.name for each in all_references(connection, stream.model) if each.subject.kind == "feature"}
    found = {each.finding.subject for each in findings}
    if feature in known or any(each == feature or each.startswith(f"{feature}: ") for each in found):
        return
    known |= set(recent_values(connection, stream, end, PREDICTIONS_LOOKED_AT).given)
    if feature in known:
        return
    near = get_close_matches(feature[:LONGEST_HINT], sorted(known), n=MOST_NEAREST)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise UnknownResource(
        f"{excerpt(stream.model)} has no feature named {excerpt(feature)!r}: it never had a reference, and none of the"
        f" newest predictions has a value of it.{hint}"
    )


def _reaching(report: SubjectReport) -> str | None:
    """The look-back that decides, or the shortest that shows what has drifted since its onset."""
    if report.lookback is not None:
        return report.lookback
    return next(
        (each.lookback for each in report.lookbacks if each.severity in DRIFTED and each.lookback != SINCE), None
    )


def _segments(
    state: ServiceState, connection: Connection, stream: StreamKey, lookback: str | None, end: int
) -> SegmentReport | None:
    """Segments in the look-back that ends at `end`, in seconds; None where the monitor names none."""
    monitor = monitor_of(connection, stream.model)
    if monitor is None or not monitor.config.segments:
        return None
    drift, performance = rules_for(state.rules, monitor.config), state.performance.with_monitor(monitor.config)
    query = SegmentQuery(lookback=lookback or "24h", end=end)
    return segment_report(state.store, drift, performance, query, stream)


def _endpoint(kind: Kind) -> Endpoint:
    async def show(request: Request) -> Response:
        site, named = site_of(request), str(request.path_params.get("feature", ""))
        subject = Subject(kind, named)
        compared_windows = ComparedWindows(
            **{each: request.query_params.get(each, "") for each in ComparedWindows.__slots__}
        )

        def make(connection: Connection, of_model: ModelFrame) -> SubjectPage | None:
            return read_subject(site.state, connection, of_model, subject, compared_windows, root_of(request))

        return await site.show_model(request, "drift/subject.html", "drift", make)

    return show


ROUTES = (
    page("/models/{model_name:segment}/features/{feature:segment}", _endpoint("feature")),
    page("/models/{model_name:segment}/prediction", _endpoint("prediction")),
    page("/models/{model_name:segment}/score", _endpoint("score")),
    page("/models/{model_name:segment}/latency", _endpoint("latency")),
)
