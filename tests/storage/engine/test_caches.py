"""What is remembered of decoded bytes, and how much of it."""

from __future__ import annotations

import pytest

from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.engine.caches import OVERHEAD_BYTES, TIMES_LARGER, Decoded
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references import layouts
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from tests.support.events import ALWAYS, NOON, event, numbered, open_ledger, stored_and_counted

SIZE = 100
COST = SIZE * TIMES_LARGER + OVERHEAD_BYTES


def test_what_is_in_use_is_decoded_once() -> None:
    known, decoded = Decoded[object](10 * COST), []
    for name in ["a", "b", "a", "a", "b"]:
        known.get(name, SIZE, lambda name=name: decoded.append(name))  # type: ignore[misc]
    assert decoded == ["a", "b"]


def test_what_was_used_longest_ago_goes_first() -> None:
    known, decoded = Decoded[object](2 * COST), []
    for name in ["a", "b", "a", "c", "a", "b"]:
        known.get(name, SIZE, lambda name=name: decoded.append(name))  # type: ignore[misc]
    assert decoded == ["a", "b", "c", "b"]


def test_what_is_larger_than_all_the_room_is_decoded_each_time() -> None:
    known = Decoded[str](COST)
    assert [known.get("a", 10 * SIZE, lambda: "A") for _ in range(2)] == ["A", "A"]
    assert len(known) == 0


def test_references_set_again_and_again_stay_within_bounds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Decoded[object](100_000)
    monkeypatch.setattr(layouts, "_binnings", known)
    new_id = numbered("r")
    ledger = open_ledger(store)
    for number in range(30):
        values = [float(value * (number + 1)) for value in range(500)]
        profile = Profile.of(numeric_binning(values), values)
        set_references(store, "m", None, {Subject("feature", "x"): profile}, source="t", now=NOON, new_id=new_id)
        ledger.commit([event(str(number), {"x": float(number)})])
    assert 1 <= len(known) < 30
    backfill_profiles(store, "m", *ALWAYS)
    assert stored_and_counted(store) == (30, 30)
