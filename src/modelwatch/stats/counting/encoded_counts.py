"""Bytes of vectors of counts, and sums of many of them without making each; and of vectors of outcomes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwatch.stats.errors import MalformedProfile

# Low nibble of the first byte: the form. High nibble: width code of the counts, and whether the rest is compressed.
FORM, WIDTH_SHIFT = 0x0F, 4
DENSE, SPARSE = 1, 2
WIDTHS = ("<u1", "<u2", "<u4", "<u8", "<i1", "<i2", "<i4", "<i8")
WIDTH_BYTES = tuple(np.dtype(name).itemsize for name in WIDTHS)
RANGES = tuple((int(np.iinfo(name).min), int(np.iinfo(name).max)) for name in WIDTHS)
GAP_WIDTHS = ("<u1", "<u2", "<u4")
LARGEST_GAPS = tuple(int(np.iinfo(name).max) for name in GAP_WIDTHS)
COMPRESSED = 0x80
WORTH_COMPRESSING = 1024
# Of the sparse form: first byte, width code of the gaps, length of the vector.
SPARSE_HEADER = 6
# First bytes of the sparse form that is not compressed.
PLAIN_SPARSE = frozenset(bytes((SPARSE | width << WIDTH_SHIFT,)) for width in range(len(WIDTHS)))
# Bytes of vectors that are summed at once: more would not be faster, only larger.
MOST_SUMMED = 1 << 20
# Bytes of counts whose sums a double holds exactly.
SMALL_ITEM = 4

# The vectors of outcomes, which may be negative, are encoded by their places.
PLACES_VERSION, PLACES_HEADER = 1, 6
# Deflating takes longer than writing so many bytes.
WORTH_COMPRESSING_PLACES = 8_192
AMOUNTS = ("<i1", "<i2", "<i4", "<i8")
LARGEST = tuple(int(np.iinfo(name).max) for name in AMOUNTS)

Integers = NDArray[np.int64]


def encode_counts(counts: Integers, *, signed: bool = False, worth_compressing: int = WORTH_COMPRESSING) -> bytes:
    """Compact bytes of a vector of integers of any length; signed: some of which may be negative.

    The dense form has all counts, the sparse form those that are not zero and the zeros before each; the shorter one is
    taken. All are little-endian integers of the narrowest width, deflated only when they are longer than
    `worth_compressing` bytes and that makes them shorter.
    Raises MalformedProfile when the vector is not one-dimensional, not integer, or has a negative entry unasked.

    >>> encode_counts(np.array([0, 7, 255]))
    b'\\x01\\x00\\x07\\xff'
    >>> encode_counts(np.array([0] * 100 + [7, 0, 9]))
    b'\\x02\\x00g\\x00\\x00\\x00d\\x07\\x01\\t'
    """
    vector = np.asarray(counts)
    if vector.ndim != 1 or vector.dtype.kind not in "iu":
        raise MalformedProfile(f"counts are a vector of integers, got shape {vector.shape} of {vector.dtype}")
    # Of booleans they are found several times as fast.
    places = (vector != 0).nonzero()[0]
    present = vector[places]
    smallest, largest = (int(present.min()), int(present.max())) if len(present) else (0, 0)
    if smallest < 0 and not signed:
        raise MalformedProfile("counts are never negative")
    width = next(code for code, (least, most) in enumerate(RANGES) if least <= smallest and largest <= most)
    sparse = _sparse(places, present, width, len(vector))
    first, header, body = sparse or (DENSE, b"", vector.astype(WIDTHS[width]).tobytes())
    first |= width << WIDTH_SHIFT
    if len(body) > worth_compressing:
        deflated = zlib.compress(body, level=1)
        if len(deflated) < len(body):
            first, body = first | COMPRESSED, deflated
    return bytes((first,)) + header + body


def _sparse(places: Integers, present: NDArray[Any], width: int, size: int) -> tuple[int, bytes, bytes] | None:
    """The sparse form, its header and its entries; None when the dense form is not longer.

    places: of the counts that are not zero; present: these. size: of the vector.
    """
    dense = 1 + size * WIDTH_BYTES[width]
    # A gap takes a byte at least: most dense vectors are known by that.
    if SPARSE_HEADER + len(places) * (1 + WIDTH_BYTES[width]) >= dense:
        return None
    gaps = places.copy()
    gaps[1:] -= places[:-1] + 1
    largest = int(gaps.max()) if len(gaps) else 0
    gap_width = next(code for code, most in enumerate(LARGEST_GAPS) if largest <= most)
    if SPARSE_HEADER + len(places) * _entry(width, gap_width).itemsize >= dense:
        return None
    entries = np.empty(len(places), dtype=_entry(width, gap_width))
    entries["gap"], entries["count"] = gaps, present
    return SPARSE, bytes((gap_width,)) + size.to_bytes(4, "little"), entries.tobytes()


def decode_counts(raw: bytes) -> Integers:
    """The vector of `encode_counts`, shape (length,). Raises MalformedProfile for anything else.

    >>> decode_counts(b"\\x01\\x00\\x07\\xff").tolist()
    [0, 7, 255]
    """
    return sum_counts([raw])


def sum_counts(encoded: Sequence[bytes]) -> Integers:
    """The sum of encoded vectors, at least one, all of one length: shape (length,).

    Raises MalformedProfile for what is no vector of `encode_counts`, and when the lengths differ.

    >>> sum_counts([encode_counts(np.array([0, 7, 255])), encode_counts(np.array([1, 0, 1]))]).tolist()
    [1, 7, 256]
    """
    total: Integers | None = None
    # By their headers; some at a time, for inflated those of a wide model take megabytes each.
    alike: dict[bytes, list[bytes]] = {}
    waiting = 0
    for raw in map(bytes, encoded):
        head, body = (raw[:SPARSE_HEADER], raw[SPARSE_HEADER:]) if raw[:1] in PLAIN_SPARSE else _divided(raw)
        alike.setdefault(head, []).append(body)
        waiting += len(body)
        if waiting > MOST_SUMMED:
            total = _added(total, alike)
            alike, waiting = {}, 0
    total = _added(total, alike)
    if total is None:
        raise MalformedProfile("a sum needs at least one vector, got none")
    return total


def _added(total: Integers | None, alike: Mapping[bytes, Sequence[bytes]]) -> Integers | None:
    for head, bodies in alike.items():
        part = (_sum_sparse if head[0] & FORM == SPARSE else _sum_dense)(head, bodies)
        if total is not None and len(part) != len(total):
            raise MalformedProfile(f"vectors of one length are needed, got {len(total)} and {len(part)}")
        total = part if total is None else np.add(total, part, out=total)
    return total


def _sum_dense(head: bytes, bodies: Sequence[bytes]) -> Integers:
    dtype = np.dtype(WIDTHS[head[0] >> WIDTH_SHIFT])
    lengths = {len(body) for body in bodies}
    if len(lengths) > 1:
        raise MalformedProfile(f"vectors of one length are needed, got {sorted(lengths)} bytes")
    if max(lengths) % dtype.itemsize:
        raise MalformedProfile(f"{max(lengths)} bytes are no whole number of {dtype.itemsize}-byte counts")
    vectors = np.frombuffer(b"".join(bodies), dtype=dtype).reshape(len(bodies), -1)
    total: Integers = _checked(vectors).sum(axis=0, dtype=np.int64)
    return total


def _sum_sparse(head: bytes, bodies: Sequence[bytes]) -> Integers:
    if len(head) < SPARSE_HEADER or head[1] >= len(GAP_WIDTHS):
        raise MalformedProfile(f"a sparse count vector has a header of {SPARSE_HEADER} bytes, got {head.hex()}")
    size, entry = int.from_bytes(head[2:], "little"), _entry(head[0] >> WIDTH_SHIFT, head[1])
    numbers = np.array([len(body) for body in bodies])
    if (numbers % entry.itemsize).any():
        raise MalformedProfile(f"expected whole entries of {entry.itemsize} bytes in a sparse count vector")
    numbers = numbers[numbers > 0] // entry.itemsize
    entries = np.frombuffer(b"".join(bodies), dtype=entry)
    if not len(entries):
        return np.zeros(size, dtype=np.int64)
    # The place of each entry in its own vector: by the steps between them, back to its start at the next vector.
    places = entries["gap"] + np.int64(1)
    starts = np.concatenate(([0], np.cumsum(numbers[:-1])))
    reached = np.add.reduceat(places, starts)
    if int(reached.max()) > size:
        raise MalformedProfile(f"the entries of a sparse count vector reach beyond its {size} cells")
    places[0] -= 1
    places[starts[1:]] -= reached[:-1]
    np.cumsum(places, out=places)
    counts = _checked(entries["count"])
    # Doubles hold every sum of small counts exactly.
    if counts.dtype.itemsize <= SMALL_ITEM:
        return np.bincount(places, weights=counts, minlength=size).astype(np.int64)
    total = np.zeros(size, dtype=np.int64)
    np.add.at(total, places, counts.astype(np.int64))
    return total


@lru_cache(maxsize=64)
def _entry(width: int, gap_width: int) -> np.dtype[np.void]:
    """An entry of a sparse vector: the zeros before it, and the count."""
    return np.dtype([("gap", GAP_WIDTHS[gap_width]), ("count", WIDTHS[width])])


def _checked(counts: NDArray[Any]) -> NDArray[Any]:
    if counts.dtype == np.uint64 and counts.size and counts.max() > np.iinfo(np.int64).max:
        raise MalformedProfile("a count is larger than a signed 64-bit integer")
    return counts


def _divided(raw: bytes) -> tuple[bytes, bytes]:
    """The header, without the mark of compression, and the rest as it was before that."""
    if not raw:
        raise MalformedProfile("an encoded count vector has at least one byte, got none")
    first = raw[0] & ~COMPRESSED
    if first & FORM not in (DENSE, SPARSE):
        raise MalformedProfile(f"expected counts of codec version {DENSE} or {SPARSE}, got first byte {raw[0]:#04x}")
    start = SPARSE_HEADER if first & FORM == SPARSE else 1
    head, body = bytes((first,)) + raw[1:start], raw[start:]
    if raw[0] & COMPRESSED:
        inflate = zlib.decompressobj()
        try:
            body = inflate.decompress(body) + inflate.flush()
        except zlib.error as error:
            raise MalformedProfile(f"the compressed counts can't be read: {error}") from error
        if not inflate.eof or inflate.unused_data:
            raise MalformedProfile("the compressed counts are cut short or followed by other bytes")
    return head, body


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
    deflated = zlib.compress(body, level=1) if len(body) > WORTH_COMPRESSING_PLACES else body
    if len(deflated) < len(body):
        width, body = width | COMPRESSED, deflated
    return bytes((PLACES_VERSION, width)) + len(vector).to_bytes(4, "little") + body


def decode_sparse(raw: bytes) -> NDArray[np.int64]:
    """The vector of `encode_sparse`, shape (length,). Raises MalformedProfile for anything else."""
    raw = bytes(raw)
    if len(raw) < PLACES_HEADER or raw[0] != PLACES_VERSION or (raw[1] & ~COMPRESSED) >= len(AMOUNTS):
        raise MalformedProfile(f"expected a sparse vector of version {PLACES_VERSION}, got {raw[:2].hex()}")
    size, body = int.from_bytes(raw[2:PLACES_HEADER], "little"), raw[PLACES_HEADER:]
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
