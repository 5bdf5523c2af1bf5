"""Stretches of time as people write them in configuration files."""

from __future__ import annotations

import re

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(0|[1-9][0-9]{0,6})([smhdw])")


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
