"""The evaluations of the lease holder, through the store, with an injected clock."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import msgspec
import pytest
from sqlalchemy import Connection

from modelwatch.errors import LeaseLost
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.findings import Assessment
from modelwatch.monitoring.checks.check import Conclusion
from modelwatch.monitoring.checks.conditions import Condition
from modelwatch.monitoring.checks.drift.check import check_drift
from modelwatch.monitoring.checks.drift.evidence import DriftQuery, Inputs
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.schedule import Point
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.evaluator import Evaluator
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.engine.leases import acquire
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.evaluations import (
    EvaluationFailure,
    EvaluationProgress,
    evaluation_failures,
    evaluation_progress,
)
from modelwatch.storage.verdicts.verdicts import StoredVerdict, latest_verdicts, verdicts_of
from tests.support.background import Seen, Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, MINUTE, SECOND, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import HOURLY_RULES

pytestmark = pytest.mark.both_engines


@pytest.fixture
def clock() -> Clock:
    return Clock()


def history(store: Store) -> list[StoredVerdict]:
    """All verdicts, oldest first."""
    with store.read() as connection:
        return verdicts_of(connection, "m", limit=10_000)[::-1]


def ends(store: Store) -> list[int]:
    """Window ends of all verdicts, in minutes after noon."""
    return [(verdict.window_end - NOON // SECOND) // 60 for verdict in history(store)]


def report(verdict: StoredVerdict) -> DriftReport:
    return msgspec.json.decode(verdict.result, type=DriftReport)


def test_a_replay_gives_the_verdicts_of_live_operation(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000, seed=99))
    loop = background(store, HOURLY_RULES, clock)
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 30, shift_from=20)
    finish(clock)
    run_out(loop)
    assert ends(store) == [5 + 60 * hour for hour in range(30)]
    severities = [report(verdict).drift_results[0].severity for verdict in history(store)]
    assert severities == ["stable"] * 20 + ["alert"] * 10


def test_live_operation_gives_the_same(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000, seed=99))
    loop = background(store, HOURLY_RULES, clock)
    for hour in range(30):
        clock.now = NOON + hour * HOUR + 10 * MINUTE
        send(store, clock, normal(200, 1.5 if hour >= 20 else 0.0, seed=hour), at=NOON + hour * HOUR)
        run_out(loop)
    clock.advance(3_600)
    run_out(loop)
    assert ends(store) == [5 + 60 * hour for hour in range(30)]
    severities = [report(verdict).drift_results[0].severity for verdict in history(store)]
    assert severities == ["stable"] * 20 + ["alert"] * 10


def test_nothing_is_evaluated_again_without_new_data(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    seen = Seen()
    loop = background(store, HOURLY_RULES, clock, seen)
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 3)
    finish(clock)
    for _ in range(4):
        run_out(loop)
        clock.advance(7_200)
    assert len(seen.models) == len(history(store)) == 3


def test_enough_new_data_is_looked_at_early_and_spends_only_what_has_accrued(store: Store, clock: Clock) -> None:
    early = dataclasses.replace(HOURLY_RULES, on_new_data=True)
    set_reference(store, normal(5_000))
    loop = background(store, early, clock)
    clock.now = NOON + 100 * HOUR
    for minute in range(0, 60, 5):
        send(store, clock, normal(60, seed=minute), at=NOON + minute * MINUTE)
    finish(clock)
    run_out(loop)
    assert ends(store) == [5, 15, 25, 35, 45, 55]
    reports = [report(verdict).summary for verdict in history(store)]
    assert [each.alpha_from.seconds for each in reports] == [300] + [600] * 5
    assert reports[1].alpha == pytest.approx(0.5 * 600 / (30 * 86_400) / (2 * 3))


def test_a_new_reference_is_judged_by_at_once(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    loop = background(store, HOURLY_RULES, clock)
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 1)
    finish(clock)
    run_out(loop)
    assert [verdict.severity for verdict in history(store)] == ["stable"]
    set_reference(store, normal(5_000, shift=3.0))
    run_out(loop)
    said = {verdict.generation: verdict.severity for verdict in history(store)}
    assert said == {2: "stable", 3: "alert"}
    assert len(set(ends(store))) == 1


def test_a_verdict_is_what_a_check_of_its_window_answers(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 3)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    answer = check_drift(store, HOURLY_RULES, DriftQuery("m", "production", "1"), clock())
    assert history(store)[-1].result == msgspec.json.encode(answer)


def test_streams_are_evaluated_apart(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    for hour in range(3):
        send(store, clock, normal(150, seed=hour), at=NOON + hour * HOUR)
        send(store, clock, normal(150, 2.0, seed=hour), at=NOON + hour * HOUR, version="2")
        send(store, clock, normal(150, seed=hour), at=NOON + hour * HOUR, environment="staging")
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    with store.read() as connection:
        latest = latest_verdicts(connection)
    assert [(verdict.stream, verdict.severity) for verdict in latest] == [
        (StreamKey("m", "1", "production"), "stable"),
        (StreamKey("m", "1", "staging"), "stable"),
        (StreamKey("m", "2", "production"), "alert"),
    ]
    assert report(latest[0]).summary.alpha_from.streams == 3


def test_findings_are_handed_over_with_their_verdict(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    taken = Taken()
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 6, shift_from=4)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock, sink=taken))
    assert [len(assessment.findings) for assessment in taken.assessments] == [0, 0, 0, 0, 1, 1]
    last = taken.assessments[-1]
    [finding] = last.findings
    assert (finding.kind, finding.subject, finding.severity, finding.score_name) == (
        "feature_drift",
        "x",
        "alert",
        "PSI",
    )
    assert finding.since == taken.assessments[4].window_end
    assert finding.score >= finding.threshold
    assert finding.p_value is not None
    assert finding.alpha is not None
    assert finding.p_value < finding.alpha
    assert "(reference: " in finding.detail
    assert last.verdict_id == history(store)[-1].id


def test_a_version_that_was_replaced_is_named_as_departed(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    taken = Taken()
    clock.now = NOON + 1_000 * HOUR
    send_hours(store, clock, 3)
    finish(clock)
    for hour in range(40):
        send(store, clock, normal(150, seed=hour), at=NOON + (3 + hour) * HOUR, version="2")
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock, sink=taken))
    departed = [(each.version, each.departed) for each in taken.assessments if each.departed]
    assert departed
    assert set(departed) == {("2", ("1",))}


class Failing:
    """Fails in the transaction of the verdict, once."""

    def __init__(self) -> None:
        self.calls = 0

    def apply(self, connection: Connection, assessment: Assessment) -> None:
        self.calls += 1
        if self.calls == 2:
            raise ZeroDivisionError("a bug")


def test_an_evaluation_that_fails_leaves_nothing_and_is_tried_again(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 5)
    finish(clock)
    seen = Seen()
    loop = background(store, HOURLY_RULES, clock, seen, sink=Failing())
    run_out(loop)
    assert (history(store), seen.failures) == ([], 1)
    [failure] = failures(store)
    assert (failure.check, failure.error.startswith("ZeroDivisionError")) == ("drift", True)
    clock.advance(61)
    run_out(loop)
    assert ends(store) == [5, 65, 125, 185, 245]
    assert failures(store) == []


class Broken:
    """A check that can't be made for some time, as with data that nobody had thought of."""

    kinds = ()

    def __init__(self, name: str) -> None:
        self.name, self.works = name, False

    def conclude(
        self, stream: StreamKey, point: Point, conditions: Sequence[Condition], drift: Callable[[], Inputs]
    ) -> Conclusion | None:
        if not self.works:
            raise ValueError("secret-value can't be reshaped")
        return None


