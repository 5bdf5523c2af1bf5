"""How large a Parquet file becomes: a page of some bytes may claim any size, whatever the footer says of it.

The footer and the headers of the pages are read before pyarrow sees the file, and what they claim is added up.
Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift
"""

from __future__ import annotations

from collections.abc import Iterator

from modelwatch.api.wire.thrift import I32, I64, LIST, STRUCT, CompactReader, CorruptThrift, Path
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
        raise MalformedBody("The Parquet file has pages in the encoding DELTA_BYTE_ARRAY, which is not read here.")
    return reader.position + stored, claim
