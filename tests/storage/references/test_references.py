"""References in the store: the provisional one, and the one that replaces it."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.references import (
    all_references,
    in_force,
    set_provisional_references,
    set_references,
)
from modelwatch.storage.references.subjects import Subject
from tests.support.events import NOON, event, numbered, open_ledger

pytestmark = pytest.mark.both_engines

X = Subject("feature", "x")


def some_profile() -> Profile:
    sample = np.arange(100.0)
    return Profile.of(numeric_binning(sample), sample.tolist())


def test_a_provisional_reference_is_taken_once_and_gives_way_to_a_real_one(store: Store) -> None:
    open_ledger(store).commit([event("a")])
    assert set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("p"))
    assert not set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("q"))
    set_references(store, "m", None, {X: some_profile()}, source="api", now=NOON + 1, new_id=numbered("r"))
    with store.read() as connection:
        assert [each.state for each in in_force(connection, "m")] == ["active"]
        assert [each.state for each in all_references(connection, "m")] == ["active", "retired"]


def test_a_provisional_reference_never_replaces_a_real_one(store: Store) -> None:
    set_references(store, "m", None, {X: some_profile()}, source="api", now=NOON, new_id=numbered("r"))
    assert set_provisional_references(store, "m", {X: some_profile()}, now=NOON, new_id=numbered("p"))
    with store.read() as connection:
        assert [each.id for each in in_force(connection, "m")] == ["r-1"]
