"""Bytes of evidence: a document that begins with the number of its format, as msgpack, compressed."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import msgspec


class Document(Protocol):
    """Stored form of evidence, with the number of its format."""

    @property
    def format(self) -> int: ...


D = TypeVar("D", bound=Document)
E = TypeVar("E")

_encode = msgspec.msgpack.Encoder().encode


def pack(document: Document) -> bytes:
    """The bytes of a document."""
    return zlib.compress(_encode(document), 6)


def unpack(raw: bytes, decode: Callable[[bytes], D], known_format: int) -> D:
    """The document of its bytes. Raises ValueError when they are none, or of a format that this release can't read."""
    try:
        document = decode(zlib.decompress(raw))
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"these are not the bytes of evidence: {error}") from error
    if document.format != known_format:
        raise ValueError(f"the evidence is of format {document.format}; this release reads format {known_format}")
    return document


class _Wrapped(msgspec.Struct, Generic[E]):
    format: int
    evidence: E


class EvidenceCodec(Generic[E]):
    """Writes and reads evidence of one kind, a msgspec Struct or a dataclass."""

    def __init__(self, kind: type[E], known_format: int) -> None:
        self._format = known_format
        self._decode: Callable[[bytes], _Wrapped[E]] = msgspec.msgpack.Decoder(_Wrapped[kind]).decode  # type: ignore[valid-type]

    def encode(self, evidence: E) -> bytes:
        """Bytes that `decode` turns back into the same evidence."""
        return pack(_Wrapped(self._format, evidence))

    def decode(self, raw: bytes) -> E:
        """The evidence of its bytes. Raises ValueError as `unpack` does."""
        return unpack(raw, self._decode, self._format).evidence


def inputs_hash(raw: bytes) -> str:
    """The fingerprint of evidence by its bytes."""
    return hashlib.sha256(raw).hexdigest()
