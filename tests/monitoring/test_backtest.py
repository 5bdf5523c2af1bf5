"""A configuration tried on what is stored."""

from __future__ import annotations

import dataclasses

import pytest

from modelwatch.errors import InvalidInput, UnknownResource
from modelwatch.monitoring.backtest import backtest
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send_hours, set_reference
from tests.support.events import NOON, Clock

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600)
STREAM = StreamKey("m", "1", "production")


@pytest.fixture
def clock(store: Store) -> Clock:
    """Two days in which x is shifted from hour 10 to hour 14."""
    clock = Clock(NOON + 100 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    send_hours(store, clock, 48, shift_from=10, shift_until=14)
    finish(clock)
    return clock


def test_it_says_what_would_have_been_found_and_when(store: Store, clock: Clock) -> None:
    found = backtest(store, RULES, STREAM, clock())
    [episode] = found.episodes
    assert (episode.kind, episode.subject, episode.severity) == ("feature_drift", "x", "alert")
    assert (found.alerts, found.evaluations) == (1, 48)
    assert episode.end is not None
    assert episode.start < episode.end
    assert found.alerts_per_30_days == pytest.approx(720 / (47 + 1 / 12))


def test_it_finds_what_the_evaluations_found(store: Store, clock: Clock) -> None:
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        drifted = [each for each in verdicts_of(connection, "m", limit=1_000) if each.severity == "alert"]
    [episode] = backtest(store, RULES, STREAM, clock()).episodes
    assert len(drifted) <= episode.evaluations <= len(drifted) + RULES.resolve_after


def test_other_rules_find_other_things(store: Store, clock: Clock) -> None:
    deaf = dataclasses.replace(RULES, psi_warning=50.0, psi_alert=60.0)
    assert backtest(store, deaf, STREAM, clock()).episodes == []
    patient = dataclasses.replace(RULES, alarms_needed=10, alarms_among=10)
    assert backtest(store, patient, STREAM, clock()).alerts == 0
    blind = dataclasses.replace(RULES, leave_out=("x",))
    assert backtest(store, blind, STREAM, clock()).episodes == []


def test_a_part_of_the_history(store: Store, clock: Clock) -> None:
    seconds = NOON // 1_000_000
    before = backtest(store, RULES, STREAM, clock(), end=seconds + 9 * 3_600)
    assert (before.alerts, before.evaluations) == (0, 9)
    during = backtest(store, RULES, STREAM, clock(), start=seconds + 12 * 3_600, end=seconds + 13 * 3_600)
    assert [episode.end for episode in during.episodes] == [None]


def test_nothing_is_stored(store: Store, clock: Clock) -> None:
    backtest(store, RULES, STREAM, clock())
    with store.read() as connection:
        assert verdicts_of(connection, "m", limit=10) == []


def test_errors_name_what_is_wrong(store: Store, clock: Clock) -> None:
    with pytest.raises(UnknownResource, match="version 'none'"):
        backtest(store, RULES, StreamKey("m", "none", "production"), clock())
    with pytest.raises(InvalidInput, match="48 evaluations; 10 can be"):
        backtest(store, RULES, STREAM, clock(), most=10)
