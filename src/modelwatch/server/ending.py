"""The end of a serving process: in time, also while its store hangs.

Threads that wait for a store which neither answers nor closes the connection can't be ended, and Python waits for them
at its end. After some seconds the process ends without them, as if it were killed, which loses nothing: what was
acknowledged is committed, no request is answered any more, leases end by themselves, and another process seals the
writer.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from types import FrameType

from uvicorn import Config, Server

# Orchestrators kill a service after a grace period, often 30 s; requests get this share of our 10,
# beside SHUTDOWN_DRAIN_SECONDS before and 3 s after them.
GRACEFUL_SECONDS = 6
MOST_SECONDS = 9.5

log = logging.getLogger(__name__)


class EndingServer(Server):
    """uvicorn's server, whose process ends within MOST_SECONDS after it has been told to."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        # A handler of signals may interrupt whatever holds another lock; letting go of this one waits for nothing.
        self._serving = threading.Lock()
        self._serving.acquire()
        self._told = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until it is told to end."""
        threading.Thread(target=self._end_in_time, name="modelwatch-end", daemon=True).start()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins the end."""
        if not self._told:
            self._told = True
            self._serving.release()
        super().handle_exit(sig, frame)

    def _end_in_time(self) -> None:
        self._serving.acquire()
        time.sleep(MOST_SECONDS)
        log.warning("The service ends without waiting for its store any longer; what was acknowledged is stored")
        os._exit(0)
