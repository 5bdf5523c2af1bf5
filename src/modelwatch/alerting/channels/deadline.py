"""Deadline of a whole exchange over a socket: time-outs of single reads don't stop a peer that sends byte by byte."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Deadline:
    """Deadline that shuts the watched socket after so many seconds, so that a waiting call gets an error.

    >>> with Deadline(10.0) as deadline:
    ...     deadline.expired
    False
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        with self._lock:
            self._socket = None

    def watch(self, watched: socket.socket) -> None:
        """Watches this socket from now on, in place of the one before."""
        with self._lock:
            self._socket = watched
            if self.expired:
                self._shut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            # The plain socket's own method: that of an SSL socket would go on unencrypted.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
