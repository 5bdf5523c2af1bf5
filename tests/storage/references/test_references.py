"""References in the store: the provisional one, and the one that replaces it."""

from __future__ import annotations

import re
import uuid

import numpy as np
import pytest
from sqlalchemy import update

from modelwatch.errors import DamagedData
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.outcome_references import outcomes_in_force
from modelwatch.storage.references.references import (
    all_references,
    in_force,
    references_by_id,
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


@pytest.mark.parametrize("column", ["binning", "counts", "variation", "split", "clusters"])
def test_a_reference_that_can_not_be_read_is_named_and_lists_leave_it_out(store: Store, column: str) -> None:
    sample = np.arange(100.0) + len(column) * np.pi  # its binning is remembered nowhere
    profile = Profile.of(numeric_binning(sample), sample.tolist())
    identity = f"{column} {uuid.uuid4().hex}"
    set_references(store, "m", None, {X: profile}, source="api", now=NOON, new_id=lambda: identity)
    set_references(store, "good", None, {X: some_profile()}, source="api", now=NOON, new_id=numbered(identity))
    with store.write() as connection:
        row = {column: b"\x63", "binning_id": identity}
        connection.execute(update(tables.reference).where(tables.reference.c.id == identity).values(**row))
    named = re.escape(f"The stored reference {identity} (feature 'x') of 'm' can't be read: ")
    with store.read() as connection:
        for read in (in_force, lambda at, model: references_by_id(at, [identity])):
            with pytest.raises(DamagedData, match=named):
                read(connection, "m")
        assert (all_references(connection, "m"), len(all_references(connection, "good"))) == ([], 1)
        assert len(in_force(connection, "good")) == 1


@pytest.mark.parametrize("kind", ["outcome", "segments"])
def test_what_else_a_model_counts_in_is_named_as_well(store: Store, kind: str) -> None:
    identity = uuid.uuid4().hex
    set_references(store, "m", None, {X: some_profile()}, source="api", now=NOON, new_id=lambda: identity)
    with store.write() as connection:
        row = {"kind": kind, "name": "", "binning": b"{", "binning_id": identity}
        connection.execute(update(tables.reference).values(**row))
    named = re.escape(f"The stored reference {identity} ({kind}) of 'm' can't be read: ")
    with store.read() as connection:
        with pytest.raises(DamagedData, match=named):
            read_layouts(connection, "m", 1_000)
        if kind == "outcome":
            with pytest.raises(DamagedData, match=named):
                outcomes_in_force(connection, "m")
