"""Sessions of people who have given a key on a page: a random text in a cookie, whose hash is in the store.

Whoever can read the store, or a back-up of it, can't make a cookie of what is there.
"""

from __future__ import annotations

import hashlib
import re

SESSION_BYTES = 32
_SESSION = re.compile(r"[0-9a-f]{64}")


def session_text(randomness: bytes) -> str:
    """The value of a fresh cookie. randomness: 32 bytes from the system's source of secrets."""
    if len(randomness) != SESSION_BYTES:
        raise ValueError(f"expected {SESSION_BYTES} random bytes, got {len(randomness)}")
    return randomness.hex()


def session_hash(text: str) -> str | None:
    """What is stored of a cookie; None for what can be none of ours.

    >>> session_hash("nonsense") is None, len(session_hash("0" * 64))
    (True, 64)
    """
    return hashlib.sha256(text.encode("ascii")).hexdigest() if _SESSION.fullmatch(text) else None
