"""Connections that can't hold the service up: heads must come in time and be short, answers must be read.

uvicorn bounds how long a connection may idle after an answer, but waits without end for the head of a request, and
keeps as much of it as is sent. And where a request offers another protocol (`Upgrade: h2c`, as Java's client does by
default) its parser stops before the body. The offer is ignored here, as RFC 9110, 7.8 allows.

uvicorn knows of a TLS connection when it is secured, and lets asyncio wait a minute for that. So here it listens for
plain connections, and each is secured by itself: handshakes must end in time, and are counted while they are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from asyncio.events import TimerHandle
from typing import Any, Protocol

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from modelwatch.api.around import DEFAULTS
from modelwatch.api.fast_lane import FastLane
from modelwatch.api.problems import problem_body
from modelwatch.errors import TooManyConnections
from modelwatch.server.fast_lane import LaneProtocol
from modelwatch.server.limits import HARD_FACTOR

HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0
HANDSHAKE_SECONDS = 5.0
# How long the end of a connection may take: a client need not answer ours.
CLOSING_SECONDS = 5.0
MOST_HEAD_BYTES = 64 * 1024
# Probes of the process must get an answer, however many others are connected.
PROBES = frozenset({"/livez", "/readyz", "/health"})
# What offers another protocol, and belongs to no other.
OFFERS = frozenset({b"upgrade", b"http2-settings"})

BEYOND = TooManyConnections("Too many clients are connected.")

log = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection, or one whose TLS handshake is under way."""

    def reject(self) -> None:
        """Closes it at once."""


