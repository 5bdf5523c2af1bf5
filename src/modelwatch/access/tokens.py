"""API keys and sessions as text. Only hashes are stored: who can read the store, or a back-up, can't make one of them.

A key is `mw_<id>_<secret>`: the id finds it, the secret proves it. A session, started with a key on a page, is a random
text in a cookie.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

ID_BYTES, SECRET_BYTES = 6, 32
SESSION_BYTES = 32
_TOKEN = re.compile(r"mw_([0-9a-f]{12})_([0-9a-f]{64})")
_SESSION = re.compile(r"[0-9a-f]{64}")


class Token(NamedTuple):
    """The two parts of a key."""

    key_id: str
    secret: str


class NewToken(NamedTuple):
    """A fresh key: its id, its whole text, which is shown once, and the hash that is stored."""

    key_id: str
    text: str
    hashed: str


def new_token(randomness: bytes) -> NewToken:
    """A fresh key. randomness: 38 bytes from the system's source of secrets. Raises ValueError for another number."""
    if len(randomness) != ID_BYTES + SECRET_BYTES:
        raise ValueError(f"expected {ID_BYTES + SECRET_BYTES} random bytes, got {len(randomness)}")
    key_id, secret = randomness[:ID_BYTES].hex(), randomness[ID_BYTES:].hex()
    return NewToken(key_id, f"mw_{key_id}_{secret}", hash_of(secret))


def parse_token(text: str) -> Token | None:
    """The parts of a key; None for what can be none.

    >>> parse_token("mw_0123456789ab_" + "0" * 64).key_id
    '0123456789ab'
    >>> parse_token("secret") is None
    True
    """
    found = _TOKEN.fullmatch(text)
    return None if found is None else Token(found[1], found[2])


def hash_of(secret: str) -> str:
    """The hash of a secret, for the store. It has 256 random bits, so a plain hash can't be turned round."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def session_text(randomness: bytes) -> str:
    """The value of a fresh cookie. randomness: 32 bytes from the system's source of secrets.

    Raises ValueError for another number.
    """
    if len(randomness) != SESSION_BYTES:
        raise ValueError(f"expected {SESSION_BYTES} random bytes, got {len(randomness)}")
    return randomness.hex()


def session_hash(text: str) -> str | None:
    """The hash of a cookie, for the store; None for what can be none of ours.

    >>> session_hash("nonsense") is None, len(session_hash("0" * 64))
    (True, 64)
    """
    return hashlib.sha256(text.encode("ascii")).hexdigest() if _SESSION.fullmatch(text) else None
