"""How large the pages of a Parquet file become: a page of some bytes may claim any size, whatever the footer says.

The headers of the pages (Thrift, compact protocol) are read before the file is, and what they claim is added up.
Format: https://parquet.apache.org/docs/file-format/data-pages/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelwatch.errors import MalformedBody

STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
# Fields of a page's header, and where the headers of data pages (versions 1 and 2) name their encoding.
UNCOMPRESSED_SIZE, COMPRESSED_SIZE = 2, 3
ENCODING_OF = {5: 2, 8: 4}
# Every text repeats the start of the one before it: a page of some bytes may hold gigabytes.
DELTA_BYTE_ARRAY = 7
MAX_DEPTH = 8
CORRUPT = "The headers of the Parquet file's pages are corrupt."


def unpacked_bytes(body: bytes, groups: Iterable[Any], enough: int) -> int:
    """The sum of what the pages of these row groups claim; stops counting beyond `enough`.

    Raises MalformedBody when the pages are not where the footer says.
    """
    total = 0
    for group in groups:
        for index in range(group.num_columns):
            column = group.column(index)
            if column.num_values <= 0:
                continue
            start = column.data_page_offset
            if column.has_dictionary_page and column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            end = start + column.total_compressed_size
            if not 0 <= start <= end <= len(body):
                raise MalformedBody(CORRUPT)
            while start < end:
                start, size = _page(body, start)
                total += size
                if total > enough:
                    return total
    return total


def _page(body: bytes, position: int) -> tuple[int, int]:
    """The position behind a page, and the size it claims when it is decompressed."""
    reader = _Compact(body, position)
    try:
        fields = reader.numbers()
    except IndexError:
        raise MalformedBody(CORRUPT) from None
    claimed, stored = fields.get((UNCOMPRESSED_SIZE,), -1), fields.get((COMPRESSED_SIZE,), -1)
    if claimed < 0 or stored < 0:
        raise MalformedBody(CORRUPT)
    if any(fields.get(place) == DELTA_BYTE_ARRAY for place in ENCODING_OF.items()):
        raise MalformedBody("The Parquet file has pages in the encoding DELTA_BYTE_ARRAY, which is not read here.")
    return reader.position + stored, claimed


class _Compact:
    """Reads one struct in Thrift's compact protocol; only its integers are kept."""

    def __init__(self, body: bytes, position: int) -> None:
        self._body = body
        self.position = position

    def numbers(self, path: tuple[int, ...] = ()) -> dict[tuple[int, ...], int]:
        """The integers of the struct at the position and of the structs in it, by the numbers of their fields."""
        if len(path) > MAX_DEPTH:
            raise MalformedBody(CORRUPT)
        found: dict[tuple[int, ...], int] = {}
        field = 0
        while True:
            head = self._byte()
            kind = head & 0x0F
            if kind == STOP:
                return found
            field = field + (head >> 4) if head >> 4 else self._integer()
            if kind in (I16, I32, I64):
                found[*path, field] = self._integer()
            elif kind == STRUCT:
                found |= self.numbers((*path, field))
            elif kind not in (TRUE, FALSE):
                self._skip(kind, path)

    def _skip(self, kind: int, path: tuple[int, ...]) -> None:
        if kind in (TRUE, FALSE, BYTE):
            self.position += 1
        elif kind in (I16, I32, I64):
            self._varint()
        elif kind == DOUBLE:
            self.position += 8
        elif kind == BINARY:
            length = self._varint()
            self.position += length
        elif kind == STRUCT:
            self.numbers((*path, 0))
        elif kind in (LIST, SET):
            head = self._byte()
            for _ in range(self._bounded(self._varint() if head >> 4 == 15 else head >> 4)):
                self._skip(head & 0x0F, (*path, 0))
        else:
            raise MalformedBody(CORRUPT)

    def _bounded(self, count: int) -> int:
        if count > len(self._body) - self.position:
            raise MalformedBody(CORRUPT)
        return count

    def _byte(self) -> int:
        value = self._body[self.position]
        self.position += 1
        return value

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise MalformedBody(CORRUPT)

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
