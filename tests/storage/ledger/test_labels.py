"""Labels before, with and after their predictions, repeated and corrected: the counts are those of the join."""

from __future__ import annotations

import random
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text

from modelwatch.events import GroundTruth, Prediction
from modelwatch.storage.counts.outcomes import give_up_labels, newest_label, waiting_labels
from modelwatch.storage.counts.volumes import duplicates_in
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_outcomes import stale_outcome_days
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from tests.support.events import ALWAYS, NOON, Clock, event, open_ledger
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, CLASSES, joined, label, set_layout, summed_outcomes
from tests.support.stores.stored import fold_all

pytestmark = pytest.mark.both_engines

DAY = 86_400_000_000
HOUR = 3_600_000_000


def counted(store: Store, version: str = "1") -> list[list[int]]:
    """The confusion matrix of all time."""
    vector = summed_outcomes(store).get(version)
    if vector is None:
        return []
    place = BINARY.parts["confusion"].place
    cells = vector[place][:9]
    return [cells[0:3], cells[3:6], cells[6:9]]


def test_a_label_after_its_prediction_counts(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)])
    assert ledger.commit([], [label("a", "no", timestamp=NOON + HOUR)]).labels == ["accepted"]
    assert counted(store) == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_a_label_before_its_prediction_waits_for_it(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    assert ledger.commit([], [label("a")]).labels == ["waiting"]
    assert counted(store) == []
    with store.read() as connection:
        assert waiting_labels(connection, "m").waiting == 1
    open_ledger(store, prefix="other").commit([event("a", probability=0.8)])
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    with store.read() as connection:
        assert waiting_labels(connection, "m").waiting == 0


def test_the_first_label_of_a_model_meets_the_prediction_that_another_process_is_storing(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("other", probability=0.8)])
    prediction = event("a", probability=0.8)
    storing = threading.Thread(target=ledger.commit, args=([prediction],))
    waiting = {"value": '"yes"', "ts": NOON, "first_ts": NOON, "arrived_at": NOON, "generation": 0}
    with store.write() as connection:
        # As the commit of a label does: it holds the model.
        connection.execute(select(tables.model.c.name).where(tables.model.c.name == "m").with_for_update())
        storing.start()
        if not store.is_sqlite:
            wait_for_a_lock(store)
        connection.execute(insert(tables.label), {"model": "m", "prediction_id": "a", **waiting})
    storing.join()
    assert summed_outcomes(store) == joined(store, [prediction], [label("a")])
    with store.read() as connection:
        assert waiting_labels(connection, "m").waiting == 0


def wait_for_a_lock(store: Store) -> None:
    """Returns once some transaction waits for another one."""
    deadline = time.monotonic() + 60
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while True:
        with store.read() as connection:
            if connection.execute(waits).scalar_one():
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


def test_a_label_inside_its_prediction_counts_once_however_often_it_comes(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    for _ in range(3):
        ledger.commit([event("a", probability=0.8, ground_truth="yes")])
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_repeated_prediction_may_bring_the_label_that_the_first_one_lacked(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)])
    ledger.commit([event("a", probability=0.8, ground_truth="no")])
    assert counted(store) == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_a_correction_takes_the_old_value_back_from_whichever_writer_counted_it(store: Store) -> None:
    set_layout(store, BINARY)
    open_ledger(store, prefix="first").commit([event("a", probability=0.8)], [label("a", "no")])
    second = open_ledger(store, prefix="second")
    assert second.commit([], [label("a", "yes", timestamp=NOON + 1)]).labels == ["corrected"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_an_older_label_never_replaces_a_newer_one(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)], [label("a", "yes", timestamp=NOON + 5)])
    assert ledger.commit([], [label("a", "no", timestamp=NOON + 4)]).labels == ["duplicate"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_several_labels_of_an_id_in_one_commit(store: Store) -> None:
    set_layout(store, BINARY)
    given = [label("a", "no"), label("a", "yes", timestamp=NOON + 1), label("a", "no"), label("b")]
    outcome = open_ledger(store).commit([event("a", probability=0.8)], given)
    assert outcome.labels == ["accepted", "corrected", "duplicate", "waiting"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_value_that_is_back_within_one_commit_was_corrected_and_counts_as_before(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)], [label("a", "yes")])
    given = [label("a", "no", timestamp=NOON + 1), label("a", "yes", timestamp=NOON + 2)]
    assert ledger.commit([], given).labels == ["corrected", "corrected"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert ledger.commit([], [label("a", "no", timestamp=NOON + 1)]).labels == ["duplicate"]


def test_labels_of_several_models_in_one_commit_are_answered_in_their_order(store: Store) -> None:
    for model in ("m", "n"):
        set_layout(store, BINARY, model=model)
    given = [label("a", "no"), label("a", "yes", model="n"), label("b"), label("a", "yes", timestamp=NOON + 1)]
    outcome = open_ledger(store).commit([event("a", probability=0.8), event("a", model="n", probability=0.8)], given)
    assert outcome.labels == ["accepted", "accepted", "waiting", "corrected"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert summed_outcomes(store, "n") == joined(store, [event("a", model="n", probability=0.8)], [given[1]], "n")


@pytest.mark.parametrize(
    "identity", ["007", 'a "quoted" \\ id', "{1,2}", "naïve 🦀", "NULL", "' OR 1=1 --", "\t\n\x1f"]
)
def test_an_id_is_any_text(store: Store, identity: str) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event(identity, probability=0.8), event("7", probability=0.8)])
    assert ledger.commit([], [label(identity, "no")]).labels == ["accepted"]
    assert ledger.commit([], [label(identity, "yes", timestamp=NOON + 1)]).labels == ["corrected"]
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_a_label_is_about_every_prediction_of_its_id(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)], [label("a")])
    ledger.commit([event("a", probability=0.8, timestamp=NOON + DAY)])
    assert counted(store) == [[0, 0, 0], [0, 2, 0], [0, 0, 0]]


