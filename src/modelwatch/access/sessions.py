"""Sessions of people who have given a key on a page: a cookie that every replica can check, and nothing stored.

The cookie is signed with the hash of the key, so it ends with the key: when that is revoked or has expired.
"""

from __future__ import annotations

import hashlib
import hmac
import re

_SESSION = re.compile(r"([0-9a-f]{12})\.([0-9]{1,12})\.([0-9a-f]{64})")


def session_text(key_id: str, hashed: str, until: int) -> str:
    """The value of the cookie. until: when it ends, in seconds since 1970.

    >>> text = session_text("0123456789ab", "h", 100)
    >>> session_of(text, {"0123456789ab": "h"}, now=99), session_of(text, {"0123456789ab": "h"}, now=100)
    ('0123456789ab', None)
    """
    return f"{key_id}.{until}.{_signature(key_id, hashed, until)}"


def session_of(text: str, hashes: dict[str, str], *, now: float) -> str | None:
    """The id of the key that the session was begun with; None when it is none of ours, or over.

    hashes: of the keys that there are, by their ids.
    """
    found = _SESSION.fullmatch(text)
    if found is None:
        return None
    key_id, until = found[1], int(found[2])
    expected = _signature(key_id, hashes.get(key_id, ""), until)
    if not hmac.compare_digest(expected, found[3]) or key_id not in hashes or now >= until:
        return None
    return key_id


def _signature(key_id: str, hashed: str, until: int) -> str:
    return hmac.new(hashed.encode(), f"session:{key_id}:{until}".encode(), hashlib.sha256).hexdigest()
