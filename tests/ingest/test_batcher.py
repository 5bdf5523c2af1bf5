"""Group commit: what is answered, when, and what happens when the queue or the store is full."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy.exc import DataError, OperationalError

from modelwatch.errors import InvalidInput, QueueFull, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.ingest import Batcher, Refused
from modelwatch.ingest import batcher as batcher_module
from modelwatch.ingest.batcher import NOT_STORED
from modelwatch.ingest.queue import (
    ENOUGH_JOBS,
    MAX_BYTES_PER_COMMIT,
    MAX_EVENTS_PER_COMMIT,
    MAX_MODELS_PER_COMMIT,
)
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.labels import LabelStatus
from modelwatch.storage.ledger.ledger import Committed, Ledger
from tests.support.events import event, open_ledger, stored_and_counted
from tests.support.stores.labels import label

# Seconds.
HASTE = 0.5


class Observed:
    def __init__(self) -> None:
        self.commits: list[int] = []
        self.depths: list[int] = []
        self.labels: list[LabelStatus] = []

    def committed(self, events: Sequence[Prediction], outcome: Committed, seconds: float) -> None:
        self.commits.append(len(events))

    def labelled(self, labels: Sequence[GroundTruth], statuses: Sequence[LabelStatus]) -> None:
        self.labels.extend(statuses)

    def queue_depth(self, events: int) -> None:
        self.depths.append(events)


class Gate:
    """A ledger that waits at a gate before each commit, and fails when it is told to."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.open = threading.Event()
        self.reached = threading.Event()
        self.errors: list[Exception] = []
        self.poison: str | None = None
        self.hold_errors_for = 1
        self.before_error = threading.Event()
        self.before_error.set()
        self.calls = 0

    def commit(self, events: Sequence[Prediction], labels: Sequence[GroundTruth] = ()) -> Committed:
        self.reached.set()
        self.open.wait(60)
        self.calls += 1
        if self.errors and self.calls >= self.hold_errors_for:
            self.before_error.wait(60)
            raise self.errors.pop(0)
        if any(each.prediction_id == self.poison for each in events):
            raise DataError("INSERT", {}, Exception("value out of range"))
        return self._ledger.commit(events, labels)


@pytest.fixture
def gate(store: Store) -> Gate:
    return Gate(open_ledger(store))


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def batcher(gate: Gate, observed: Observed) -> Iterator[Batcher]:
    with running(gate, observed, give_up_seconds=20) as batcher:
        yield batcher


@pytest.fixture
def hasty(gate: Gate, observed: Observed) -> Iterator[Batcher]:
    """One whose requests wait for a short time."""
    with running(gate, observed, give_up_seconds=HASTE) as batcher:
        yield batcher


@contextmanager
def running(gate: Gate, observed: Observed, give_up_seconds: float) -> Iterator[Batcher]:
    batcher = Batcher(
        gate,  # type: ignore[arg-type]
        observed,
        max_events=5,
        max_bytes=1_000,
        linger_seconds=0.0,
        give_up_seconds=give_up_seconds,
    )
    batcher.start()
    yield batcher
    gate.open.set()
    batcher.close()


def locked() -> OperationalError:
    return OperationalError("BEGIN", {}, Exception("database is locked"))


