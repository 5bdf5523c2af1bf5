"""Checks that end with an error: when they are tried again, and what is kept of the error."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from sqlalchemy import Connection

import modelwatch
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.verdicts.evaluations import EvaluationFailure, evaluation_failures
from modelwatch.times import MICROS_PER_SECOND

# A stream that can't be evaluated is tried again after so long; the others go on.
RETRY_SECONDS = 60
# Attempts that fail in the same way have their trace logged about once an hour.
ATTEMPTS_A_TRACE = 60
PACKAGE = Path(modelwatch.__file__).parent

log = logging.getLogger(__name__)


class Failures:
    """Checks that fail now, by stream and name."""

    def __init__(self) -> None:
        self._known: dict[tuple[StreamKey, str], EvaluationFailure] = {}

    def read(self, connection: Connection) -> None:
        """Takes those that the store knows, in place of what was known."""
        self._known = {(each.stream, each.check): each for each in evaluation_failures(connection)}

    def knows(self, stream: StreamKey, check: str) -> bool:
        """True when the last try of the check failed."""
        return (stream, check) in self._known

    def tried_lately(self, stream: StreamKey, check: str, now: int) -> bool:
        """True when it failed so lately that it is not tried again yet. now: in microseconds."""
        known = self._known.get((stream, check))
        return known is not None and known.tried_at + RETRY_SECONDS * MICROS_PER_SECOND > now

    def note(self, stream: StreamKey, check: str, error: Exception, now: int) -> EvaluationFailure:
        """Failure that is to be stored of an error. now: of the try, in microseconds."""
        known, place = self._known.get((stream, check)), place_of(error)
        since, attempts = (now, 1) if known is None else (known.since, known.attempts + 1)
        # It is tried for as long as it fails, and a bug that all streams bring out has as many traces.
        is_news = known is None or known.error != place or attempts % ATTEMPTS_A_TRACE == 1
        text = "The %s check of %s failed (attempt %d, %s); the next attempt is in %d s"
        log.error(text, check, stream, attempts, place, RETRY_SECONDS, exc_info=error if is_news else None)
        failure = EvaluationFailure(stream, check, since, now, attempts, place)
        self._known[stream, check] = failure
        return failure


def place_of(error: Exception) -> str:
    """Kind of an error and where it came up, without its text: that may quote data.

    >>> try:
    ...     int("secret")
    ... except ValueError as caught:
    ...     place_of(caught)
    'ValueError'
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    where = f" at {Path(own[-1].filename).relative_to(PACKAGE.parent)}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{where}"
