"""Looks that a new generation gives: later ones stand where they would have stood without it."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from sqlalchemy import select

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.runner import BackgroundJobs
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey, next_generation
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import StoredVerdict, newest_verdict, verdicts_of
from tests.support.alerts.assessments import Desk
from tests.support.background import Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, MINUTE, SECOND, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock
from tests.support.rules import HOURLY_RULES, RULES

pytestmark = pytest.mark.both_engines

STREAM = StreamKey("m", "1", "production")


def history(store: Store) -> list[StoredVerdict]:
    """All verdicts on drift, oldest first."""
    with store.read() as connection:
        return sorted(verdicts_of(connection, "m", limit=10_000), key=lambda each: (each.window_end, each.generation))


def minutes(verdict: StoredVerdict) -> int:
    """Window end, in minutes after noon."""
    return (verdict.window_end - NOON // SECOND) // 60


@pytest.mark.parametrize("every", [1, 2, 7, 60])
@pytest.mark.parametrize(
    ("rules", "looks", "found"),
    [
        (HOURLY_RULES, list(range(5, 300, 60)), 245),
        (RULES, [5, *range(30, 301, 25)], 205),
    ],
    ids=["each hour", "on new data"],
)
def test_looks_after_a_provisional_reference_do_not_depend_on_how_often_a_round_runs(
    store: Store, rules: DriftRules, looks: list[int], found: int, every: int
) -> None:
    """Windows of 20 predictions for 5 hours, and a provisional reference of the first 15 and a half."""
    clock = Clock(NOON)
    jobs = background(store, rules, clock, provisional_size=310)
    for part in range(60):
        clock.now = NOON + 5 * part * MINUTE + MINUTE
        send(store, clock, normal(20, 3.0 if part >= 36 else 0.0, seed=part), at=NOON + 5 * part * MINUTE)
        if (part + 1) % every == 0:
            run_out(jobs)
    clock.advance(3_600)
    run_out(jobs)
    made = history(store)
    assert sorted({minutes(each) for each in made}) == looks
    assert len({(each.window_end, each.generation) for each in made}) == len(made)
    again = [each for each in made if sum(each.window_end == other.window_end for other in made) > 1]
    # Only the last look before there was a reference is taken again.
    assert [each.severity for each in again] in ([], ["no_reference", "stable"])
    assert min(minutes(each) for each in made if each.severity == "alert") == found


def test_a_new_generation_does_not_count_the_same_window_twice(store: Store) -> None:
    """Drift in two evaluations makes a finding, and the second look at the first window is no second evaluation."""
    clock = Clock(NOON + 100 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    jobs = background(store, replace(HOURLY_RULES, alarms_needed=2, alarms_among=2), clock)
    send_hours(store, clock, 4, shift_from=3)
    finish(clock)
    run_out(jobs)
    with store.write() as connection:
        next_generation(connection, store, "m", clock())
    run_out(jobs)
    assert [(minutes(each), each.generation, each.severity) for each in history(store)[-2:]] == [
        (185, 2, "alert"),
        (185, 3, "alert"),
    ]
    with store.read() as connection:
        newest = newest_verdict(connection, STREAM)
    assert newest is not None
    (condition,) = msgspec.json.decode(newest.conditions, type=list[Condition])
    assert (condition.recent, condition.finding) == ("1", None)
    send(store, clock, normal(200, 1.5, seed=7), at=NOON + 4 * HOUR)
    finish(clock)
    run_out(jobs)
    (condition,) = msgspec.json.decode(history(store)[-1].conditions, type=list[Condition])
    assert condition.recent == "11"
    assert condition.finding is not None


def test_a_new_generation_ends_no_finding_that_the_last_evaluation_made(store: Store) -> None:
    """References of other features leave less of the level to the one that has drifted a little."""
    clock = Clock(NOON + 100 * HOUR)
    desk = Desk(store, clock=clock)
    set_reference(store, normal(5_000, seed=99))
    jobs = background(store, HOURLY_RULES, clock, sink=desk.book)
    send_hours(store, clock, 3)
    send(store, clock, normal(200, 0.4, seed=3), at=NOON + 3 * HOUR)
    finish(clock)
    run_out(jobs)
    others = [ReferenceSample("feature", f"y{each}", "continuous", normal(500, seed=each)) for each in range(40)]
    set_reference_frame(store, ReferenceFrame("m", None, others), now=clock(), new_id=new_id)
    clock.advance(60)
    run_out(jobs)
    assert [(minutes(each), each.severity) for each in history(store)[-2:]] == [(185, "warning"), (185, "stable")]
    with store.read() as connection:
        alerts = connection.execute(select(tables.alert.c.kind, tables.alert.c.state)).all()
        (condition,) = msgspec.json.decode(history(store)[-1].conditions, type=list[Condition])
    assert [tuple(each) for each in alerts] == [("feature_drift", "firing")]
    assert condition.finding is not None
    assert (condition.recent, condition.calm, condition.finding.doubt) == ("0", 1, "not_found")


def test_a_finding_stays_where_more_evaluations_would_have_to_make_it_now(store: Store) -> None:
    clock = Clock(NOON + 100 * HOUR)
    set_reference(store, normal(5_000, seed=99))
    first, then = Taken(), Taken()
    jobs = background(store, HOURLY_RULES, clock, sink=first)
    send_hours(store, clock, 4, shift_from=3)
    finish(clock)
    run_out(jobs)
    jobs = background(store, replace(HOURLY_RULES, alarms_needed=2, alarms_among=2), clock, sink=then)
    with store.write() as connection:
        next_generation(connection, store, "m", clock())
    clock.advance(60)
    run_out(jobs)
    assert [len(each.findings) for each in (first.assessments[-1], *then.assessments)] == [1, 1]


def batch_and_reference(store: Store, clock: Clock, jobs: BackgroundJobs, every: int) -> None:
    """An hour of data that is shifted, 20 rows in its first window, then a reference, and silence for three hours.

    every: minutes between two rounds.
    """
    for part in range(12):
        clock.now = NOON + 5 * part * MINUTE + MINUTE
        send(store, clock, normal(200 if part else 20, 3.0, seed=part), at=NOON + 5 * part * MINUTE)
        run_out(jobs)
    finish(clock)
    set_reference(store, normal(5_000, seed=99))
    for _ in range(180 // every):
        clock.advance(every * 60)
        run_out(jobs)


@pytest.mark.parametrize("every", [5, 45, 180])
def test_the_last_data_of_a_stream_that_falls_silent_are_judged_against_a_new_reference(
    store: Store, every: int
) -> None:
    clock = Clock(NOON)
    jobs = background(store, HOURLY_RULES, clock, provisional_size=10**6)
    batch_and_reference(store, clock, jobs, every)
    made = [(minutes(each), each.generation, each.severity) for each in history(store)]
    assert made == [(5, 0, "no_reference"), (5, 1, "insufficient_data"), (60, 1, "alert")]
    run_out(jobs)
    assert len(history(store)) == 3


def test_looks_at_what_comes_after_a_silence_stand_where_they_would_without_a_new_reference(store: Store) -> None:
    clock = Clock(NOON)
    jobs = background(store, HOURLY_RULES, clock, provisional_size=10**6)
    batch_and_reference(store, clock, jobs, 30)
    for part in range(48, 63):
        clock.now = NOON + 5 * part * MINUTE + MINUTE
        send(store, clock, normal(20, 3.0, seed=part), at=NOON + 5 * part * MINUTE)
        run_out(jobs)
    assert sorted({minutes(each) for each in history(store)}) == [5, 60, 245, 305]
