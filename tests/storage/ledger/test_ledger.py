"""The write path: each acknowledged prediction counts exactly once."""

from __future__ import annotations

import threading

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store, is_about_values
from modelwatch.storage.ledger import ledger as ledger_module
from modelwatch.storage.ledger import slots as slots_module
from modelwatch.storage.ledger.slots import PROFILES, SlotCache
from modelwatch.storage.maintenance.compaction import seal_writers
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import NOON, Clock, event, numbered, open_ledger, stored_and_counted
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import label
from tests.support.stores.uncertain import UncertainStore

pytestmark = pytest.mark.both_engines


def test_a_new_prediction_is_accepted_and_counted(store: Store) -> None:
    outcome = open_ledger(store).commit([event("a"), event("b")])
    assert outcome.accepted == [True, True]
    assert stored_and_counted(store) == (2, 2)


def test_a_retried_prediction_counts_once(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    assert ledger.commit([event("a"), event("b")]).accepted == [False, True]
    assert stored_and_counted(store) == (2, 2)


def test_a_retry_that_reaches_another_writer_counts_once(store: Store) -> None:
    open_ledger(store, prefix="first").commit([event("a")])
    assert open_ledger(store, prefix="second").commit([event("a")]).accepted == [False]
    assert stored_and_counted(store) == (1, 1)


def test_the_same_id_twice_in_one_batch_keeps_the_first(store: Store) -> None:
    outcome = open_ledger(store).commit([event("a", {"x": 1.0}), event("a", {"x": 2.0})])
    assert outcome.accepted == [True, False]
    with store.read() as connection:
        assert connection.execute(select(tables.prediction.c.features)).scalar_one() == b'{"x":1.0}'


def test_the_same_id_of_two_models_or_on_two_days_is_two_predictions(store: Store) -> None:
    day_later = NOON + 86_400_000_000
    outcome = open_ledger(store).commit([event("a"), event("a", model="other"), event("a", timestamp=day_later)])
    assert outcome.accepted == [True, True, True]


def test_late_events_add_to_their_own_window(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("now")])
    outcome = ledger.commit([event("late", timestamp=NOON - 7_200_000_000)])
    assert [increment.key.window_start for increment in outcome.increments] == [NOON // 1_000_000 - 7_200]
    assert stored_and_counted(store) == (2, 2)


def test_a_label_that_comes_with_its_prediction_is_kept_once(store: Store) -> None:
    ledger = open_ledger(store)
    for _ in range(2):
        ledger.commit([event("a", ground_truth="fraud"), event("b")])
    with store.read() as connection:
        rows = connection.execute(select(tables.label.c.prediction_id, tables.label.c.value)).all()
    assert [tuple(row) for row in rows] == [("a", '"fraud"')]


@pytest.mark.parametrize("happened", ["before", "after"])
def test_a_commit_with_an_unknown_outcome_is_repeated_by_a_fresh_writer(store_url: str, happened: str) -> None:
    store = UncertainStore(store_url)
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    abandoned = ledger.writer
    store.fail_next = happened
    outcome = ledger.commit([event("b"), event("c")])
    assert outcome.accepted == ([True, True] if happened == "before" else [False, False])
    assert ledger.writer != abandoned
    ledger.commit([event("d")])
    assert stored_and_counted(store) == (4, 4)
    with store.read() as connection:
        sealed = connection.execute(select(tables.writer.c.id).where(tables.writer.c.sealed.is_(True))).scalars()
        assert list(sealed) == [abandoned]
    store.close()


def test_a_failure_before_the_commit_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])

    def broken(*_args: object, **_options: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr("modelwatch.storage.ledger.ledger.save", broken)
        with pytest.raises(OperationalError):
            ledger.commit([event("b")])
    assert stored_and_counted(store) == (1, 1)
    assert ledger.commit([event("b")]).accepted == [True]
    assert stored_and_counted(store) == (2, 2)


def test_a_sealed_writer_is_never_written_again(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    first = ledger.writer
    assert seal_writers(store, opened_before=NOON + 1) == [first]
    ledger.commit([event("b")])
    assert ledger.writer != first
    assert stored_and_counted(store) == (2, 2)


def test_writers_rotate_and_seal_the_one_before(store: Store) -> None:
    clock = Clock()
    ledger = open_ledger(store, clock)
    ledger.commit([event("a")])
    first = ledger.writer
    clock.advance(3_601)
    ledger.commit([event("b")])
    assert ledger.writer != first
    assert seal_writers(store, opened_before=0) == [first]
    assert stored_and_counted(store) == (2, 2)


def test_a_closed_ledger_leaves_its_writer_sealed(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    ledger.close()
    assert seal_writers(store, opened_before=0) == ["w-1"]


def test_a_new_reference_is_used_from_the_next_commit_on(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    binning = numeric_binning(np.arange(1000.0))
    profile = Profile.of(binning, [1.0])
    set_references(store, "m", None, {Subject("feature", "x"): profile}, source="test", now=NOON, new_id=numbered())
    [increment] = ledger.commit([event("b", {"x": 3.0}), event("c", {})]).increments
    assert increment.key.generation == 1
    counted = Profile(binning, increment.counts)
    assert (counted.n, counted.missing) == (1, 1)


def test_a_slot_that_left_memory_is_read_back(store: Store) -> None:
    ledger = open_ledger(store)
    ledger._slots = SlotCache(PROFILES, max_bytes=0)
    for name in ("a", "b", "c"):
        ledger.commit([event(name), event(name, model="other")])
    assert stored_and_counted(store) == stored_and_counted(store, "other") == (3, 3)


def test_slots_of_which_too_many_left_memory_are_read_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "MAX_EVICTED", 1)
    ledger = open_ledger(store)
    ledger._slots = SlotCache(PROFILES, max_bytes=0)
    for name in ("a", "b", "c"):
        ledger.commit([event(name, model=model) for model in ("m", "other", "third")])
    assert [stored_and_counted(store, model) for model in ("m", "other", "third")] == [(3, 3)] * 3


def test_what_an_index_has_no_room_for_is_known_to_be_about_the_values(store: Store) -> None:
    ledger = open_ledger(store)
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 512)))
    events = [event("a", version=long, environment=long)]
    if store.is_sqlite:
        assert ledger.commit(events).accepted == [True]
        return
    with pytest.raises(OperationalError) as caught:
        ledger.commit(events)
    assert is_about_values(caught.value)
    assert not is_about_values(OperationalError("COMMIT", {}, Exception("server closed the connection")))
    assert ledger.commit([event("a")]).accepted == [True]


