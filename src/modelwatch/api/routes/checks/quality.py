"""GET /models/{model}/quality."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import Name, how_far, json_answer, state_of
from modelwatch.api.routes.selection import Paged, Selected, Stretched, verdict_page
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.report import QualityReport
from modelwatch.monitoring.scheduler.jobs.freshness import FreshnessReport, freshness_of
from modelwatch.storage.engine.damage import readable
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.verdicts.standing import standing_of
from modelwatch.storage.verdicts.verdicts import QUALITY, StoredVerdict, report_of
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["data quality"])


class QualityLine(msgspec.Struct):
    """One evaluation, in short. unsound: the features with an issue; not_judged: number of features,
    rules and volumes that were not judged."""

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
    summary="Data quality of a model",
    operation_id="get_quality",
    responses=answers({200: QualityAnswer}, 404, 422, 503),
)
async def get_quality(
    request: Request, model_name: Name, selected: Selected, stretch: Stretched, page: Paged
) -> Response:
    """Missing, wrong, out-of-range and unseen values, schema, repeats, volume and freshness."""
    state = state_of(request)

    def work() -> QualityAnswer:
        now = state.clock()
        with state.store.read() as connection:
            require_model(connection, model_name)
            monitor, standing = monitor_of(connection, model_name), standing_of(connection, model_name)
            config = None if monitor is None else monitor.config
            rules = state.quality.with_monitor(config)
            streams = selected.streams(connection, model_name)
            environments = sorted({stream.environment for stream in streams})
            fresh = [freshness_of(connection, model_name, name, rules, now) for name in environments]
            stored, following = verdict_page(connection, model_name, QUALITY, selected, stretch, page)
        return QualityAnswer(
            model_name,
            [check_quality(state.store, state.rules, rules, stream, now) for stream in streams],
            fresh,
            list(readable(stored, _line)),
            following,
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))


def _line(verdict: StoredVerdict) -> QualityLine:
    report = report_of(verdict, _decode)
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
