"""Identities of predictions: UUIDv7 (RFC 9562), made here or by clients, and ULID; both hold their time of creation."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID_LENGTH = 26
ULID_TIME_LENGTH = 10
UUID_LENGTH = 36
VERSION_POSITION = 14

_DIGIT = {character: digit for digit, character in enumerate(CROCKFORD)}


def uuid7(now_ms: int, random: Callable[[int], bytes]) -> str:
    """A UUIDv7 of this time; `random` gives so many random bytes, as `os.urandom` does.

    >>> uuid7(1_767_225_600_000, lambda size: bytes(size))
    '019b76da-a800-7000-8000-000000000000'
    """
    noise = int.from_bytes(random(10))
    high = (now_ms & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | (noise >> 62 & 0xFFF)
    return str(UUID(int=high << 64 | 0b10 << 62 | noise & (1 << 62) - 1))


def time_of_id(prediction_id: str) -> int | None:
    """The time inside a UUIDv7 or ULID in microseconds since 1970; None for any other id.

    A number of 26 digits is a padded counter and no ULID.

    >>> time_of_id("019b76da-a800-7000-8000-000000000000"), time_of_id("01KDVDNA000000000000000000")
    (1767225600000000, 1767225600000000)
    >>> time_of_id("pred-12345"), time_of_id("00000000000000000000000042")
    (None, None)
    """
    length = len(prediction_id)
    if length == UUID_LENGTH:
        return _time_of_uuid(prediction_id)
    if length == ULID_LENGTH and not prediction_id.isdigit():
        return _time_of_ulid(prediction_id.upper())
    return None


def _time_of_uuid(text: str) -> int | None:
    if text[VERSION_POSITION] != "7" or text[19] not in "89abAB" or not text.isascii():
        return None
    if not (text[8] == text[13] == text[18] == text[23] == "-"):
        return None
    digits = text.replace("-", "")
    if len(digits) != 32 or not digits.isalnum():
        return None
    try:
        return int(digits, 16) // (1 << 80) * 1_000
    except ValueError:
        return None


def _time_of_ulid(text: str) -> int | None:
    if text[0] > "7" or any(character not in _DIGIT for character in text):
        return None
    milliseconds = 0
    for character in text[:ULID_TIME_LENGTH]:
        milliseconds = milliseconds << 5 | _DIGIT[character]
    return milliseconds * 1_000