def evaluator(store: Store, seen: Seen, beside: Broken) -> Evaluator:
    return Evaluator(
        store, HOURLY_RULES, Taken(), seen, timer=lambda: 0.0, new_id=new_id, round_seconds=5.0, beside_drift=(beside,)
    )


def failures(store: Store) -> list[EvaluationFailure]:
    with store.read() as connection:
        return evaluation_failures(connection)


def test_a_check_that_fails_is_kept_until_it_succeeds_and_stops_no_other(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 2)
    finish(clock)
    seen, broken = Seen(), Broken("quality")
    work = evaluator(store, seen, broken)
    fence = acquire(store, "chores", "me", now=clock(), ttl=3_600 * SECOND)
    assert fence is not None
    lease = Lease("chores", "me", fence)
    work(lease, clock())
    [failure] = failures(store)
    assert (failure.stream, failure.check) == (StreamKey("m", "1", "production"), "quality")
    assert (failure.since, failure.tried_at, failure.attempts) == (clock(), clock(), 1)
    place, _, line = failure.error.rpartition(":")
    assert place == "ValueError at modelwatch/monitoring/scheduler/evaluator.py"
    assert line.isdigit()
    assert ends(store) == [5, 65]
    first = clock()
    clock.advance(3_600)
    send(store, clock, normal(200, seed=8), at=NOON + 2 * HOUR)
    finish(clock)
    work(lease, clock())
    [again] = failures(store)
    assert (again.since, again.tried_at, again.attempts) == (first, clock(), 2)
    assert ends(store) == [5, 65, 125]
    broken.works = True
    send(store, clock, normal(200, seed=9), at=NOON + 3 * HOUR)
    finish(clock)
    work(lease, clock())
    assert failures(store) == []
    with store.read() as connection:
        progress = evaluation_progress(connection)
    assert progress == EvaluationProgress(clock(), 0, None)


