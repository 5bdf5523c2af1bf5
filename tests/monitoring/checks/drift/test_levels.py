"""The level of a drift evaluation: divided among the look-backs that hold enough to show a shift, and never more than
has accrued."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelwatch.config import Settings, parse_lookback
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Evidence
from modelwatch.monitoring.checks.rules import SECONDS_PER_30_DAYS, DriftRules, FeatureRules, share_of
from modelwatch.monitoring.checks.windows import Window, look_back
from modelwatch.simulation.traffic import Traffic, schedule
from modelwatch.simulation.watching import lookbacks_among
from modelwatch.storage.ledger.slots import Slot

RULES = DriftRules.of(Settings())
OF_BEFORE = replace(RULES, detects_from=None)
QUERY = DriftQuery("m", "production", "1")
NO_COUNTS = np.zeros(0, dtype=np.int64)
SPANS = [parse_lookback(name) for name in RULES.lookbacks]
SUBJECTS = 50


def evidence(held: list[int], rules: DriftRules = RULES, query: DriftQuery = QUERY, elapsed: int = 600) -> Evidence:
    """Evidence whose look-backs hold so many predictions, of two versions."""
    windows = tuple(look_back(90_000, name) for name in (*RULES.lookbacks, "7d")[: len(held)])
    sums = tuple({"1": Slot(each - each // 3, NO_COUNTS), "2": Slot(each // 3, NO_COUNTS)} for each in held)
    return Evidence(query, rules, 1, 90_000, 1, (), elapsed, windows, sums, ())


def test_look_backs_that_hold_too_little_have_no_part_of_the_level() -> None:
    held = [8, 25, 29, 30, 100, 400, 800, 2_400]
    assert evidence(held).lookbacks == 5
    assert evidence([*held, 9_000]).lookbacks == 6
    assert evidence([0] * 8).lookbacks == 1


def test_a_feature_that_needs_fewer_values_is_asked_for_in_shorter_look_backs() -> None:
    held = [8, 25, 29, 30, 100, 400, 800, 2_400]
    assert evidence(held, replace(RULES, features={"rare": FeatureRules(min_samples=20)})).lookbacks == 7
    assert evidence(held, replace(RULES, min_samples=500)).lookbacks == 3


def test_what_a_request_asks_for_is_what_counts() -> None:
    held = [8, 25, 29, 30, 100, 400, 800, 2_400]
    assert evidence(held, query=replace(QUERY, min_samples=400)).lookbacks == 3
    assert evidence(held[:1], query=replace(QUERY, lookback="5m")).lookbacks == 8
    assert evidence(held[:1], query=replace(QUERY, window=Window(0, 300))).lookbacks == 8


def test_by_the_rules_of_earlier_releases_every_look_back_has_a_part() -> None:
    assert evidence([8, 25, 29, 30, 100, 400, 800, 2_400], OF_BEFORE).lookbacks == 8
    assert evidence([1] * 9, OF_BEFORE).lookbacks == 9


@pytest.mark.parametrize("per_window", [0.5, 2.4, 2.6, 10.0, 35.0])
def test_the_parts_of_a_month_are_its_budget_however_the_traffic_comes_and_goes(per_window: float) -> None:
    """Traffic around the number that a look-back must hold, with bursts and with nights, so that look-backs come and
    go."""
    rng = np.random.default_rng(7)
    windows, history = SECONDS_PER_30_DAYS // 300, max(SPANS) // 300
    rhythm = 1.0 + np.sin(np.arange(history + windows) / 288 * 2 * np.pi)
    arrived = rng.poisson(per_window * rhythm * rng.choice([0.3, 1.0, 3.0], history + windows))
    when = schedule(Traffic(arrived, history), SPANS, RULES.check_interval, RULES.enough_new)
    given, among = 0.0, set()
    for elapsed, values, lookbacks in zip(
        when.elapsed.tolist(), when.values.tolist(), lookbacks_among(RULES, when).tolist(), strict=True
    ):
        found = evidence(values, elapsed=elapsed)
        assert found.lookbacks == lookbacks
        alpha = RULES.alpha(SUBJECTS, elapsed=elapsed, lookbacks=lookbacks)
        tested = sum(each >= RULES.least_of_any for each in values)
        assert tested <= lookbacks
        given += alpha * tested * SUBJECTS
        among.add(lookbacks)
    budget = RULES.budget * share_of("drift")
    assert len(among) > 1
    assert given <= budget * (1.0 + 1e-9)
    # Look-backs that hold too little take nothing away from the others: only nights without any evaluation do.
    assert given >= 0.9 * budget * when.elapsed.sum() / SECONDS_PER_30_DAYS
