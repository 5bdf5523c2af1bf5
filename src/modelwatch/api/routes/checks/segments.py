"""GET /models/{model}/segments."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import (
    Moment,
    Name,
    Text,
    how_far,
    json_answer,
    require_lookback,
    seconds_of,
    state_of,
)
from modelwatch.api.routes.selection import Selected
from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.errors import FieldError, InvalidInput, excerpt
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.monitoring.segments.evidence import SegmentQuery
from modelwatch.monitoring.segments.report import SegmentReport
from modelwatch.monitoring.segments.report_building import segment_report
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.storage.verdicts.standing import standing_of

router = APIRouter(tags=["segments"])

# Each stream is computed anew; a model with more versions says which.
MOST_STREAMS = 10
REFUSED = "The segments can't be compared like this."

Lookback = Annotated[str, Query(description="Look-back from the newest data, such as 6h.")]


class SegmentDefinition(msgspec.Struct):
    """A segment feature of the model's monitor. values: its segments; none while the feature has no reference."""

    feature_name: str
    segments: list[str]
    reason: str | None


class SegmentsAnswer(msgspec.Struct):
    """Segments in which a model got worse, by version and environment.

    data_until: when the newest prediction was. evaluated_until: the end of the newest window that was evaluated.
    """

    model_name: str
    definitions: list[SegmentDefinition]
    streams: list[SegmentReport]
    data_until: str | None
    evaluated_until: str | None


@router.get(
    "/models/{model_name:segment}/segments",
    summary="Segments of a model",
    operation_id="get_segments",
    responses=answers({200: SegmentsAnswer}, 404, 422, 503),
)
async def get_segments(
    request: Request,
    model_name: Name,
    selected: Selected,
    metric: Text = None,
    lookback: Lookback = "24h",
    baseline_start: Moment = None,
    baseline_end: Moment = None,
    end: Moment = None,
) -> Response:
    """Metrics, drift and data quality by segment, with what each contributes to the change, from committed counts.

    Compared with the labelled reference if its segments are known, otherwise with the preceding stretch, or with the
    one from baseline_start to baseline_end. end: where the look-back ends, by default at the newest data."""
    state = state_of(request)
    since, until = seconds_of(baseline_start, baseline_end, ("/baseline_start", "/baseline_end"))
    query = SegmentQuery(metric, _length(lookback), _baseline(since, until), seconds_of(None, end)[1])

    def work() -> SegmentsAnswer:
        with state.store.read() as connection:
            generation = require_model(connection, model_name)
            monitor, standing = monitor_of(connection, model_name), standing_of(connection, model_name)
            known = read_layouts(connection, model_name, generation).segmentation
            streams = selected.streams(connection, model_name, MOST_STREAMS)
        config = None if monitor is None else monitor.config
        wanted = () if config is None else config.segments or ()
        texts = {feature.feature: list(feature.texts) for feature in known.features}
        drift, rules = rules_for(state.rules, config), state.performance.with_monitor(config)
        return SegmentsAnswer(
            model_name,
            [
                SegmentDefinition(each.feature, texts.get(each.feature, []), _why(each.feature, texts))
                for each in wanted
            ],
            [segment_report(state.store, drift, rules, query, stream) for stream in streams],
            *how_far(standing),
        )

    return json_answer(await asyncio.to_thread(work))


def _why(feature: str, texts: dict[str, list[str]]) -> str | None:
    if feature in texts:
        return None
    return "It has no reference yet, nor a provisional one, in which its values stand as they are."


def _length(lookback: str) -> str:
    try:
        require_lookback(lookback)
    except ValueError as error:
        raise InvalidInput(REFUSED, (FieldError("/lookback", str(error), excerpt(lookback)),)) from None
    return lookback


def _baseline(start: int | None, end: int | None) -> tuple[int, int] | None:
    if start is None and end is None:
        return None
    if start is None or end is None:
        missing = "/baseline_start" if start is None else "/baseline_end"
        raise InvalidInput(REFUSED, (FieldError(missing, "baseline_start and baseline_end must be given together"),))
    if end <= start:
        raise InvalidInput(REFUSED, (FieldError("/baseline_end", "Expected a time after baseline_start"),))
    return start // BASE_WINDOW_SECONDS * BASE_WINDOW_SECONDS, -(-end // BASE_WINDOW_SECONDS) * BASE_WINDOW_SECONDS
