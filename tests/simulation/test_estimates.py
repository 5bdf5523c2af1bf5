"""Rates with their uncertainty, and delays that may lie beyond the horizon."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from modelwatch.simulation.estimates import delay_of, rate_of
from modelwatch.simulation.shifts import Shift


def test_the_interval_of_a_plain_count_is_garwoods() -> None:
    rate = rate_of([1, 0, 2, 1])
    assert rate.mean == 1.0
    assert rate.interval_95 == pytest.approx((chi2.ppf(0.025, 8) / 8, chi2.ppf(0.975, 10) / 8), abs=1e-4)


def test_no_false_alarm_at_all_is_no_promise() -> None:
    rate = rate_of([0] * 24)
    assert (rate.mean, rate.standard_error, rate.interval_95) == (0.0, 0.0, (0.0, 0.1537))


def test_months_that_differ_widen_the_interval() -> None:
    alike, clustered = rate_of([4] * 24), rate_of([0, 0, 0, 0, 0, 24] * 4)
    assert alike.mean == clustered.mean == 4.0
    assert alike.interval_95 is not None
    assert clustered.interval_95 is not None
    assert clustered.interval_95[0] < alike.interval_95[0] < 4.0 < alike.interval_95[1] < clustered.interval_95[1]


def test_one_month_says_nothing_about_its_uncertainty() -> None:
    assert (rate_of([3]).mean, rate_of([3]).standard_error, rate_of([3]).interval_95) == (3.0, None, None)


@pytest.mark.parametrize("cluster", [1, 5])
def test_the_interval_holds_the_true_rate_about_as_often_as_it_says(cluster: int) -> None:
    rng = np.random.default_rng(cluster)
    held, trials = 0, 1_000
    for _ in range(trials):
        interval = rate_of((rng.poisson(2.0, 24) * cluster).tolist()).interval_95
        assert interval is not None
        held += interval[0] <= 2.0 * cluster <= interval[1]
    assert 0.93 <= held / trials <= 0.99


def test_a_shift_that_is_not_seen_is_later_than_any_that_is() -> None:
    delay = delay_of(Shift("location", 1.0), [2.0] * 6 + [5.0] * 3 + [None])
    assert (delay.median_hours, delay.p90_hours, delay.share_seen) == (2.0, 5.0, 0.9)
    never = delay_of(Shift("location", 0.1), [None] * 3 + [1.0])
    assert (never.median_hours, never.p90_hours, never.share_seen) == (None, None, 0.25)


def test_a_mean_is_compared_with_its_bound_where_every_repetition_is_seen() -> None:
    seen = delay_of(Shift("scale", 1.5), [1.0, 2.0, 3.0], 1.6)
    assert (seen.mean_hours, seen.bound_hours, seen.ratio, seen.title) == (2.0, 1.6, 1.25, "scale × 1.5")
    unseen = delay_of(Shift("scale", 1.5), [1.0, None], 1.6)
    assert (unseen.mean_hours, unseen.bound_hours, unseen.ratio) == (None, 1.6, None)
    unknown = delay_of(Shift("new", 0.05), [])
    assert (unknown.share_seen, unknown.median_hours, unknown.mean_hours) == (None, None, None)
