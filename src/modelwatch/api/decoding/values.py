"""Rules for single values of a body: characters of texts, probabilities, and pointers to what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

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