class Usurped:
    """Another process takes the lease while the evaluation is under way."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock

    def evaluated(self, model: str, seconds: float) -> None:
        self.clock.advance(60)
        assert acquire(self.store, "chores", "other", now=self.clock(), ttl=3_600 * SECOND) is not None

    def job_failed(self) -> None:
        raise AssertionError("a lease that passed on is no failure")


def test_a_holder_that_lost_its_lease_keeps_nothing(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 3)
    finish(clock)
    loop = background(store, HOURLY_RULES, clock, Usurped(store, clock))  # type: ignore[arg-type]
    with pytest.raises(LeaseLost):
        loop.once()
    assert history(store) == []


def test_models_without_data_or_reference_are_no_trouble(store: Store, clock: Clock) -> None:
    frame = ReferenceFrame("empty", None, [ReferenceSample("feature", "x", "continuous", [1.0, 2.0])])
    set_reference_frame(store, frame, now=NOON, new_id=new_id)
    clock.now = NOON + 100 * HOUR
    send(store, clock, normal(150), at=NOON)
    send(store, clock, normal(20), at=NOON + HOUR)
    finish(clock)
    seen = Seen()
    run_out(background(store, HOURLY_RULES, clock, seen, provisional_size=1_000))
    assert [verdict.severity for verdict in history(store)] == ["no_reference"] * 2
    assert seen.failures == 0


def test_a_long_history_is_evaluated_to_its_end(store: Store, clock: Clock) -> None:
    """It has more windows than are read at once, and more evaluations than are made at once."""
    rules = dataclasses.replace(HOURLY_RULES, check_interval=20 * 300, lookbacks=("1h",))
    set_reference(store, normal(1_000))
    clock.now = NOON + 1_000 * HOUR
    ledger = open_ledger(store, clock, prefix="long")
    windows = 2_500
    ledger.commit([event(f"long-{index}", {"x": 0.0}, timestamp=NOON + index * 5 * MINUTE) for index in range(windows)])
    finish(clock)
    run_out(background(store, rules, clock, provisional_size=10**9))
    assert ends(store) == [5 * window for window in range(1, windows + 1, 20)]


def test_what_takes_long_is_stored_in_parts(store: Store, clock: Clock) -> None:
    """Else a lease that passes on in between would end all progress, again and again."""
    set_reference(store, normal(5_000))
    clock.now = NOON + 100 * HOUR
    send_hours(store, clock, 6)
    finish(clock)
    ticks = itertools.count(step=10.0)
    evaluator = Evaluator(
        store, HOURLY_RULES, Taken(), Seen(), timer=lambda: next(ticks), new_id=new_id, round_seconds=25.0
    )
    stored = []
    for _ in range(20):
        fence = acquire(store, "chores", "me", now=clock(), ttl=15 * SECOND)
        assert fence is not None
        more = evaluator(Lease("chores", "me", fence), clock())
        stored.append(len(ends(store)))
        if not more:
            break
    assert stored[0] < 6
    assert stored == sorted(stored)
    assert ends(store) == [5 + 60 * hour for hour in range(6)]


def test_after_a_clock_that_was_ahead_the_windows_of_now_are_judged_at_once(store: Store, clock: Clock) -> None:
    set_reference(store, normal(5_000))
    clock.now = NOON + 48 * HOUR
    send(store, clock, normal(150), at=NOON + 47 * HOUR)
    finish(clock)
    run_out(background(store, HOURLY_RULES, clock))
    before = len(history(store))
    assert before
    clock.now = NOON + 2 * HOUR
    for hour in range(2):
        send(store, clock, normal(150, 2.0, seed=hour), at=NOON + hour * HOUR)
    run_out(background(store, HOURLY_RULES, clock))
    told = history(store)
    assert len(told) > before
    assert max(verdict.window_end for verdict in told if verdict.severity == "alert") <= clock() // SECOND
    clock.now = NOON + 60 * HOUR
    send(store, clock, normal(150), at=NOON + 59 * HOUR)
    run_out(background(store, HOURLY_RULES, clock))
    assert len(history(store)) > len(told), "and when that time has come, it goes on"
