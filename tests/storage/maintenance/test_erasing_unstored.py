"""Erasing where values may not be stored: exact, or refused with nothing changed, or with known counts left."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.errors import Conflict
from modelwatch.stats.counting.binning import NumericBinning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine.models import generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.ledger import Ledger
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import ALWAYS, NOON, event, open_ledger, stored_and_counted
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.privacy import KEY, set_privacy, with_keys
from tests.support.stores.stored import fold_all

X = Subject("feature", "x")


def binning_of(step: int) -> NumericBinning:
    return numeric_binning(np.arange(50.0) * step)


@dataclass
class World:
    """A store, and what must be in it. left: values that stay in the counts of the cells in force without a row."""

    store: Store
    ledger: Ledger
    treatment: str = "keep"
    step: int = 0
    rows: dict[str, tuple[float, str, int]] = field(default_factory=dict)
    left: list[float] = field(default_factory=list)

    def commit(self, numbers: list[int]) -> None:
        batch = [event(str(number), {"x": float(number)}, timestamp=NOON + number * 60_000_000) for number in numbers]
        self.ledger.commit(batch)
        for each in batch:
            self.rows.setdefault(each.prediction_id, (float(each.prediction_id), self.treatment, self.step))

    def treat(self, treatment: str) -> None:
        self.treatment = treatment
        set_privacy(self.store, features={"x": treatment})

    def refer(self) -> None:
        """Cells that were never there before."""
        self.step += 1
        self.left.clear()
        binning = binning_of(self.step)
        profile = Profile.of(binning, [0.0, 1.0])
        set_references(self.store, "m", None, {X: profile}, source="t", now=NOON, new_id=lambda: uuid.uuid4().hex)

    def erase(self, number: int) -> None:
        row = self.rows.get(str(number))
        if row is None:
            return
        value, treatment, step = row
        unknown = treatment in ("drop", "hash") and step == self.step > 0
        if unknown:
            before = self.counted()
            with pytest.raises(Conflict):
                self._erase(number)
            assert self.counted() == before
            self.left.append(value)
        assert self._erase(number, leave_counts=unknown) == (("x",) if unknown else ())
        del self.rows[str(number)]

    def _erase(self, number: int, **options: Any) -> tuple[str, ...]:
        new_id = lambda: uuid.uuid4().hex  # noqa: E731
        return erase(self.store, "m", str(number), actor="t", now=NOON, new_id=new_id, **options).counts_left

    def counted(self) -> list[int]:
        backfill_profiles(self.store, "m", *ALWAYS)
        with self.store.read() as connection:
            layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
            [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
        return [int(count) for count in sums["1"].counts] if sums else []

    def check(self) -> None:
        counted = self.counted()
        assert stored_and_counted(self.store) == (len(self.rows), len(self.rows))
        if self.step and counted:
            values = [
                value
                for value, treatment, step in self.rows.values()
                if step == self.step or treatment not in ("drop", "hash")
            ]
            assert counted == binning_of(self.step).count([*values, *self.left]).tolist()


step = st.one_of(
    st.tuples(st.just("commit"), st.lists(st.integers(0, 12), min_size=1, max_size=5)),
    st.tuples(st.just("erase"), st.integers(0, 12)),
    st.tuples(st.just("treat"), st.sampled_from(["keep", "encrypt", "hash", "drop"])),
    st.tuples(st.just("refer")),
    st.tuples(st.just("check")),
    st.tuples(st.just("fold")),
)


@pytest.mark.parametrize("kind", ENGINES)
@settings(max_examples=examples(40))
@given(st.lists(step, max_size=14))
def test_counts_are_those_of_the_rows_and_of_what_was_left(
    fresh_stores: FreshStores, kind: str, steps: list[tuple[Any, ...]]
) -> None:
    with fresh_stores.open(kind) as store:
        world = World(with_keys(store, KEY), open_ledger(store))
        for name, *given_arguments in steps:
            if name == "fold":
                fold_all(store, NOON + 1)
            else:
                getattr(world, name)(*given_arguments)
        world.check()


def test_the_log_is_emptied_once_no_reader_needs_it(store: Store) -> None:
    open_ledger(store).commit([event("a")])
    with store.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM prediction").scalar()
        open_ledger(store, prefix="b").commit([event("b")])
        assert not store.empty_log()
    assert store.empty_log()


@pytest.mark.parametrize("before", ["OFF", "ON", "FAST"])
def test_deleting_without_remnants_leaves_the_connection_as_it_was(store: Store, before: str) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(f"PRAGMA secure_delete={before}")
        asked = connection.exec_driver_sql("PRAGMA secure_delete").scalar()
        with store.without_remnants(connection):
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == asked
