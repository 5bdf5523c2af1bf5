"""What expires, what stays, and that nothing which has expired counts again."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, func, or_, select

from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.counts.outcomes import waiting_labels
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.rollup_levels import Grain
from modelwatch.storage.counts.volumes import has_taken_provisional
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.ledger.predictions.rows import in_sample
from modelwatch.storage.ledger.slots import OutcomeSlot
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.maintenance.retention import expire_days, remove_predictions, remove_windows
from modelwatch.storage.maintenance.rollup import roll_up
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_provisional_references, set_references
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import MICROS_PER_SECOND
from tests.support.events import ALWAYS, NOON, Clock, event, numbered, open_ledger, stored_and_counted
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, CLASSES, label, set_layout, summed_outcomes
from tests.support.stores.stored import fold_all

pytestmark = pytest.mark.both_engines

DAY = 86_400
TODAY = NOON // 1_000_000 // DAY


def at(day: int, number: int = 0) -> int:
    """A time on a day, counted from today, in microseconds."""
    return NOON + day * DAY * MICROS_PER_SECOND + number


def expire(store: Store, now: int, kept: int = 30, model: str = "m") -> tuple[int, ...]:
    """Removes what has expired, as the background job does; returns the days."""
    day = now // MICROS_PER_SECOND // DAY - kept
    expired = expire_days(store, model, day=day, arrived_before=now - kept * DAY * MICROS_PER_SECOND)
    for each in expired.days:
        while remove_predictions(store, model, each, 3):
            pass
    return expired.days


def rows(store: Store, name: str) -> int:
    with store.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.metadata.tables[name])).scalar_one()


def test_predictions_expire_with_their_labels_and_what_they_counted_stays(store: Store) -> None:
    set_layout(store, BINARY)
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    old = [event(f"old-{number}", timestamp=at(0, number)) for number in range(10)]
    ledger.commit(old, [label(f"old-{number}") for number in range(10)])
    before = summed_outcomes(store)
    clock.advance(31 * DAY)
    ledger.commit([event("new", timestamp=at(31))], [label("new", timestamp=at(31))])

    assert expire(store, clock()) == (TODAY,)
    assert stored_and_counted(store) == (1, 11)
    assert rows(store, "label") == 1
    assert sum(summed_outcomes(store)["1"]) > sum(before["1"])


def test_a_repeat_of_what_has_expired_is_not_taken_and_not_counted(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    first = event("a", timestamp=at(0))
    ledger.commit([first])
    clock.advance(31 * DAY)
    expire(store, clock())
    outcome = ledger.commit([first, event("b", timestamp=at(31)), event("c", timestamp=at(0), ground_truth="yes")])
    assert outcome.accepted == [None, True, None]
    assert stored_and_counted(store) == (1, 2)
    assert rows(store, "label") == 0


def test_a_replayed_history_is_kept_for_as_long_as_fresh_predictions(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(-4_000))])
    clock.advance(29 * DAY)
    assert expire(store, clock()) == ()
    ledger.commit([event("b", timestamp=at(-4_000))])
    clock.advance(29 * DAY)
    assert expire(store, clock()) == ()
    clock.advance(2 * DAY)
    assert expire(store, clock()) == (TODAY - 4_000,)
    assert ledger.commit([event("c", timestamp=at(-3_999))]).accepted == [True]


def test_a_day_that_something_still_comes_for_holds_back_the_later_ones_alone(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event(f"{day}", timestamp=at(day)) for day in (-3, -2, -1)])
    clock.advance(20 * DAY)
    ledger.commit([event("late", timestamp=at(-2))])
    clock.advance(20 * DAY)
    assert expire(store, clock()) == (TODAY - 3,)
    assert stored_and_counted(store) == (3, 4)


def test_each_model_expires_by_itself(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a"), event("a", model="other")])
    clock.advance(31 * DAY)
    expire(store, clock())
    assert stored_and_counted(store) == (0, 1)
    assert stored_and_counted(store, "other") == (1, 1)
    assert ledger.commit([event("b"), event("b", model="other")]).accepted == [None, True]


def test_the_label_of_another_day_s_prediction_of_the_same_id_stays(store: Store) -> None:
    set_layout(store, BINARY)
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(0))], [label("a")])
    clock.advance(31 * DAY)
    ledger.commit([event("a", timestamp=at(31))])
    expire(store, clock())
    assert rows(store, "label") == 1
    ledger.commit([], [label("a", "no", timestamp=at(32))])
    # The expired one keeps the label that it was counted with; the other one has the new one.
    assert summed_outcomes(store)["1"] != []


def test_a_label_from_before_what_is_kept_does_not_wait_for_its_prediction(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(0))])
    clock.advance(31 * DAY)
    expire(store, clock())
    old, fresh = label("a", timestamp=at(0)), label("b", timestamp=at(31))
    assert ledger.commit([], [old, fresh]).labels == ["expired", "waiting"]
    with store.read() as connection:
        found = waiting_labels(connection, "m")
        assert (found.waiting, found.orphaned, found.expired) == (1, 0, 1)
        assert connection.execute(select(tables.model.c.expired_labels)).scalar_one() == 1


def test_outcomes_whose_predictions_have_expired_keep_the_layout_that_they_have(store: Store) -> None:
    set_layout(store, BINARY)
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(0))], [label("a")])
    clock.advance(31 * DAY)
    ledger.commit([event("b", timestamp=at(31))], [label("b", timestamp=at(31))])
    expire(store, clock())
    set_layout(store, CLASSES)
    assert backfill_profiles(store, "m", *ALWAYS) > 0
    assert backfill_profiles(store, "m", *ALWAYS) == 0
    assert rows(store, "outcome") == 2
    with store.read() as connection:
        generations = connection.execute(select(tables.outcome.c.generation).distinct()).scalars().all()
    assert len(generations) == 2


@pytest.fixture
def closed_uncarried(store: Store) -> Ledger:
    """Of one labelled prediction, of a day that expired before a new layout reached it; its row is left."""
    set_layout(store, BINARY)
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(0), probability=0.8)], [label("a", "yes")])
    set_layout(store, CLASSES)
    clock.advance(31 * DAY)
    expired = expire_days(store, "m", day=TODAY + 1, arrived_before=at(1))
    assert expired.days == (TODAY,)
    return ledger


def test_a_correction_takes_nothing_back_from_a_layout_that_never_counted_it(
    store: Store, closed_uncarried: Ledger
) -> None:
    closed_uncarried.commit([], [label("a", "no", timestamp=at(0, 1))])
    assert all(cell >= 0 for counts in summed_outcomes(store).values() for cell in counts)


def test_nor_does_erasing(store: Store, closed_uncarried: Ledger) -> None:
    erase(store, "m", "a", actor="t", now=NOON, new_id=numbered("audit"))
    assert summed_outcomes(store) == {}
    assert stored_and_counted(store) == (0, 0)


def test_a_window_is_removed_whole_or_not_at_all(store: Store) -> None:
    """What an erasure takes back, and a segment counted again, have no arrival of their own."""
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(-4_000)), event("b", timestamp=at(-4_000))])
    erase(store, "m", "a", actor="t", now=NOON, new_id=numbered("audit"))
    assert remove_windows(store, "m", at(-365) // MICROS_PER_SECOND, 10) == 0
    assert stored_and_counted(store) == (1, 1)
    assert remove_windows(store, "m", at(1) // MICROS_PER_SECOND, 10) == 2
    assert rows(store, "profile") == 0


def test_what_an_erasure_takes_back_goes_with_what_was_counted(store: Store) -> None:
    """A prediction that came late, to a window that had been rolled up, is in a smaller window; what erasing it takes
    back has been rolled up since."""
    set_layout(store, BINARY)
    clock = Clock(at(-390))
    past = open_ledger(store, clock, prefix="past")
    past.commit([event("past", timestamp=at(-400))], [label("past", timestamp=at(-400))])
    past.close()
    fold_all(store)
    clock.now = at(0)
    live = open_ledger(store, clock, prefix="live")
    late = ["goes", "stays"]
    live.commit([event(each, timestamp=at(-400)) for each in late], [label(each, timestamp=at(0)) for each in late])
    counted = stored_and_counted(store), summed_outcomes(store)
    erase(store, "m", "goes", actor="t", now=at(0), new_id=numbered("audit"))
    roll_up(
        store,
        StreamKey("m", "1", "production"),
        Grain.of(at(-30) // MICROS_PER_SECOND, at(-30) // MICROS_PER_SECOND),
        most=99,
    )
    left = stored_and_counted(store), summed_outcomes(store)
    assert left != counted

    assert newest_arrivals(store) == {("profile", "*"): at(0), ("outcome", "*"): at(0)} | {
        ("profile", live.writer): at(0),
        ("outcome", live.writer): at(0),
    }
    assert remove_windows(store, "m", at(-365 + 1) // MICROS_PER_SECOND, 1) == 0
    assert (stored_and_counted(store), summed_outcomes(store)) == left
    assert remove_windows(store, "m", at(1) // MICROS_PER_SECOND, 1) == 2
    assert remove_windows(store, "m", at(1) // MICROS_PER_SECOND, 1) == 2
    assert (rows(store, "profile"), rows(store, "outcome")) == (0, 0)


def newest_arrivals(store: Store) -> dict[tuple[str, str], int]:
    """By table and writer."""
    found = {}
    with store.read() as connection:
        for table in (tables.profile, tables.outcome):
            for row in connection.execute(
                select(table.c.writer, func.max(table.c.arrived_at)).group_by(table.c.writer)
            ):
                found[table.name, row[0]] = row[1]
    return found


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.just("label"), st.integers(0, 3), st.integers(0, 1)),
        st.tuples(st.just("erase"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("fold"), st.just(0), st.just(0)),
        st.tuples(st.just("roll"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 20), st.just(0)),
        st.tuples(st.just("remove"), st.just(0), st.just(0)),
    ),
    min_size=4,
    max_size=25,
)


@pytest.mark.parametrize("kind", ENGINES)
@given(steps=STEPS)
@settings(max_examples=examples(20), deadline=None)
def test_the_counts_of_a_day_are_there_as_a_whole_or_not_at_all(
    fresh_stores: FreshStores, kind: str, steps: list[tuple[str, int, int]]
) -> None:
    """Whatever comes late, and is labelled, erased, folded and rolled up in between."""
    with fresh_stores.open(kind) as store:
        set_layout(store, BINARY)
        clock = Clock(at(20))
        ledger = open_ledger(store, clock)
        stored: dict[str, int] = {}  # by id, the day
        counted: dict[str, int] = {}
        labelled: dict[str, int] = {}
        for step, number, more in steps:
            identity, day = f"id-{number}", -12 * (number % 2)
            if step == "send":
                sent = event(identity, timestamp=at(day, more * 3_600 * MICROS_PER_SECOND))
                if ledger.commit([sent]).accepted == [True]:
                    stored[identity] = counted[identity] = day
            elif step == "label" and identity in stored:
                ledger.commit([], [label(identity, ["yes", "no"][more], timestamp=clock())])
                labelled[identity] = day
            elif step == "erase" and identity in stored:
                erase(store, "m", identity, actor="t", now=clock(), new_id=lambda: uuid.uuid4().hex)
                for each in (stored, counted, labelled):
                    each.pop(identity, None)
            elif step == "fold":
                ledger.close()
                fold_all(store)
                ledger = open_ledger(store, clock, prefix=uuid.uuid4().hex)
            elif step == "roll":
                edge = clock() // MICROS_PER_SECOND
                roll_up(store, StreamKey("m", "1", "production"), Grain.of(edge, edge if number else 0), most=999)
            elif step == "wait":
                clock.advance(number * DAY)
            elif step == "remove" and generation_of_m(store):
                gone = {each - TODAY for each in expire(store, clock(), kept=20)}
                stored = {name: day for name, day in stored.items() if day not in gone}
                while remove_windows(store, "m", clock() // MICROS_PER_SECOND - 25 * DAY, 3):
                    pass
                # Which days have gone is read from the store; that nothing of them is left, or all, is what is tested.
                counted = {name: day for name, day in counted.items() if day_counts(store, tables.profile).get(day)}
                labelled = {name: day for name, day in labelled.items() if day_counts(store, tables.outcome).get(day)}
            assert day_counts(store, tables.profile) == Counter(counted.values())
            assert day_counts(store, tables.outcome) == Counter(labelled.values())


def generation_of_m(store: Store) -> int | None:
    with store.read() as connection:
        return generation_of(connection, "m")


def day_counts(store: Store, table: Table) -> Counter[int]:
    """By day, counted from today, how many predictions profiles or outcomes hold; days without any are left out."""
    confusion = BINARY.parts["confusion"].place
    found: Counter[int] = Counter()
    with store.read() as connection:
        for row in connection.execute(select(table)):
            number = row.predictions if table is tables.profile else OutcomeSlot.of_row(row).counts[confusion].sum()
            found[row.window_start // DAY - TODAY] += int(number)
    return Counter({day: number for day, number in found.items() if number})


def test_windows_are_removed_by_their_age_and_by_when_they_came(store: Store) -> None:
    clock = Clock(at(0))
    ledger = open_ledger(store, clock)
    ledger.commit([event("a", timestamp=at(-4_000)), event("b", timestamp=at(0))])
    assert remove_windows(store, "m", at(0) // MICROS_PER_SECOND, 10) == 0
    assert remove_windows(store, "m", at(1) // MICROS_PER_SECOND, 10) == 2
    assert rows(store, "profile") == 0


X = Subject("feature", "x")


def numbers(size: int) -> Profile:
    values = [float(value) for value in range(size)]
    return Profile.of(numeric_binning(values), values)


def sampled(store: Store, rate: float) -> Ledger:
    """A ledger that keeps the features of a share, of a model that has its first reference."""
    set_references(store, "m", None, {X: numbers(40)}, source="t", now=NOON, new_id=numbered("r"))
    set_provisional_references(store, "m", {}, now=NOON, new_id=numbered("p"))
    with store.read() as connection:
        assert has_taken_provisional(connection, "m")
    return Ledger(store, clock=Clock(), new_id=numbered("w"), host="test", rotation_seconds=3_600, sample_rate=rate)


def many(size: int) -> list[Prediction]:
    return [event(f"id-{number}", {"x": float(number % 40)}) for number in range(size)]


def with_features(store: Store) -> set[str]:
    table = tables.prediction
    with store.read() as connection:
        in_row, in_block = table.c.features.is_not(None), table.c.block.is_not(None)
        kept = select(table.c.prediction_id).where(or_(in_row, in_block))
        return set(connection.execute(kept).scalars())


def test_every_prediction_is_counted_and_a_sample_keeps_its_features(store: Store) -> None:
    sampled(store, 0.25).commit(many(400))
    assert stored_and_counted(store) == (400, 400)
    assert with_features(store) == {
        each.prediction_id for each in many(400) if in_sample("m", each.prediction_id, 0.25)
    }
    assert 60 <= len(with_features(store)) <= 140


def test_all_features_are_kept_until_the_first_reference_has_been_taken(store: Store) -> None:
    ledger = Ledger(store, clock=Clock(), new_id=numbered(), host="test", rotation_seconds=3_600, sample_rate=0.0)
    ledger.commit(many(20))
    assert len(with_features(store)) == 20


def test_what_is_not_in_the_sample_is_left_out_of_the_cells_of_a_later_reference(store: Store) -> None:
    sampled(store, 0.25).commit(many(400))
    kept = len(with_features(store))
    set_references(store, "m", None, {X: numbers(80)}, source="t", now=NOON, new_id=numbered("s"))
    backfill_profiles(store, "m", *ALWAYS)
    assert stored_and_counted(store) == (400, 400)
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
    assert sums["1"].counts[layouts.of("1").slices[X]].sum() == kept


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_sample_is_of_the_asked_share_and_grows_with_it(rate: float) -> None:
    ids = [f"id-{number}" for number in range(5_000)]
    sample = {identity for identity in ids if in_sample("m", identity, rate)}
    assert abs(len(sample) / len(ids) - rate) < 0.03
    assert sample <= {identity for identity in ids if in_sample("m", identity, min(1.0, rate + 0.1))}
