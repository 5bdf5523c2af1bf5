"""Keyed hashes of categorical values: equal values of a feature have equal hashes, and only key holders can make them.

The key is different for each model and feature, so hashes of one value in two of them can't be matched.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from functools import lru_cache
from math import isinf

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelwatch.events import Scalar
from modelwatch.stats.counting.binning import category_name

PREFIX = "hmac:"
HASH_BYTES = 16


class Hasher:
    """Hashes under one secret, which stays when keys are rotated."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._key = lru_cache(maxsize=10_000)(self._derived)

    def hash(self, model: str, feature: str, value: Scalar) -> str | None:
        """The hash of a value by its category name, so 3 and 3.0 have the same; None for a missing one.

        >>> hasher = Hasher(bytes(32))
        >>> hasher.hash("m", "email", "a@example.org")
        'hmac:bpwJjpdmrnOQJgLs9f-skA'
        >>> hasher.hash("m", "x", 3) == hasher.hash("m", "x", 3.0), hasher.hash("m", "x", None)
        (True, None)
        """
        name = category_name(value)
        if name is None:
            return None
        digest = hmac.digest(self._key(model, feature), name.encode("utf-8", "surrogatepass"), "sha256")
        return PREFIX + base64.urlsafe_b64encode(digest[:HASH_BYTES]).decode().rstrip("=")

    def hash_all(self, model: str, feature: str, values: Sequence[Scalar]) -> list[Scalar]:
        """The hashes of several values; infinite ones, which are no category, stay what they are."""
        return [
            value if isinstance(value, float) and isinf(value) else self.hash(model, feature, value) for value in values
        ]

    def _derived(self, model: str, feature: str) -> bytes:
        info = b"modelwatch hash " + b"".join(
            len(part).to_bytes(4, "big") + part for part in (model.encode(), feature.encode())
        )
        return HKDF(SHA256(), 32, None, info).derive(self._secret)


def is_hash(value: Scalar) -> bool:
    """True when a value has the form of a hash."""
    return isinstance(value, str) and value.startswith(PREFIX)
