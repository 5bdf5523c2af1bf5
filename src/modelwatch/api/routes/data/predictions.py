"""POST /predictions and /predictions/batch."""

from __future__ import annotations

import asyncio
import time

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.ingest.intake import deleted_among, read_batch, rejections
from modelwatch.api.openapi import BATCH_CONTENT, JSON_PREDICTION, answers, operation, query_parameters
from modelwatch.api.routes.common import json_answer, require_writing, state_of
from modelwatch.batches import DecodedBatch
from modelwatch.events import Rejection

router = APIRouter(tags=["predictions"])

# A body from here on is many times as large in memory, for a moment.
LARGE_BYTES = 4 * 1024 * 1024


class PredictionAnswer(msgspec.Struct):
    """`accepted` when the prediction was new, `duplicate` when it was already stored."""

    status: str
    prediction_id: str


class BatchAnswer(msgspec.Struct):
    """Number of new rows, of rows stored before, and the rejected rows with reasons."""

    accepted: int
    duplicates: int
    rejected: list[Rejection]


LOG_PREDICTION = operation(
    tag="predictions",
    operation_id="log_prediction",
    summary="Log one prediction",
    description=(
        "The response is sent once the prediction is durable. Send the same id again after an error: it counts once."
    ),
    request=JSON_PREDICTION,
    responses=answers({202: PredictionAnswer}, 400, 413, 415, 422, 503),
)


@router.post(
    "/predictions/batch",
    status_code=202,
    summary="Log many predictions",
    operation_id="log_predictions",
    openapi_extra={
        "requestBody": BATCH_CONTENT,
        "parameters": query_parameters(
            model_name="Model for rows that name none.",
            model_version="Version for rows that name none.",
            environment="Environment for rows that name none.",
        ),
    },
    responses=answers({202: BatchAnswer}, 400, 413, 415, 422, 503),
)
async def log_predictions(request: Request) -> Response:
    """Valid rows are kept, and rejected rows are listed. JSON, NDJSON, Arrow IPC stream, Parquet or CSV; gzip and
    zstd."""
    state = state_of(request)
    batch: DecodedBatch
    batch, size, arrived = await read_batch(
        request, state.settings, state.decoder.batch, ("model_name", "model_version", "environment")
    )
    require_writing(grant_of(request), batch.events.models)
    accepted = await state.batcher.submit(batch.events, size) if batch.events else []
    if batch.rejected:
        state.counters.rejected("invalid-input", len(batch.rejected))
    rejected = batch.rejected
    deleted = await asyncio.to_thread(deleted_among, state.store, batch.events, accepted) if None in accepted else ()
    not_taken = rejections(accepted, batch.rejected, deleted)
    for each in not_taken:
        state.counters.rejected("expired" if each.pointer else "invalid-input")
    rejected = sorted([*rejected, *not_taken], key=lambda each: each.index)
    answer = json_answer(BatchAnswer(accepted.count(True), accepted.count(False), rejected), 202)
    state.counters.accepted("prediction batch", time.perf_counter() - arrived)
    if size >= LARGE_BYTES:
        del batch
        # The next one finds it free; without it each takes more.
        await state.trim_memory()
    return answer
