"""What a new reference means for what was received before it."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles, stale_days
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import in_force, set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import ALWAYS, NOON, event, open_ledger, stored_and_counted
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.stored import fold_all

pytestmark = pytest.mark.both_engines

X, Y = Subject("feature", "x"), Subject("feature", "y")


def reference(
    store: Store, *, version: str | None = None, step: float = 1.0, subjects: tuple[Subject, ...] = (X,)
) -> None:
    profiles = {}
    for subject in subjects:
        values = (np.arange(500.0) * step).tolist() if subject == X else ["a", "b"] * 50
        binning = numeric_binning(np.array(values)) if subject == X else categorical_binning(values)
        profiles[subject] = Profile.of(binning, values)
    set_references(store, "m", version, profiles, source="test", now=NOON, new_id=lambda: uuid.uuid4().hex)


def summed(store: Store) -> dict[str, dict[Subject, list[int]]]:
    """By version, what the profiles of the present generation say of each subject."""
    with store.read() as connection:
        generation = generation_of(connection, "m")
        assert generation is not None
        layouts = read_layouts(connection, "m", generation)
        [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
    return {
        version: {subject: slot.counts[place].tolist() for subject, place in layouts.of(version).slices.items()}
        for version, slot in sums.items()
    }


def recounted(store: Store, events: list[Prediction]) -> dict[str, dict[Subject, list[int]]]:
    """The same, straight from the events."""
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
    result: dict[str, dict[Subject, list[int]]] = {}
    for version in {each.model_version for each in events}:
        layout = layouts.of(version)
        counts = layout.count([each for each in events if each.model_version == version])
        result[version] = {subject: counts[place].tolist() for subject, place in layout.slices.items()}
    return result


def test_what_came_before_a_reference_is_counted_in_its_bins(store: Store) -> None:
    events = [event(f"{index}", {"x": float(index)}) for index in range(50)]
    open_ledger(store).commit(events)
    reference(store)
    assert backfill_profiles(store, "m", *ALWAYS) == 1
    assert summed(store) == recounted(store, events)
    assert stored_and_counted(store) == (50, 50)


def test_carrying_over_again_changes_nothing(store: Store) -> None:
    open_ledger(store).commit([event("a")])
    reference(store)
    backfill_profiles(store, "m", *ALWAYS)
    before = summed(store)
    assert backfill_profiles(store, "m", *ALWAYS) == 0
    assert summed(store) == before


def test_a_subject_whose_binning_stays_keeps_its_counts(store: Store) -> None:
    """A second feature's reference must not depend on the rows of the first: they may be gone by then."""
    reference(store)
    ledger = open_ledger(store)
    ledger.commit([event("a", {"x": 3.0, "y": "a"})])
    kept = summed(store)["1"][X]
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE prediction SET features = '{}'")
    reference(store, subjects=(Y,))
    backfill_profiles(store, "m", *ALWAYS)
    assert summed(store)["1"][X] == kept


def test_only_the_days_asked_for_are_carried_over(store: Store) -> None:
    day = 86_400_000_000
    open_ledger(store).commit([event("a"), event("b", timestamp=NOON - 3 * day)])
    reference(store)
    assert backfill_profiles(store, "m", NOON // 1_000_000 - 86_400, NOON // 1_000_000 + 86_400) == 1
    with store.read() as connection:
        assert stale_days(connection, "m", 1, *ALWAYS) == [(NOON - 3 * day) // day]


def test_a_version_with_a_reference_of_its_own_is_counted_in_it(store: Store) -> None:
    events = [event("a", {"x": 7.0}), event("b", {"x": 7.0}, version="2")]
    open_ledger(store).commit(events)
    reference(store)
    reference(store, version="2", step=100.0)
    backfill_profiles(store, "m", *ALWAYS)
    assert summed(store) == recounted(store, events)
    assert summed(store)["1"][X] != summed(store)["2"][X]


def test_a_replaced_reference_is_retired(store: Store) -> None:
    reference(store)
    reference(store, step=2.0)
    with store.read() as connection:
        assert [each.state for each in in_force(connection, "m")] == ["active"]
        assert [each.state for each in in_force(connection, "m", 1)] == ["retired"]


step = st.one_of(
    st.tuples(st.just("commit"), st.lists(st.integers(0, 40), min_size=1, max_size=6)),
    st.tuples(st.just("reference"), st.sampled_from([(X,), (Y,), (X, Y)]), st.sampled_from([1.0, 3.0])),
    st.tuples(st.just("carry")),
    st.tuples(st.just("fold")),
)


@pytest.mark.parametrize("kind", ENGINES)
@given(st.lists(step, max_size=12))
def test_profiles_equal_a_recount_of_the_rows_after_any_history(
    fresh_stores: FreshStores, kind: str, steps: list[tuple[object, ...]]
) -> None:
    with fresh_stores.open(kind) as store:
        ledger = open_ledger(store)
        events: dict[str, Prediction] = {}
        for kind, *rest in steps:
            if kind == "commit":
                batch = [
                    event(
                        str(number),
                        {"x": float(number), "y": "abc"[number % 3]},
                        version=str(number % 2),
                        timestamp=NOON + number * 7_200_000_000,
                    )
                    for number in rest[0]  # type: ignore[attr-defined]
                ]
                ledger.commit(batch)
                events |= {each.prediction_id: each for each in batch}
            elif kind == "reference":
                reference(store, subjects=rest[0], step=rest[1])  # type: ignore[arg-type]
            elif kind == "carry":
                backfill_profiles(store, "m", *ALWAYS)
            else:
                fold_all(store, NOON + 1)
        backfill_profiles(store, "m", *ALWAYS)
        if events:
            assert summed(store) == recounted(store, list(events.values()))
            assert stored_and_counted(store) == (len(events), len(events))
