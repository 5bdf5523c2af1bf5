"""DELETE /models/{model}, /models/{model}/versions/{version} and /models/{model}/environments/{environment}."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.auth.scopes import grant_of, require_reading
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import json_answer, state_of
from modelwatch.api.routes.parameters import API, Actor, Name
from modelwatch.errors import UnknownResource, excerpt
from modelwatch.storage.engine.models import Part
from modelwatch.storage.maintenance.deletion import Deletion, deletion_by_id, request_deletion

router = APIRouter(tags=["models"])


class DeletionReport(msgspec.Struct):
    """A deletion, and how far it is. status: `deleting` or `deleted`. removed: rows of everything but predictions."""

    deletion_id: str
    status: str
    model_name: str
    model_version: str | None
    environment: str | None
    step: str
    predictions: int
    removed: int


@router.delete(
    "/models/{model_name:segment}",
    status_code=202,
    summary="Delete a model",
    operation_id="delete_model",
    responses=answers({202: DeletionReport}, 404, 422, 503),
)
async def delete_model(request: Request, model_name: Name, actor: Actor = None) -> Response:
    """Everything that is stored of it: predictions, labels, counts, references, verdicts, alerts and its monitor."""
    return await _requested(request, model_name, Part(), actor)


@router.delete(
    "/models/{model_name:segment}/versions/{model_version:segment}",
    status_code=202,
    summary="Delete a version of a model",
    operation_id="delete_version",
    responses=answers({202: DeletionReport}, 404, 422, 503),
)
async def delete_version(request: Request, model_name: Name, model_version: Name, actor: Actor = None) -> Response:
    """What is stored of the version, in every environment, and the references of it alone."""
    return await _requested(request, model_name, Part(version=model_version), actor)


@router.delete(
    "/models/{model_name:segment}/environments/{environment:segment}",
    status_code=202,
    summary="Delete an environment of a model",
    operation_id="delete_environment",
    responses=answers({202: DeletionReport}, 404, 422, 503),
)
async def delete_environment(request: Request, model_name: Name, environment: Name, actor: Actor = None) -> Response:
    """What is stored of the environment, of every version. References are not of an environment, so they stay."""
    return await _requested(request, model_name, Part(environment=environment), actor)


@router.get(
    "/deletions/{deletion_id:segment}",
    summary="How far a deletion is",
    operation_id="get_deletion",
    responses=answers({200: DeletionReport}, 404, 422, 503),
)
async def get_deletion(request: Request, deletion_id: Name) -> Response:
    """Also once it has ended."""
    state, grant = state_of(request), grant_of(request)

    def work() -> DeletionReport:
        with state.store.read() as connection:
            found = deletion_by_id(connection, deletion_id)
        if found is None:
            raise UnknownResource(f"There is no deletion with the id {excerpt(deletion_id)!r}.")
        require_reading(grant, found.model)
        return _report(found)

    return json_answer(await asyncio.to_thread(work))


async def _requested(request: Request, model: str, part: Part, actor: str | None) -> Response:
    state, who = state_of(request), grant_of(request).actor(actor, API)

    def work() -> DeletionReport:
        state.alerts.check_action(who, None)
        deletion = request_deletion(state.store, model, part, actor=who, now=state.clock(), new_id=state.new_id)
        return _report(deletion)

    return json_answer(await asyncio.to_thread(work), 202)


def _report(found: Deletion) -> DeletionReport:
    return DeletionReport(
        found.id,
        "deleting" if found.finished_at is None else "deleted",
        found.model,
        found.part.version,
        found.part.environment,
        found.step,
        found.predictions,
        found.removed,
    )
