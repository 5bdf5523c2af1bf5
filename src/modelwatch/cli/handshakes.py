"""TLS handshakes that can't hold the service up: they must end in time, and are counted while they are under way.

uvicorn knows of a connection when it is secured, and lets asyncio wait a minute for that. So here it listens for plain
connections, and each is secured by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

from uvicorn.server import ServerState

from modelwatch.cli.connections import BoundedProtocol

if TYPE_CHECKING:
    from modelwatch.cli.listening import BoundedConfig

HANDSHAKE_SECONDS = 5.0
# How long the end of a connection may take: a client need not answer ours.
CLOSING_SECONDS = 5.0

log = logging.getLogger(__name__)


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
        self._config.door.come(self)

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
            self.leave()

    def _secured(self) -> _Secured:
        return _Secured(self, self._config, self._state, self._app_state, self._loop)

    def leave(self) -> None:
        """It is secured, or will never be."""
        self._config.door.leave(self)
        self._state.connections.discard(self)

    def turn_away(self) -> None:
        """Closes the connection at once."""
        self.leave()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    # What uvicorn says to its connections at the end.
    shutdown = turn_away


class _Secured(BoundedProtocol):
    """A connection whose handshake is over: it takes the place of that one."""

    def __init__(self, handshake: Handshake, config: BoundedConfig, *args: Any) -> None:
        super().__init__(config, *args)
        self._handshake = handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._handshake.leave()
        super().connection_made(transport)
