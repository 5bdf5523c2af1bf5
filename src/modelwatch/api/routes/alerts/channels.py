"""GET /channels, POST /channels/{name}/test; GET /deliveries, POST /deliveries/{key}/retry."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.alerting.queries import list_channels, list_deliveries
from modelwatch.alerting.views.operations import ChannelLine, DeliveryLine, TestResult
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import ActorBody, decode_action
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import ACTOR_CONTENT, answers
from modelwatch.api.routes.common import API, Cursor, Limit, Name, Text, cursor_of, json_answer, position_of, state_of
from modelwatch.storage.alerts.outbox import OutboxState

router = APIRouter(tags=["channels"])


class ChannelList(msgspec.Struct):
    """The channels that are configured, by name."""

    channels: list[ChannelLine]


class DeliveryList(msgspec.Struct):
    """Deliveries, those written last first. next_cursor: where the next page begins."""

    deliveries: list[DeliveryLine]
    next_cursor: str | None


@router.get(
    "/channels",
    summary="Channels and their status",
    operation_id="list_channels",
    responses=answers({200: ChannelList}, 422, 503),
)
async def get_channels(request: Request) -> Response:
    """The target of each channel, without its secrets, its pending deliveries, and the result of its last one."""
    service = state_of(request)

    def work() -> ChannelList:
        with service.store.read() as connection:
            return ChannelList(list(list_channels(connection, service.channels)))

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/channels/{name:segment}/test",
    summary="Send a test notification",
    operation_id="test_channel",
    openapi_extra={"requestBody": ACTOR_CONTENT},
    responses=answers({200: TestResult}, 400, 404, 409, 413, 422, 503),
)
async def test_channel(request: Request, name: Name) -> Response:
    """Sent now, once, without the outbox. 200 also when it was not delivered: see `outcome`. 409 while another runs."""
    service = state_of(request)
    actor = await _actor(request)
    return json_answer(await asyncio.to_thread(service.deliveries.send_test, name, actor=actor))


@router.get(
    "/deliveries",
    summary="Deliveries",
    operation_id="list_deliveries",
    responses=answers({200: DeliveryList}, 422, 503),
)
async def get_deliveries(
    request: Request,
    state: Annotated[OutboxState | None, Query(description="`dead`: failed for good.")] = None,
    channel: Text = None,
    alert: Text = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Notifications for each channel, and their outcomes."""
    service = state_of(request)
    before = None if cursor is None else position_of(cursor)

    def work() -> DeliveryList:
        with service.store.read() as connection:
            page = list_deliveries(connection, state=state, channel=channel, alert_id=alert, before=before, limit=limit)
        return DeliveryList(list(page.lines), None if page.following is None else cursor_of(page.following))

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/deliveries/{key:segment}/retry",
    summary="Retry a failed delivery",
    operation_id="retry_delivery",
    openapi_extra={"requestBody": ACTOR_CONTENT},
    responses=answers({200: DeliveryLine}, 400, 404, 409, 413, 422, 503),
)
async def retry_delivery(request: Request, key: Name) -> Response:
    """Makes the delivery pending again, as if it were new. 409 when it is not dead, or out of date."""
    service = state_of(request)
    actor = await _actor(request)
    return json_answer(await asyncio.to_thread(service.deliveries.retry, key, actor=actor))


async def _actor(request: Request) -> str:
    settings = state_of(request).settings
    raw = await read_body(request, settings.max_body_bytes, settings.request_timeout_seconds)
    body = decode_action(raw, ActorBody)
    return grant_of(request).actor(body.actor, API)
