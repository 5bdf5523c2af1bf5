"""Profiles counted elsewhere: once each, whoever sends them at once, in order with references, expiry and deletion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import func, select, update

from modelwatch.errors import Conflict, Expired, UnknownModel
from modelwatch.stats.counting.binning import numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part, generation_of
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.received_profiles import (
    CountedSubject,
    GivenProfile,
    ProfilePart,
    forget_profiles,
    store_profile,
)
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.deletion import (
    Deletion,
    alerts_ended,
    delete_some,
    deletions_under_way,
    request_deletion,
)
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.references import set_references
from modelwatch.storage.references.subjects import Subject
from modelwatch.times import SECONDS_PER_DAY
from tests.support.events import ALWAYS, NOON, event, numbered, open_ledger
from tests.support.stores.stored import fold_all

pytestmark = pytest.mark.both_engines

X = Subject("feature", "x")
BINNING = numeric_binning(np.arange(100.0))
START = NOON // 1_000_000


def refer(store: Store, step: float = 1.0) -> None:
    binning = numeric_binning(np.arange(100.0) * step)
    profile = Profile(binning, binning.count_floats(np.arange(100.0) * step))
    set_references(store, "m", None, {X: profile}, source="api", now=NOON, new_id=numbered(f"r{step}-"))


def given(identity: str = "p", values: tuple[float, ...] = (1.0, 2.0, 3.0), start: int = START) -> GivenProfile:
    counts = BINNING.count_floats(np.array(values))
    part = ProfilePart(start, start * 1_000_000 + 7, len(values), [counts])
    return GivenProfile(identity, "m", "1", "production", (CountedSubject(X, BINNING.id),), (part,))


new_writer = numbered("writer-")


def take(store: Store, profile: GivenProfile) -> str:
    return store_profile(store, profile, now=NOON + 60, writer=new_writer(), host="test").status


def counted(store: Store) -> tuple[int, int]:
    """Predictions in the windows of the stream, and values of x in their cells."""
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        [slots] = sum_windows(connection, "m", layouts, "production", [(0, START + SECONDS_PER_DAY)], "1")
    if "1" not in slots:
        return 0, 0
    found = slots["1"]
    return found.predictions, int(found.counts[layouts.of("1").slices[X]][:100].sum())


def test_it_counts_once_beside_predictions_and_after_folding(store: Store) -> None:
    refer(store)
    ledger = open_ledger(store)
    ledger.commit([event("a", {"x": 5.0}, version="1", timestamp=NOON)])
    assert [take(store, given()), take(store, given()), take(store, given("other"))] == [
        "accepted",
        "duplicate",
        "accepted",
    ]
    assert counted(store) == (7, 7)
    ledger.close()
    fold_all(store)
    assert counted(store) == (7, 7)
    assert take(store, given()) == "duplicate"


def test_many_that_send_it_at_once_count_it_once(store: Store) -> None:
    refer(store)
    new_id = numbered("w-")
    ids = [new_id() for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        found = list(
            pool.map(lambda writer: store_profile(store, given(), now=NOON, writer=writer, host="t").status, ids)
        )
    assert sorted(found) == ["accepted", *["duplicate"] * 11]
    assert counted(store) == (3, 3)


def test_a_reference_is_set_before_or_after_it(store: Store) -> None:
    with pytest.raises(UnknownModel):
        take(store, given())
    refer(store)
    assert take(store, given("before")) == "accepted"
    refer(store, 2.0)
    with pytest.raises(Conflict, match="other cells than those of the reference in force: x"):
        take(store, given("after"))
    # Its predictions stay; without their values they can't be counted in the new cells.
    backfill_profiles(store, "m", *ALWAYS)
    assert counted(store) == (3, 0)
    assert take(store, given("before")) == "duplicate"


def test_what_has_expired_is_not_counted(store: Store) -> None:
    refer(store)
    assert take(store, given("old")) == "accepted"
    day = START // SECONDS_PER_DAY
    with store.write() as connection:
        connection.execute(update(tables.model).values(expired_before=day + 1))
    with pytest.raises(Expired):
        take(store, given("older"))
    part = given().parts[0]
    later = part._replace(window_start=START + SECONDS_PER_DAY, latest_ts=(START + SECONDS_PER_DAY) * 1_000_000)
    both = GivenProfile("both", "m", "1", "production", given().subjects, (part, later))
    taken = store_profile(store, both, now=NOON, writer="w-both", host="t")
    assert (taken.status, [each.key.window_start for each in taken.increments], taken.expired) == (
        "accepted",
        [later.window_start],
        (START,),
    )
    assert forget_profiles(store, "m", day + 1, 10) == 1
    assert forget_profiles(store, "m", day + 1, 10) == 0
    with pytest.raises(Expired):
        take(store, given("old"))
    assert take(store, both) == "duplicate"


def test_a_deletion_takes_it_with_everything_else(store: Store) -> None:
    refer(store)
    assert take(store, given()) == "accepted"
    new_id = numbered("d-")
    request_deletion(store, "m", Part(version="1"), actor="ann", now=NOON, new_id=new_id)
    with pytest.raises(Conflict, match="being deleted"):
        take(store, given("late"))
    while deletions := under_way(store):
        for each in deletions:
            if each.step == "alerts":
                alerts_ended(store, each)
            else:
                delete_some(store, each, 100, now=NOON, new_id=new_id)
    with store.read() as connection:
        for table in (tables.received_profile, tables.profile):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0
    assert take(store, given()) == "accepted"


def under_way(store: Store) -> list[Deletion]:
    with store.read() as connection:
        return list(deletions_under_way(connection))
