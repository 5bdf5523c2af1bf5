"""Very many models, or versions of one, beside each other: who has a turn, and what a round costs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import event as sql
from sqlalchemy import update

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import DamagedData
from modelwatch.events import ReferenceFrame, ReferenceSample
from modelwatch.monitoring.references.references import set_reference_frame
from modelwatch.monitoring.scheduler.agenda import Agenda
from modelwatch.monitoring.scheduler.evaluator import Evaluator
from modelwatch.monitoring.scheduler.jobs.maintenance import Maintenance
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.outcomes import fresh_labels
from modelwatch.storage.counts.streams import fresh_windows
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.leases import acquire
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import backfill_outcomes
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.storage.verdicts.evaluations import evaluation_failures, evaluation_progress
from modelwatch.storage.verdicts.verdicts import latest_verdicts
from tests.support.background import Seen, Taken, background, new_id, run_out
from tests.support.data.streams import HOUR, SECOND, finish, normal
from tests.support.events import NOON, Clock, event, open_ledger
from tests.support.rules import RULES
from tests.support.stores.labels import BINARY, CLASSES, label, set_layout

pytestmark = pytest.mark.both_engines

MANY = 60


def send(store: Store, clock: Clock, counts: dict[tuple[str, str], int], *, at: int = NOON, shift: float = 0.0) -> None:
    """So many predictions of each version of a model, in one window; a writer that stays open."""
    values = normal(max(counts.values()), shift)
    open_ledger(store, clock, prefix=f"w{at}").commit(
        [
            event(f"{version}-{at}-{index}", {"x": values[index]}, model=model, version=version, timestamp=at + index)
            for (model, version), count in counts.items()
            for index in range(count)
        ]
    )
    finish(clock)


def set_reference(store: Store, model: str) -> None:
    frame = ReferenceFrame(model, None, [ReferenceSample("feature", "x", "continuous", normal(2_000, seed=9))])
    set_reference_frame(store, frame, now=NOON, new_id=new_id)


class Rounds:
    """Rounds of the evaluator, each of which has time for so many streams."""

    def __init__(self, store: Store, clock: Clock, streams: int) -> None:
        fence = acquire(store, "chores", "me", now=clock(), ttl=3_600 * SECOND)
        assert fence is not None
        self.lease, self.clock, self.seen = Lease("chores", "me", fence), clock, Seen()
        self.evaluator = Evaluator(
            store,
            RULES,
            Taken(),
            self.seen,
            timer=lambda: float(len(self.seen.models)),
            new_id=new_id,
            round_seconds=streams - 0.5,
        )

    def once(self) -> list[str]:
        """The models that had a turn."""
        self.seen.models.clear()
        self.evaluator(self.lease, self.clock())
        return list(self.seen.models)


def test_a_new_model_whose_windows_were_counted_again_before_the_first_look_at_it_has_its_turn(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    rounds = Rounds(store, clock, 8)
    assert rounds.once() == []
    set_reference(store, "m")
    send(store, clock, {("m", "1"): 300}, shift=2.0)
    # As a provisional reference does at once: the slots of the writer are replaced by folded ones.
    set_reference(store, "m")
    backfill_profiles(store, "m", (NOON - HOUR) // SECOND, clock() // SECOND)
    with store.read() as connection:
        assert fresh_windows(connection) == {}
    assert "m" in rounds.once()


def test_labels_that_were_counted_again_before_the_first_look_at_them_are_seen(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    agenda = Agenda(store, RULES, with_labels=True)
    agenda.look(clock())
    set_layout(store, BINARY)
    events = [event(f"p{number}", {"x": 1.0}, prediction="yes", timestamp=NOON + number) for number in range(20)]
    open_ledger(store, clock).commit(events, [label(f"p{number}", timestamp=NOON + SECOND) for number in range(20)])
    set_layout(store, CLASSES)
    backfill_outcomes(store, "m", (NOON - HOUR) // SECOND, clock() // SECOND)
    with store.read() as connection:
        assert fresh_labels(connection) == {}
    agenda.look(clock())
    standing = agenda.standing(StreamKey("m", "1", "production"), clock())
    assert standing is not None
    assert standing.labels is not None


def test_a_model_that_can_drift_does_not_wait_for_many_small_ones(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    set_reference(store, "z")
    small = {(f"small-{number}", "1"): 1 for number in range(MANY)}
    send(store, clock, {**small, ("z", "1"): 300}, shift=2.0)
    rounds = Rounds(store, clock, 8)
    assert "z" in rounds.once()
    with store.read() as connection:
        assert [verdict.severity for verdict in latest_verdicts(connection, "z")] == ["alert"]
        progress = evaluation_progress(connection)
    assert progress is not None
    assert (progress.waiting, progress.since) == (MANY + 1 - 8, clock())
    began = clock()
    clock.advance(10)
    turns = [*rounds.once(), *rounds.once()]
    assert len(set(turns)) == len(turns)
    with store.read() as connection:
        progress = evaluation_progress(connection)
    assert progress is not None
    assert (progress.waiting, progress.since) == (MANY + 1 - 24, began)


@pytest.mark.parametrize("streams", [1, 2, 3])
def test_models_without_a_reference_have_their_turns_under_a_load_that_is_never_through(
    store: Store, streams: int
) -> None:
    """Six models with a reference have new data each hour, and a round has time for fewer."""
    clock = Clock(NOON + HOUR)
    busy = {(f"busy-{number}", "1"): 1 for number in range(6)}
    for model, _ in busy:
        set_reference(store, model)
    send(store, clock, {**busy, ("small-1", "1"): 1, ("small-2", "1"): 1})
    rounds = Rounds(store, clock, streams)
    turns: list[str] = []
    for hour in range(1, 9):
        # A turn may be for several windows.
        turns += [model for model, _ in itertools.groupby(rounds.once())]
        if "small-2" in turns:
            break
        clock.advance(3_600)
        send(store, clock, busy, at=NOON + hour * HOUR)
    # Three turns of the others before each.
    assert [turns.index(name) for name in ("small-1", "small-2")] == [3, 7]


def test_a_model_of_many_versions_has_one_turn_at_a_time(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    for model in ("a", "z"):
        set_reference(store, model)
    versions = {("a", f"{number}"): 1 for number in range(MANY)}
    send(store, clock, {**versions, ("z", "1"): 300}, shift=2.0)
    assert Rounds(store, clock, 4).once() == ["a", "z", "a", "a"]


def test_all_have_their_turn_in_the_end(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    send(store, clock, {(f"m{number}", "1"): 1 for number in range(20)})
    rounds = Rounds(store, clock, 6)
    turns = list(itertools.chain.from_iterable(rounds.once() for _ in range(5)))
    assert sorted(turns) == sorted(f"m{number}" for number in range(20))


def test_a_model_that_catches_up_with_a_long_replay_lets_the_others_have_their_turns(store: Store) -> None:
    clock = Clock(NOON + 9 * HOUR)
    for model in ("old", "a", "b"):
        set_reference(store, model)
    for hour in range(8):
        send(store, clock, {("old", "1"): 150}, at=NOON + hour * HOUR)
    rounds = Rounds(store, clock, 1)
    assert rounds.once() == ["old"]
    send(store, clock, {("a", "1"): 150, ("b", "1"): 150}, at=NOON + 8 * HOUR)
    turns = []
    for _ in range(5):
        clock.advance(1)
        turns += rounds.once()
    # Those that have come since need not wait for its end.
    assert turns == ["old", "a", "b", "old", "old"]


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    sql.listen(store.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sql.remove(store.engine, "before_cursor_execute", note)


def test_a_round_asks_the_store_the_same_however_many_models_there_are(store: Store) -> None:
    asked = []
    clock = Clock(NOON + HOUR)
    for size in (5, 40):
        send(store, clock, {(f"{size}-{number}", "1"): 1 for number in range(size)}, at=NOON + size)
        loop = background(store, RULES, clock)
        run_out(loop)
        with counted(store) as statements:
            assert loop.once()
        asked.append(len(statements))
    assert asked[0] == asked[1] < 40


def test_what_arrives_between_rounds_is_found_also_when_it_was_folded_meanwhile(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    send(store, clock, {("m", "1"): 5})
    loop = background(store, RULES, clock)
    run_out(loop)
    ledger = open_ledger(store, clock, prefix="short")
    ledger.commit([event("late", {"x": 1.0}, model="m", version="2", timestamp=NOON)])
    ledger.close()
    finish(clock)
    run_out(loop)
    with store.read() as connection:
        assert [verdict.version for verdict in latest_verdicts(connection, "m")] == ["1", "2"]


def test_maintenance_ends_after_its_share_of_time_and_goes_on_where_it_stopped(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    send(store, clock, {(f"m{number}", "1"): 20 for number in range(6)})
    ticks = itertools.count()
    work = Maintenance(
        store,
        new_id=new_id,
        provisional_size=10,
        rotation_seconds=3_600,
        timer=lambda: float(next(ticks)),
        round_seconds=2.5,
    )
    rounds = 0
    while work(Lease("chores", "me", 1), clock()):
        rounds += 1
        assert rounds < 50
    assert rounds > 1
    run_out(background(store, RULES, clock))
    with store.read() as connection:
        assert {verdict.severity for verdict in latest_verdicts(connection)} <= {"stable", "insufficient_data"}


def test_a_model_whose_monitor_is_damaged_fails_alone(store: Store) -> None:
    clock = Clock(NOON + HOUR)
    send(store, clock, {("good", "1"): 300, ("bad", "1"): 300})
    for model in ("good", "bad"):
        set_reference(store, model)
        put_monitor(store, model, parse_monitor({"budget": 2}), source="api", actor="ann", now=NOON, new_id=new_id)
    with store.write() as connection:
        this = tables.monitor.c.model == "bad"
        connection.execute(update(tables.monitor).where(this).values(config="{"))
    loop = background(store, RULES, clock)
    for _ in range(3):
        with suppress(DamagedData):
            loop.once()
    with store.read() as connection:
        assert {each.model for each in latest_verdicts(connection)} == {"good"}
        [failure] = evaluation_failures(connection)
    assert failure.stream.model == "bad"
    assert "DamagedData" in failure.error
