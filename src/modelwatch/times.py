"""Units and texts of time: one home for them.

Times of predictions, labels, alerts and other events are integers in microseconds since 1970-01-01 UTC;
edges of windows are integers in seconds.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import overload

MICROS_PER_SECOND = 1_000_000
SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400
MICROS_PER_DAY = SECONDS_PER_DAY * MICROS_PER_SECOND

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  a naive time stamp is UTC
MICROSECOND = timedelta(microseconds=1)


@overload
def iso_of_seconds(seconds: int) -> str: ...
@overload
def iso_of_seconds(seconds: int | None) -> str | None: ...
def iso_of_seconds(seconds: int | None) -> str | None:
    """RFC 3339 text, UTC, of a time in seconds since 1970; None for none. Raises OverflowError after the year 9999.

    >>> iso_of_seconds(0)
    '1970-01-01T00:00:00Z'
    """
    return None if seconds is None else _iso_of_seconds(seconds)


@overload
def iso_of_micros(micros: int) -> str: ...
@overload
def iso_of_micros(micros: int | None) -> str | None: ...
def iso_of_micros(micros: int | None) -> str | None:
    """RFC 3339 text, UTC, of a time in microseconds since 1970; None for none. Raises OverflowError after the year
    9999.

    >>> iso_of_micros(1_750_000_000_000_000), iso_of_micros(1_750_000_000_000_001)
    ('2025-06-15T15:06:40Z', '2025-06-15T15:06:40.000001Z')
    """
    return None if micros is None else (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1_024)
def _iso_of_seconds(seconds: int) -> str:
    return iso_of_micros(seconds * MICROS_PER_SECOND)


def minute_of_micros(micros: int) -> str:
    """Text for people, to the minute, of a time in microseconds since 1970.

    >>> minute_of_micros(1_750_000_000_000_000)
    '2025-06-15 15:06 UTC'
    """
    return (EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%d %H:%M UTC")


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC.

    >>> micros_of(datetime(1970, 1, 1, 0, 0, 1)), micros_of(datetime.fromisoformat("1970-01-01T01:00:01+01:00"))
    (1000000, 1000000)
    """
    return (moment - (NAIVE_EPOCH if moment.tzinfo is None else EPOCH)) // MICROSECOND


def microseconds_now() -> int:
    """The wall clock in microseconds since 1970."""
    return time.time_ns() // 1_000
