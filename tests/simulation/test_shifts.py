"""Shifts: how they are written, how far they are from what was, and how soon they can be known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modelwatch.simulation.shifts import Shift


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("0.25", 5.05),
        ("0.35", 2.58),
        ("0.5", 1.26),
        ("1", 0.32),
        ("scale:1.25", 2.72),
        ("scale:1.5", 0.72),
        ("half:1", 1.14),
        ("category:0.08", 2.99),
    ],
)
def test_the_bound_at_100_an_hour_with_half_a_false_alarm_a_month(text: str, hours: float) -> None:
    assert Shift.parsed(text).lorden(100.0, 50, 0.5) == pytest.approx(hours, abs=0.005)


@pytest.mark.parametrize(("kind", "size"), [("location", 0.7), ("scale", 1.8), ("half", 1.0), ("half", -1.0)])
def test_the_divergence_is_the_mean_logarithm_of_the_likelihood_ratio(kind: str, size: float) -> None:
    shift = Shift.parsed(f"{kind}:{size}")
    x = np.random.default_rng(3).standard_normal(400_000)
    x = {"location": x + size, "scale": x * size, "half": x + size * (np.arange(400_000) % 2)}[kind]
    old = stats.norm.pdf(x)
    new = {
        "location": stats.norm.pdf(x, size),
        "scale": stats.norm.pdf(x, 0, abs(size)),
        "half": (old + stats.norm.pdf(x, size)) / 2,
    }[kind]
    assert shift.divergence == pytest.approx(np.log(new / old).mean(), rel=0.03)


def test_more_traffic_is_less_delay_and_a_smaller_budget_more() -> None:
    shift = Shift("location", 0.5)
    usual = shift.lorden(100.0, 50, 0.5)
    assert usual is not None
    assert (shift.lorden(1_000.0, 50, 0.5) or 9.0) < usual < (shift.lorden(100.0, 50, 0.05) or 0.0)


@pytest.mark.parametrize("text", ["ramp:0.5", "new:0.05"])
def test_where_there_is_no_bound_none_is_told(text: str) -> None:
    assert Shift.parsed(text).divergence is None
    assert Shift.parsed(text).lorden(100.0, 50, 0.5) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected standard deviations such as 0.5"),
        ("up:1", "expected standard deviations such as 0.5"),
        ("scale:", "expected standard deviations such as 0.5"),
        ("scale:0", "expected 0.01 to 100 for scale"),
        ("category:1", "expected 0.0001 to 0.9999 for category"),
        ("101", "expected -100 to 100 for location"),
    ],
)
def test_what_is_no_shift_is_told(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Shift.parsed(text)
