"""How many examples Hypothesis makes up: half of the usual number in a run, and three times as many at night."""

from __future__ import annotations

from hypothesis import settings

# Of a test that says nothing else.
USUAL = 100
IN_A_RUN, AT_NIGHT = USUAL // 2, 3 * USUAL


def examples(number: int) -> int:
    """So many of the usual hundred: fewer in a run, and more at night."""
    return max(1, number * settings.default.max_examples // USUAL)


def is_night() -> bool:
    """Whether this is the run of every night, which may take its time."""
    return settings.default.max_examples == AT_NIGHT
