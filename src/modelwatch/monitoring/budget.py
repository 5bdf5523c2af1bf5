"""How the false-alarm budget of a model is divided: among what is checked, and then among the looks at each.

A look is one subject in one span at one evaluation. The parts are fixed, so that no check depends on what others do.
"""

from __future__ import annotations

from typing import Literal

from modelwatch.stats.evidence import alpha_per_look

Check = Literal["drift", "performance", "quality"]

SHARES: dict[Check, float] = {"drift": 0.5, "performance": 0.25, "quality": 0.25}
SECONDS_PER_30_DAYS = 30 * 86_400
# A generous budget over few looks would otherwise call coin tosses evidence.
LARGEST_ALPHA = 0.05


def share_of(check: Check) -> float:
    """The part of the budget that a check may spend; the parts add up to one."""
    return SHARES[check]


def alpha_of_look(check: Check, budget: float, *, subjects: int, lookbacks: int, seconds: int) -> float:
    """The chance of a false alarm that one look may take.

    budget: false alarms per model and 30 days. subjects: of all streams of the model. seconds: how much time has passed
    since the look before, in which budget has accrued.

    >>> alpha_of_look("drift", 1.0, subjects=10, lookbacks=1, seconds=2_592_000)
    0.05
    >>> f"{alpha_of_look('quality', 1.0, subjects=10, lookbacks=1, seconds=3_600):.2e}"
    '3.47e-05'
    """
    looks = max(subjects, 1)
    alpha = alpha_per_look(budget * share_of(check), looks, max(lookbacks, 1), SECONDS_PER_30_DAYS / max(seconds, 1))
    return min(alpha, LARGEST_ALPHA)
