"""Ids of predictions: UUIDs of version 7, whose first 48 bits are the time in milliseconds (RFC 9562)."""

from __future__ import annotations

import os
import time


def new_id() -> str:
    """A new id. Made from the system's random numbers, so that forked processes never make the same.

    >>> first, second = new_id(), new_id()
    >>> len(first), first[14], first[19] in "89ab", first != second
    (36, '7', True, True)
    """
    random = int.from_bytes(os.urandom(10), "big")
    high = (time.time_ns() // 1_000_000) << 16 | 0x7000 | random >> 68
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
