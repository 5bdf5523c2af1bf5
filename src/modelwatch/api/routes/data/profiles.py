"""GET /reference/binnings and POST /profiles: data counted where it is."""

from __future__ import annotations

import asyncio
import base64
import time

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of, require_reading
from modelwatch.api.decoding.profiles import decode_profile
from modelwatch.api.decoding.values import Limits
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import PROFILE_CONTENT, answers
from modelwatch.api.routes.common import Model, Text, json_answer, state_of
from modelwatch.errors import Conflict
from modelwatch.stats.counting.binning import encode_binning
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.ledger.received_profiles import store_profile
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.subjects import binnings_id
from modelwatch.times import iso_of_seconds

router = APIRouter(tags=["profiles"])


class SubjectBinning(msgspec.Struct):
    """The cells of a subject. binning: their bytes in base64, as the library reads them. hashed: the names of its
    categories are hashed with a key of the service, so that it can't be counted elsewhere."""

    kind: str
    name: str
    type: str
    binning_id: str
    binning: str
    hashed: bool


class BinningsAnswer(msgspec.Struct):
    """The cells of the reference in force for a version. id: of all of them together; it changes with any."""

    model_name: str
    model_version: str | None
    id: str
    subjects: list[SubjectBinning]


class ProfileAnswer(msgspec.Struct):
    """`accepted` when the profile was new, `duplicate` when one of its id was counted before.

    predictions, windows: of what was counted now. expired: starts of the windows that are too old to be counted.
    """

    status: str
    profile_id: str
    predictions: int
    windows: int
    expired: list[str]


@router.get(
    "/reference/binnings",
    summary="Cells that data is counted in",
    operation_id="get_binnings",
    responses=answers({200: BinningsAnswer}, 404, 409, 422, 503),
)
async def get_binnings(request: Request, model_name: Model, model_version: Text = None) -> Response:
    """Those of the reference in force, for profiles counted elsewhere. They are the same in all environments."""
    state = state_of(request)
    require_reading(grant_of(request), model_name)

    def work() -> BinningsAnswer:
        with state.store.read() as connection:
            layouts = read_layouts(connection, model_name, require_model(connection, model_name))
        layout = layouts.common if model_version is None else layouts.of(model_version)
        if not layout.binnings:
            raise Conflict("The model has no reference: set one first.")
        return BinningsAnswer(
            model_name,
            model_version,
            binnings_id(layout.binnings),
            [
                SubjectBinning(
                    subject.kind,
                    subject.name,
                    binning.kind,
                    binning.id,
                    base64.b64encode(encode_binning(binning)).decode(),
                    subject in layout.hashed,
                )
                for subject, binning in sorted(layout.binnings.items(), key=lambda item: item[0])
            ],
        )

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/profiles",
    status_code=202,
    summary="Send counts instead of predictions",
    operation_id="log_profile",
    openapi_extra={"requestBody": PROFILE_CONTENT},
    responses=answers({202: ProfileAnswer}, 400, 404, 409, 413, 415, 422, 503),
)
async def log_profile(request: Request) -> Response:
    """The response is sent once the counts are durable. Send the same id again after an error: it counts once."""
    state = state_of(request)
    settings = state.settings
    body = await read_body(request, settings.max_body_bytes, settings.request_timeout_seconds)
    arrived, grant = time.perf_counter(), grant_of(request)

    def work() -> ProfileAnswer:
        given = decode_profile(body, Limits.of(settings), state.clock())
        grant.require_writing(given.model)
        taken = store_profile(
            state.store, given, now=state.clock(), writer=state.new_id(), host=f"profile {given.id}"[:200]
        )
        state.counters.profiled(given.model, taken)
        return ProfileAnswer(
            taken.status,
            given.id,
            sum(each.predictions for each in taken.increments),
            len(taken.increments),
            [iso_of_seconds(start) for start in taken.expired],
        )

    answer = json_answer(await asyncio.to_thread(work), 202)
    state.counters.accepted("prediction batch", time.perf_counter() - arrived)
    return answer
