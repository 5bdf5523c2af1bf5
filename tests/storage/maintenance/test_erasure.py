"""Erasing predictions: rows, labels and counts as if they had never come, whatever else happens."""

from __future__ import annotations

import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from modelwatch.errors import Conflict, UnknownResource
from modelwatch.events import GroundTruth, Prediction
from modelwatch.storage.alerts.audit import audit_page
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions import blocks
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import Erased, erase
from modelwatch.storage.references.layouts import read_layouts
from tests.support.background import new_id
from tests.support.events import ALWAYS, NOON, event, open_ledger, stored_and_counted
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, joined, label, set_layout, summed_outcomes
from tests.support.stores.privacy import KEY, opened_again, set_privacy, with_keys
from tests.support.stores.stored import X, erased, fold_all, set_reference

DAY = 86_400_000_000
MODEL_DAY = NOON // DAY


both_engines = pytest.mark.both_engines


@pytest.fixture
def store(store: Store) -> Store:
    return with_keys(store, KEY)


def profiles(store: Store) -> dict[str, tuple[int, list[int]]]:
    """By version, predictions and all counts of the present generation; versions without any are left out."""
    backfill_profiles(store, "m", *ALWAYS)
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
    assert all((slot.counts >= 0).all() for slot in sums.values())
    return {name: (slot.predictions, slot.counts.tolist()) for name, slot in sums.items() if slot.counts.any()}


def expected(store: Store, events: list[Prediction]) -> dict[str, tuple[int, list[int]]]:
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
    found = {}
    for version in {each.model_version for each in events}:
        members = [each for each in events if each.model_version == version]
        counts = layouts.of(version).count(members)
        if counts.any():
            found[version] = (len(members), counts.tolist())
    return found


@both_engines
def test_nothing_is_left_of_an_erased_prediction(store: Store) -> None:
    set_reference(store)
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    stays = event("stays", {"x": 3.0, "c": "a"}, probability=0.7)
    ledger.commit([stays], [label("stays")])
    before = profiles(store), summed_outcomes(store)
    ledger.commit([event("goes", {"x": 50.0, "c": "zz"}, probability=0.2)], [label("goes", "no")])
    assert erased(store, "goes") == Erased((MODEL_DAY,), 1, ())
    assert (profiles(store), summed_outcomes(store)) == before
    assert stored_and_counted(store) == (1, 1)
    with store.read() as connection:
        assert connection.execute(select(tables.label.c.prediction_id)).scalars().all() == ["stays"]


@both_engines
def test_erasing_again_finds_nothing(store: Store) -> None:
    open_ledger(store).commit([event("a")])
    erased(store, "a")
    for identity in ("a", "never"):
        with pytest.raises(UnknownResource):
            erased(store, identity)
    with pytest.raises(UnknownResource):
        erase(store, "unknown", "a", actor="t", now=NOON, new_id=new_id)
    assert stored_and_counted(store) == (0, 0)


@both_engines
def test_the_same_id_sent_again_counts_as_new(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a")])
    erased(store, "a")
    assert ledger.commit([event("a")]).accepted == [True]
    assert stored_and_counted(store) == (1, 1)


@both_engines
def test_a_waiting_label_is_erased(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("other")], [label("a")])
    assert erased(store, "a") == Erased((), 1, ())
    assert ledger.commit([event("a")], [label("a")]).labels == ["accepted"]


@both_engines
def test_an_id_of_several_days_goes_from_all_of_them_or_from_one(store: Store) -> None:
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    for day in range(3):
        ledger.commit([event("a", timestamp=NOON + day * DAY)])
    ledger.commit([], [label("a")])
    assert erased(store, "a", day=MODEL_DAY + 1) == Erased((MODEL_DAY + 1,), 0, ())
    assert stored_and_counted(store) == (2, 2)
    with pytest.raises(UnknownResource):
        erased(store, "a", day=MODEL_DAY + 1)
    assert erased(store, "a") == Erased((MODEL_DAY, MODEL_DAY + 2), 1, ())
    assert stored_and_counted(store) == (0, 0)
    assert summed_outcomes(store) == {}