def test_requests_that_wait_together_share_a_commit(batcher: Batcher, gate: Gate, observed: Observed) -> None:
    async def scenario() -> list[list[bool]]:
        first = asyncio.create_task(batcher.submit([event("a")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        others = [asyncio.create_task(batcher.submit([event(name)], 100)) for name in ("b", "c", "a")]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(scenario()) == [[True], [True], [True], [False]]
    assert observed.commits == [1, 3]
    assert max(observed.depths) == 3


def test_a_commit_waits_while_the_loop_reads_more_requests_but_not_for_too_many(
    gate: Gate, observed: Observed, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher_module, "GATHERING_SECONDS", 60.0)
    gate.open.set()
    number = ENOUGH_JOBS + 10
    batcher = Batcher(
        gate,  # type: ignore[arg-type]
        observed,
        max_events=number,
        max_bytes=100 * number,
        linger_seconds=0.0,
    )
    batcher.start()

    async def scenario() -> list[list[bool | Refused | None]]:
        sent = []
        for place in range(number):
            sent.append(asyncio.create_task(batcher.submit([event(str(place))], 100)))
            # The loop comes by once for each request.
            await asyncio.sleep(0)
            assert place > ENOUGH_JOBS - 5 or not gate.reached.is_set()
        assert gate.reached.wait(5)
        return await asyncio.gather(*sent)

    assert asyncio.run(scenario()) == [[True]] * number
    batcher.close()
    assert sum(observed.commits) == number
    assert observed.commits[0] >= ENOUGH_JOBS
    assert stored_and_counted(store) == (number, number)


@pytest.mark.parametrize(("each", "pause"), [(1, 0.001), (MAX_EVENTS_PER_COMMIT // 4, 0.0)])
def test_a_commit_does_not_wait_for_a_hundred_that_come_slowly_nor_for_more_than_it_holds(
    gate: Gate, observed: Observed, monkeypatch: pytest.MonkeyPatch, each: int, pause: float
) -> None:
    if not pause:
        monkeypatch.setattr(batcher_module, "GATHERING_SECONDS", 60.0)
    batcher = Batcher(
        gate,  # type: ignore[arg-type]
        observed,
        max_events=100_000,
        max_bytes=1_000_000,
        linger_seconds=0.0,
    )
    batcher.start()

    async def scenario() -> None:
        sent = []
        while not gate.reached.is_set():
            assert len(sent) < ENOUGH_JOBS - 10
            of_one = [event(f"{len(sent)}-{place}") for place in range(each)]
            sent.append(asyncio.create_task(batcher.submit(of_one, 100)))
            # Each turn of the loop brings one more.
            await asyncio.sleep(0)
            time.sleep(pause)
        gate.open.set()
        await asyncio.gather(*sent)

    asyncio.run(scenario())
    batcher.close()


def test_what_waits_after_a_commit_is_stored_however_many_requests_they_are(gate: Gate, observed: Observed) -> None:
    number = 2 * ENOUGH_JOBS
    batcher = Batcher(
        gate,  # type: ignore[arg-type]
        observed,
        max_events=2 * number,
        max_bytes=200 * number,
        linger_seconds=0.0,
        give_up_seconds=60,
    )
    batcher.start()

    async def scenario() -> list[list[bool | Refused | None]]:
        first = asyncio.create_task(batcher.submit([event("first")], 100))
        assert await asyncio.to_thread(gate.reached.wait, 10)
        sent = [asyncio.create_task(batcher.submit([event(str(place))], 100)) for place in range(number)]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.wait_for(asyncio.gather(first, *sent), 20)

    assert asyncio.run(scenario()) == [[True]] * (number + 1)
    batcher.close()


def test_a_full_queue_refuses_and_loses_nothing(batcher: Batcher, gate: Gate, store: Store) -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(batcher.submit([event(str(index)) for index in range(4)], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        with pytest.raises(QueueFull, match="MAX_BUFFER_SIZE is 5"):
            await batcher.submit([event("x"), event("y")], 100)
        gate.open.set()
        assert await waiting == [True] * 4
        assert await batcher.submit([event("x"), event("y")], 100) == [True, True]

    asyncio.run(scenario())
    assert stored_and_counted(store) == (6, 6)


def test_a_queue_full_of_bytes_refuses_too(batcher: Batcher, gate: Gate) -> None:
    async def scenario() -> None:
        waiting = asyncio.create_task(batcher.submit([event("a")], 900))
        await asyncio.to_thread(gate.reached.wait, 5)
        with pytest.raises(QueueFull, match="MAX_BUFFER_BYTES is 1000"):
            await batcher.submit([event("b")], 200)
        gate.open.set()
        assert await waiting == [True]
        assert await batcher.submit([event("b")], 200) == [True]

    asyncio.run(scenario())


def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits(batcher: Batcher, gate: Gate) -> None:
    gate.open.set()
    assert asyncio.run(batcher.submit([event(str(index)) for index in range(9)], 100)) == [True] * 9


def test_a_store_that_is_away_for_a_moment_is_waited_for(
    batcher: Batcher, gate: Gate, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gate.open.set()
    gate.errors = [locked(), locked()]
    assert asyncio.run(batcher.submit([event("a")], 100)) == [True]
    assert stored_and_counted(store) == (1, 1)
    [failed, ended] = [each.message for each in caplog.records if each.name == "modelwatch.ingest.outage"]
    assert "database is locked" in failed
    assert "stored again" in ended


def test_a_store_that_stays_away_is_said_to_be(hasty: Batcher, gate: Gate, store: Store) -> None:
    gate.open.set()
    gate.errors = [locked() for _ in range(50)]
    with pytest.raises(StoreUnavailable, match="did not accept them in time"):
        asyncio.run(hasty.submit([event("a")], 100))
    gate.errors.clear()
    assert asyncio.run(hasty.submit([event("a")], 100)) == [True]
    assert stored_and_counted(store) == (1, 1)


class Unprinted(list[Prediction]):
    """Events that are so many that nobody has the time to write them out."""

    def __repr__(self) -> str:
        raise AssertionError("a text of all events was made")


def test_the_end_of_the_wait_for_a_commit_takes_no_time_however_much_it_stores(
    hasty: Batcher, gate: Gate, store: Store
) -> None:
    """A text of 1,000 predictions with 2,000 features takes eight seconds, in which the process answers nobody."""

    async def scenario() -> None:
        first = asyncio.create_task(hasty.submit(Unprinted([event("under way")]), 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        with pytest.raises(StoreUnavailable, match="may be stored or not"):
            await first
        gate.open.set()

    asyncio.run(scenario())


def test_a_request_that_waits_behind_a_commit_that_hangs_is_answered_in_time_and_never_stored(
    hasty: Batcher, gate: Gate, observed: Observed, store: Store
) -> None:
    async def scenario() -> None:
        first = asyncio.create_task(hasty.submit([event("under way")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        behind = asyncio.gather(
            *(hasty.submit([event(name), event(f"{name}2")], 100) for name in ("a", "b")), return_exceptions=True
        )
        async with asyncio.timeout(HASTE + 5):
            errors = await behind
        assert [str(each) for each in errors] == [NOT_STORED] * 2
        assert all(isinstance(each, StoreUnavailable) and each.retry_after for each in errors)
        # The commit that hangs is answered too, and what they took in the queue is free again.
        with pytest.raises(StoreUnavailable, match="may be stored or not"):
            await first
        assert observed.depths[-1] == 1
        gate.open.set()
        assert await hasty.submit([event("under way"), event("other")], 100) == [False, True]

    asyncio.run(scenario())
    assert stored_and_counted(store) == (2, 2)


def test_a_store_that_comes_back_takes_only_those_who_still_wait(gate: Gate, observed: Observed, store: Store) -> None:
    """They were given to the store together, and one has been answered since."""
    give_up = 2.0

    async def scenario(batcher: Batcher) -> None:
        blocker = asyncio.create_task(batcher.submit([event("blocker")], 1))
        await asyncio.to_thread(gate.reached.wait, 5)
        early = asyncio.create_task(batcher.submit([event("early")], 1))
        await asyncio.sleep(0.7 * give_up)
        patient = asyncio.create_task(batcher.submit([event("patient")], 1))
        await asyncio.sleep(0)
        # The next commit is of both, and fails when the first of them has been answered.
        gate.hold_errors_for = 2
        gate.errors = [locked()]
        gate.before_error.clear()
        gate.open.set()
        assert await blocker == [True]
        with pytest.raises(StoreUnavailable, match="may be stored or not"):
            await early
        gate.before_error.set()
        assert await patient == [True]
        assert await batcher.submit([event("early")], 1) == [True]

    with running(gate, observed, give_up_seconds=give_up) as batcher:
        asyncio.run(scenario(batcher))
    assert stored_and_counted(store) == (3, 3)


def test_what_is_left_of_a_large_request_is_not_stored_once_it_was_answered(
    hasty: Batcher, gate: Gate, store: Store
) -> None:
    events = [event(str(index)) for index in range(2 * MAX_EVENTS_PER_COMMIT)]

    async def scenario() -> None:
        with pytest.raises(StoreUnavailable, match="may be stored or not"):
            await hasty.submit(events, 1)
        gate.open.set()
        deadline = asyncio.get_running_loop().time() + 60
        while stored_and_counted(store) == (0, 0):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.02)
        # The writer is free as soon as it has seen that nobody waits for the rest, and has not gone on with it.
        while True:
            try:
                assert await hasty.submit([event("next")], 1) == [True]
                break
            except QueueFull:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.02)
        assert stored_and_counted(store) == (MAX_EVENTS_PER_COMMIT + 1, MAX_EVENTS_PER_COMMIT + 1)

    asyncio.run(scenario())


def test_an_event_that_the_store_refuses_fails_only_its_own_request(batcher: Batcher, gate: Gate, store: Store) -> None:
    async def scenario() -> list[list[bool] | BaseException]:
        gate.poison = "bad"
        first = asyncio.create_task(batcher.submit([event("a")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        others = [asyncio.create_task(batcher.submit([event(name)], 100)) for name in ("b", "bad", "c")]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, refused, last = asyncio.run(scenario())
    assert (first, second, last) == ([True], [True], [True])
    assert isinstance(refused, InvalidInput)
    assert stored_and_counted(store) == (3, 3)


def test_an_unexpected_error_is_given_to_the_request_and_the_writer_lives(batcher: Batcher, gate: Gate) -> None:
    gate.open.set()
    gate.errors = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError):
        asyncio.run(batcher.submit([event("a")], 100))
    assert batcher.alive
    assert asyncio.run(batcher.submit([event("a")], 100)) == [True]


def test_an_unexpected_error_while_requests_are_tried_one_by_one_ends_nothing(batcher: Batcher, gate: Gate) -> None:
    async def scenario() -> list[list[bool] | BaseException]:
        first = asyncio.create_task(batcher.submit([event("a")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        others = [asyncio.create_task(batcher.submit([event(name)], 100)) for name in ("b", "c")]
        await asyncio.sleep(0)
        # The batch of two fails for its values, then the first of them alone for a bug.
        gate.errors = [DataError("INSERT", {}, Exception("value")), ZeroDivisionError("a bug")]
        gate.poison = "never"
        gate.hold_errors_for = 2
        gate.open.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert (first, third) == ([True], [True])
    assert isinstance(second, ZeroDivisionError)
    assert batcher.alive


def test_closing_stores_what_is_queued_and_refuses_what_comes_after(gate: Gate, store: Store) -> None:
    batcher = Batcher(gate, Observed(), max_events=5, max_bytes=1_000, linger_seconds=0.0)  # type: ignore[arg-type]
    batcher.start()

    async def scenario() -> None:
        waiting = asyncio.create_task(batcher.submit([event("a")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        queued = asyncio.create_task(batcher.submit([event("b")], 100))
        await asyncio.sleep(0)
        gate.open.set()
        await asyncio.to_thread(batcher.close)
        assert [await waiting, await queued] == [[True], [True]]
        with pytest.raises(StoreUnavailable):
            await batcher.submit([event("c")], 100)

    asyncio.run(scenario())
    assert stored_and_counted(store) == (2, 2)


def test_a_client_that_went_away_does_not_disturb_the_others(batcher: Batcher, gate: Gate, store: Store) -> None:
    async def scenario() -> None:
        gone = asyncio.create_task(batcher.submit([event("a")], 100))
        await asyncio.to_thread(gate.reached.wait, 5)
        stays = asyncio.create_task(batcher.submit([event("b")], 100))
        await asyncio.sleep(0)
        gone.cancel()
        gate.open.set()
        assert await stays == [True]

    asyncio.run(scenario())
    assert stored_and_counted(store) == (2, 2)


def test_labels_and_predictions_of_different_requests_are_one_commit(
    batcher: Batcher, gate: Gate, observed: Observed
) -> None:
    async def scenario() -> list[list[bool] | list[LabelStatus]]:
        first = asyncio.create_task(batcher.submit([event("first")], 1))
        await asyncio.to_thread(gate.reached.wait, 5)
        both = asyncio.gather(
            batcher.submit([event("a"), event("first")], 1),
            batcher.submit_labels([label("a"), label("later")], 1),
        )
        await asyncio.sleep(0)
        gate.open.set()
        await first
        return list(await both)

    assert asyncio.run(scenario()) == [[True, False], ["accepted", "waiting"]]
    assert observed.commits == [1, 2]
    assert observed.labels == ["accepted", "waiting"]


def test_a_request_with_more_labels_than_a_commit_holds(batcher: Batcher, gate: Gate) -> None:
    gate.open.set()
    labels = [label(f"{index}") for index in range(MAX_EVENTS_PER_COMMIT + 1)]
    assert asyncio.run(batcher.submit_labels(labels, 1)) == ["waiting"] * len(labels)


def test_what_the_store_refuses_of_a_batch_is_named_and_the_rest_is_stored(
    batcher: Batcher, gate: Gate, store: Store
) -> None:
    gate.open.set()
    gate.poison = "bad"
    events = [event("bad" if index == 7 else str(index), model=f"m{index % 2}") for index in range(20)]
    accepted = asyncio.run(batcher.submit(events, 1))
    assert [each for each in accepted if each is not True] == [accepted[7]]
    assert accepted[7] == Refused("The store refused these values: Exception.")
    assert stored_and_counted(store, "m0") == (10, 10)
    assert stored_and_counted(store, "m1") == (9, 9)


def test_a_batch_of_which_the_store_refuses_all_is_refused_without_trying_each(batcher: Batcher, gate: Gate) -> None:
    gate.open.set()
    gate.poison = "bad"
    with pytest.raises(InvalidInput, match="The store refused these values"):
        asyncio.run(batcher.submit([event("bad", version=str(index)) for index in range(1_000)], 1))
    assert gate.calls < 150
    assert asyncio.run(batcher.submit([event("good")], 1)) == [True]


def test_others_have_their_turn_between_the_parts_of_a_large_request(
    batcher: Batcher, gate: Gate, observed: Observed
) -> None:
    events = [event(str(index), model=f"m{index}") for index in range(2 * MAX_MODELS_PER_COMMIT + 1)]

    async def scenario() -> list[list[bool]]:
        large = asyncio.create_task(batcher.submit(events, 1))
        await asyncio.to_thread(gate.reached.wait, 5)
        # The queue takes more only when it is empty.
        batcher._queue._events = 0
        small = asyncio.create_task(batcher.submit([event("small")], 1))
        await asyncio.sleep(0)
        gate.open.set()
        assert await small == [True]
        assert not large.done()
        return [await large]

    assert asyncio.run(scenario()) == [[True] * len(events)]
    assert observed.commits == [MAX_MODELS_PER_COMMIT, 1, MAX_MODELS_PER_COMMIT, 1]


def test_what_was_stored_is_not_kept_until_something_else_comes(batcher: Batcher, gate: Gate) -> None:
    gate.open.set()
    events = [event("a")]
    before = sys.getrefcount(events[0])
    assert asyncio.run(batcher.submit(events, 1)) == [True]
    deadline = time.monotonic() + 60
    while sys.getrefcount(events[0]) > before:
        assert time.monotonic() < deadline, "the writer still holds it"
        time.sleep(0.01)


def test_wide_rows_are_stored_some_megabytes_at_a_time(batcher: Batcher, gate: Gate, observed: Observed) -> None:
    gate.open.set()
    events = [event(str(index)) for index in range(20)]
    assert asyncio.run(batcher.submit(events, 2 * MAX_BYTES_PER_COMMIT)) == [True] * 20
    assert observed.commits == [10, 10]


def test_a_batch_that_was_too_slow_goes_on_from_what_was_stored_when_it_is_sent_again(
    gate: Gate, observed: Observed, store: Store
) -> None:
    """What was begun before the 503 stays, so that each time there is less to store."""
    events, size = [event(str(index)) for index in range(30)], 3 * MAX_BYTES_PER_COMMIT

    async def too_slow(batcher: Batcher) -> None:
        with pytest.raises(StoreUnavailable, match="may be stored or not"):
            await batcher.submit(events, size)

    with running(gate, observed, give_up_seconds=HASTE) as hasty:
        asyncio.run(too_slow(hasty))
        gate.open.set()
    assert stored_and_counted(store) == (10, 10)
    with running(gate, observed, give_up_seconds=60) as patient:
        assert asyncio.run(patient.submit(events, size)) == [False] * 10 + [True] * 20
    assert stored_and_counted(store) == (30, 30)
