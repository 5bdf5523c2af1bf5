"""GET /models/{model}/performance, over time as CSV, and of a stretch that is named."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from fastapi import APIRouter, Request, Response
from sqlalchemy import Connection

from modelwatch.api.openapi import answers, csv_answers
from modelwatch.api.routes.common import Moment, Name, Text, csv_answer, how_far, json_answer, seconds_of, state_of
from modelwatch.api.routes.selection import Selected, StreamSelection, Stretch, Stretched
from modelwatch.api.state import ServiceState
from modelwatch.monitoring.checks.performance.check import check_performance
from modelwatch.monitoring.checks.performance.history import MOST_STEPS, PerformanceHistory, performance_history
from modelwatch.monitoring.checks.performance.report import PerformanceReport
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.references.outcome_layouts import OutcomeLayouts
from modelwatch.storage.engine.models import StreamKey, require_model
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.references.outcome_references import outcomes_in_force
from modelwatch.storage.verdicts.standing import standing_of
from modelwatch.views.performance.series import performance_csv
from modelwatch.views.performance.stretch import PerformanceStretch, performance_stretch
from modelwatch.views.stretches.labelled_stretch import StretchQuery
from modelwatch.views.stretches.stretch import segment_feature_of

router = APIRouter(tags=["performance"])


class PerformanceAnswer(msgspec.Struct):
    """A model's performance, by version and environment: now, and over time if requested.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated.
    """

    model_name: str
    current: list[PerformanceReport]
    history: list[PerformanceHistory]
    data_until: str | None
    evaluated_until: str | None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Subject of a request: the rules of its model, the streams, and a segment of it, empty for all predictions."""

    rules: PerformanceRules
    streams: Sequence[StreamKey]
    segment: str

    def history(self, store: Store, stretch: Stretch) -> list[PerformanceHistory]:
        """Each stream over time."""
        start, end, step = stretch.seconds
        most = MOST_STEPS // max(1, len(self.streams))
        return [
            performance_history(store, stream, start, end, step, most, rules=self.rules, segment=self.segment)
            for stream in self.streams
        ]


def _chosen(
    connection: Connection, state: ServiceState, model: str, selected: StreamSelection, segment: str | None
) -> _Chosen:
    """Raises UnknownModel, and InvalidInput for too many streams and for a segment that the model has not."""
    generation = require_model(connection, model)
    if segment is not None:
        segment_feature_of(read_layouts(connection, model, generation).segmentation, segment)
    monitor = monitor_of(connection, model)
    rules = state.performance.with_monitor(None if monitor is None else monitor.config)
    return _Chosen(rules, selected.streams(connection, model), segment or "")


@router.get(
    "/models/{model_name:segment}/performance",
    summary="Performance of a model",
    operation_id="get_performance",
    responses=answers({200: PerformanceAnswer}, 404, 422, 503),
)
async def get_performance(
    request: Request, model_name: Name, selected: Selected, stretch: Stretched, segment: Text = None
) -> Response:
    """Metrics with 95 % intervals, coverage and maturity, from committed counts; with start, end or step a history.

    segment: the history covers only that part of the predictions, such as country=DE."""
    state = state_of(request)

    def work() -> PerformanceAnswer:
        with state.store.read() as connection:
            chosen = _chosen(connection, state, model_name, selected, segment)
            standing = standing_of(connection, model_name)
            is_laid_out = bool(outcomes_in_force(connection, model_name))
        if not is_laid_out:
            # The background jobs do it too, some seconds after the first labels.
            OutcomeLayouts(state.store, new_id=state.new_id).settle(model_name, state.clock())
        return PerformanceAnswer(
            model_name,
            [check_performance(state.store, chosen.rules, stream, state.clock()) for stream in chosen.streams],
            chosen.history(state.store, stretch) if stretch.is_given else [],
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/models/{model_name:segment}/performance.csv",
    summary="Performance over time, as CSV",
    operation_id="get_performance_csv",
    responses=csv_answers(),
)
async def get_performance_csv(
    request: Request, model_name: Name, selected: Selected, stretch: Stretched, segment: Text = None
) -> Response:
    """The history as a table: one row a step of each version and environment, with each metric and its interval."""
    state = state_of(request)

    def work() -> str:
        with state.store.read() as connection:
            chosen = _chosen(connection, state, model_name, selected, segment)
        return performance_csv(chosen.history(state.store, stretch))

    return csv_answer(await asyncio.to_thread(work))


class PerformanceStretchAnswer(msgspec.Struct):
    """A model's performance in a given time range, by version and environment, beside the reference.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated.
    """

    model_name: str
    streams: list[PerformanceStretch]
    data_until: str | None
    evaluated_until: str | None


@router.get(
    "/models/{model_name:segment}/performance/stretch",
    summary="Performance in a time range",
    operation_id="get_performance_stretch",
    responses=answers({200: PerformanceStretchAnswer}, 404, 422, 503),
)
async def get_performance_stretch(
    request: Request,
    model_name: Name,
    selected: Selected,
    start: Moment = None,
    end: Moment = None,
    segment: Text = None,
) -> Response:
    """Metrics of the part of a range whose labels should have arrived, with confusion matrix, classes, calibration,
    ROC, precision and recall, the same for the reference, the change with its interval, the levels of warnings and
    alerts, and the delay of labels.

    end: by default the newest data. start: by default a day before the end of the matured part."""
    state = state_of(request)
    since, until = seconds_of(start, end)

    def work() -> PerformanceStretchAnswer:
        with state.store.read() as connection:
            require_model(connection, model_name)
            monitor, standing = monitor_of(connection, model_name), standing_of(connection, model_name)
            streams = selected.streams(connection, model_name)
        rules = state.performance.with_monitor(None if monitor is None else monitor.config)
        queries = [StretchQuery(stream, since, until, segment or "") for stream in streams]
        return PerformanceStretchAnswer(
            model_name,
            [performance_stretch(state.store, rules, query) for query in queries],
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))
