"""Reads that many ask for at the same moment: pages that refresh themselves, panels of one dashboard, scrapes.

Who asks for what another request is just being answered with waits for that, and all who wait share the one answer
that is made next. So a read goes on once at a time, however many ask, and every answer is made of what the store holds
after it was asked for: nothing has to be found out of date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelwatch.api.auth.gate import SESSION
from modelwatch.api.auth.scopes import GRANT

FOLDERS, NEITHER, METRICS = ("/api/v1/", "/ui/"), "/ui/assets/", "/metrics"
# No answer depends on these; any other header makes it another request.
OF_THE_CLIENT = frozenset(
    (
        *(b"accept-language", b"cache-control", b"connection", b"dnt", b"pragma", b"priority", b"referer"),
        *(b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user", b"sec-gpc"),
        *(b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"upgrade-insecure-requests", b"user-agent"),
        # Keys: the grant says whose request it is.
        *(b"authorization", b"x-api-key"),
    )
)

OF_A_BODY = (b"content-length", b"transfer-encoding")


@dataclass(slots=True, eq=False)
class _Answer:
    """An answer that is made. shared: its messages, and the error that it ended with; None of one that is not shared.
    begun: those who ask from now on may not share it."""

    begun: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    shared: asyncio.Task[tuple[list[Message], Exception | None]] | None = None


class SharedAnswers:
    """An ASGI application around another one, behind the gate, which has let each request in by itself.

    Requests are the same when path, query, grant, session and headers are: never are rights lent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # The newest of each request.
        self._made: dict[Hashable, _Answer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_shared(scope):
            await self._app(scope, receive, send)
            return
        request = _identity(scope)
        newest = self._made.get(request)
        if newest is None:
            alone = self._made[request] = _Answer(begun=True)

            async def give(message: Message) -> None:
                # The answer is made: how fast its client takes it concerns nobody who waits.
                alone.ended.set()
                await send(message)

            try:
                await self._app(scope, receive, give)
            finally:
                self._end(request, alone)
            return
        if newest.begun:
            following = self._made[request] = _Answer()
            following.shared = asyncio.create_task(self._after(newest, request, following, scope))
            newest = following
        assert newest.shared is not None, "what has not begun is shared"
        # Others wait for it, too: who goes away does not end it.
        messages, error = await asyncio.shield(newest.shared)
        for message in messages:
            # What is around this application may write into what it is given.
            await send(dict(message))
        if error is not None:
            raise error

    async def _after(
        self, before: _Answer, request: Hashable, answer: _Answer, scope: Scope
    ) -> tuple[list[Message], Exception | None]:
        await before.ended.wait()
        answer.begun = True
        messages: list[Message] = []

        async def take(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, _without_body(), take)
        except Exception as error:  # noqa: BLE001 - each that waits for it is told
            return messages, error
        finally:
            self._end(request, answer)
        return messages, None

    def _end(self, request: Hashable, answer: _Answer) -> None:
        answer.ended.set()
        if self._made.get(request) is answer:
            del self._made[request]


def _is_shared(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    path: str = scope["path"]
    if path != METRICS and (not path.startswith(FOLDERS) or path.startswith(NEITHER)):
        return False
    return not any(name in OF_A_BODY for name, _ in scope["headers"])


def _identity(scope: Scope) -> Hashable:
    headers = tuple((name, value) for name, value in scope["headers"] if name not in OF_THE_CLIENT)
    return scope["path"], scope["query_string"], scope.get(GRANT), scope.get(SESSION), headers


def _without_body() -> Receive:
    """What the server would give of a request without a body, whose client never goes away."""
    first = True

    async def receive() -> Message:
        nonlocal first
        if not first:
            await asyncio.Event().wait()
        first = False
        return {"type": "http.request", "body": b"", "more_body": False}

    return receive
