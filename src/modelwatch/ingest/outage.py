"""The log of an outage: its first failed commit, a reminder each minute, and its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from modelwatch.errors import first_line

# A store that fails for moments only is not logged more often, either.
LOG_INTERVAL_SECONDS = 60.0

log = logging.getLogger(__name__)


class OutageLog:
    """Logs failed commits, at most once in LOG_INTERVAL_SECONDS, and the first commit after those that were logged.

    timer: seconds of a monotonic clock. For one thread.
    """

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._began: float | None = None
        self._logged_at = float("-inf")

    def failed(self, error: Exception) -> None:
        """Notes a commit that failed and will be retried."""
        now = self._timer()
        if self._began is None:
            self._began = now
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = now
            log.warning("Commit failed, it is retried while requests wait for it: %s", first_line(error))

    def succeeded(self) -> None:
        """Notes a commit that succeeded."""
        if self._began is None:
            return
        if self._logged_at >= self._began:
            log.info("Predictions are stored again, after %.1f s", self._timer() - self._began)
        self._began = None
