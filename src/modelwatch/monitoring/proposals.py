"""Proposals of look-backs and a schedule that fit the observed traffic."""

from __future__ import annotations

from dataclasses import dataclass

from modelwatch.config import parse_lookback
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.times import SECONDS_PER_DAY

LADDER = ("1h", "6h", "24h", "7d", "30d")
# How many look-backs are proposed, the shortest that hold enough.
PROPOSED = 2
EVERY = ("1h", "6h", "24h")
# A look-back of which less is new at an evaluation is looked at too often.
NEW_SHARE = 1 / 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposal for the monitor of a stream: look-backs, interval of evaluations, and the reason."""

    lookbacks: tuple[str, ...]
    every: str
    reason: str


def rate_of(predictions: int, first: int, last: int) -> float:
    """Predictions a day, of a stream with data from first to last (seconds). Less than a day counts as one.

    >>> rate_of(140, 0, 7 * 86_400), rate_of(30, 0, 3_600)
    (20.0, 30.0)
    """
    return predictions * SECONDS_PER_DAY / max(last - first, SECONDS_PER_DAY)


def proposal_for(rules: DriftRules, per_day: float, seconds: int) -> Proposal | None:
    """Proposal that fits a stream better than its rules do; None where they fit, or where there are data of less than
    the longest look-back (or a day). seconds: the time for which there are data.

    >>> rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h", "24h"), 3_600)
    >>> found = proposal_for(rules, per_day=20.0, seconds=30 * 86_400)
    >>> found.lookbacks, found.every
    (('7d', '30d'), '24h')
    >>> proposal_for(rules, per_day=2_400.0, seconds=30 * 86_400) is None
    True
    """
    longest = max(parse_lookback(lookback) for lookback in rules.lookbacks)
    held = per_day * longest / SECONDS_PER_DAY
    if seconds < max(longest, SECONDS_PER_DAY) or held >= rules.min_samples:
        return None
    holding = [each for each in LADDER if per_day * parse_lookback(each) / SECONDS_PER_DAY >= rules.min_samples]
    lookbacks = tuple(holding[:PROPOSED]) or LADDER[-1:]
    wanted = NEW_SHARE * parse_lookback(lookbacks[0])
    every = next((each for each in EVERY if parse_lookback(each) >= wanted), EVERY[-1])
    needed = rules.min_samples
    reason = (
        f"{_amount(per_day)} predictions a day: the longest look-back holds {_amount(held)} of the {needed} needed."
    )
    if not holding:
        reason += f" Even 30 days hold fewer: a lower min_samples than {needed} would give a verdict sooner."
    return Proposal(lookbacks, every, reason)


def _amount(number: float) -> str:
    """Average number, with the digits that matter.

    >>> _amount(12_345.6), _amount(20.0), _amount(0.466), _amount(6.47e-05)
    ('12,346', '20', '0.47', 'fewer than 0.01')
    """
    if number < 0.01:
        return "fewer than 0.01"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}" if number >= 1 else f"{number:.2g}"
