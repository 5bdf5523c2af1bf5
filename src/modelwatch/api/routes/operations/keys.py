"""GET and POST /keys, DELETE /keys/{id}."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from modelwatch.access.keys import RANDOM_BYTES, KeyLine, KeyState, NewKey, list_keys, make_key, revoke
from modelwatch.api.auth.scopes import grant_of
from modelwatch.api.decoding.actions import KeyBody, decode_action, key_request
from modelwatch.api.ingest.intake import read_body
from modelwatch.api.openapi import KEY_CONTENT, answers
from modelwatch.api.routes.common import API, Actor, Name, json_answer, state_of

router = APIRouter(tags=["keys"])


class KeyList(msgspec.Struct):
    """API keys, oldest first."""

    keys: list[KeyLine]


@router.get("/keys", summary="API keys", operation_id="list_keys", responses=answers({200: KeyList}, 422, 503))
async def get_keys(
    request: Request, state: Annotated[KeyState | None, Query(description="State of the key.")] = None
) -> Response:
    """Every key that there ever was, without its secret."""
    service = state_of(request)

    def work() -> KeyList:
        with service.store.read() as connection:
            found = list_keys(connection, service.clock())
        return KeyList([each for each in found if state in (None, each.state)])

    return json_answer(await asyncio.to_thread(work))


@router.post(
    "/keys",
    summary="Create an API key",
    operation_id="create_key",
    status_code=201,
    openapi_extra={"requestBody": KEY_CONTENT},
    responses=answers({201: NewKey}, 400, 413, 422, 503),
)
async def create_key(request: Request) -> Response:
    """The text of the key is in this answer only: the store has a hash of it. Every process accepts it within 3
    seconds."""
    service = state_of(request)
    raw = await read_body(request, service.settings.max_body_bytes, service.settings.request_timeout_seconds)
    body = decode_action(raw, KeyBody)
    made = await asyncio.to_thread(
        make_key,
        service.store,
        key_request(body),
        randomness=os.urandom(RANDOM_BYTES),
        actor=grant_of(request).actor(body.actor, API),
        now=service.clock(),
        new_id=service.new_id,
    )
    return json_answer(made, 201)


@router.delete(
    "/keys/{key_id:segment}",
    summary="Revoke an API key",
    operation_id="revoke_key",
    responses=answers({200: KeyLine}, 404, 409, 422, 503),
)
async def revoke_key(request: Request, key_id: Name, actor: Actor = None) -> Response:
    """For good. Every process refuses it within 3 seconds. 409 when it is revoked already."""
    service = state_of(request)
    who = grant_of(request).actor(actor, API)
    return json_answer(
        await asyncio.to_thread(revoke, service.store, key_id, actor=who, now=service.clock(), new_id=service.new_id)
    )
