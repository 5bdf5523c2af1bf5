"""The chores of the lease holder, with an injected clock."""

from __future__ import annotations

import uuid

import msgspec
import pytest

from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring import Chores, DriftQuery, DriftReport, DriftRules, check_drift, set_reference_frame
from modelwatch.storage import Store, in_force, latest_verdicts, seal_writers
from tests.support.events import NOON, Clock, event, open_ledger, stored_and_counted

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h", "24h"), 3_600)


class Seen:
    def __init__(self) -> None:
        self.models: list[str] = []
        self.failures = 0

    def evaluated(self, model: str, seconds: float) -> None:
        self.models.append(model)

    def chores_failed(self) -> None:
        self.failures += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


def new_id() -> str:
    return uuid.uuid4().hex


def chores(store: Store, clock: Clock, seen: Seen | None = None, holder: str = "me") -> Chores:
    return Chores(
        store,
        RULES,
        seen or Seen(),
        holder=holder,
        clock=clock,
        timer=lambda: 0.0,
        new_id=new_id,
        provisional_size=200,
        rotation_seconds=3_600,
        tick_seconds=0.01,
    )


def fill(store: Store, clock: Clock, count: int, *, start: int = 0, timestamp: int = NOON) -> None:
    ledger = open_ledger(store, clock, prefix=f"w{start}-{timestamp}")
    ledger.commit(
        [
            event(str(index), {"x": float(index % 97), "kind": "ab"[index % 2]}, timestamp=timestamp)
            for index in range(start, start + count)
        ]
    )
    ledger.close()


def set_reference(store: Store, values: list[float]) -> None:
    frame = ReferenceFrame("m", None, [ReferenceSample("feature", "x", "continuous", values)])
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


def test_the_first_predictions_become_the_reference_of_every_subject_without_one(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value) for value in range(100)])
    fill(store, clock, 199)
    chores(store, clock).once()
    with store.read() as connection:
        assert [each.subject.name for each in in_force(connection, "m")] == ["x"]
    fill(store, clock, 1, start=199)
    chores(store, clock).once()
    with store.read() as connection:
        states = {each.subject.name or each.subject.kind: each.state for each in in_force(connection, "m")}
    assert states == {"x": "active", "kind": "provisional", "prediction": "provisional"}


def test_a_holder_keeps_others_out_until_its_lease_ends(store: Store, clock: Clock) -> None:
    assert chores(store, clock, holder="a").once()
    assert not chores(store, clock, holder="b").once()
    clock.advance(16)
    assert chores(store, clock, holder="b").once()


def test_slots_of_sealed_writers_are_folded(store: Store, clock: Clock) -> None:
    fill(store, clock, 10)
    chores(store, clock).once()
    assert seal_writers(store, 0) == []
    assert stored_and_counted(store) == (10, 10)


def test_an_evaluation_is_kept_and_not_repeated_without_new_data(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value % 97) for value in range(970)])
    fill(store, clock, 300)
    seen = Seen()
    loop = chores(store, clock, seen)
    for _ in range(3):
        loop.once()
        clock.advance(3_600)
    assert seen.models == ["m"]
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    report = msgspec.json.decode(verdict.result, type=DriftReport)
    assert (report.summary.severity, verdict.window_end) == ("stable", NOON // 1_000_000 + 300)


def test_looks_are_spent_once_an_interval_however_many_windows_close(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value % 97) for value in range(970)])
    seen = Seen()
    loop = chores(store, clock, seen)
    for minute in range(0, 180, 5):
        fill(store, clock, 400, start=minute * 1_000, timestamp=NOON + minute * 60_000_000)
        loop.once()
        clock.advance(300)
    assert len(seen.models) == 3


def test_a_replay_is_looked_at_by_its_own_time(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value % 97) for value in range(970)])
    seen = Seen()
    loop = chores(store, clock, seen)
    for day in range(5):
        fill(store, clock, 120, start=day * 1_000, timestamp=NOON - (10 - day) * 86_400_000_000)
        loop.once()
        clock.advance(1)
    assert len(seen.models) == 5


def test_a_verdict_for_lack_of_data_is_tried_again_soon(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value % 97) for value in range(970)])
    fill(store, clock, 50)
    seen = Seen()
    loop = chores(store, clock, seen)
    loop.once()
    fill(store, clock, 100, start=50)
    loop.once()
    assert len(seen.models) == 1
    clock.advance(31)
    loop.once()
    assert len(seen.models) == 2
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    assert msgspec.json.decode(verdict.result, type=DriftReport).summary.severity == "stable"


def test_a_new_reference_is_judged_by_at_once(store: Store, clock: Clock) -> None:
    set_reference(store, [float(value % 97) for value in range(970)])
    fill(store, clock, 300)
    seen = Seen()
    loop = chores(store, clock, seen)
    loop.once()
    set_reference(store, [0.0, 1.0] * 500)
    loop.once()
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    assert msgspec.json.decode(verdict.result, type=DriftReport).summary.severity == "alert"


def test_the_kept_verdict_is_what_a_check_answers(store: Store, clock: Clock) -> None:
    set_reference(store, [0.0, 1.0] * 200)
    fill(store, clock, 300)
    chores(store, clock).once()
    with store.read() as connection:
        [verdict] = latest_verdicts(connection)
    answer = check_drift(store, RULES, DriftQuery("m", "production", "1"), clock())
    assert verdict.result == msgspec.json.encode(answer)


def test_the_loop_survives_a_failure_and_says_so(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    loop = chores(store, clock, seen)
    calls = []

    def failing() -> bool:
        calls.append(1)
        if len(calls) < 3:
            raise ZeroDivisionError("a bug")
        loop._stop.set()
        return True

    monkeypatch.setattr(loop, "once", failing)
    loop.start()
    loop._thread.join(10)
    assert (len(calls), seen.failures) == (3, 2)
