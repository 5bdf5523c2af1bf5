"""Intervals of differences: published values, how often they hold the truth, and what can't be told."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.performance.intervals import Estimate, difference, proportion, undefined


@pytest.mark.parametrize(
    ("after", "before", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_published_intervals(after: tuple[int, int], before: tuple[int, int], low: float, high: float) -> None:
    found = difference(proportion(*before, ""), proportion(*after, ""))
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for before, after in zip(rng.binomial(400, 0.9, 2_000), rng.binomial(250, 0.84, 2_000), strict=True):
        found = difference(proportion(int(before), 400, ""), proportion(int(after), 250, ""))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= -0.06 <= found.high
    assert 0.935 < hits / 2_000 < 0.97


def test_a_side_without_value_or_interval_is_said() -> None:
    known = proportion(5, 10, "")
    assert difference(undefined("no rows"), known).reason == "undefined before: no rows"
    assert difference(known, undefined("no rows")).reason == "undefined now: no rows"
    bare = difference(known, Estimate(0.7, n=1, reason="one row has no interval"))
    assert (bare.value, bare.low, bare.reason) == (pytest.approx(0.2), None, "one row has no interval")
    assert not bare.is_certain


def test_certain_is_a_whole_interval_on_one_side_of_zero() -> None:
    assert difference(proportion(900, 1_000, ""), proportion(800, 1_000, "")).is_certain
    assert not difference(proportion(9, 10, ""), proportion(8, 10, "")).is_certain