class ConnectionLimit:
    """The open connections of one process: silent ones, and those that have sent a request.

    most: how many that have sent a request are served. A silent client, or one that never ends its handshake, takes
    no one's place: with HARD_FACTOR times as many connections, the one that has been silent for longest is rejected.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # In the order in which they came.
        self._silent: dict[Connection, None] = {}
        self._requesting: set[Connection] = set()

    @property
    def is_exceeded(self) -> bool:
        """True when more connections have sent a request than are served."""
        return len(self._requesting) > self._most

    def opened(self, connection: Connection) -> None:
        """Counts a new connection. Of too many it rejects the oldest silent one: the new one, if no other is silent."""
        self._silent[connection] = None
        if len(self._silent) + len(self._requesting) > HARD_FACTOR * self._most:
            oldest = next(iter(self._silent))
            del self._silent[oldest]
            oldest.reject()

    def request_started(self, connection: Connection) -> None:
        """Records that the connection has sent the head of a request."""
        if connection in self._silent:
            del self._silent[connection]
            self._requesting.add(connection)

    def closed(self, connection: Connection) -> None:
        """Forgets a connection that has ended."""
        self._silent.pop(connection, None)
        self._requesting.discard(connection)


class _Parser:
    """The parser of requests, for which an upgrade that is offered is none.

    A request with an offer is read twice: the parser stops behind its head, and a new one gets the head without the
    offer, then the rest. protocol: takes what is read, as `httptools.HttpRequestParser` has it.
    """

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self._protocol)
        # As uvicorn does: what follows a request that closes the connection is no error.
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.get_http_version = self._parser.get_http_version
        self.get_method = self._parser.get_method
        self.should_keep_alive = self._parser.should_keep_alive
        self.should_upgrade = self._parser.should_upgrade

    @property
    def offers_upgrade(self) -> bool:
        """True when the request that is being read offers another protocol. CONNECT asks for one: that is no offer."""
        return bool(self._parser.should_upgrade()) and self._parser.get_method() != b"CONNECT"

    def feed_data(self, data: bytes) -> None:
        """Reads on. Raises as httptools does; HttpParserUpgrade only for CONNECT."""
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                if not self.offers_upgrade:
                    raise
                rest = data[stop.args[0] :]
                data = _head_without_offer(self._parser, self._protocol.url, self._protocol.headers) + rest
                self._begin()
            else:
                return


def _head_without_offer(parser: httptools.HttpRequestParser, url: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = [parser.get_method() + b" " + url + b" HTTP/" + parser.get_http_version().encode()]
    for name, value in headers:
        if name == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            value = b", ".join(token for token in tokens if token.lower() not in OFFERS)
        if name not in OFFERS:
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


class BoundedProtocol(LaneProtocol):
    """uvicorn's protocol, with bounds, and without other protocols."""

    def __init__(self, config: BoundedConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.parser: _Parser = _Parser(self)  # type: ignore[assignment]
        self._limit = config.limit
        # uvicorn's own answer beyond the limit would be given to probes too.
        self.limit_concurrency = None
        # Whether the limit was exceeded at its first request.
        self._beyond = True
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._write_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)
        self._limit.opened(self)

    def reject(self) -> None:
        """Closes the connection at once."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._limit.closed(self)
        self._stop_head_timer()
        self._stop_write_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.takes_again(data):
            self._stop_head_timer()
            return
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self.send_400_response(f"The head of a request has at most {MOST_HEAD_BYTES} bytes.")
                return
        elif self.owes_answer:
            self._stop_head_timer()
            return
        # A head that is not whole, blank lines before one, or what is left of a body that was refused.
        if self._head_timer is None and self.timeout_keep_alive_task is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        if self.parser.offers_upgrade:
            # The same head comes again, without the offer.
            return
        self._in_head = False
        self._stop_head_timer()
        self._limit.request_started(self)
        self._beyond = self._beyond and self._limit.is_exceeded
        app = self.app
        if self._beyond and self.url.decode("latin-1") not in PROBES:
            self.app = _overloaded
            self._count_rejection()
        try:
            super().on_headers_complete()
        finally:
            self.app = app

    def _count_rejection(self) -> None:
        # Before the service is there, nothing counts.
        lane: FastLane | None = getattr(self._application, "lane", None)
        if lane is not None:
            path = self.url.partition(b"?")[0].decode("latin-1")
            lane.state.count_refusal(BEYOND, self.parser.get_method().decode("latin-1"), path)

    def on_message_complete(self) -> None:
        if not self.parser.offers_upgrade:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        self.flow.pause_writing()
        self._write_timer = self.loop.call_later(WRITE_SECONDS, self._abort)

    def resume_writing(self) -> None:
        self._stop_write_timer()
        self.flow.resume_writing()

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def _abort(self) -> None:
        self._write_timer = None
        self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


async def _overloaded(_scope: Scope, _receive: Receive, send: Send) -> None:
    status, headers, content = problem_body(BEYOND)
    headers += [*DEFAULTS, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Handshake(asyncio.Protocol):
    """A connection until it is secured. Then it is BoundedProtocol's, and this one is gone."""

    def __init__(
        self,
        config: BoundedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Nothing may be read before it is secured, and uvloop reads on after a pause that is asked for here: the socket
        # gets a transport of its own, and this one is closed.
        try:
            self._socket = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        except OSError as error:
            log.warning("A connection was closed: %s", error)
            return
        finally:
            transport.abort()  # type: ignore[attr-defined]
        self._socket.setblocking(False)
        self._state.connections.add(self)  # type: ignore[arg-type]
        self._task = self._loop.create_task(self._secure(self._socket))
        self._config.limit.opened(self)

    async def _secure(self, plain: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._secured,
                plain,
                ssl=self._config.context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=CLOSING_SECONDS,
            )
        except OSError as error:
            # Includes what ssl raises. Anybody can send nonsense.
            log.debug("A connection could not be secured: %s", error)
        finally:
            self.end()

    def _secured(self) -> _Secured:
        return _Secured(self, self._config, self._state, self._app_state, self._loop)

    def end(self) -> None:
        """Forgets the handshake: the connection is secured, or will never be."""
        self._config.limit.closed(self)
        self._state.connections.discard(self)

    def reject(self) -> None:
        """Closes the connection at once."""
        self.end()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    # What uvicorn says to its connections at the end.
    shutdown = reject


class _Secured(BoundedProtocol):
    """A connection whose handshake is over: it takes the place of that one."""

    def __init__(self, handshake: Handshake, config: BoundedConfig, *args: Any) -> None:
        super().__init__(config, *args)
        self._handshake = handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._handshake.end()
        super().connection_made(transport)


class BoundedConfig(Config):
    """uvicorn's configuration of a process. limit_concurrency: how many connections are served.

    limit, context: there once it is loaded. context: what connections are secured with; None without TLS.
    """

    limit: ConnectionLimit
    context: ssl.SSLContext | None

    def load(self) -> None:
        """As uvicorn's, in the process that listens."""
        super().load()
        assert self.limit_concurrency is not None
        self.limit = ConnectionLimit(self.limit_concurrency)
        # uvicorn would secure what comes before it says that something came.
        self.context, self.ssl = self.ssl, None
        self.http_protocol_class = BoundedProtocol if self.context is None else Handshake
