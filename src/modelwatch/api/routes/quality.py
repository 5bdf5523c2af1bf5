"""GET /models/{model}/quality."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import how_far, json_answer, state_of
from modelwatch.api.routes.parameters import (
    Cursor,
    Limit,
    Moment,
    Name,
    Step,
    Text,
    cursor_of,
    position_of,
    seconds_of,
    step_of,
)
from modelwatch.errors import FieldError, InvalidInput
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.reports import QualityReport
from modelwatch.monitoring.scheduler.freshness import FreshnessReport, freshness_of
from modelwatch.storage.counts.profiles import streams_of
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.verdicts.standing import standing_of
from modelwatch.storage.verdicts.verdicts import QUALITY, StoredVerdict, verdicts_of
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["data quality"])

# Each stream is computed anew; a model with more versions says which.
MOST_STREAMS = 20


class QualityLine(msgspec.Struct):
    """One evaluation, in short. unsound: the features that were not as they should be; not_judged: how many features,
    rules and volumes nothing was said about."""

    verdict_id: str
    model_version: str
    environment: str
    window_end: str
    severity: str
    predictions: int
    score: float | None
    dimensions: dict[str, float | None]
    unsound: list[str]
    not_judged: int


class QualityAnswer(msgspec.Struct):
    """A model's data quality now, by version and environment; whether its traffic is fresh; and the evaluations that
    were stored, newest first.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated.
    """

    model_name: str
    current: list[QualityReport]
    freshness: list[FreshnessReport]
    history: list[QualityLine]
    next_cursor: str | None
    data_until: str | None
    evaluated_until: str | None


_decode = msgspec.json.Decoder(QualityReport).decode


@router.get(
    "/models/{model_name:segment}/quality",
    summary="How sound a model's data are",
    operation_id="get_quality",
    responses=answers({200: QualityAnswer}, 404, 422, 503),
)
async def get_quality(
    request: Request,
    model_name: Name,
    version: Text = None,
    environment: Text = None,
    start: Moment = None,
    end: Moment = None,
    step: Step = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Missing, wrong, out-of-range and unseen values beside the reference's, schema, repeats, volume and freshness."""
    state = state_of(request)
    since, until, stretch = seconds_of(start, "/start"), seconds_of(end, "/end"), step_of(step)
    before = None if cursor is None else position_of(cursor)

    def work() -> QualityAnswer:
        now = state.clock()
        with state.store.read() as connection:
            require_model(connection, model_name)
            monitor, standing = monitor_of(connection, model_name), standing_of(connection, model_name)
            config = None if monitor is None else monitor.config
            rules = state.quality.with_monitor(config)
            streams = [
                stream
                for stream in streams_of(connection, model_name)
                if version in (None, stream.version) and environment in (None, stream.environment)
            ]
            environments = sorted({stream.environment for stream in streams})
            fresh = [freshness_of(connection, model_name, name, rules, now) for name in environments]
            stored = verdicts_of(
                connection,
                model_name,
                check=QUALITY,
                version=version,
                environment=environment,
                start=since,
                end=until,
                step=stretch,
                before=before,
                limit=limit + 1,
            )
        if len(streams) > MOST_STREAMS:
            problem = FieldError("/version", f"The model has {len(streams)} versions and environments; say which")
            raise InvalidInput(f"At most {MOST_STREAMS} are computed at once.", (problem,))
        page = stored[:limit]
        return QualityAnswer(
            model_name,
            [check_quality(state.store, state.rules, rules, stream, now) for stream in streams],
            fresh,
            [_line(each) for each in page],
            cursor_of((page[-1].window_end, page[-1].id)) if len(stored) > limit else None,
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))


def _line(verdict: StoredVerdict) -> QualityLine:
    report = _decode(verdict.result)
    return QualityLine(
        verdict.id,
        verdict.version,
        verdict.environment,
        iso_of_seconds(verdict.window_end),
        verdict.severity,
        report.predictions,
        report.score,
        report.dimensions,
        report.unsound,
        sum(each.count for each in report.not_judged),
    )
