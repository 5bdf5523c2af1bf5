"""POST /ground-truth and /ground-truth/batch."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.ingest.hot_posts import MAY_WAIT
from modelwatch.api.ingest.intake import read_batch, rejections
from modelwatch.api.openapi import JSON_LABEL, LABELS_CONTENT, answers, operation, query_parameters
from modelwatch.api.routes.common import json_answer, require_writing, state_of
from modelwatch.batches import DecodedLabels
from modelwatch.events import Rejection
from modelwatch.ingest import Refused
from modelwatch.storage.ledger.labels import LabelStatus

router = APIRouter(tags=["ground truth"])


class LabelAnswer(msgspec.Struct):
    """The status of the label: `accepted` when it counts with its prediction, `corrected` when it replaced another
    value, `duplicate` when nothing changed, `waiting` when its prediction has not come yet, `expired` when it is older
    than the predictions that are kept, and none of them has its id: it is not kept. reason: why it may wait forever.
    """

    status: LabelStatus
    prediction_id: str
    reason: str | None = None


class LabelsAnswer(msgspec.Struct):
    """Counts of the labels of a batch by status, and the rejected rows with reasons.

    unknown_models: models of waiting labels, new or sent again, that have sent no prediction and have no reference or
    monitor. nearest_models: the known model that an unknown one may mean, of those where one is near.
    """

    accepted: int
    corrected: int
    duplicates: int
    waiting: int
    expired: int
    rejected: list[Rejection]
    unknown_models: list[str] = []
    nearest_models: dict[str, str] = {}


LOG_GROUND_TRUTH = operation(
    tag="ground truth",
    operation_id="log_ground_truth",
    summary="Log the ground truth of one prediction",
    description=(
        "The response is sent once the label is durable. It may come before its prediction, with it or long after, and"
        " repeatedly."
    ),
    request=JSON_LABEL,
    responses=answers({202: LabelAnswer}, 400, 413, 415, 422, 503),
)


@router.post(
    "/ground-truth/batch",
    status_code=202,
    summary="Log the ground truth of many predictions",
    operation_id="log_ground_truths",
    openapi_extra={
        "requestBody": LABELS_CONTENT,
        "parameters": query_parameters(model_name="Model for rows that name none."),
    },
    responses=answers({202: LabelsAnswer}, 400, 413, 415, 422, 503),
)
async def log_ground_truths(request: Request) -> Response:
    """Valid rows are kept, and rejected rows are listed. JSON, NDJSON, Arrow IPC stream, Parquet or CSV; gzip and
    zstd."""
    state = state_of(request)
    batch: DecodedLabels
    batch, size, arrived = await read_batch(request, state.settings, state.decoder.ground_truths, ("model_name",))
    grant = grant_of(request)
    require_writing(grant, (label.model_name for label in batch.labels))
    statuses = await state.batcher.submit_labels(batch.labels, size) if batch.labels else []
    rejected = sorted([*batch.rejected, *rejections(statuses, batch.rejected)], key=lambda each: each.index)
    if rejected:
        state.counters.rejected("invalid-input", len(rejected))
    found = Counter(status for status in statuses if not isinstance(status, Refused))
    waiting = [label.model_name for label, status in zip(batch.labels, statuses, strict=True) if status in MAY_WAIT]
    unknown: dict[str, str | None] = {}
    if waiting:
        unknown = await asyncio.to_thread(state.nearest.among, state.store, waiting, grant, state.clock())
    state.counters.accepted("label batch", time.perf_counter() - arrived)
    return json_answer(
        LabelsAnswer(
            found["accepted"],
            found["corrected"],
            found["duplicate"],
            found["waiting"],
            found["expired"],
            rejected,
            list(unknown),
            {model: nearest for model, nearest in unknown.items() if nearest is not None},
        ),
        202,
    )
