"""Values of Python, NumPy, pandas and polars as the values of a prediction: a number, text, true, false or null.

Nothing of these packages is imported: values are recognised by what they can do.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Callable, Union
from uuid import UUID

Scalar = Union[None, bool, int, float, str]

_PLAIN = (str, bool, int, type(None))


class Unsendable(Exception):
    """A value that has no meaning as a number, a text, true, false or missing. The message says what it is."""


def scalar(value: Any) -> Scalar:
    """The value as JSON has it.

    NaN, NA and NaT are missing (None). Enumerations are their values, decimals and time spans (seconds) numbers, times
    ISO 8601 text, arrays of one element that element.
    Raises Unsendable for infinite numbers, arrays of more elements, containers and objects.

    >>> scalar(Decimal("12.50")), scalar(float("nan")), scalar(date(2026, 1, 31))
    (12.5, None, '2026-01-31')
    """
    kind = type(value)
    if kind in _PLAIN:
        return value  # type: ignore[no-any-return]
    if isinstance(value, Enum):
        return scalar(value.value)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise Unsendable("an infinite number")
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, Decimal):
        return scalar(float(value))
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, UUID):
        return str(value)
    return _unwrapped(value)


def _unwrapped(value: Any) -> Scalar:
    """The element of a NumPy scalar, of an array, series or tensor of one element, or of a pyarrow scalar."""
    if getattr(value, "size", 1) == 1:
        for name in ("item", "as_py"):
            method: Callable[[], Any] | None = getattr(value, name, None)
            if callable(method):
                try:
                    element = method()
                except (TypeError, ValueError):
                    continue
                if type(element) is not type(value):
                    return scalar(element)
    raise Unsendable(f"a {type(value).__module__}.{type(value).__qualname__}")


def utc_text(value: Any) -> str | None:
    """A time as ISO 8601 text with its zone; without one it is UTC. Numbers are seconds since 1970. None stays None.

    Raises Unsendable for what is no time.

    >>> utc_text(datetime(2026, 1, 31, 12))
    '2026-01-31T12:00:00.000000+00:00'
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        text = value.isoformat(timespec="microseconds")
        return text if value.tzinfo is not None else text + "+00:00"
    if isinstance(value, date):
        return value.isoformat() + "T00:00:00+00:00"
    kind = type(value)
    if kind.__name__ == "datetime64":
        micros = value.astype("datetime64[us]").astype("int64")
        return None if str(value) == "NaT" else micros_text(int(micros))
    number = scalar(value)
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise Unsendable(f"{kind.__name__} {value!r:.40}, which is no time")
    return micros_text(round(number * 1_000_000))


def micros_text(micros: int) -> str:
    """Microseconds since 1970 as ISO 8601 text in UTC.

    >>> micros_text(1_700_000_000_000_001)
    '2023-11-14T22:13:20.000001Z'
    """
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}Z"


_last_second = (0, "1970-01-01T00:00:00")


def _second(seconds: int) -> str:
    global _last_second
    known, text = _last_second
    if known != seconds:
        text = (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat()  # noqa: DTZ001 (UTC throughout)
        _last_second = (seconds, text)
    return text
