"""Models with few predictions a day, as most models of a small company are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sqlalchemy import select

from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, decode_evidence
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.verification import verify_verdict
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import evidence_of, verdicts_of
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import RULES

DAY = 24 * HOUR


def send_days(store: Store, clock: Clock, days: int, per_day: int, *, shift_from: int = 10_000, start: int = 0) -> None:
    """So many predictions a day, evenly; shifted by three standard deviations from a day on."""
    rng = np.random.default_rng(start)
    events = [
        event(f"{day}-{number}", {"x": float(rng.normal(3.0 if day >= shift_from else 0.0))}, timestamp=at)
        for day, number in itertools.product(range(start, start + days), range(per_day))
        for at in [NOON + day * DAY + number * DAY // per_day]
    ]
    clock.now = NOON + (start + days) * DAY
    ledger = open_ledger(store, clock, prefix=f"d{start}")
    ledger.commit(events)
    ledger.close()
    finish(clock)


def asked(store: Store, clock: Clock) -> DriftReport:
    return check_drift(store, RULES, DriftQuery("m", "production", "1"), clock.now)


@pytest.mark.parametrize(("per_day", "days", "lookback"), [(98, 4, "7d"), (20, 8, "7d"), (5, 31, "30d")])
def test_the_look_back_reaches_as_far_as_the_traffic_needs(
    store: Store, per_day: int, days: int, lookback: str
) -> None:
    clock = Clock()
    set_reference(store, normal(5_000, seed=99))
    send_days(store, clock, days, per_day)
    run_out(background(store, RULES, clock, provisional_size=10**9))
    report = asked(store, clock)
    [result] = report.drift_results
    assert (result.severity, result.lookback) == ("stable", lookback)
    assert result.sample_size >= 100
    assert report.summary.lookbacks == ["1h", "6h", "24h", lookback]
    assert report.summary.alpha_from.lookbacks == 4
    send_days(store, clock, days, per_day, shift_from=days, start=days)
    run_out(background(store, RULES, clock, provisional_size=10**9))
    with store.read() as connection:
        verdicts = verdicts_of(connection, "m", limit=10_000)
        newest = decode_evidence(evidence_of(connection, verdicts[0].id) or b"")
    assert verdicts[0].severity == "alert"
    assert newest.windows[-1].lookback == lookback
    assert verify_verdict(store, verdicts[0].id).reproduced


def test_a_prediction_a_day_is_told_how_far_was_looked(store: Store) -> None:
    clock = Clock()
    set_reference(store, normal(5_000, seed=99))
    send_days(store, clock, 40, 1)
    [result] = asked(store, clock).drift_results
    assert (result.severity, result.lookback) == ("insufficient_data", "30d")
    assert result.reason is not None
    assert result.reason.startswith("30 of at least 100") or result.reason.startswith("31 of at least 100")


def test_a_stream_that_has_just_begun_is_looked_at_as_usual(store: Store) -> None:
    clock = Clock()
    set_reference(store, normal(5_000, seed=99))
    send_days(store, clock, 1, 50)
    assert asked(store, clock).summary.lookbacks == ["1h", "6h", "24h"]


def test_it_begins_where_windows_are_whole_however_old_they_get(store: Store) -> None:
    """What is rolled up later gives the same counts."""
    clock = Clock()
    set_reference(store, normal(5_000, seed=99))
    send_days(store, clock, 31, 5)
    run_out(background(store, RULES, clock, provisional_size=10**9))
    with store.read() as connection:
        [first] = verdicts_of(connection, "m", limit=1)
        evidence = decode_evidence(evidence_of(connection, first.id) or b"")
        starts = connection.execute(select(tables.profile.c.window_start)).scalars().all()
    start = evidence.windows[-1].start
    assert start % 86_400 == 0
    held = sum(evidence.windows[-1].start <= each < evidence.windows[-1].end for each in starts)
    assert sum(slot.predictions for slot in evidence.sums[-1].values()) == held
