"""Content-Encoding: gzip and zstd, with an output that never grows beyond its limit."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from modelwatch.errors import BodyTooLarge, MalformedBody, UnsupportedContent

READABLE = ("gzip", "zstd", "identity")

GZIP_SLICE = 64 * 1024
# A zstd block of 4 bytes may hold 128 KiB: small slices keep what one call gives below some MiB.
ZSTD_SLICE = 128
# RFC 9659: a window for Content-Encoding: zstd is at most 8 MiB.
ZSTD_WINDOW = 8 * 1024 * 1024
# Far more than parallel compressors write into 32 MiB; a body of empty members would cost time for nothing.
MAX_MEMBERS = 10_000


def decompress(body: bytes, content_encoding: str | None, limit: int) -> bytes:
    """The body without its content encoding (`gzip`, `zstd`, `identity` or none).

    Raises BodyTooLarge as soon as the output is longer than `limit`, MalformedBody when the body is corrupt or cut off,
    UnsupportedContent for another encoding.

    >>> import gzip
    >>> decompress(gzip.compress(b"[]") + gzip.compress(b" "), "gzip", 100)
    b'[] '
    """
    encoding = (content_encoding or "identity").strip().lower()
    if encoding in ("identity", ""):
        if len(body) > limit:
            raise BodyTooLarge(f"The body has {len(body)} bytes; MAX_BODY_BYTES is {limit}.")
        return body
    if encoding in ("gzip", "x-gzip"):
        return _bounded(_gunzip(body), "gzip", limit)
    if encoding == "zstd":
        return _bounded(_unzstd(body), "zstd", limit)
    raise UnsupportedContent(f"Content-Encoding {encoding[:80]!r} is not supported; use one of {', '.join(READABLE)}.")


def _bounded(pieces: Iterator[bytes], encoding: str, limit: int) -> bytes:
    output = bytearray()
    for piece in pieces:
        output += piece
        if len(output) > limit:
            raise BodyTooLarge(
                f"The {encoding} body is longer than {limit} bytes when decompressed, which is MAX_BODY_BYTES."
            )
    return bytes(output)


def _gunzip(body: bytes) -> Iterator[bytes]:
    view = memoryview(body)
    position = 0
    for _ in range(MAX_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        waiting: bytes | memoryview = b""
        while not member.eof:
            if not waiting:
                waiting = view[position : position + GZIP_SLICE]
                position += len(waiting)
            if not waiting:
                raise MalformedBody("The gzip body is cut off.")
            try:
                yield member.decompress(waiting, GZIP_SLICE)
            except zlib.error as error:
                raise MalformedBody(f"The body is not valid gzip: {error}.") from None
            waiting = member.unconsumed_tail
        position -= len(member.unused_data)
        # Zeros after the last member are padding, as in gzip files.
        if position == len(body) or not body[position : position + GZIP_SLICE].strip(b"\0"):
            return
    raise MalformedBody(f"The gzip body has more than {MAX_MEMBERS} members.")


def _unzstd(body: bytes) -> Iterator[bytes]:
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    view = memoryview(body)
    position = 0
    for _ in range(MAX_MEMBERS):
        frame = decompressor.decompressobj()
        while not frame.eof:
            piece = view[position : position + ZSTD_SLICE]
            position += len(piece)
            if not piece:
                raise MalformedBody("The zstd body is cut off.")
            try:
                yield frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise MalformedBody(f"The body is not valid zstd: {error}.") from None
        position -= len(frame.unused_data)
        if position == len(body):
            return
    raise MalformedBody(f"The zstd body has more than {MAX_MEMBERS} frames.")
