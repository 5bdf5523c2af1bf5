"""Rules for single values of a body: the limits of a request, texts, probabilities, ids and the times in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from modelwatch.config import Settings


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a request; each is the setting of the same name.

    >>> Limits().max_batch_rows
    10000
    """

    max_body_bytes: int = 32 * 1024 * 1024
    max_batch_rows: int = 10_000
    max_features: int = 2_000
    max_name_length: int = 512
    max_value_length: int = 4_096
    max_clock_skew_seconds: int = 300

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits that the settings name."""
        return cls(**{field.name: getattr(settings, field.name) for field in fields(cls)})


# Segments of a path that are no names (RFC 3986, 5.2.4).
DOTS = frozenset({".", ".."})
# Sums and float32 leave a probability so far beside [0, 1].
ROUNDING = 1e-6
BEYOND_FLOAT = "The number is beyond the range of a 64-bit float"
NOT_FINITE = "Expected a finite number; null is missing"


def clipped(share: float) -> float:
    """The probability; one that is off by rounding alone is within [0, 1]. Anything else stays as it is.

    >>> clipped(1.0000001192092896), clipped(-1e-7), clipped(1.01)
    (1.0, 0.0, 1.01)
    """
    return min(max(share, 0.0), 1.0) if -ROUNDING <= share <= 1.0 + ROUNDING else share


def clipped_all(given: Sequence[float | dict[str, float] | None]) -> list[float | dict[str, float] | None]:
    """The probabilities, or those of each class, each `clipped`."""
    return [
        {name: clipped(share) for name, share in each.items()}
        if isinstance(each, dict)
        else each
        if each is None
        else clipped(each)
        for each in given
    ]


def pointer_to(*steps: str | int) -> str:
    """The RFC 6901 pointer of these keys and indexes.

    >>> pointer_to("features", "a/b~c", 0)
    '/features/a~1b~0c/0'
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def text_problem(text: str, longest: int) -> str | None:
    """The problem with a name, or None."""
    if not text:
        return "Expected at least one character"
    if len(text) > longest:
        return f"Expected at most {longest} characters, got {len(text)}"
    return character_problem(text)


def character_problem(text: str) -> str | None:
    """The problem with characters that no database takes in a text, or None."""
    if "\0" in text:
        return "Expected text without the character U+0000"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "Expected text without lone surrogates"
    return None


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
