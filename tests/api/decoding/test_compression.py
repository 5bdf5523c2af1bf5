"""Content encodings are undone, within their bounds."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.api.decoding.compression import decompress
from modelwatch.errors import BodyTooLarge, MalformedBody, RequestError, UnsupportedContent

packed = pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])


@packed
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_members_are_joined(encoding: str, pack: object, parts: list[bytes]) -> None:
    body = b"".join(pack(part) for part in parts)  # type: ignore[operator]
    assert decompress(body, encoding.upper(), 10_000) == b"".join(parts)


@packed
def test_the_limit_is_inclusive(encoding: str, pack: object) -> None:
    body = pack(b"x" * 100_000)  # type: ignore[operator]
    assert len(decompress(body, encoding, 100_000)) == 100_000
    with pytest.raises(BodyTooLarge, match="99999"):
        decompress(body, encoding, 99_999)


@packed
@given(cut=st.integers(1, 60))
def test_a_body_that_is_cut_off_is_malformed(encoding: str, pack: object, cut: int) -> None:
    body = pack(bytes(range(256)) * 4)  # type: ignore[operator]
    with pytest.raises(MalformedBody, match=encoding):
        decompress(body[: -min(cut, len(body))], encoding, 10_000)


@packed
@given(noise=st.binary(min_size=1, max_size=100), place=st.integers(0, 400))
def test_a_damaged_body_is_read_or_refused(encoding: str, pack: object, noise: bytes, place: int) -> None:
    body = bytearray(pack(bytes(range(256)) * 4))  # type: ignore[operator]
    body[place : place + len(noise)] = noise
    with suppress(RequestError):
        assert len(decompress(bytes(body), encoding, 2_000)) <= 2_000


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_no_encoding_leaves_the_body(encoding: str | None) -> None:
    assert decompress(b"[]", encoding, 2) == b"[]"
    with pytest.raises(BodyTooLarge):
        decompress(b"[ ]", encoding, 2)


def test_zeros_behind_a_gzip_member_are_padding() -> None:
    assert decompress(gzip.compress(b"[]") + bytes(512), "gzip", 100) == b"[]"


def test_a_large_body_of_many_members_is_read() -> None:
    part = bytes(range(256)) * 256
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        assert decompress(pack(part) * 100, encoding, 10**8) == part * 100


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "compress", "x" * 1_000])
def test_another_encoding_is_named(encoding: str) -> None:
    with pytest.raises(UnsupportedContent, match="gzip, zstd, identity") as caught:
        decompress(b"", encoding, 10)
    assert len(caught.value.detail) < 250
