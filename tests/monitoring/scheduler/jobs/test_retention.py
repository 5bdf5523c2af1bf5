"""The background job that rolls up and removes, and how far it may go."""

from __future__ import annotations

import itertools

from sqlalchemy import func, select

from modelwatch.config import Settings
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery
from modelwatch.monitoring.checks.performance.rules import PerformanceRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.monitoring.checks.windows import Window
from modelwatch.monitoring.scheduler.jobs.retention import ROWS_PER_TRANSACTION, Keep, Retention
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.rollup_levels import DAY, HOUR, Grain
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.verdicts.verdicts import StoredVerdict, save_verdict
from tests.support.events import Clock, event, open_ledger
from tests.support.stores.labels import BINARY, CLASSES, label, set_layout
from tests.support.stores.stored import fold_all

STREAM = StreamKey("m", "1", "production")
START = 20_000 * DAY
RULES = DriftRules.of(Settings())
LEASE = Lease("chores", "t", 1)
KEEP = Keep(30, 365)


def fill(store: Store, days: int) -> Clock:
    """A prediction each half hour for so many days, folded."""
    clock = Clock((START + days * DAY) * 1_000_000)
    ledger = open_ledger(store, clock)
    moments = range(START, START + days * DAY, 1_800)
    ledger.commit([event(f"id-{at}", timestamp=at * 1_000_000) for at in moments])
    ledger.close()
    fold_all(store)
    return clock


def judged(store: Store, window_end: int, check: str = "drift") -> None:
    """Stands for an evaluation of the stream at this time."""
    with store.write() as connection:
        verdict = StoredVerdict(
            f"{check}-{window_end}", *STREAM, check, window_end, 0, window_end * 1_000_000, 1, "ok", "", b"[]", b"{}"
        )
        save_verdict(connection, verdict, b"")


def retention(store: Store, keep: Keep = KEEP, rules: DriftRules = RULES) -> Retention:
    ticks = itertools.count()
    return Retention(
        store,
        keep,
        rules,
        lambda connection, model: PerformanceRules.of(rules, 0.02),
        timer=lambda: next(ticks) / 1_000,
        round_seconds=60.0,
    )


def lengths(store: Store) -> dict[int, int]:
    """How many profiles there are of each length."""
    table = tables.profile
    with store.read() as connection:
        rows = connection.execute(select(table.c.window_len, func.count()).group_by(table.c.window_len))
        return {row[0]: row[1] for row in rows}


def test_windows_become_hours_after_two_days_and_days_after_fourteen(store: Store) -> None:
    clock = fill(store, 20)
    judged(store, START + 20 * DAY)
    job = retention(store)
    while job(LEASE, clock()):
        pass
    assert lengths(store) == {DAY: 6, HOUR: 12 * 24, 300: 2 * 48}


def test_nothing_is_rolled_up_before_it_has_been_evaluated(store: Store) -> None:
    clock = fill(store, 20)
    assert not retention(store)(LEASE, clock())
    assert lengths(store) == {300: 20 * 48}
    judged(store, START + 3 * DAY)
    retention(store)(LEASE, clock())
    assert lengths(store) == {HOUR: 24, 300: 19 * 48}


def test_what_the_longest_look_back_still_needs_stays_as_it_is(store: Store) -> None:
    clock = fill(store, 20)
    judged(store, START + 20 * DAY)
    rules = DriftRules.of(Settings(lookbacks="1h,7d"))
    retention(store, rules=rules)(LEASE, clock())
    assert lengths(store)[300] == 7 * 48


def test_nothing_is_rolled_up_while_a_new_layout_does_not_know_yet_how_late_labels_come(store: Store) -> None:
    set_layout(store, BINARY)
    clock = fill(store, 20)
    late = [label(f"id-{at}", timestamp=(at + 4 * DAY) * 1_000_000) for at in range(START, START + 15 * DAY, 1_800)]
    open_ledger(store, clock, "labels").commit([], late)
    for check in ("drift", "performance"):
        judged(store, START + 20 * DAY, check)
    with store.read() as connection:
        known = retention(store).grain(connection, STREAM)
    assert known is not None
    set_layout(store, CLASSES)
    with store.read() as connection:
        assert retention(store).grain(connection, STREAM) is None
    backfill_profiles(store, "m", 0, START + 20 * DAY)
    with store.read() as connection:
        assert retention(store).grain(connection, STREAM) == known


def test_a_check_of_a_part_of_a_rolled_up_window_is_one_of_the_whole_and_says_so(store: Store) -> None:
    clock = fill(store, 20)
    inside = Window(START + DAY + HOUR + 600, START + DAY + 2 * HOUR)
    query = DriftQuery("m", "production", window=inside)
    before = check_drift(store, RULES, query, clock())
    roll_up(store, STREAM, Grain.of(START + 10 * DAY, START), most=10_000)
    assert before.summary.predictions == 1
    assert check_drift(store, RULES, query, clock()).summary.predictions == 2
    roll_up(store, STREAM, Grain.of(START + 10 * DAY, START + 5 * DAY), most=10_000)
    assert check_drift(store, RULES, query, clock()).summary.predictions == 48


def test_predictions_expire_and_later_what_was_concluded(store: Store) -> None:
    clock = fill(store, 3)
    judged(store, START + DAY)
    judged(store, START + 3 * DAY)
    job = retention(store, Keep(10, 40))
    clock.advance(11 * DAY)
    job(LEASE, clock())
    assert count(store, tables.prediction) == 0
    assert count(store, tables.verdict) == 2
    clock.advance(40 * DAY)
    while job(LEASE, clock()):
        pass
    assert count(store, tables.profile) == 0
    # The newest stays: the next evaluation goes on from it.
    assert count(store, tables.verdict) == 1


def test_a_round_goes_on_where_the_last_one_stopped_so_that_each_model_has_its_turn(store: Store) -> None:
    clock = Clock(START * 1_000_000)
    models = ("a", "b", "c")
    for model in models:
        open_ledger(store, clock, model).commit(
            [event(f"id-{number}", model=model, timestamp=clock()) for number in range(ROWS_PER_TRANSACTION + 1)]
        )
    clock.advance(11 * DAY)
    # Each look at the time takes a second: a round is over after one step.
    ticks = itertools.count()
    job = Retention(
        store,
        Keep(10, 40),
        RULES,
        lambda connection, model: PerformanceRules.of(RULES, 0.02),
        timer=lambda: float(next(ticks)),
        round_seconds=1.5,
    )
    for _ in (*models, *models):
        assert job(LEASE, clock())
    with store.read() as connection:
        table = tables.prediction
        left = connection.execute(select(table.c.model, func.count()).group_by(table.c.model)).all()
    assert sorted(map(tuple, left)) == [(model, 1) for model in models]
    while job(LEASE, clock()):
        pass
    assert count(store, tables.prediction) == 0


def count(store: Store, table: object) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()  # type: ignore[arg-type]
