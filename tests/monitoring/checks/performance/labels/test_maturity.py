"""Whether the labels of a window have come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelwatch.monitoring.checks.performance.labels.maturity import LabelArrivals, immaturity, lag_of

DAILY = LabelArrivals(1_000, 3_600.0, 86_400.0, 172_800.0, 86_400, 0.5, ((0.0, 0.1), (3_600.0, 0.5), (86_400.0, 0.95)))
NONE_YET = LabelArrivals(0, None, None, None, 0, None, ())


def test_without_labels_nothing_is_waited_for() -> None:
    assert NONE_YET.share_within(0) == 1.0
    assert immaturity(NONE_YET, 0, 1_000, 0) is None
    assert lag_of(0.0) == 0


@pytest.mark.parametrize(
    ("seconds", "share"), [(-5, 0.1), (0, 0.1), (3_599, 0.1), (3_600, 0.5), (86_399, 0.5), (10**9, 0.95)]
)
def test_the_share_that_has_come_by_an_age(seconds: float, share: float) -> None:
    assert DAILY.share_within(seconds) == share


def test_a_window_is_immature_while_less_than_nine_tenths_of_its_labels_should_have_come() -> None:
    assert immaturity(DAILY, 86_399, 1_000, 500) == (
        "about 50.0 % of the eventual labels have arrived: most arrive within 1 d"
    )
    assert immaturity(DAILY, 86_400, 1_000, 500) is None


@pytest.mark.parametrize(("labelled", "mature"), [(0, False), (379, False), (380, True), (900, True)])
def test_or_when_far_fewer_have_come_than_older_predictions_lead_one_to_expect(labelled: int, mature: bool) -> None:
    found = immaturity(DAILY, 86_400, 1_000, labelled)
    assert (found is None) == mature
    assert mature or found == f"{labelled} labels have arrived of about 475 that are usual by now"


def test_how_late_labels_are_is_known_after_twice_their_lag_or_where_no_new_prediction_has_one() -> None:
    young = replace(DAILY, lag=86_400, history=140_000)
    assert immaturity(young, 90_000, 1_000, 500) == (
        "the first prediction with a label is 1 d old; how late most of them are is known after 2 d"
    )
    assert immaturity(young, 90_000, 1_000, 950) is None
    assert immaturity(replace(young, newest=70_000), 90_000, 1_000, 500) is None
    assert immaturity(replace(young, history=172_800), 90_000, 1_000, 500) is None


def test_what_takes_most_of_a_year_is_not_waited_for_longer_than_labels_are_learned_from() -> None:
    slow = replace(DAILY, lag=231 * 86_400, history=400 * 86_400)
    assert (slow.unknown, slow.too_new) == (None, None)
    assert replace(slow, history=300 * 86_400).unknown is not None


def test_where_no_prediction_is_old_enough_to_tell_the_age_alone_decides() -> None:
    unknown = LabelArrivals(5, 0.0, 0.0, 0.0, 0, None, ((0.0, 1.0),))
    assert immaturity(unknown, 0, 1_000, 5) is None


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_the_lag_covers_the_delay_up_to_a_year_and_is_whole_windows(delay: int, other: int) -> None:
    lag = lag_of(delay)
    assert lag % 300 == 0
    assert lag >= min(delay, 366 * 86_400)
    assert lag < delay + 300
    assert delay > other or lag <= lag_of(other)
