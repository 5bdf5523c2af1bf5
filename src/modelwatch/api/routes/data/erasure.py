"""DELETE /models/{model}/predictions/{id}."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import API, Actor, Name, json_answer, state_of
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.times import EPOCH

router = APIRouter(tags=["predictions"])

FIRST_DAY = EPOCH.date()

Day = Annotated[date | None, Query(description="Only the prediction of this UTC day; default: of every day.")]
LeaveCounts = Annotated[
    bool,
    Query(description="Erase the row even where a feature's value is not stored; its counts then remain."),
]


class ErasureAnswer(msgspec.Struct):
    """The result of an erasure. counts_left: the features in whose counts a prediction remains."""

    status: str
    model_name: str
    prediction_id: str
    predictions: int
    days: list[str]
    labels: int
    counts_left: list[str]


@router.delete(
    "/models/{model_name:segment}/predictions/{prediction_id:rest}",
    summary="Erase a prediction",
    operation_id="erase_prediction",
    responses=answers({200: ErasureAnswer}, 404, 409, 422, 503),
)
async def erase_prediction(
    request: Request,
    model_name: Name,
    prediction_id: Name,
    day: Day = None,
    leave_counts: LeaveCounts = False,
    actor: Actor = None,
) -> Response:
    """Removes its row, its label and its part of the counts. 404 when there is nothing to erase, also when repeated."""
    state = state_of(request)
    who = grant_of(request).actor(actor, API)

    def work() -> ErasureAnswer:
        erased = erase(
            state.store,
            model_name,
            prediction_id,
            day=None if day is None else (day - FIRST_DAY).days,
            leave_counts=leave_counts,
            actor=who,
            now=state.clock(),
            new_id=state.new_id,
        )
        days = [(FIRST_DAY + timedelta(days=each)).isoformat() for each in erased.days]
        return ErasureAnswer(
            "erased", model_name, prediction_id, len(days), days, erased.labels, list(erased.counts_left)
        )

    return json_answer(await asyncio.to_thread(work))
