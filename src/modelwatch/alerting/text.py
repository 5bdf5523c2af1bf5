"""Text that people wrote, made fit to be shown anywhere; and numbers and times as people write them."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clean(text: str) -> str:
    """One line without control, format and unassigned characters: nothing that moves a cursor or turns text round.

    >>> clean("a\\r\\nBcc: b\\x00\\u202e!")
    'a Bcc: b !'
    """
    if text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text).split())


def clipped(text: str, length: int) -> str:
    """The text, clean and at most so long.

    >>> clipped("transaction", 6)
    'trans…'
    """
    plain = clean(text)
    return plain if len(plain) <= length else plain[: length - 1] + "…"


def moment(microseconds: int) -> str:
    """For people, to the minute.

    >>> moment(1_750_000_000_000_000)
    '2025-06-15 15:06 UTC'
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%d %H:%M UTC")


def iso(microseconds: int) -> str:
    """RFC 3339 in UTC.

    >>> iso(1_750_000_000_000_000)
    '2025-06-15T15:06:40Z'
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")


def span(seconds: int) -> str:
    """How long, in the two largest units that matter.

    >>> span(45), span(3_600), span(93_780), span(0)
    ('45 s', '1 h', '1 d 2 h', '0 s')
    """
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(max(seconds, 0), size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def number(value: float) -> str:
    """Three digits that count.

    >>> number(0.31234), number(1234.5), number(2e-9)
    ('0.312', '1.23e+03', '2e-09')
    """
    return f"{value:.3g}"
