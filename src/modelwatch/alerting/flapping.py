"""Flapping: an incident that ends and comes back, again and again, is told of once, not each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlapRule:
    """What counts as coming back, and how often is too often.

    window_seconds: an alert that fires again sooner than this after it was resolved is the same incident; 0: never.
    reopenings: with so many within the window it is flapping; 0: never.
    """

    window_seconds: int = 86_400
    reopenings: int = 3


def within(window_seconds: int, since: int, now: int) -> bool:
    """Whether less than the window has passed; with a window of 0, never. Event times in seconds."""
    return window_seconds > 0 and now - since < window_seconds


def recent_reopenings(reopened: Sequence[int], now: int, rule: FlapRule) -> tuple[int, ...]:
    """Those of these event times that are within the window before `now`."""
    return tuple(at for at in reopened if within(rule.window_seconds, at, now))


def is_flapping(reopened: Sequence[int], rule: FlapRule) -> bool:
    """Whether so many reopenings within the window are too many.

    >>> is_flapping((10, 20, 30), FlapRule(reopenings=3)), is_flapping((10, 20), FlapRule(reopenings=3))
    (True, False)
    """
    return rule.reopenings > 0 and len(reopened) >= rule.reopenings
