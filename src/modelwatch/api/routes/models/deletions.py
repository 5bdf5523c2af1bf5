"""DELETE /models/{model}, /models/{model}/versions/{version} and /models/{model}/environments/{environment}."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from modelwatch.api.auth.scopes import grant_of, require_reading
from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import API, Actor, Name, json_answer, state_of
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


def _model() -> Part:
    """Everything that is stored of it: predictions, labels, counts, references, verdicts, alerts and its monitor."""
    return Part()


def _version(model_version: Name) -> Part:
    """Deletes all data of the version, in every environment, and the references of this version alone."""
    return Part(version=model_version)


def _environment(environment: Name) -> Part:
    """Deletes all data of the environment, of every version. References belong to no environment, so they stay."""
    return Part(environment=environment)


def _add_route(operation: str, path: str, what: str, part_of: Callable[..., Part]) -> None:
    """Adds the route that deletes the part of a model which `part_of` reads from the rest of the path."""

    async def delete(
        request: Request,
        model_name: Name,
        part: Part = Depends(part_of),  # noqa: B008 - which one is known here alone
        actor: Actor = None,
    ) -> Response:
        state, who = state_of(request), grant_of(request).actor(actor, API)

        def work() -> DeletionReport:
            state.alerts.check_action(who, None)
            found = request_deletion(state.store, model_name, part, actor=who, now=state.clock(), new_id=state.new_id)
            return _report(found)

        return json_answer(await asyncio.to_thread(work), 202)

    router.add_api_route(
        "/models/{model_name:segment}" + path,
        delete,
        methods=["DELETE"],
        status_code=202,
        summary=f"Delete {what}",
        description=part_of.__doc__,
        operation_id=operation,
        responses=answers({202: DeletionReport}, 404, 422, 503),
    )


_add_route("delete_model", "", "a model", _model)
_add_route("delete_version", "/versions/{model_version:segment}", "a version of a model", _version)
_add_route("delete_environment", "/environments/{environment:segment}", "an environment of a model", _environment)


@router.get(
    "/deletions/{deletion_id:segment}",
    summary="Progress of a deletion",
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
