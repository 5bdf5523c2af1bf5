"""The background jobs of the lease holder, with an injected clock."""

from __future__ import annotations

import pytest

from modelwatch.errors import LeaseLost
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.runner import BackgroundJobs, Lease
from modelwatch.storage.engine.leases import acquire, hold
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.compaction import seal_writers
from modelwatch.storage.references.references import in_force
from tests.support.background import Seen, background, new_id
from tests.support.events import NOON, Clock, event, open_ledger, stored_and_counted
from tests.support.rules import RULES

pytestmark = pytest.mark.both_engines


class Nobody:
    def job_failed(self) -> None:
        pass


def test_a_holder_that_was_paused_beyond_its_lease_leaves_the_rest_of_the_round_to_the_next(store: Store) -> None:
    clock, done = Clock(), []

    def pause(_lease: Lease, _now: int) -> bool:
        clock.advance(20)
        return False

    def write(_lease: Lease, _now: int) -> bool:
        done.append("written")
        return False

    jobs = BackgroundJobs(store, (pause, write), Nobody(), holder="a", clock=clock, timer=float, lease_seconds=15)
    with pytest.raises(LeaseLost):
        jobs.once()
    assert not done
    assert acquire(store, "chores", "b", now=clock(), ttl=1) is not None


@pytest.fixture
def clock() -> Clock:
    return Clock()


def jobs(store: Store, clock: Clock, seen: Seen | None = None, holder: str = "me") -> BackgroundJobs:
    return background(store, RULES, clock, seen, holder=holder)


def fill(store: Store, clock: Clock, count: int, *, start: int = 0) -> None:
    ledger = open_ledger(store, clock, prefix=f"w{start}")
    ledger.commit(
        [event(str(index), {"x": float(index % 97), "kind": "ab"[index % 2]}) for index in range(start, start + count)]
    )
    ledger.close()


def test_the_first_predictions_become_the_reference_of_every_subject_without_one(store: Store, clock: Clock) -> None:
    samples = [ReferenceSample("feature", "x", "continuous", [float(value) for value in range(100)])]
    set_reference_frame(store, ReferenceFrame("m", None, samples), now=NOON, new_id=new_id)
    fill(store, clock, 199)
    jobs(store, clock).once()
    with store.read() as connection:
        assert [each.subject.name for each in in_force(connection, "m")] == ["x"]
    fill(store, clock, 1, start=199)
    jobs(store, clock).once()
    with store.read() as connection:
        states = {each.subject.name or each.subject.kind: each.state for each in in_force(connection, "m")}
    assert states == {"x": "active", "kind": "provisional", "prediction": "provisional"}


def test_a_holder_keeps_others_out_until_its_lease_ends(store: Store, clock: Clock) -> None:
    assert jobs(store, clock, holder="a").once()
    assert not jobs(store, clock, holder="b").once()
    clock.advance(16)
    assert jobs(store, clock, holder="b").once()


def test_what_was_done_under_a_lease_that_passed_on_is_refused(store: Store, clock: Clock) -> None:
    fence = acquire(store, "chores", "a", now=clock(), ttl=1)
    assert fence is not None
    clock.advance(1)
    assert acquire(store, "chores", "b", now=clock(), ttl=1) == fence + 1
    with store.write() as connection, pytest.raises(LeaseLost):
        hold(connection, "chores", "a", fence)


def test_a_lease_that_ended_but_was_not_taken_is_still_ours(store: Store, clock: Clock) -> None:
    fence = acquire(store, "chores", "a", now=clock(), ttl=1)
    assert fence is not None
    clock.advance(60)
    with store.write() as connection:
        hold(connection, "chores", "a", fence)


def test_slots_of_sealed_writers_are_folded(store: Store, clock: Clock) -> None:
    fill(store, clock, 10)
    jobs(store, clock).once()
    assert seal_writers(store, 0) == []
    assert stored_and_counted(store) == (10, 10)


def test_a_job_that_fails_does_not_end_the_others(store: Store, clock: Clock) -> None:
    done = []

    def failing(lease: Lease, now: int) -> bool:
        raise ZeroDivisionError("a bug")

    def working(lease: Lease, now: int) -> bool:
        done.append(lease.fence)
        return False

    loop = BackgroundJobs(
        store,
        (failing, working),
        Seen(),
        holder="a",
        clock=clock,
        timer=lambda: 0.0,
        lease_seconds=15,
        tick_seconds=0.01,
    )
    with pytest.raises(ZeroDivisionError):
        loop.once()
    assert done == [1]


def test_the_loop_survives_a_failure_and_says_so(store: Store, clock: Clock) -> None:
    seen = Seen()
    calls: list[int] = []

    def failing(lease: Lease, now: int) -> bool:
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError("a bug")
        loop._stop.set()
        return False

    loop = BackgroundJobs(
        store, (failing,), seen, holder="a", clock=clock, timer=lambda: 0.0, lease_seconds=15, tick_seconds=0.01
    )
    loop.start()
    loop._thread.join(60)
    assert (len(calls), seen.failures) == (3, 2)
