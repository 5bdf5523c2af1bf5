"""GET /models/{model}/events and /models/{model}/unwatched."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from modelwatch.api.openapi import answers
from modelwatch.api.routes.common import Moment, Name, cursor_of, json_answer, microseconds_of, state_of
from modelwatch.api.routes.selection import Paged, Selected
from modelwatch.monitoring.checks.rules import rules_for
from modelwatch.storage.engine.models import require_model
from modelwatch.storage.references.monitors import monitor_of
from modelwatch.views.models.events import EventLine, model_events
from modelwatch.views.models.unwatched import Unwatched, newest_drift, unwatched

router = APIRouter(tags=["models"])


class EventList(msgspec.Struct):
    """Events, newest first. next_cursor: where the next page begins."""

    events: list[EventLine]
    next_cursor: str | None


class StreamUnwatched(msgspec.Struct):
    """Subjects of one version in one environment that are not watched."""

    model_version: str
    environment: str
    unwatched: list[Unwatched]


class UnwatchedList(msgspec.Struct):
    """Subjects that are not watched, by stream."""

    model_name: str
    streams: list[StreamUnwatched]


@router.get(
    "/models/{model_name:segment}/events",
    summary="Events of a model",
    operation_id="list_model_events",
    responses=answers({200: EventList}, 404, 422, 503),
)
async def get_events(
    request: Request, model_name: Name, streams: Selected, page: Paged, start: Moment = None, end: Moment = None
) -> Response:
    """Versions first seen, references set, changes of the monitor, and alerts opened and resolved. Newest first."""
    store = state_of(request).store
    since, until = microseconds_of(start, end)

    def work() -> EventList:
        with store.read() as connection:
            require_model(connection, model_name)
            found = model_events(
                connection,
                model_name,
                start=since,
                end=until,
                version=streams.version,
                environment=streams.environment,
                before=page.position,
                limit=page.limit,
            )
        return EventList(list(found.lines), None if found.following is None else cursor_of(found.following))

    return json_answer(await asyncio.to_thread(work))


@router.get(
    "/models/{model_name:segment}/unwatched",
    summary="Subjects that are not watched",
    operation_id="list_unwatched",
    responses=answers({200: UnwatchedList}, 404, 422, 503),
)
async def get_unwatched(request: Request, model_name: Name, streams: Selected) -> Response:
    """Features without a reference or with too little data, those that the monitor leaves out, immature labels, volume
    and silence that are not learned yet; each with its reason."""
    state = state_of(request)

    def work() -> UnwatchedList:
        with state.store.read() as connection:
            require_model(connection, model_name)
            monitor = monitor_of(connection, model_name)
            config = None if monitor is None else monitor.config
            rules, quality = rules_for(state.rules, config), state.quality.with_monitor(config)
            return UnwatchedList(
                model_name,
                [
                    StreamUnwatched(
                        each.version,
                        each.environment,
                        unwatched(connection, each, newest_drift(connection, each), rules, quality, state.clock()),
                    )
                    for each in streams.streams(connection, model_name)
                ],
            )

    return json_answer(await asyncio.to_thread(work))