def test_models_and_streams_beyond_what_is_remembered_count_as_well(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "MAX_MODELS", 3)
    monkeypatch.setattr(ledger_module, "MAX_STREAMS", 3)
    ledger = open_ledger(store)
    models = [f"m{number}" for number in range(10)]
    for model in models:
        ledger.commit([event("a", model=model)], [label("a", model=model)])
        assert max(map(len, (ledger._layouts, ledger._labelled, ledger._streams))) <= 4
    for model in models:
        ledger.commit([event("b", model=model, version="2")], [label("b", model=model)])
        assert stored_and_counted(store, model) == (2, 2)
    with store.read() as connection:
        assert len(connection.execute(select(tables.stream)).all()) == 20
        assert set(connection.execute(select(tables.label.c.applied_at.is_not(None))).scalars()) == {True}


def test_several_ledgers_at_once_count_every_id_once(store: Store) -> None:
    """Four writers are given overlapping ids at the same time."""
    accepted: list[str] = []
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            ledger = open_ledger(store, prefix=f"w{number}")
            for start in range(0, 200, 10):
                events = [event(f"id-{index}") for index in range(start, start + 15)]
                outcome = ledger.commit(events)
                accepted.extend(each.prediction_id for each, new in zip(events, outcome.accepted, strict=True) if new)
        except Exception as error:  # noqa: BLE001 - a thread must not fail in silence
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(accepted) == sorted({f"id-{index}" for index in range(205)})
    assert stored_and_counted(store) == (205, 205)


