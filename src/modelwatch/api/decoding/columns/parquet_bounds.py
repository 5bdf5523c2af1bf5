"""Bounds of a Parquet file: a page of some bytes may claim any size, and the footer another.

The footer and the headers of the pages are read before pyarrow sees the file, and what they claim is added up.
Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator

from modelwatch.errors import MalformedBody

MAGIC = b"PAR1"
TAIL = 4 + len(MAGIC)
# FileMetaData, RowGroup
ROW_GROUPS, COLUMNS, ROWS = 4, 1, 3
# ColumnChunk.meta_data
VALUES, STORED_BYTES, DATA_OFFSET, DICTIONARY_OFFSET = (3, 5), (3, 7), (3, 9), (3, 11)
# PageHeader, and where the headers of data pages (versions 1 and 2) name their encoding
PAGE_BYTES, STORED_PAGE_BYTES = (2,), (3,)
ENCODINGS = (5, 2), (8, 4)
# Every text repeats the start of the one before it: a page of some bytes may hold gigabytes.
DELTA_BYTE_ARRAY = 7
LARGEST_I32 = 2**31 - 1
CORRUPT = "The body is not a Parquet file that can be read: its metadata are corrupt."


def claimed_size(body: bytes, enough: int) -> tuple[int, int]:
    """The rows of a file, and the bytes that its pages claim to be when decompressed; counted no further than `enough`.

    Raises MalformedBody when the metadata are corrupt, or when pages are in an encoding whose size can't be known.
    """
    if len(body) < 2 * TAIL or not body.endswith(MAGIC) or not body.startswith(MAGIC):
        raise MalformedBody("The body is not a Parquet file, or it is cut off.")
    footer = len(body) - TAIL - int.from_bytes(body[-TAIL:-4], "little")
    if footer < len(MAGIC):
        raise MalformedBody("The body is not a Parquet file, or it is cut off.")
    try:
        return _add_up(body, CompactReader(body, footer), enough)
    except CorruptThrift:
        raise MalformedBody(CORRUPT) from None


def _add_up(body: bytes, reader: CompactReader, enough: int) -> tuple[int, int]:
    rows = size = 0
    for field, kind in reader.fields():
        if field != ROW_GROUPS or kind != LIST:
            reader.skip(kind)
            continue
        for _ in _structs(reader):
            for part, given in reader.fields():
                if part == ROWS and given == I64:
                    rows += max(reader.integer(), 0)
                elif part == COLUMNS and given == LIST:
                    for _ in _structs(reader):
                        chunk = reader.integers(I64)
                        if size <= enough:
                            size += _chunk_size(body, chunk, enough)
                else:
                    reader.skip(given)
    return rows, size


def _structs(reader: CompactReader) -> Iterator[int]:
    length, kind = reader.length_of_list()
    if kind != STRUCT and length:
        raise CorruptThrift("a list of something else")
    return iter(range(length))


def _chunk_size(body: bytes, chunk: dict[Path, int], enough: int) -> int:
    start, stored = chunk.get(DATA_OFFSET, -1), chunk.get(STORED_BYTES, -1)
    if chunk.get(VALUES, 0) <= 0:
        return 0
    if 0 < chunk.get(DICTIONARY_OFFSET, 0) < start:
        start = chunk[DICTIONARY_OFFSET]
    end = start + stored
    if start < 0 or stored < 0 or end > len(body):
        raise CorruptThrift("a column outside of the file")
    size = 0
    while start < end and size <= enough:
        start, claim = _page(body, start)
        size += claim
    return size


def _page(body: bytes, position: int) -> tuple[int, int]:
    """The position behind a page, and the size it claims."""
    reader = CompactReader(body, position)
    header = reader.integers(I32)
    claim, stored = header.get(PAGE_BYTES, -1), header.get(STORED_PAGE_BYTES, -1)
    if not (0 <= claim <= LARGEST_I32 and 0 <= stored <= LARGEST_I32):
        raise CorruptThrift("a page of an impossible size")
    if any(header.get(place) == DELTA_BYTE_ARRAY for place in ENCODINGS):
        raise MalformedBody("The Parquet file has pages in the encoding DELTA_BYTE_ARRAY, which is not supported.")
    return reader.position + stored, claim


STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
INTEGERS = frozenset((I16, I32, I64))
MAX_DEPTH = 8
LONGEST_SHIFT = 63

Path = tuple[int, ...]


class CorruptThrift(ValueError):
    """The bytes are no struct in the compact protocol."""


class CompactReader:
    """Reads from a position on. All methods raise CorruptThrift."""

    __slots__ = ("_body", "position")

    def __init__(self, body: bytes, position: int) -> None:
        """position: not negative."""
        self._body = body
        self.position = position

    def fields(self) -> Iterator[tuple[int, int]]:
        """The number and type of each field of a struct; the value must be read or skipped before the next is taken.

        Raises CorruptThrift.
        """
        field = 0
        while head := self._byte():
            step, kind = head >> 4, head & 0x0F
            if kind == STOP:
                return
            field = field + step if step else self.integer()
            if not 0 <= field < 1 << 15:
                raise CorruptThrift("a field with an impossible number")
            yield field, kind

    def integers(self, kind: int, path: Path = (), found: dict[Path, int] | None = None) -> dict[Path, int]:
        """The integers of one type, of a struct and of the structs in it, by the numbers of their fields.

        A field of another type than its own is skipped by Parquet's readers, so its type matters here too.
        Raises CorruptThrift.
        """
        if len(path) > MAX_DEPTH:
            raise CorruptThrift("too deep")
        if found is None:
            found = {}
        for field, given in self.fields():
            if given == kind:
                found[*path, field] = self.integer()
            elif given == STRUCT:
                self.integers(kind, (*path, field), found)
            else:
                self.skip(given, len(path))
        return found

    def length_of_list(self) -> tuple[int, int]:
        """The number of a list's items, and their type. Raises CorruptThrift."""
        head = self._byte()
        length = self._varint() if head >> 4 == 15 else head >> 4
        if length > len(self._body) - self.position:
            raise CorruptThrift("a list longer than the file")
        return length, head & 0x0F

    def integer(self) -> int:
        """A signed integer of at most 64 bits."""
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def skip(self, kind: int, depth: int = 0, *, in_list: bool = False) -> None:
        """Skips a value. Raises CorruptThrift."""
        if depth > MAX_DEPTH:
            raise CorruptThrift("too deep")
        if kind == BINARY:
            length = self._varint()
            self.position += length
        elif kind in INTEGERS:
            self._varint()
        elif kind in (TRUE, FALSE):
            # In a struct, a boolean's value is its type.
            self.position += in_list
        elif kind == BYTE:
            self.position += 1
        elif kind == DOUBLE:
            self.position += 8
        elif kind == STRUCT:
            for _, given in self.fields():
                self.skip(given, depth + 1)
        elif kind in (LIST, SET):
            length, item = self.length_of_list()
            for _ in range(length):
                self.skip(item, depth + 1, in_list=True)
        else:
            raise CorruptThrift("a type that Parquet does not use")

    def _byte(self) -> int:
        try:
            value = self._body[self.position]
        except IndexError:
            raise CorruptThrift("cut off") from None
        self.position += 1
        return value

    def _varint(self) -> int:
        value = self._byte()
        if value < 0x80:
            return value
        value, shift = value & 0x7F, 7
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > LONGEST_SHIFT:
                raise CorruptThrift("an integer of more than 64 bits")
