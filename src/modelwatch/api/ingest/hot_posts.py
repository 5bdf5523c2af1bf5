"""The hot POSTs: one prediction or label is decoded, stored and acknowledged, in front of the framework's router."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.ingest.bodies import body_timeout, read_body
from modelwatch.api.ingest.expiry import refusal
from modelwatch.api.nearest_models import with_nearest
from modelwatch.api.problems import problem_body
from modelwatch.api.query import check_parameters
from modelwatch.api.state import ServiceState
from modelwatch.errors import InvalidInput, RequestError, ServiceError, UnknownModel, UnsupportedContent
from modelwatch.ingest import Refused

RawHeaders = list[tuple[bytes, bytes]]
Answer = tuple[int, RawHeaders, bytes]
Take = Callable[[ServiceState, bytes, Grant], Awaitable[Answer]]

# A body whose length has so many digits is within every limit, unless that is set lower.
PLAIN_DIGITS = 5
MOST_PLAIN_BYTES = 10**PLAIN_DIGITS - 1

# What becomes of labels whose prediction may never come: the first of an id waits, those after it correct or repeat it.
MAY_WAIT = ("waiting", "corrected", "duplicate")

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_STATUS = {True: b'{"status":"accepted","prediction_id":', False: b'{"status":"duplicate","prediction_id":'}


class HotPost:
    """The one handler of a hot POST, as an ASGI application: `FastPath` calls it, and so does the router.

    take: decodes a body, and answers once what it holds is durable. kind: of the requests, by which they are timed.
    """

    def __init__(self, state: ServiceState, take: Take, kind: str) -> None:
        self._state = state
        self._take = take
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            grant: Grant = scope[GRANT]
            grant.require("ingest")
            if scope["query_string"]:
                check_parameters(scope["query_string"], ())
            body = await self._body(scope, receive, grant)
            arrived = time.perf_counter()
            status, headers, content = await self._take(self._state, body, grant)
            self._state.metrics.accepted(self._kind, time.perf_counter() - arrived)
        except Exception as error:
            if not isinstance(error, RequestError | ServiceError):
                log.exception("A POST to %s could not be answered", scope["path"])
            self._state.count_refusal(error)
            status, headers, content = problem_body(error)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _body(self, scope: Scope, receive: Receive, grant: Grant) -> bytes:
        settings = self._state.settings
        plain = grant.body_bytes is None and settings.max_body_bytes > MOST_PLAIN_BYTES
        for name, value in scope["headers"]:
            if name == b"content-type":
                check_json(value)
            elif name in (b"content-encoding", b"transfer-encoding") or (
                name == b"content-length" and len(value) > PLAIN_DIGITS
            ):
                plain = False
        if plain:
            try:
                async with asyncio.timeout(settings.request_timeout_seconds):
                    message = await receive()
            except TimeoutError:
                raise body_timeout(settings.request_timeout_seconds) from None
            if message["type"] == "http.request" and not message.get("more_body", False):
                return bytes(message.get("body", b""))
            receive = _replayed(message, receive)
        return await read_body(Request(scope, receive), settings.max_body_bytes, settings.request_timeout_seconds)


class FastPath:
    """An ASGI application in front of another one: it answers the POSTs of `hot`, by path, and passes on the rest."""

    def __init__(self, app: ASGIApp, hot: Mapping[str, HotPost]) -> None:
        self.app = app
        self._hot = hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hot = self._hot.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (self.app if hot is None else hot)(scope, receive, send)


async def take_prediction(state: ServiceState, body: bytes, grant: Grant) -> Answer:
    """Decodes one prediction and answers once it is durable. Raises RequestError or ServiceError."""
    event = state.decoder.prediction(body)
    grant.require_writing(event.model_name)
    [accepted] = await state.batcher.submit((event,), len(body))
    if accepted is None:
        raise await asyncio.to_thread(refusal, state.store, event)
    if isinstance(accepted, Refused):
        raise InvalidInput(accepted.message)
    content = _STATUS[accepted] + _encode(event.prediction_id) + b"}"
    return 202, _json_headers(content), content


async def take_label(state: ServiceState, body: bytes, grant: Grant) -> Answer:
    """Decodes one label and answers once it is durable. Raises RequestError or ServiceError."""
    label = state.decoder.ground_truth(body)
    grant.require_writing(label.model_name)
    [status] = await state.batcher.submit_labels((label,), len(body))
    answer = {"status": status, "prediction_id": label.prediction_id}
    if status in MAY_WAIT:
        model = label.model_name
        unknown = await asyncio.to_thread(state.nearest.among, state.store, (model,), grant, state.clock())
        if unknown:
            answer["reason"] = with_nearest(UnknownModel(model), unknown[model])
    content = _encode(answer)
    return 202, _json_headers(content), content


def check_json(content_type: bytes) -> None:
    """Raises UnsupportedContent unless the content type is JSON."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind != b"application/json" and not kind.endswith(b"+json"):
        given = content_type.decode("latin-1")[:80]
        raise UnsupportedContent(f"This is sent as application/json, not as {given!r}.")


def _json_headers(content: bytes) -> RawHeaders:
    return [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]


def _replayed(first: Message, receive: Receive) -> Receive:
    """Receive channel that repeats a message taken already, then continues."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
