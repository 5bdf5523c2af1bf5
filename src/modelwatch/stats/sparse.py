"""Bytes of vectors that are mostly zero and may be negative: a writer's share of a sum."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import MalformedProfile

VERSION = 1
# Deflating takes longer than writing so many bytes.
WORTH_COMPRESSING = 8_192
COMPRESSED = 0x80
HEADER = 6
AMOUNTS = ("<i1", "<i2", "<i4", "<i8")
LARGEST = tuple(int(np.iinfo(name).max) for name in AMOUNTS)


def encode_sparse(vector: NDArray[np.int64]) -> bytes:
    """Compact bytes of a vector of integers.

    >>> decode_sparse(encode_sparse(np.array([0, 0, -3, 70_000]))).tolist()
    [0, 0, -3, 70000]
    """
    places = np.flatnonzero(vector)
    amounts = vector[places]
    largest = int(np.abs(amounts).max()) if len(amounts) else 0
    width = next(code for code, most in enumerate(LARGEST) if largest <= most)
    body = places.astype("<u4").tobytes() + amounts.astype(AMOUNTS[width]).tobytes()
    deflated = zlib.compress(body, level=1) if len(body) > WORTH_COMPRESSING else body
    if len(deflated) < len(body):
        width, body = width | COMPRESSED, deflated
    return bytes((VERSION, width)) + len(vector).to_bytes(4, "little") + body


def decode_sparse(raw: bytes) -> NDArray[np.int64]:
    """The vector of `encode_sparse`, shape (length,). Raises MalformedProfile for anything else."""
    raw = bytes(raw)
    if len(raw) < HEADER or raw[0] != VERSION or (raw[1] & ~COMPRESSED) >= len(AMOUNTS):
        raise MalformedProfile(f"expected a sparse vector of version {VERSION}, got {raw[:2].hex()}")
    size, body = int.from_bytes(raw[2:HEADER], "little"), raw[HEADER:]
    if raw[1] & COMPRESSED:
        try:
            body = zlib.decompress(body)
        except zlib.error as error:
            raise MalformedProfile(f"the compressed vector can't be read: {error}") from error
    amounts = np.dtype(AMOUNTS[raw[1] & ~COMPRESSED])
    number, rest = divmod(len(body), 4 + amounts.itemsize)
    if rest:
        raise MalformedProfile(f"{len(body)} bytes are no whole number of entries of {4 + amounts.itemsize} bytes")
    places = np.frombuffer(body, dtype="<u4", count=number)
    if number and int(places.max()) >= size:
        raise MalformedProfile(f"place {int(places.max())} is beyond a vector of {size}")
    vector = np.zeros(size, dtype=np.int64)
    vector[places] = np.frombuffer(body, dtype=amounts, offset=4 * number)
    return vector
