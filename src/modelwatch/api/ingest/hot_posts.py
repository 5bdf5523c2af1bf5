"""The hot POSTs: one prediction or label is decoded, stored and acknowledged, in front of the framework's router."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelwatch.access import Grant
from modelwatch.api.auth.scopes import GRANT
from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.ingest.intake import body_timeout, read_body, refusal
from modelwatch.api.problems import RawHeaders, problem_body
from modelwatch.api.state import ServiceState
from modelwatch.api.unknown_names import check_parameters, with_nearest
from modelwatch.errors import RequestError, ServiceError, UnknownModel, UnsupportedContent
from modelwatch.events import GroundTruth, Prediction
from modelwatch.ingest import Batcher
from modelwatch.ingest.queue import Answer as Stored
from modelwatch.ingest.queue import Waiting
from modelwatch.storage.ledger.labels import LabelStatus

Answer = tuple[int, RawHeaders, bytes]
Given = TypeVar("Given", Prediction, GroundTruth)
# Outcome of a prediction, or of a label.
Outcome = bool | LabelStatus | None

# A body whose length has so many digits is within every limit, unless that is set lower.
PLAIN_DIGITS = 5
MOST_PLAIN_BYTES = 10**PLAIN_DIGITS - 1

# Labels whose prediction may never come: the first of an id waits, those after it correct or repeat it.
MAY_WAIT = ("waiting", "corrected", "duplicate")

JSON = b"application/json"
ACCEPTED = 202

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_STATUS = {True: b'{"status":"accepted","prediction_id":', False: b'{"status":"duplicate","prediction_id":'}


class HotPost:
    """The one handler of a hot POST, as an ASGI application: `FastPath` calls it, and so does the router.

    kind: of what is posted.
    """

    def __init__(self, state: ServiceState, kind: Kind[Any]) -> None:
        self._state = state
        self.kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            grant: Grant = scope[GRANT]
            grant.require("ingest")
            if scope["query_string"]:
                check_parameters(scope["query_string"], ())
            body = await self._body(scope, receive, grant)
            arrived = time.perf_counter()
            answer = await self._take(body, grant)
            self._state.counters.accepted(self.kind.name, time.perf_counter() - arrived)
        except Exception as error:  # noqa: BLE001 - it becomes the answer
            answer = refused(self._state, error, scope["path"])
        status, headers, content = answer
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _take(self, body: bytes, grant: Grant) -> Answer:
        """Decodes a body, and answers once what it holds is durable. Raises RequestError or ServiceError."""
        kind, state = self.kind, self._state
        given = kind.decode(state.decoder, body)
        grant.require_writing(given.model_name)
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        kind.store(state.batcher, given, len(body), stored)
        outcome = outcome_of(await stored)
        content = kind.known_answer(given, outcome)
        return accepted(await kind.answer(state, given, outcome, grant) if content is None else content)

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


class Kind(ABC, Generic[Given]):
    """Kind of a hot POST: one prediction, or one label in its body. name: by which its requests are timed."""

    name: ClassVar[str]

    @abstractmethod
    def decode(self, decoder: Decoder, body: bytes) -> Given:
        """Content of a body. Raises as the decoder does."""

    @abstractmethod
    def store(self, batcher: Batcher, given: Given, size: int, stored: Waiting) -> None:
        """Begins to store it, and tells `stored` the outcome. size: bytes of its body. Raises as `Batcher.begin`."""

    @abstractmethod
    def known_answer(self, given: Given, outcome: Outcome) -> bytes | None:
        """The content of the answer; None where it takes a look at the store."""

    @abstractmethod
    async def answer(self, state: ServiceState, given: Given, outcome: Outcome, grant: Grant) -> bytes:
        """The content of an answer that takes a look at the store. Raises RequestError where it was not taken."""


class OnePrediction(Kind[Prediction]):
    """One prediction."""

    name = "prediction"

    def decode(self, decoder: Decoder, body: bytes) -> Prediction:
        return decoder.prediction(body)

    def store(self, batcher: Batcher, given: Prediction, size: int, stored: Waiting) -> None:
        batcher.begin((given,), (), size, stored)

    def known_answer(self, given: Prediction, outcome: Outcome) -> bytes | None:
        if outcome is True or outcome is False:
            return _STATUS[outcome] + _encode(given.prediction_id) + b"}"
        return None

    async def answer(self, state: ServiceState, given: Prediction, outcome: Outcome, grant: Grant) -> bytes:
        raise await asyncio.to_thread(refusal, state.store, given)


class OneLabel(Kind[GroundTruth]):
    """One label."""

    name = "label"

    def decode(self, decoder: Decoder, body: bytes) -> GroundTruth:
        return decoder.ground_truth(body)

    def store(self, batcher: Batcher, given: GroundTruth, size: int, stored: Waiting) -> None:
        batcher.begin((), (given,), size, stored)

    def known_answer(self, given: GroundTruth, outcome: Outcome) -> bytes | None:
        if outcome in MAY_WAIT:
            return None
        return _encode({"status": outcome, "prediction_id": given.prediction_id})

    async def answer(self, state: ServiceState, given: GroundTruth, outcome: Outcome, grant: Grant) -> bytes:
        content = {"status": outcome, "prediction_id": given.prediction_id}
        model = given.model_name
        unknown = await asyncio.to_thread(state.nearest.among, state.store, (model,), grant, state.clock())
        if unknown:
            content["reason"] = with_nearest(UnknownModel(model), unknown[model])
        return _encode(content)


def outcome_of(stored: Stored) -> Outcome:
    """Outcome of the one prediction or label of a request."""
    # What the store refuses alone is an error of its request.
    return cast(Outcome, stored.accepted[0] if stored.accepted else stored.labels[0])


def accepted(content: bytes) -> Answer:
    """The answer to what was taken."""
    return ACCEPTED, [(b"content-type", JSON), (b"content-length", str(len(content)).encode())], content


def refused(state: ServiceState, error: Exception, path: str) -> Answer:
    """The answer to what was not taken, which is counted by its reason."""
    if not isinstance(error, RequestError | ServiceError):
        log.error("A POST to %s could not be answered", path, exc_info=error)
    state.count_refusal(error)
    return problem_body(error)


def check_json(content_type: bytes) -> None:
    """Raises UnsupportedContent unless the content type is JSON."""
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind != JSON and not kind.endswith(b"+json"):
        given = content_type.decode("latin-1")[:80]
        raise UnsupportedContent(f"This is sent as application/json, not as {given!r}.")


def _replayed(first: Message, receive: Receive) -> Receive:
    """Receive channel that repeats a message taken already, then continues."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
