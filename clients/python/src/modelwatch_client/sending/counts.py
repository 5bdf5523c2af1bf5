"""Counts of logged rows by their outcome, and warnings about them: at most one of a kind a minute."""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import Dict, Set

logger = logging.getLogger("modelwatch_client")

WARN_SECONDS = 60.0
LONGEST_REASON = 300
MOST_NAMES = 1_000


def warn(text: str, *arguments: object) -> None:
    """Logs a warning. What a handler of the caller raises hurts neither the caller nor the sender."""
    with contextlib.suppress(Exception):
        logger.warning(text, *arguments)


@dataclass(frozen=True)
class Stats:
    """Counts of rows (predictions and outcomes) since the client was made in this process.

    logged: given to the client. recovered: found in the spool directory, left there by a process that had ended.
    sent: acknowledged by the service, duplicates: those of them that it knew already. rejected: refused by the service,
    or without any meaning for it. dropped: given up because the queue was full, or the client was closed.
    queued: still to be sent. retries: requests that were sent again. last_error: of the newest request that failed.

    At any time: logged + recovered == sent + rejected + dropped + queued.
    """

    logged: int = 0
    recovered: int = 0
    sent: int = 0
    duplicates: int = 0
    rejected: int = 0
    dropped: int = 0
    queued: int = 0
    retries: int = 0
    last_error: str | None = None


@dataclass
class Counts:
    """The running counts. The queue changes them under its lock."""

    logged: int = 0
    recovered: int = 0
    sent: int = 0
    duplicates: int = 0
    rejected: int = 0
    dropped: int = 0
    retries: int = 0
    last_error: str | None = None

    @property
    def pending(self) -> int:
        """Rows that are queued, or being sent."""
        return self.logged + self.recovered - self.sent - self.rejected - self.dropped

    def stats(self) -> Stats:
        return Stats(**vars(self), queued=self.pending)


@dataclass
class Warnings:
    """Log messages of the client."""

    _last: Dict[str, float] = field(default_factory=dict)
    _unheard: Dict[str, int] = field(default_factory=dict)
    _named: Set[str] = field(default_factory=set)

    def rows(self, kind: str, count: int, why: str) -> None:
        """Says that rows were rejected or dropped, with how many there have been since it was said last."""
        total = self._unheard.get(kind, 0) + count
        if self._is_due(kind):
            self._unheard[kind] = 0
            warn("%s %s of predictions and outcomes: %s", total, kind, why[:LONGEST_REASON])
        else:
            self._unheard[kind] = total

    def problem(self, text: str) -> None:
        """Says why nothing can be sent at the moment."""
        if self._is_due("problem"):
            warn("%s", text[:LONGEST_REASON])

    def unsendable(self, name: str, what: str) -> None:
        """Names a value that can't be sent, once for each name."""
        if name not in self._named and len(self._named) < MOST_NAMES:
            self._named.add(name)
            warn("%s is not sent: its value is %s. A value is a number, text, true, false or None", name, what)

    def _is_due(self, kind: str) -> bool:
        now = time.monotonic()
        if now - self._last.get(kind, -WARN_SECONDS) < WARN_SECONDS:
            return False
        self._last[kind] = now
        return True
