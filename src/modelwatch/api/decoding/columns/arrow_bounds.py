"""Bounds of an Arrow IPC stream's buffers: a compressed buffer of some bytes may claim any size.

Arrow reserves what a buffer claims before it looks inside, so the claims are added up first, from the metadata of each
message (a flatbuffer). Format: https://arrow.apache.org/docs/format/Columnar.html#encapsulated-message-format
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct, error

from modelwatch.errors import MalformedBody

CONTINUATION = 0xFFFF_FFFF
DICTIONARY_BATCH, RECORD_BATCH = 2, 3

_u16, _i32, _u32, _i64 = Struct("<H"), Struct("<i"), Struct("<I"), Struct("<q")


def claimed_bytes(body: bytes) -> int:
    """The sum of the sizes that the compressed buffers of a stream claim. Raises MalformedBody when it is none."""
    try:
        return sum(_claims(memoryview(body)))
    except error:
        raise MalformedBody("The body is not an Arrow IPC stream, or it is cut off.") from None


def _claims(view: memoryview) -> Iterator[int]:
    position = 0
    while position + 4 <= len(view):
        size = _u32.unpack_from(view, position)[0]
        position += 4
        if size == CONTINUATION:
            size = _u32.unpack_from(view, position)[0]
            position += 4
        if size == 0:
            return
        metadata = view[position : position + size]
        position += size
        message = _Table(metadata, _u32.unpack_from(metadata, 0)[0])
        length = message.number(3, _i64)
        if length < 0:
            raise MalformedBody("A message of the Arrow stream has a negative length.")
        batch = message.table(2)
        kind = metadata[message.place(1)] if message.place(1) else 0
        if kind == DICTIONARY_BATCH and batch is not None:
            batch = batch.table(1)
        if kind in (DICTIONARY_BATCH, RECORD_BATCH) and batch is not None and batch.place(3):
            yield from _claims_of_batch(batch, view[position : position + length])
        position += length


def _claims_of_batch(batch: _Table, content: memoryview) -> Iterator[int]:
    start = batch.place(2)
    if not start:
        return
    metadata = batch.metadata
    start += _u32.unpack_from(metadata, start)[0]
    for index in range(_u32.unpack_from(metadata, start)[0]):
        place = start + 4 + 16 * index
        if _i64.unpack_from(metadata, place + 8)[0]:
            offset = _i64.unpack_from(metadata, place)[0]
            if offset < 0:
                raise MalformedBody("A buffer of the Arrow stream has a negative offset.")
            # -1: this buffer is not compressed.
            claim = _i64.unpack_from(content, offset)[0]
            if claim < -1:
                raise MalformedBody("A buffer of the Arrow stream claims a negative size.")
            yield max(claim, 0)


class _Table:
    """A table of a flatbuffer; places are absolute, 0 is absent."""

    def __init__(self, metadata: memoryview, position: int) -> None:
        self.metadata = metadata
        self._position = position
        self._fields = position - _i32.unpack_from(metadata, position)[0]
        if self._fields < 0:
            raise MalformedBody("The metadata of an Arrow message are corrupt.")
        self._size = _u16.unpack_from(metadata, self._fields)[0]

    def place(self, field: int) -> int:
        entry = 4 + 2 * field
        if entry + 2 > self._size:
            return 0
        offset = int(_u16.unpack_from(self.metadata, self._fields + entry)[0])
        return self._position + offset if offset else 0

    def number(self, field: int, form: Struct) -> int:
        place = self.place(field)
        return int(form.unpack_from(self.metadata, place)[0]) if place else 0

    def table(self, field: int) -> _Table | None:
        place = self.place(field)
        return _Table(self.metadata, place + _u32.unpack_from(self.metadata, place)[0]) if place else None