def test_repeats_of_an_erased_prediction_stay_counted(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([event("a"), event("b")])
    ledger.commit([event("a")])
    erased(store, "a")
    with store.read() as connection:
        assert connection.execute(select(func.sum(tables.profile.c.duplicates))).scalar() == 1


@both_engines
class TestWhatIsNotStored:
    def test_refuses_to_erase_inexactly_and_does_so_when_told_to(self, store: Store) -> None:
        set_reference(store)
        set_privacy(store, features={"x": "drop"})
        ledger = open_ledger(store)
        ledger.commit([event("a", {"x": 3.0, "c": "a"})], [label("a")])
        before = profiles(store)
        with pytest.raises(Conflict, match=r"values of x are not stored.*leave_counts=true"):
            erased(store, "a")
        assert profiles(store) == before, "nothing has changed"
        assert stored_and_counted(store) == (1, 1)
        assert erased(store, "a", leave_counts=True) == Erased((MODEL_DAY,), 1, ("x",))
        with store.read() as connection:
            layout = read_layouts(connection, "m", 1).common
        [(predictions, counts)] = profiles(store).values()
        assert predictions == 0
        assert sum(counts) == sum(counts[layout.slices[X]]) == 1, "only the dropped feature is left"

    def test_is_in_no_count_after_a_new_reference_so_erasing_is_exact(self, store: Store) -> None:
        set_reference(store)
        set_privacy(store, store="profiles")
        open_ledger(store).commit([event("a", {"x": 3.0, "c": "a"})])
        set_reference(store, 2.0)
        assert erased(store, "a") == Erased((MODEL_DAY,), 0, ())
        assert profiles(store) == {}

    def test_of_an_encrypted_value_whose_key_is_gone(self, store: Store) -> None:
        set_reference(store)
        set_privacy(store, features={"x": "encrypt"})
        open_ledger(store).commit([event("a", {"x": 3.0, "c": "a"})])
        keys, store.protection = store.protection, type(store.protection)()
        with pytest.raises(Conflict, match="values of c, x are not stored"):
            erased(store, "a")
        store.protection = keys
        assert erased(store, "a").counts_left == ()


def test_the_trail_tells_of_it_without_the_id_and_the_values(store: Store) -> None:
    open_ledger(store).commit([event("person-77", {"x": 12345.5})])
    erased(store, "person-77")
    with store.read() as connection:
        [entry] = audit_page(connection, action="prediction.erase", limit=10)
    assert (entry.target, entry.actor) == ("model/m", "test")
    assert json.loads(entry.detail)["predictions"] == 1
    assert "person-77" not in entry.detail
    assert "12345" not in entry.detail


CANARIES = (b"canary-category", b"canary-prediction")


def test_no_byte_of_an_erased_value_is_left_in_the_files(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(store)

    def batch(start: int, mark: str = "plain") -> list[Prediction]:
        features = {"c": f"{mark}-category", "long": f"{mark}-category" * 200}
        return [event(f"{number}", features, prediction=f"{mark}-prediction") for number in range(start, start + 50)]

    # As rows: what a block leaves behind is looked for in test_blocks.py.
    monkeypatch.setattr(blocks, "FEWEST_ROWS", 1_000)
    for start in range(0, 500, 50):
        ledger.commit(batch(start))
    ledger.commit(batch(500, "canary"))
    ledger.commit(batch(550))
    files = [tmp_path / name for name in ("modelwatch.db", "modelwatch.db-wal")]
    assert all(any(canary in path.read_bytes() for path in files) for canary in CANARIES)
    for number in range(500, 550):
        erased(store, str(number))
    for path in files:
        content = path.read_bytes()
        assert not [canary for canary in CANARIES if canary in content], path.name


@both_engines
def test_erasing_while_others_store_label_fold_and_set_references_is_exact(store: Store) -> None:
    set_layout(store, BINARY)
    set_reference(store)
    stop = threading.Event()

    def others(number: int) -> None:
        own = opened_again(store, KEY)
        ledger = open_ledger(own, prefix=f"w{number}-{uuid.uuid4().hex[:6]}")
        turn = 0
        # Without a pause they would leave whoever erases no turn: nobody waits for a disk here.
        while not stop.wait(0.01):
            turn += 1
            batch = [
                event(f"{number}-{turn}-{index}", {"x": float(index), "c": "ab"[index % 2]}, probability=0.6)
                for index in range(5)
            ]
            ledger.commit(batch, [label(each.prediction_id, "no") for each in batch[:2]])
            if turn % 7 == 0:
                set_reference(own, float(turn))
            if turn % 5 == 0:
                fold_all(own, NOON + 1)
        own.close()

    gone: list[str] = []
    table = tables.prediction
    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(others, number) for number in range(2)]
        try:
            while len(gone) < 40 and not any(each.done() for each in working):
                with store.read() as connection:
                    oldest = select(table.c.prediction_id).order_by(table.c.arrived_at).limit(3)
                    identities = list(connection.execute(oldest).scalars())
                for identity in identities:
                    erased(store, identity)
                    gone.append(identity)
        finally:
            stop.set()
        for each in working:
            each.result()
    backfill_profiles(store, "m", *ALWAYS)
    with store.read() as connection:
        left = set(connection.execute(select(tables.prediction.c.prediction_id)).scalars())
    assert not left & set(gone)
    events = [
        event(identity, {"x": float(index), "c": "ab"[index % 2]}, probability=0.6)
        for identity in left
        for index in [int(identity.rpartition("-")[2])]
    ]
    assert profiles(store) == expected(store, events)
    labels = [label(each.prediction_id, "no") for each in events if each.prediction_id.endswith(("-0", "-1"))]
    assert summed_outcomes(store) == joined(store, events, labels)


numbers = st.integers(0, 15)
step = st.one_of(
    st.tuples(st.just("commit"), st.lists(numbers, min_size=1, max_size=5)),
    st.tuples(st.just("label"), numbers, st.sampled_from(["yes", "no"])),
    st.tuples(st.just("erase"), numbers),
    st.tuples(st.just("privacy"), st.sampled_from(["keep", "encrypt"]), st.sampled_from(["keep", "encrypt", "hash"])),
    st.tuples(st.just("reference"), st.sampled_from([1.0, 3.0])),
    st.tuples(st.just("layout")),
    st.tuples(st.just("carry")),
    st.tuples(st.just("fold")),
)


@pytest.mark.parametrize("kind_of_store", ENGINES)
@settings(max_examples=examples(30))
@given(st.lists(step, max_size=14))
def test_after_any_history_the_counts_are_those_of_what_is_left(
    fresh_stores: FreshStores, kind_of_store: str, steps: list[tuple[Any, ...]]
) -> None:
    with fresh_stores.open(kind_of_store) as store:
        play(with_keys(store, KEY), steps)


def play(store: Store, steps: list[tuple[Any, ...]]) -> None:
    """Does the steps and compares what is counted with what must be."""
    ledger = open_ledger(store)
    events: dict[str, Prediction] = {}
    labels: list[GroundTruth] = []
    clock = NOON
    for kind, *rest in steps:
        if kind == "commit":
            batch = [
                event(
                    str(number),
                    {"x": float(number) if number % 4 else None, "c": "abc"[number % 3]},
                    version=str(number % 2),
                    timestamp=NOON + number * 7_200_000_000,
                    probability=number / 20,
                )
                for number in rest[0]
            ]
            ledger.commit(batch)
            events |= {each.prediction_id: each for each in batch}
        elif kind == "label":
            clock += 1
            given_label = label(str(rest[0]), rest[1], timestamp=clock)
            ledger.commit([], [given_label])
            labels.append(given_label)
        elif kind == "erase":
            known = str(rest[0]) in events or any(each.prediction_id == str(rest[0]) for each in labels)
            if known:
                assert erased(store, str(rest[0])).counts_left == ()
            else:
                with pytest.raises(UnknownResource):
                    erased(store, str(rest[0]))
            events.pop(str(rest[0]), None)
            labels = [each for each in labels if each.prediction_id != str(rest[0])]
        elif kind == "privacy":
            set_privacy(store, features={"x": rest[0], "c": rest[1]})
        elif kind == "reference":
            set_reference(store, rest[0])
        elif kind == "layout":
            set_layout(store, BINARY)
        elif kind == "carry":
            backfill_profiles(store, "m", *ALWAYS)
        else:
            fold_all(store, NOON + 1)
    assert profiles(store) == expected(store, list(events.values()))
    assert summed_outcomes(store) == joined(store, events.values(), labels)
    assert stored_and_counted(store) == (len(events), len(events))
