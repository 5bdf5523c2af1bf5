"""The keys of ENCRYPTION_KEY at work: AES-256-GCM under keys derived from them, each ciphertext bound to its place.

A ciphertext is a version byte, the 4 bytes that name the key, a nonce of 12 bytes, and what AES-GCM gives. The key that
encrypts is derived from the named one by HKDF-SHA-256 for a scope: one model on one day, so that no derived key meets
anywhere near the 2^32 random nonces that are safe with it. The place is associated data: a value that is moved to
another row or feature does not decrypt.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from modelwatch.config.encryption_keys import key_bytes
from modelwatch.errors import ProtectionUnavailable, TamperedValue

VERSION = 1
ID_BYTES, NONCE_BYTES = 4, 12
_HEADER = 1 + ID_BYTES


class Keyring:
    """Keys to read with, of which the first one writes. Empty when there is none."""

    def __init__(self, keys: Sequence[str] = (), random_bytes: Callable[[int], bytes] = os.urandom) -> None:
        self._keys = {_identity(key_bytes(key)): key_bytes(key) for key in keys}
        self._writing = next(iter(self._keys), b"")
        self._random_bytes = random_bytes
        self._cipher = lru_cache(maxsize=1_000)(self._derived)

    def __bool__(self) -> bool:
        return bool(self._keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, the writing one first. An id tells nothing about its key."""
        return tuple(identity.hex() for identity in self._keys)

    @property
    def writing_id(self) -> str:
        """The id of the writing key."""
        return self._writing.hex()

    def encrypt(self, plain: bytes, scope: str, *place: str) -> bytes:
        """The ciphertext of a value that belongs to this place. Raises ProtectionUnavailable without a key."""
        if not self._keys:
            raise ProtectionUnavailable("ENCRYPTION_KEY is not set in this process, so nothing can be encrypted.")
        nonce = self._random_bytes(NONCE_BYTES)
        header = bytes((VERSION,)) + self._writing
        return header + nonce + self._cipher(self._writing, scope).encrypt(nonce, plain, _bound(header, place))

    def decrypt(self, sealed: bytes, scope: str, *place: str) -> bytes:
        """The value of `encrypt` with the same scope and place.

        Raises ProtectionUnavailable when its key is not here and TamperedValue when it is not what was encrypted for
        this place.
        """
        header, nonce, body = sealed[:_HEADER], sealed[_HEADER : _HEADER + NONCE_BYTES], sealed[_HEADER + NONCE_BYTES :]
        if len(nonce) < NONCE_BYTES or header[0] != VERSION:
            raise TamperedValue("A stored value is not a ciphertext of this service.")
        if header[1:] not in self._keys:
            raise ProtectionUnavailable(
                f"A stored value is encrypted with the key {key_of(sealed)}, which this process does not have."
            )
        try:
            return self._cipher(header[1:], scope).decrypt(nonce, body, _bound(header, place))
        except InvalidTag:
            raise TamperedValue(
                "A stored value does not decrypt: it was changed, or belongs to another row or feature."
            ) from None

    def _derived(self, identity: bytes, scope: str) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, None, b"modelwatch encrypt " + scope.encode()).derive(self._keys[identity]))


def key_of(sealed: bytes) -> str:
    """The id of the key of a ciphertext."""
    return sealed[1:_HEADER].hex()


def _identity(key: bytes) -> bytes:
    return sha256(b"modelwatch key id " + key).digest()[:ID_BYTES]


def _bound(header: bytes, place: Sequence[str]) -> bytes:
    """The associated data: the parts with their lengths, so that no two places give the same bytes."""
    parts = [part.encode() for part in place]
    return header + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