def test_labels_of_other_models_are_none_of_this_one(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8)], [label("a", model="other")])
    assert counted(store) == []


def test_the_newest_label_of_a_stream_is_known(store: Store) -> None:
    clock = Clock()
    ledger = open_ledger(store, clock)
    stream = StreamKey("m", "1", "production")
    ledger.commit([event("a"), event("b")])
    with store.read() as connection:
        assert newest_label(connection, stream) is None
    clock.advance(60)
    ledger.commit([], [label("a", timestamp=NOON + HOUR), label("b", timestamp=NOON)])
    with store.read() as connection:
        newest = newest_label(connection, stream)
    assert newest is not None
    assert (newest.latest_ts, newest.arrived_at) == (NOON + HOUR, NOON + 60_000_000)


def test_repeats_are_counted_in_the_window_of_the_prediction(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    ledger.commit([event("a", timestamp=NOON + 600_000_000, version="other"), event("a"), event("b"), event("b")])
    start = NOON // 1_000_000
    with store.read() as connection:
        assert duplicates_in(connection, StreamKey("m", "1", "production"), start, start + 300) == (3, 1)
        assert duplicates_in(connection, StreamKey("m", "other", "production"), *ALWAYS) == (0, 0)


def test_labels_that_wait_too_long_are_orphaned(store: Store) -> None:
    set_layout(store, BINARY)
    clock = Clock()
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", probability=0.8)], [label("a"), label("never")])
    clock.advance(100)
    ledger.commit([], [label("later")])
    assert give_up_labels(store, NOON + 50_000_000, 10) == 1
    with store.read() as connection:
        found = waiting_labels(connection, "m")
        ids = connection.execute(select(tables.label.c.prediction_id).order_by("prediction_id")).scalars().all()
    assert (found.waiting, found.orphaned, list(ids)) == (1, 1, ["a", "later"])
    assert give_up_labels(store, NOON + 50_000_000, 10) == 0


def test_what_was_labelled_before_there_was_a_layout_is_counted_in_it(store: Store) -> None:
    open_ledger(store).commit([event("a", probability=0.8, ground_truth="yes"), event("b", probability=0.1)])
    set_layout(store, BINARY)
    with store.read() as connection:
        assert stale_outcome_days(connection, "m", 1, *ALWAYS) == [NOON // DAY]
    assert backfill_profiles(store, "m", *ALWAYS) == 2, (
        "the profiles of the day, for the predicted scores, and its outcomes"
    )
    assert counted(store) == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert backfill_profiles(store, "m", *ALWAYS) == 0


@pytest.mark.parametrize("carry_first", [True, False])
def test_a_correction_of_what_an_older_layout_has_counted(store: Store, carry_first: bool) -> None:
    set_layout(store, CLASSES)
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8, ground_truth="maybe"), event("b", probability=0.8, ground_truth="no")])
    set_layout(store, BINARY)
    if carry_first:
        backfill_profiles(store, "m", *ALWAYS)
    ledger.commit([], [label("a", "yes", timestamp=NOON + 1)])
    backfill_profiles(store, "m", *ALWAYS)
    assert counted(store) == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_a_correction_while_a_day_is_counted_again_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a", probability=0.8, ground_truth="no"), event("b", probability=0.8, ground_truth="no")])
    set_layout(store, BINARY)
    corrected: list[bool] = []
    turn = Store.write

    def write(self: Store) -> object:
        if not corrected:
            corrected.append(True)
            ledger.commit([], [label("a", "yes", timestamp=NOON + 1)])
        return turn(self)

    monkeypatch.setattr(Store, "write", write)
    backfill_profiles(store, "m", *ALWAYS)
    assert corrected
    assert counted(store) == [[0, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_several_ledgers_at_once_join_every_label(store: Store) -> None:
    set_layout(store, BINARY)
    events = [event(f"{index}", probability=0.8) for index in range(120)]
    labels = [label(f"{index}", "yes" if index % 3 else "no", timestamp=NOON + index) for index in range(120)]

    def work(which: int) -> None:
        ledger = open_ledger(store, prefix=f"w{which}")
        for start in range(0, 120, 10):
            turn = (start + 40 * which) % 120
            ledger.commit(events[turn : turn + 10] if which % 2 else [], [] if which % 2 else labels[turn : turn + 10])

    threads = [threading.Thread(target=work, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert summed_outcomes(store) == joined(store, events, labels)


identities = st.sampled_from("abcdef")
predictions = st.builds(
    lambda identity, day, said, version, truth: event(
        identity,
        prediction=said,
        probability=0.7,
        version=version,
        timestamp=NOON + day * DAY,
        ground_truth=truth,
    ),
    identities,
    st.integers(0, 1),
    st.sampled_from(["yes", "no"]),
    st.sampled_from(["1", "2"]),
    st.sampled_from([None, None, "yes", "maybe"]),
)
truths = st.builds(
    lambda identity, value, minutes: label(identity, value, timestamp=NOON + minutes * 60_000_000),
    identities,
    st.sampled_from(["yes", "no", "maybe"]),
    st.integers(-5, 3_000),
)
step = st.one_of(
    st.tuples(st.just("commit"), st.lists(predictions, max_size=4), st.lists(truths, max_size=4)),
    st.tuples(st.just("layout"), st.sampled_from([BINARY, CLASSES]), st.sampled_from([None, None, "2"])),
    st.tuples(st.just("carry"), st.just(None), st.just(None)),
    st.tuples(st.just("fold"), st.just(None), st.just(None)),
    st.tuples(st.just("rotate"), st.just(None), st.just(None)),
)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.timeout(180)
@settings(max_examples=examples(60))
@given(st.lists(step, max_size=14))
def test_the_outcomes_equal_the_join_after_any_history(
    fresh_stores: FreshStores, kind: str, steps: list[tuple[str, object, object]]
) -> None:
    with fresh_stores.open(kind) as store:
        clock = Clock()
        ledgers = [open_ledger(store, clock, "x"), open_ledger(store, clock, "y")]
        sent: list[Prediction] = []
        told: list[GroundTruth] = []
        for number, (what, first, second) in enumerate(steps):
            if what == "commit":
                assert isinstance(first, list)
                assert isinstance(second, list)
                ledgers[number % 2].commit(first, second)
                sent += first
                told += second
                told += [
                    label(each.prediction_id, each.ground_truth, timestamp=each.timestamp)
                    for each in first
                    if each.ground_truth
                ]
            elif what == "layout":
                set_layout(store, first, version=second)  # type: ignore[arg-type]
            elif what == "carry":
                backfill_profiles(store, "m", *ALWAYS)
            elif what == "rotate":
                clock.advance(4_000)
            else:
                fold_all(store, clock() + 1)
        backfill_profiles(store, "m", *ALWAYS)
        assert summed_outcomes(store) == joined(store, sent, told)


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.timeout(180)
@settings(max_examples=examples(50))
@given(st.lists(predictions, max_size=8), st.lists(truths, max_size=10), st.integers(0, 2**32))
def test_order_and_repetition_make_no_difference(
    fresh_stores: FreshStores,
    kind: str,
    events: list[Prediction],
    labels: list[GroundTruth],
    order: int,
) -> None:
    """Predictions of one identity are the same prediction, as a client's retry is."""
    first = {(each.prediction_id, each.timestamp): each for each in reversed(events)}
    pieces: list[Prediction | GroundTruth] = [*first.values(), *first.values(), *labels, *labels]
    results = []
    for name in ("sorted", "shuffled"):
        if name == "shuffled":
            random.Random(order).shuffle(pieces)
        with fresh_stores.open(kind) as store:
            set_layout(store, BINARY)
            ledger = open_ledger(store)
            for piece in pieces:
                if isinstance(piece, Prediction):
                    ledger.commit([piece])
                else:
                    ledger.commit([], [piece])
            results.append(summed_outcomes(store))
    assert results[0] == results[1]
