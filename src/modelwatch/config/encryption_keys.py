"""The keys of ENCRYPTION_KEY: how they are written and read. A key that can't be read is never shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator

KEY_BYTES = 32
MOST_KEYS = 20


def new_encryption_key(random_bytes: Callable[[int], bytes]) -> str:
    """A fresh key as it is written in ENCRYPTION_KEY: 32 random bytes in URL-safe base64.

    >>> new_encryption_key(bytes)
    'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
    """
    return base64.urlsafe_b64encode(random_bytes(KEY_BYTES)).decode()


def parse_encryption_keys(value: object) -> tuple[str, ...]:
    """The keys of the setting, the writing one first. Raises ValueError that says which is wrong, not what it is."""
    texts = value.split(",") if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError("Expected keys separated by commas, as `modelwatch encryption-key new` prints them")
    keys = [text.strip() for text in texts] if any(text.strip() for text in texts) else []
    if len(keys) > MOST_KEYS:
        raise ValueError(f"Expected at most {MOST_KEYS} keys")
    for number, key in enumerate(keys, 1):
        which = f"Key {number} of {len(keys)}: e" if len(keys) > 1 else "E"
        if not _is_key(key):
            raise ValueError(
                f"{which}xpected {KEY_BYTES} bytes in URL-safe base64, as `modelwatch encryption-key new` prints them"
            )
        if key in keys[: number - 1]:
            raise ValueError(f"Key {number} of {len(keys)} is given twice")
    return tuple(keys)


def key_bytes(key: str) -> bytes:
    """The bytes of a key that `parse_encryption_keys` let pass."""
    return base64.urlsafe_b64decode(key)


def _is_key(text: str) -> bool:
    try:
        # Only the one way to write a key: the same bytes under two names would be two keys.
        return len(key_bytes(text)) == KEY_BYTES and new_encryption_key(lambda _: key_bytes(text)) == text
    except (binascii.Error, ValueError):
        return False


EncryptionKeys = Annotated[tuple[str, ...], BeforeValidator(parse_encryption_keys)]
