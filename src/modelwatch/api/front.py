"""Answers in front of the service: while the store is being opened, and during shutdown."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import FrameType

import msgspec
from starlette.types import Message, Receive, Scope, Send

from modelwatch.api.app import Application
from modelwatch.api.around import DEFAULTS, NOT_KEPT
from modelwatch.api.fast_lane import FastLane
from modelwatch.api.problems import RawHeaders, problem_body
from modelwatch.api.routes.operations.service import SERVICE_NAME, Alive, Health
from modelwatch.errors import StoreUnavailable

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
RETRY_AFTER_SECONDS = 2

log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode


class Front:
    """An ASGI application that becomes another one as soon as that can be built.

    build: opens the store and puts the service together; StoreUnavailable is waited out, anything else ends the
    process. drain_seconds: for how long it goes on as before after SIGTERM, but says that it is not ready.
    failure: what has ended it.
    """

    def __init__(self, build: Callable[[], Application], *, version: str, drain_seconds: float) -> None:
        self.failure: Exception | None = None
        self._build = build
        self._version = version
        self._drain_seconds = drain_seconds
        self._service: Application | None = None
        self._unready = "the service is starting"

    @property
    def lane(self) -> FastLane | None:
        """The fast lane of the service; None until there is one."""
        return None if self._service is None else self._service.lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._unready and scope["type"] == "http" and scope["path"] in {"/readyz", "/health"}:
            health = Health("unhealthy", SERVICE_NAME, self._version, {"service": self._unready})
            await _answer(send, 503, health)
        elif self._service is not None:
            await self._service(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/livez":
            await _answer(send, 200, Alive("alive"))
        elif scope["type"] == "http":
            error = StoreUnavailable(f"The service waits for its store: {self._unready}", RETRY_AFTER_SECONDS)
            await _send(send, *problem_body(error))

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as parts:
            waiting: asyncio.Task[None] | None = None
            try:
                await self._begin(parts)
            except StoreUnavailable as error:
                self._unready = error.detail
                waiting = asyncio.create_task(self._wait(parts))
            except Exception as error:  # noqa: BLE001 - it ends the process
                self._note(error)
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            self._drain_before_the_end()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            if waiting is not None:
                waiting.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, parts: AsyncExitStack) -> None:
        service = await asyncio.to_thread(self._build)
        await parts.enter_async_context(service.app.router.lifespan_context(service.app))
        self._service = service
        self._unready = ""

    async def _wait(self, parts: AsyncExitStack) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            log.warning("The service is waiting for its store, next attempt in %.2f s: %s", pause, self._unready)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                await self._begin(parts)
            except StoreUnavailable as error:
                self._unready = error.detail
            except Exception as error:  # noqa: BLE001 - it ends the process
                self._note(error)
                signal.raise_signal(signal.SIGTERM)
                return
            else:
                log.info("The store is available, the service starts")
                return

    def _note(self, error: Exception) -> None:
        self.failure = error
        log.error("The service can't start: %s", error)
        log.debug("Where it failed", exc_info=error)

    def _drain_before_the_end(self) -> None:
        """Puts a pause before what the server does at SIGTERM: who asks /readyz sends nothing new by then."""
        stop = signal.getsignal(signal.SIGTERM)
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or not callable(stop) or not self._drain_seconds:
            return
        loop = asyncio.get_running_loop()
        told = False

        def end(number: int, frame: FrameType | None) -> None:
            nonlocal told
            if told:  # a worker is told by the service manager, and by the process above it
                return
            told = True
            pause = self._drain_seconds if self._service is not None and not self._unready else 0.0
            if not self._unready:
                self._unready = "the service is shutting down"
            loop.call_soon_threadsafe(loop.call_later, pause, stop, number, frame)

        signal.signal(signal.SIGTERM, end)


async def _answer(send: Send, status: int, content: msgspec.Struct) -> None:
    body = _encode(content)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await _send(send, status, headers, body)


async def _send(send: Send, status: int, headers: RawHeaders, body: bytes) -> None:
    start: Message = {"type": "http.response.start", "status": status, "headers": [*headers, *DEFAULTS, NOT_KEPT]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
