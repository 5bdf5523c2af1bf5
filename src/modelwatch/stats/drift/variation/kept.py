"""What is known of some lengths of time, so many at once: which lengths there are, requests choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

V = TypeVar("V")

# More than a monitor has look-backs.
MOST_LENGTHS = 64


def kept(known: dict[int, V], length: int, make: Callable[[int], V]) -> V:
    """What is known of a length, made when it is not; then the oldest ones go that are too many.

    >>> known = {}
    >>> [kept(known, length, lambda length: -length) for length in (1, 2, 1)], known
    ([-1, -2, -1], {1: -1, 2: -2})
    """
    try:
        return known[length]
    except KeyError:
        found = make(length)
    for oldest in list(known)[: max(0, len(known) + 1 - MOST_LENGTHS)]:
        known.pop(oldest, None)
    known[length] = found
    return found
