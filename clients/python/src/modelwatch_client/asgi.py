"""Middleware for FastAPI, Starlette and other ASGI applications: logs what a route was asked and what it answered."""

from __future__ import annotations

import json
import time
from typing import Any, Awaitable, Callable, Dict, List, MutableMapping, Sequence

from modelwatch_client.client import Client
from modelwatch_client.watch import log_result

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MOST_BODY_BYTES = 1024 * 1024


class Middleware:
    """Logs each POST to one of `paths` that is answered with 2xx and JSON.

        app.add_middleware(Middleware, client=client, paths=["/predict"])

    features: from the decoded request to the features, else its `features`, else all of it. result: from the decoded
    answer to what `Client.watch` takes as a result, else the answer itself when it is a mapping with `prediction`.
    Bodies above 1 MiB are passed on and not logged.
    """

    def __init__(
        self,
        app: Any,
        *,
        client: Client,
        paths: Sequence[str],
        features: Callable[[Any], Any] | None = None,
        result: Callable[[Any], Any] | None = None,
    ) -> None:
        if isinstance(paths, str):
            raise ValueError(f"paths is {paths!r}: expected a list of paths")
        self._app = app
        self._client = client
        self._paths = frozenset(paths)
        self._features = features or _features
        self._result = result or (lambda answer: answer)

    async def __call__(self, scope: Dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._paths:
            await self._app(scope, receive, send)
            return
        asked, answered, began = _Body(), _Body(), time.perf_counter()
        status: List[int] = []

        async def receive_noting() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                asked.add(message.get("body", b""))
            return message

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])
            elif message["type"] == "http.response.body":
                answered.add(message.get("body", b""))
            await send(message)

        await self._app(scope, receive_noting, send_noting)
        if status and 200 <= status[0] < 300:
            self._log(asked, answered, (time.perf_counter() - began) * 1000)

    def _log(self, asked: _Body, answered: _Body, latency_ms: float) -> None:
        try:
            given, returned = self._features(asked.json()), self._result(answered.json())
            log_result(self._client, given, returned, latency_ms)
        except Exception as problem:  # noqa: BLE001 (the answer is out already)
            self._client._failed(problem)


class _Body:
    """The bytes of a body, up to the limit."""

    def __init__(self) -> None:
        self._parts: List[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= MOST_BODY_BYTES:
            self._parts.append(part)

    def json(self) -> Any:
        if self._size > MOST_BODY_BYTES:
            raise ValueError(f"a body of {self._size:,} bytes is not logged (at most {MOST_BODY_BYTES:,})")
        return json.loads(b"".join(self._parts))


def _features(asked: Any) -> Any:
    return asked["features"] if isinstance(asked, dict) and isinstance(asked.get("features"), dict) else asked
