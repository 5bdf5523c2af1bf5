"""Slow and irregular streams: neither their volume nor their gaps alarm beyond the budget, and what stops is noticed.

A larger run is `make bench ARGS=volume`; docs/statistics.md has its table.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modelwatch.monitoring.checks.rules import share_of
from modelwatch.stats.quality.volume import chance_gap
from tests.proofs.lock import Proofs
from tests.support.data.arrivals import DAY, KINDS, RULES, START, drawn, silences, volume_incidents

DAYS = 365
MONTHS = DAYS / 30


@pytest.mark.timeout(240)
def test_the_volume_of_slow_streams_keeps_within_a_strict_budget(proofs: Proofs) -> None:
    told = proofs.figures(false_alarms_about_volume, 0.1)
    assert sum(told.values()) <= 0.1 * share_of("quality") * MONTHS * 2 * len(told), told
    assert len(told) == 6


def false_alarms_about_volume(budget: float) -> dict[str, int]:
    """How many in two years of each kind of traffic, with ten predictions a day."""
    rules = replace(RULES, budget=budget)
    told: dict[str, int] = {}
    for name in ("constant", "rhythm", "bursty", "moody", "sessions", "wandering"):
        for seed in (1, 2):
            rng = np.random.default_rng([seed, 10])
            lived = volume_incidents(drawn(rng, KINDS[name](rng, 10, DAYS)), rules)
            told[name] = told.get(name, 0) + sum(map(len, lived.incidents.values()))
    return told


@pytest.mark.parametrize("per_day", [1, 10, 100])
def test_slow_streams_are_not_taken_for_silent_by_chance(proofs: Proofs, per_day: int) -> None:
    told = proofs.figures(false_alarms_about_silence, per_day)
    assert sum(told.values()) <= 2 * RULES.silences * MONTHS * 4 * len(told), told
    assert len(told) == 7


def false_alarms_about_silence(per_day: int) -> dict[str, int]:
    """How many in four years of each kind of traffic."""
    told: dict[str, int] = {}
    for name in ("constant", "rhythm", "bursty", "moody", "sessions", "wandering", "batches"):
        for seed in range(4):
            rng = np.random.default_rng([seed, per_day])
            told[name] = told.get(name, 0) + len(silences(drawn(rng, KINDS[name](rng, per_day, DAYS))))
    return told


@pytest.mark.parametrize(("per_day", "days"), [(1, 21), (10, 4), (100, 2)])
def test_a_stream_that_stops_is_told_of(per_day: int, days: int) -> None:
    rng = np.random.default_rng([5, per_day])
    times = drawn(rng, KINDS["constant"](rng, per_day, 60))
    assert silences(times) == []
    assert len(silences(np.append(times, START + (60 + days) * DAY))) == 1


def test_a_gap_beyond_chance_is_as_rare_as_it_says() -> None:
    rng = np.random.default_rng(3)
    chance = 1e-3
    beyond = []
    for _ in range(400):
        known = rng.exponential(1.0, size=60)
        beyond.append(np.exp(-chance_gap(known, np.ones(60, dtype=np.int64), chance)))
    assert np.mean(beyond) <= chance


def test_ten_a_day_that_drop_to_a_fifth_are_told_of_within_two_weeks() -> None:
    """No day shows it beyond chance, a week does."""
    found = 0
    for seed in range(10):
        rng = np.random.default_rng([seed, 10, 1])
        rates = KINDS["constant"](rng, 10, 84)
        rates[70 * 24 :] *= 0.2
        incidents = volume_incidents(drawn(rng, rates)).incidents
        found += any(at > START + 70 * DAY for each in incidents.values() for at in each)
    assert found >= 6


@pytest.mark.parametrize("name", ["gaps", "days_off", "weekdays"])
def test_days_off_are_seldom_taken_for_silence(name: str) -> None:
    """Weekends, single days, and some days at any time: about what the budget allows."""
    told = 0
    for seed in range(6):
        rng = np.random.default_rng([seed, 10])
        told += len(silences(drawn(rng, KINDS[name](rng, 10, DAYS))))
    assert told <= 2 * RULES.silences * MONTHS * 6


def test_a_drop_to_a_fifth_is_told_of_within_two_days() -> None:
    rules = replace(RULES, budget=0.1)
    rng = np.random.default_rng([1, 100])
    rates = KINDS["constant"](rng, 100, 90)
    assert volume_incidents(drawn(rng, rates), rules).incidents == {"1h": [], "24h": [], "7d": []}
    rates[80 * 24 :] *= 0.2
    found = volume_incidents(drawn(rng, rates), rules).incidents["24h"][0]
    assert 0 < found - START - 80 * DAY <= 2 * DAY
