"""Tells when the clock of a process jumps, or is apart from that of the store: windows, leases and silence go by it."""

from __future__ import annotations

import logging
from collections.abc import Callable

MICROSECONDS = 1_000_000
APART_SECONDS = 5.0

log = logging.getLogger(__name__)


class ClockWatch:
    """Compares, at each look, the clock with a timer that nobody sets."""

    def __init__(self, timer: Callable[[], float]) -> None:
        """timer: seconds since any moment."""
        self._timer = timer
        self._last: tuple[int, float] | None = None
        self._apart = False

    def look(self, now: int, store_now: int) -> None:
        """now, store_now: by the clock and by that of the store, in microseconds."""
        elapsed = self._timer()
        if self._last is not None:
            jump = (now - self._last[0]) / MICROSECONDS - (elapsed - self._last[1])
            if abs(jump) >= APART_SECONDS:
                way = "ahead" if jump > 0 else "back"
                log.warning("The clock of this machine jumped %s by %.0f s.", way, abs(jump))
        self._last = (now, elapsed)
        apart = (now - store_now) / MICROSECONDS
        was_apart, self._apart = self._apart, abs(apart) >= APART_SECONDS
        if self._apart and not was_apart:
            way = "ahead of" if apart > 0 else "behind"
            log.warning("The clock of this machine is %.0f s %s that of the store: set it.", abs(apart), way)
