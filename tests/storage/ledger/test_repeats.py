"""Predictions that come again: those that say something else than the first time are counted apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace

from modelwatch.events import Prediction, Scalar
from modelwatch.storage.counts.volumes import duplicates_in
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.repeats import Repeats
from tests.support.events import ALWAYS, NOON, Clock, event, open_ledger
from tests.support.stores.privacy import KEY, opened_again, set_privacy, with_keys
from tests.support.stores.stored import fold_all

STREAM = StreamKey("m", "1", "production")
FEATURES: dict[str, Scalar] = {"x": 0.1, "n": 3, "c": "red", "flag": True, "empty": None}
FIRST = event("a", FEATURES, prediction="yes", probability={"yes": 0.75, "no": 0.25}, latency_ms=3.0)


def repeats(store: Store) -> Repeats:
    with store.read() as connection:
        return duplicates_in(connection, STREAM, *ALWAYS)


def resent(store: Store, again: Prediction, first: Prediction = FIRST) -> Repeats:
    """What is counted when one prediction comes after another of the same id."""
    ledger = open_ledger(store)
    assert ledger.commit([first]).accepted == [True]
    assert ledger.commit([again]).accepted == [False]
    return repeats(store)


@pytest.mark.both_engines
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"timestamp": NOON + 1_000_000},
        {"latency_ms": 250.0},
        {"ground_truth": "yes"},
        {"probability": {"no": 0.25, "yes": 0.75}},
        {"features": {"empty": None, "flag": True, "c": "red", "n": 3, "x": 0.1}},
        {"features": {"x": 0.1, "n": 3.0, "c": "red", "flag": True}},
    ],
)
def test_an_exact_repeat_is_no_changed_one(store: Store, changes: dict[str, Any]) -> None:
    assert resent(store, replace(FIRST, **changes)) == (1, 0)


@pytest.mark.both_engines
@pytest.mark.parametrize(
    "changes",
    [
        {"prediction": "no"},
        {"probability": {"yes": 0.7, "no": 0.3}},
        {"probability": None},
        {"model_version": "2"},
        {"environment": "staging"},
        {"features": {**FEATURES, "x": 0.2}},
        {"features": {**FEATURES, "x": None}},
        {"features": {**FEATURES, "empty": 1}},
        {"features": {**FEATURES, "c": "blue"}},
        {"features": {"x": 0.1, "n": 3, "c": "red"}},
        {"features": {**FEATURES, "new": "text"}},
    ],
)
def test_a_repeat_that_says_something_else_is_a_changed_one(store: Store, changes: dict[str, Any]) -> None:
    assert resent(store, replace(FIRST, **changes)) == (1, 1)


def test_numbers_that_json_does_not_have_are_the_same_again(store: Store) -> None:
    first = event("a", {"x": math.nan, "y": math.inf})
    assert resent(store, event("a", {"x": math.nan, "y": math.inf}), first) == (1, 0)


def test_repeats_within_one_commit_are_compared_with_the_first_of_it(store: Store) -> None:
    other = replace(FIRST, prediction="no")
    assert open_ledger(store).commit([FIRST, FIRST, other, FIRST]).accepted == [True, False, False, False]
    assert repeats(store) == (3, 1)


def test_changed_repeats_stay_counted_when_writers_are_folded(store: Store) -> None:
    clock = Clock()
    ledger = open_ledger(store, clock)
    ledger.commit([FIRST, event("b")])
    ledger.commit([replace(FIRST, prediction="no"), event("b")])
    ledger.close()
    fold_all(store, clock())
    assert repeats(store) == (2, 1)


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("privacy", "changed"),
    [
        ({"features": {"c": "hash"}}, 1),
        ({"features": {"c": "encrypt"}}, 1),
        ({"features": {"c": "drop"}}, 0),
        ({"store": "profiles"}, 0),
    ],
)
def test_protected_features_are_compared_as_far_as_the_row_knows_them(
    store: Store, privacy: dict[str, Any], changed: int
) -> None:
    kept = with_keys(store, KEY)
    set_privacy(kept, **privacy)
    ledger = open_ledger(kept)
    ledger.commit([FIRST])
    ledger.commit([FIRST, replace(FIRST, features={**FEATURES, "c": "blue"})])
    assert repeats(kept) == (2, changed)
    ledger.commit([replace(FIRST, prediction="no")])
    assert repeats(kept) == (3, changed + 1)


def test_without_the_key_of_the_row_what_is_encrypted_is_not_compared(store: Store) -> None:
    kept = with_keys(store, KEY)
    set_privacy(kept, features={"c": "encrypt"})
    open_ledger(kept).commit([FIRST])
    set_privacy(kept)
    ledger = open_ledger(opened_again(store), prefix="other")
    assert ledger.commit([replace(FIRST, features={**FEATURES, "c": "blue"})]).accepted == [False]
    assert repeats(store) == (1, 0)


def test_features_outside_of_the_sample_are_not_compared(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([FIRST])
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE prediction SET features = NULL")
    ledger.commit([replace(FIRST, features={**FEATURES, "x": 5.0})])
    assert repeats(store) == (1, 0)
