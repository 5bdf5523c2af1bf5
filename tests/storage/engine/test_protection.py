"""Protected features: what is counted, what the row holds, and what can be counted again after a new reference."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import select, update

from modelwatch.errors import ProtectionUnavailable, SettingsError
from modelwatch.events import ReferenceFrame, ReferenceSample, Scalar
from modelwatch.monitoring.references.references import set_reference_frame, take_provisional_reference
from modelwatch.privacy import Keyring
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.stored_values import recent_values
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.reading import first_events
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import delete_monitor
from modelwatch.storage.references.references import in_force
from modelwatch.storage.references.subjects import Subject
from modelwatch.storage.secrets.keys import open_protection
from tests.support.events import ALWAYS, NOON, event, open_ledger
from tests.support.stores.privacy import KEY, key, opened_again, secret_bytes, set_privacy, with_keys

X, C = Subject("feature", "x"), Subject("feature", "c")
DAY = NOON // 86_400_000_000


pytestmark = pytest.mark.both_engines


@pytest.fixture
def store(store: Store) -> Store:
    return with_keys(store, KEY)


def set_reference(store: Store, numbers: Sequence[Scalar] = (), categories: Sequence[Scalar] = ()) -> None:
    samples = []
    if numbers:
        samples.append(ReferenceSample("feature", "x", "continuous", list(numbers)))
    if categories:
        samples.append(ReferenceSample("feature", "c", "categorical", list(categories)))
    set_reference_frame(store, ReferenceFrame("m", None, samples), now=NOON, new_id=lambda: uuid.uuid4().hex)


def counts(store: Store, subject: Subject) -> list[int]:
    """What the profiles say of a subject."""
    backfill_profiles(store, "m", *ALWAYS)
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        [sums] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
    [slot] = sums.values()
    return [int(count) for count in slot.counts[layouts.common.slices[subject]]]


def rows(store: Store) -> list[tuple[bytes | None, bytes | None, str | None]]:
    table = tables.prediction
    with store.read() as connection:
        found = connection.execute(
            select(table.c.features, table.c.protected, table.c.key_id).order_by(table.c.prediction_id)
        )
        return [tuple(row) for row in found]


NUMBERS = [float(number) for number in range(100)]


def test_features_are_counted_before_they_are_protected(store: Store) -> None:
    set_reference(store, NUMBERS, ["a", "a", "b"])
    ledger = open_ledger(store)
    ledger.commit([event("1", {"x": 5.0, "c": "a"}), event("2", {"x": None, "c": "z"})])
    before = counts(store, X), counts(store, C)
    for number, treatment in enumerate(("hash", "drop", "encrypt")):
        set_privacy(store, features={"x": treatment, "c": treatment})
        ledger.commit([event(f"{number}-1", {"x": 5.0, "c": "a"}), event(f"{number}-2", {"x": None, "c": "z"})])
        assert (counts(store, X), counts(store, C)) == tuple(
            [(number + 2) * count for count in subject] for subject in before
        )


def test_a_row_holds_what_the_monitor_allows(store: Store) -> None:
    set_privacy(store, features={"iban": "encrypt", "name": "drop", "email": "hash"})
    features: dict[str, Scalar] = {"age": 41, "iban": "DE02canary", "name": "Canary", "email": "canary@example.org"}
    open_ledger(store).commit([event("1", features)])
    [(held, protected, key_id)] = rows(store)
    assert held is not None
    assert protected is not None
    assert json.loads(held).keys() == {"age", "email"}
    assert json.loads(held)["age"] == 41
    assert json.loads(held)["email"].startswith("hmac:")
    assert b"anary" not in held + protected
    assert key_id == store.protection.keyring.writing_id
    with store.read() as connection:
        [row] = first_events(connection, "m", [DAY], 10, store.protection)
    assert row.event.features.keys() == {"age", "email", "iban"}
    assert row.event.features["iban"] == "DE02canary"
    assert [row.form(name) for name in ("age", "iban", "email", "name")] == ["clear", "clear", "hash", "none"]


def test_profiles_only_keeps_no_feature_and_all_counts(store: Store) -> None:
    set_reference(store, NUMBERS, ["a", "b"])
    set_privacy(store, store="profiles", features={"c": "keep"})
    open_ledger(store).commit([event("1", {"x": 5.0, "c": "a"}, probability=0.5)])
    [(held, protected, key_id)] = rows(store)
    assert (held, key_id) == (None, None)
    assert protected is not None
    assert len(protected) < 20
    assert sum(counts(store, X)) == 1
    assert sum(counts(store, C)) == 1


def test_the_service_decides_for_models_that_say_nothing(store: Store) -> None:
    store.protection = open_protection(store, Keyring([key(1)]), "profiles", now=NOON, random_bytes=secret_bytes)
    set_privacy(store, "kept", store="predictions")
    ledger = open_ledger(store)
    ledger.commit([event("1", {"x": 5.0}), event("2", {"x": 5.0}, model="kept")])
    assert [held for held, _, _ in rows(store)] == [None, b'{"x":5.0}']


def test_a_removed_monitor_protects_no_more(store: Store) -> None:
    set_privacy(store, default="drop")
    ledger = open_ledger(store)
    ledger.commit([event("1", {"x": 5.0})])
    delete_monitor(store, "m", actor="a", now=NOON, new_id=lambda: uuid.uuid4().hex)
    ledger.commit([event("2", {"x": 5.0})])
    assert [held for held, _, _ in rows(store)] == [None, b'{"x":5.0}']


class TestANewReference:
    def test_counts_encrypted_values_again(self, store: Store) -> None:
        set_privacy(store, features={"x": "encrypt", "c": "encrypt"})
        open_ledger(store).commit([event(str(number), {"x": number, "c": "ab"[number % 2]}) for number in range(20)])
        set_reference(store, NUMBERS, ["a", "b", "b"])
        assert sum(counts(store, X)) == 20
        assert counts(store, C) == [10, 10, 0, 0, 0, 0]

    def test_counts_hashed_categories_again_and_no_hashed_number(self, store: Store) -> None:
        set_privacy(store, features={"x": "hash", "c": "hash"})
        open_ledger(store).commit(
            [event("1", {"x": 1.0, "c": "a"}), event("2", {"x": None, "c": None}), event("3", {"x": 3.0, "c": "z"})]
        )
        set_reference(store, NUMBERS, ["a", "b"])
        assert sum(counts(store, X)) == 0, "not even the missing one: the others would look like none"
        assert counts(store, C) == [1, 0, 0, 1, 1, 0]

    def test_leaves_out_what_was_dropped(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit([event("1", {"x": 1.0})])
        set_privacy(store, features={"x": "drop"})
        ledger.commit([event("2", {"x": 2.0})])
        set_reference(store, NUMBERS)
        assert sum(counts(store, X)) == 1
        ledger.commit([event("3", {"x": 3.0})])
        assert sum(counts(store, X)) == 2, "what comes later is counted as it comes"

    def test_keeps_what_was_counted_where_the_cells_stay(self, store: Store) -> None:
        set_reference(store, NUMBERS)
        set_privacy(store, features={"x": "drop"})
        open_ledger(store).commit([event("1", {"x": 1.0, "c": "a"})])
        set_reference(store, (), ["a", "b"])
        assert sum(counts(store, X)) == 1
        assert counts(store, C)[0] == 1


class TestNamesOfCategories:
    def test_are_hashed_in_the_reference_of_a_protected_feature(self, store: Store) -> None:
        set_privacy(store, features={"c": "encrypt"})
        set_reference(store, (), ["canary", "other"])
        with store.read() as connection:
            [reference] = in_force(connection, "m")
        assert all(label.startswith(("hmac:", "(")) for label in reference.profile.binning.coarse_labels())
        open_ledger(store).commit([event("1", {"c": "canary"}), event("2", {"c": "z"})])
        assert sorted(counts(store, C)) == [0, 0, 0, 0, 1, 1]
        assert counts(store, C)[-3] == 1, "unseen"

    def test_stay_clear_where_the_reference_was_set_before_and_hashes_still_count(self, store: Store) -> None:
        set_reference(store, (), ["a", "a", "b"])
        set_privacy(store, features={"c": "hash"})
        open_ledger(store).commit([event("1", {"c": "a"}), event("2", {"c": "z"})])
        assert counts(store, C) == [1, 0, 0, 1, 0, 0]

    def test_are_hashed_in_a_provisional_reference(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit([event(f"k{number}", {"c": "canary", "x": number}) for number in range(10)])
        set_privacy(store, features={"c": "hash"})
        ledger.commit([event(f"h{number}", {"c": "canary", "x": number}) for number in range(10)])
        set_privacy(store, features={"c": "drop"})
        ledger.commit([event(f"d{number}", {"c": "canary", "x": number}) for number in range(10)])
        take_provisional_reference(store, "m", 30, now=NOON, new_id=lambda: uuid.uuid4().hex)
        with store.read() as connection:
            found = {each.subject: each.profile for each in in_force(connection, "m")}
        assert found[C].counts.tolist() == [20, 0, 0, 0, 0], "the dropped ones are no missing ones"
        assert found[C].binning.coarse_labels()[0].startswith("hmac:")
        assert found[X].n == 30
        assert counts(store, C) == [20, 0, 0, 0, 0]


def test_recent_rows_name_protected_features_without_their_values(store: Store) -> None:
    set_privacy(store, features={"iban": "encrypt", "name": "drop", "email": "hash"})
    open_ledger(store).commit(
        [event("1", {"x": 1.5, "iban": "canary", "name": "canary", "email": "canary", "c": None})]
    )
    with store.read() as connection:
        names = ["x", "iban", "name", "email", "c"]
        seen = recent_values(connection, StreamKey("m", "1", "production"), NOON // 1_000_000 + 300, 10, names=names)
    assert seen.values == {"x": [1.5], "iban": ["(protected)"], "name": [None], "email": ["(protected)"], "c": [None]}
    assert seen.given == {"x": 1, "iban": 1, "email": 1}


class TestKeys:
    def test_without_a_key_nothing_is_stored_that_needs_one(self, store: Store) -> None:
        keyless = opened_again(store)
        set_privacy(keyless, features={"c": "encrypt"})
        with pytest.raises(ProtectionUnavailable, match="'m'"):
            open_ledger(keyless).commit([event("1", {"c": "canary"})])
        assert rows(store) == []
        keyless.close()

    def test_the_start_fails_without_the_key_that_a_monitor_needs(self, store_url: str) -> None:
        store = Store(store_url)
        set_privacy(store, features={"c": "hash"})
        with pytest.raises(SettingsError, match=r"monitor of 'm'.*ENCRYPTION_KEY is not set"):
            with_keys(store)
        store.close()

    def test_the_start_fails_without_a_key_that_was_used(self, store: Store) -> None:
        used = store.protection.keyring.writing_id
        for keys in ((), (key(2),)):
            with pytest.raises(SettingsError, match=used):
                with_keys(store, *keys)
        with_keys(store, key(2), key(1))

    def test_hashes_are_the_same_after_another_key_writes(self, store: Store) -> None:
        before = store.protection.hash_all("m", "c", ["a"])
        with_keys(store, key(2), key(1))
        assert store.protection.hash_all("m", "c", ["a"]) == before

    def test_a_ciphertext_moved_to_another_row_counts_as_not_stored(self, store: Store) -> None:
        set_privacy(store, features={"c": "encrypt"})
        open_ledger(store).commit([event("1", {"c": "a"}), event("2", {"c": "b"})])
        table = tables.prediction
        with store.write() as connection:
            taken = select(table.c.protected).where(table.c.prediction_id == "1").scalar_subquery()
            connection.execute(update(table).where(table.c.prediction_id == "2").values(protected=taken))
        with store.read() as connection:
            found = list(first_events(connection, "m", [DAY], 10, store.protection))
        assert [row.form("c") for row in found] == ["clear", "none"]
        assert [row.event.features.get("c") for row in found] == ["a", None]
        set_reference(store, (), ["a", "b"])
        assert counts(store, C) == [1, 0, 0, 0, 0, 0], "it is not missing either"


def test_numbers_keep_their_cells_as_statistics(store: Store) -> None:
    set_privacy(store, features={"x": "encrypt"})
    set_reference(store, NUMBERS)
    with store.read() as connection:
        [reference] = in_force(connection, "m")
    assert reference.profile.binning.kind == "continuous"
    assert np.isclose(reference.profile.n, 100)
