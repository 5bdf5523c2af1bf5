"""An open alert ends when it is over, and not because chance could explain the newest windows.

The larger table: `python -m benchmarks.simulations.alert_ends --series 200`.
"""

from __future__ import annotations

import numpy as np

from benchmarks.simulations.alert_ends import SCENARIOS, WEEK_HOURS, Result, ends


def result(name: str, *, by_evidence: bool = True, series: int = 25) -> Result:
    [scenario] = [each for each in SCENARIOS if each.name == name]
    return ends(scenario, series, by_evidence=by_evidence)


def test_what_goes_on_is_not_called_over() -> None:
    """Calm alone ends most of these within a week: each newest window can be explained by chance."""
    assert result(".87 stays; 100/h", by_evidence=False).wrongly >= 0.5
    assert result(".87 stays; 100/h").wrongly <= 0.12
    assert result(".85 stays; 5/h", by_evidence=False).wrongly >= 0.5
    assert result(".85 stays; 5/h").wrongly <= 0.08


def test_a_sound_week_before_does_not_end_what_has_just_been_found() -> None:
    assert result(".80 stays; 100/h", by_evidence=False).wrongly >= 0.1
    assert result(".80 stays; 100/h").wrongly == 0.0


def test_what_is_over_ends_in_comparable_time() -> None:
    before, now = (result(".80 for a day, then .90; 100/h", by_evidence=value) for value in (False, True))
    assert now.wrongly == 0.0
    assert len(now.hours) == now.found == 25
    assert np.median(now.hours) <= np.median(before.hours) + 6
    # The few that last for days do so by either rule: the week's look-back still finds what was there.
    assert np.quantile(now.hours, 0.8) <= 30
    assert max(now.hours) <= WEEK_HOURS
