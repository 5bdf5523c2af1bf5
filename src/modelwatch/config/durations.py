"""Durations and look-backs as people write them in settings and monitors."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# Profiles are kept in windows of this length; a look-back is made of whole windows.
BASE_WINDOW_SECONDS = 300
_DURATION = re.compile(r"(0|[1-9][0-9]{0,6})([smhdw])")
_LOOKBACK = re.compile(r"([1-9][0-9]{0,5})([mhdw])")


def parse_duration(value: object) -> int:
    """The seconds of a duration such as `90s`, `15m`, `1h` or `7d`.

    Raises ValueError that says what is expected.

    >>> parse_duration("90s"), parse_duration("1h")
    (90, 3600)
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("Expected a whole number and a unit, such as 90s, 15m, 1h or 7d")
    return int(match[1]) * SECONDS[match[2]]


def duration_text(seconds: int) -> str:
    """The shortest text that `parse_duration` turns back into so many seconds.

    >>> duration_text(5_400), duration_text(86_400)
    ('90m', '1d')
    """
    if seconds == 0:
        return "0s"
    unit = next(name for name, size in reversed(SECONDS.items()) if seconds % size == 0)
    return f"{seconds // SECONDS[unit]}{unit}"


def parse_lookback(text: str) -> int:
    """The seconds of a look-back such as `6h`: minutes, hours, days or weeks, a multiple of the base window.

    Raises ValueError that says what is expected.

    >>> parse_lookback("6h")
    21600
    """
    match = _LOOKBACK.fullmatch(text)
    if match is None:
        raise ValueError("Expected a number and a unit, such as 30m, 6h, 7d or 2w")
    seconds = int(match[1]) * SECONDS[match[2]]
    if seconds % BASE_WINDOW_SECONDS:
        raise ValueError(f"Expected a multiple of {BASE_WINDOW_SECONDS // 60} minutes, the base window")
    return seconds


def _as_lookbacks(value: object) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("Expected look-backs separated by commas, such as 1h,6h,24h")
    seconds: dict[int, str] = {}
    for name in (name.strip() for name in names):
        if seconds.setdefault(parse_lookback(name), name) != name:
            raise ValueError(f"{seconds[parse_lookback(name)]} and {name} are the same look-back")
    if not 1 <= len(seconds) <= 8:
        raise ValueError("Expected 1 to 8 look-backs")
    return tuple(seconds[length] for length in sorted(seconds))


Lookbacks = Annotated[tuple[str, ...], BeforeValidator(_as_lookbacks)]
