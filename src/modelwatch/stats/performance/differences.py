"""Differences of a metric between two independent samples, with their interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from modelwatch.stats.performance.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one sample less that of another, with its 95 % interval.

    value: None where a side is undefined. low, high: None where a side has no interval. reason: why something is
    missing; else None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @property
    def is_certain(self) -> bool:
        """True when the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)


def difference(before: Estimate, after: Estimate) -> Difference:
    """after - before. The interval comes from those of both sides, so it is as lopsided as they are.

    Source: Newcombe (1998), Interval estimation for the difference between independent proportions, method 10, of
    Wilson's intervals; Zou and Donner (2008), Construction of confidence limits about effect measures, of any others.

    >>> from modelwatch.stats.performance.intervals import proportion
    >>> found = difference(proportion(48, 80, ""), proportion(56, 70, ""))
    >>> round(found.value, 4), round(found.low, 4), round(found.high, 4), found.is_certain
    (0.2, 0.0524, 0.3339, True)
    """
    if before.value is None or after.value is None:
        side, missing = ("before", before) if before.value is None else ("now", after)
        return Difference(None, reason=f"undefined {side}: {missing.reason or 'there is no value'}")
    value = after.value - before.value
    if before.low is None or before.high is None or after.low is None or after.high is None:
        missing = before if before.low is None or before.high is None else after
        return Difference(value, reason=missing.reason or "no interval is known")
    below = math.hypot(after.value - after.low, before.high - before.value)
    above = math.hypot(after.high - after.value, before.value - before.low)
    return Difference(value, value - below, value + above)