@pytest.mark.parametrize("kind", ENGINES)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.integers(0, 12), min_size=1, max_size=8), st.booleans()),
        max_size=8,
    )
)
def test_any_sequence_of_commits_rotations_and_repeats_counts_each_id_once(
    fresh_stores: FreshStores, kind: str, steps: list[tuple[int, list[int], bool]]
) -> None:
    with fresh_stores.open(kind) as store:
        clocks = [Clock(), Clock()]
        ledgers = [open_ledger(store, clock, f"w{index}") for index, clock in enumerate(clocks)]
        seen: set[int] = set()
        for which, identities, rotate in steps:
            outcome = ledgers[which].commit([event(str(identity)) for identity in identities])
            assert sum(outcome.accepted) == len(set(identities) - seen)
            seen.update(identities)
            if rotate:
                clocks[which].advance(4_000)
        assert stored_and_counted(store) == (len(seen), len(seen))


def test_a_store_that_was_set_back_to_an_older_state_goes_on(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    with store.write() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(table.delete())
    assert ledger.commit([event("b")]).accepted == [True]
    assert stored_and_counted(store) == (1, 1)
    with store.read() as connection:
        assert connection.execute(select(tables.stream.c.model)).scalars().all() == ["m"]


def test_whole_and_broken_numbers_absent_values_and_text_of_any_kind_come_back_as_they_were(store: Store) -> None:
    text = "ä'\"\\{},%s %(x)s\t\u2028🙂"
    events = [
        event("a", {text: text}, latency_ms=5, probability=0.5),
        event("b", latency_ms=0.25, prediction=text, probability={text: 1.0}),
        event(text, {}, version=text, prediction=True),
    ]
    ledger = open_ledger(store)
    assert ledger.commit(events).accepted == [True] * 3
    assert ledger.commit([*events, event("c"), event("c")]).accepted == [False] * 3 + [True, False]
    table = tables.prediction.c
    columns = (table.version, table.latency_ms, table.prediction, table.probability, table.features)
    with store.read() as connection:
        rows = {row[0]: tuple(row[1:]) for row in connection.execute(select(table.prediction_id, *columns))}
    quoted, encode = msgspec.json.encode(text).decode(), msgspec.json.encode
    assert rows["a"] == ("1", 5.0, '"yes"', "0.5", encode({text: text}))
    assert rows["b"] == ("1", 0.25, quoted, encode({text: 1.0}).decode(), encode({"x": 1.0}))
    assert rows[text] == (text, None, "true", None, encode({}))


def test_a_writer_of_a_clock_that_went_back_is_not_kept_until_that_time_comes(store: Store) -> None:
    clock = Clock(NOON + 86_400_000_000)
    ledger = open_ledger(store, clock)
    ledger.commit([event("a")])
    first = ledger.writer
    clock.now = NOON
    ledger.commit([event("b")])
    assert ledger.writer != first
    assert stored_and_counted(store) == (2, 2)


def test_a_store_that_knows_fewer_commits_of_the_writer_is_counted_on_from_what_it_holds(store: Store) -> None:
    """As a standby that was behind, or a back-up: its rows, slots and writer are those of one earlier moment."""
    ledger = open_ledger(store)
    ledger.commit([event("a"), event("b", model="other")])
    with store.read() as connection:
        before = {table: connection.execute(select(table)).mappings().all() for table in tables.metadata.sorted_tables}
    first = ledger.writer
    ledger.commit([event("c"), event("d")])
    ledger.commit([event("e", model="third")])
    with store.write() as connection:
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(table.delete())
        for table, rows in before.items():
            if rows:
                connection.execute(table.insert(), [dict(row) for row in rows])
    assert ledger.commit([event("a"), event("c"), event("f"), event("e", model="third")]).accepted == [
        False, True, True, True,
    ]  # fmt: skip
    assert ledger.writer != first
    assert [stored_and_counted(store, model) for model in ("m", "other", "third")] == [(3, 3), (1, 1), (1, 1)]
