"""Blocks of features: which rows share one, and that nothing else differs from rows that keep their features."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import delete, select, update

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import Conflict, DamagedData, UnknownResource
from modelwatch.events import Prediction
from modelwatch.monitoring.scheduler.jobs.deletions import Deletions
from modelwatch.monitoring.scheduler.runner import Lease
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.stored_values import numbers_between, recent_values
from modelwatch.storage.counts.volumes import duplicates_in
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import Part, StreamKey, generation_of
from modelwatch.storage.engine.protection import StoredPrediction
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import segment_columns
from modelwatch.storage.ledger.predictions import blocks
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures
from modelwatch.storage.ledger.predictions.feature_columns import ROWS_AS_ARRAYS, FeatureBlock
from modelwatch.storage.ledger.predictions.pages import pages_of_day
from modelwatch.storage.ledger.predictions.reading import events_between
from modelwatch.storage.ledger.repeats import Repeats
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.deletion import request_deletion
from modelwatch.storage.maintenance.retention import expire_days, remove_predictions
from modelwatch.storage.references.layouts import read_layouts
from modelwatch.storage.references.monitors import put_monitor
from tests.support.background import new_id
from tests.support.events import ALWAYS, NOON, Clock, event, open_ledger, stored_and_counted
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, label, set_layout, summed_outcomes
from tests.support.stores.privacy import KEY, set_privacy, with_keys
from tests.support.stores.stored import (
    C,
    X,
    block_rows,
    erased,
    fold_all,
    set_reference,
    several,
    stored_blocks,
    stored_features,
)

both_engines = pytest.mark.both_engines

HOUR, DAY = 3_600_000_000, 86_400_000_000
TODAY = NOON // DAY
STREAM = StreamKey("m", "1", "production")
NEVER = 10**9


@pytest.fixture(autouse=True)
def of_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "FEWEST_VALUES", 1)


@both_engines
class TestACommit:
    def test_keeps_what_comes_together_in_one_block(self, store: Store) -> None:
        open_ledger(store).commit(several(50))
        [members] = block_rows(store).values()
        assert members == [(number, f"p{number}") for number in range(50)]
        assert stored_features(store)[f"p7 {TODAY}"] == {"x": 1.75, "c": "b"}

    def test_of_a_few_rows_keeps_their_features_in_them(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit(several(3))
        assert block_rows(store) == {}
        ledger.commit(several(4, "q"))
        assert len(block_rows(store)) == 1
        assert len(stored_features(store)) == 7

    def test_of_a_few_values_keeps_them_in_its_rows(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "FEWEST_VALUES", 21)
        ledger = open_ledger(store)
        ledger.commit(several(10))
        assert block_rows(store) == {}
        ledger.commit(several(11, "q"))
        assert len(block_rows(store)) == 1

    def test_has_a_block_for_each_stream_and_day(self, store: Store) -> None:
        events = [
            event(f"{number}", {"x": 1.0}, version="12"[number % 2], timestamp=NOON + number % 4 // 2 * DAY)
            for number in range(40)
        ]
        open_ledger(store).commit([*events, *several(4, "other", model="n")])
        assert sorted(map(len, block_rows(store).values())) == [4, 10, 10, 10, 10]

    def test_is_looked_at_before_older_ones_and_beside_what_came_alone(self, store: Store) -> None:
        ledger = open_ledger(store)
        for prefix in ("a", "b", "z"):
            ledger.commit([event(f"{prefix}{number}", {prefix: 1.0}) for number in range(10)])
        for number in range(5):
            ledger.commit([event(f"s{number}", {"alone": 1.0})])
        with store.read() as connection:
            seen = recent_values(connection, STREAM, (NOON + DAY) // 1_000_000, 20, NOON // 1_000_000 - 3_600)
        assert (seen.rows, seen.given) == (20, {"alone": 5, "z": 10, "b": 5})

    def test_is_read_beside_one_whose_segments_are_those_of_now(self, store: Store) -> None:
        """Of rows that were stored with the present segments no features are asked for, so they seem to be in no
        block."""
        ledger = open_ledger(store)
        ledger.commit(several(10))
        with store.write() as connection:
            connection.execute(update(tables.model).values(generation=1))
        ledger.commit(several(10, "q"))
        table = tables.prediction
        query = select(table.c.prediction_id, *segment_columns(1))
        with store.read() as connection:
            pages = list(pages_of_day(KeptFeatures(connection), query, "m", TODAY))
        assert sorted(row.prediction_id for rows in pages for row in rows) == sorted(
            f"{prefix}{number}" for prefix in "pq" for number in range(10)
        )

    def test_divides_what_is_wide(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "MOST_VALUES", 20)
        open_ledger(store).commit(several(25))
        assert sorted(map(len, block_rows(store).values())) == [5, 10, 10]
        assert stored_features(store) == {f"p{n} {TODAY}": {"x": n / 4, "c": "ab"[n % 2]} for n in range(25)}

    def test_keeps_rows_with_few_names_in_common_in_rows(self, store: Store) -> None:
        """A block has a place for every name in every row: each of these would take many more than it has values."""
        ledger = open_ledger(store)
        ledger.commit([event(f"own{row}", {f"f{row}-{place}": 1.0 for place in range(5)}) for row in range(200)])
        one_wide = {f"f{place}": 1.0 for place in range(500)}
        ledger.commit([event(f"wide{row}", {"x": 1.0} if row else one_wide) for row in range(200)])
        assert block_rows(store) == {}
        assert stored_features(store)[f"own7 {TODAY}"] == {f"f7-{place}": 1.0 for place in range(5)}

    def test_divides_by_all_the_names_of_its_rows(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blocks, "MOST_VALUES", 24)
        names = ("x", "a"), ("x", "b")
        open_ledger(store).commit([event(f"p{row}", dict.fromkeys(names[row % 2], 1.0)) for row in range(24)])
        assert [len(members) for members in block_rows(store).values()] == [8, 8, 8]

    def test_puts_only_what_is_new_into_a_block(self, store: Store) -> None:
        ledger = open_ledger(store)
        ledger.commit(several(10))
        changed = [replace(each, features={"x": 99.0, "c": "changed"}) for each in several(15)]
        assert ledger.commit(changed).accepted == [False] * 10 + [True] * 5
        first, second = block_rows(store).values()
        assert (len(first), len(second)) == (10, 5)
        with store.read() as connection:
            newest = select(tables.feature_block.c.features).order_by(tables.feature_block.c.id.desc()).limit(1)
            assert len(FeatureBlock(connection.execute(newest).scalar_one())) == 5
            assert duplicates_in(connection, STREAM, *ALWAYS) == Repeats(10, 10)
        assert stored_features(store)[f"p3 {TODAY}"] == {"x": 0.75, "c": "b"}
        assert ledger.commit(changed).accepted == [False] * 15
        with store.read() as connection:
            assert duplicates_in(connection, STREAM, *ALWAYS) == Repeats(25, 20)
        assert len(block_rows(store)) == 2

    def test_stores_and_counts_the_first_of_an_id_that_is_there_twice(self, store: Store) -> None:
        """Here the first of them is in no block and the second would be."""
        first = event("p2", {"x": -1.0, "c": "first"}, version="2")
        assert open_ledger(store).commit([first, *several(6)]).accepted == [True, True, True, False, True, True, True]
        [members] = block_rows(store).values()
        assert [identity for _, identity in members] == ["p0", "p1", "p3", "p4", "p5"]
        assert stored_features(store)[f"p2 {TODAY}"] == {"x": -1.0, "c": "first"}

    def test_keeps_what_is_protected_or_not_in_the_sample_in_rows(self, store: Store) -> None:
        with_keys(store, KEY)
        set_privacy(store, features={"c": "encrypt"})
        ledger = open_ledger(store)
        ledger.commit(several(10))
        assert block_rows(store) == {}
        set_privacy(store)
        ledger.commit(several(10, "q"))
        assert [len(members) for members in block_rows(store).values()] == [10]
        set_privacy(store, features={"c": "drop"})
        ledger.commit(several(10, "r"))
        known = stored_features(store)
        assert known[f"p1 {TODAY}"] == known[f"q1 {TODAY}"] == {"x": 0.25, "c": "b"}
        assert known[f"r1 {TODAY}"] == {"x": 0.25}
        assert len(block_rows(store)) == 1

    def test_puts_the_sample_alone_into_a_block(self, store: Store) -> None:
        config = parse_monitor({"sample_rate": 0.5})
        put_monitor(store, "m", config, source="test", actor="test", now=NOON, new_id=new_id)
        with store.write() as connection:
            connection.execute(update(tables.model).values(provisional_done=True))
        open_ledger(store).commit(several(100))
        [members] = block_rows(store).values()
        assert 20 < len(members) < 80
        known = stored_features(store)
        assert sum(bool(each) for each in known.values()) == len(members)


@both_engines
class TestErasing:
    def test_takes_one_row_out_and_the_block_with_the_last(self, store: Store) -> None:
        set_reference(store)
        open_ledger(store).commit(several(5))
        for number in (3, 0, 4, 1):
            erased(store, f"p{number}")
            left = block_rows(store)
            assert f"p{number}" not in str(left)
            assert stored_features(store)[f"p2 {TODAY}"] == {"x": 0.5, "c": "a"}
        assert erased(store, "p2").counts_left == ()
        assert block_rows(store) == {}
        assert stored_and_counted(store) == (0, 0)

    def test_of_two_rows_of_a_block_at_once_leaves_neither(self, store: Store) -> None:
        open_ledger(store).commit(several(40))
        start = threading.Barrier(4)

        def some(first: int) -> None:
            start.wait(30)
            for number in range(first, 36, 4):
                erased(store, f"p{number}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(some, range(4)))
        [members] = block_rows(store).values()
        assert [identity for _, identity in members] == ["p36", "p37", "p38", "p39"]
        with store.read() as connection:
            [raw] = connection.execute(select(tables.feature_block.c.features)).scalars()
        assert FeatureBlock(raw).places.tolist() == [36, 37, 38, 39]

    def test_from_a_damaged_block_is_inexact_and_leaves_nothing_of_it(self, store: Store) -> None:
        set_reference(store)
        ledger = open_ledger(store)
        ledger.commit(several(10))
        block = tables.feature_block
        with store.write() as connection:
            raw = connection.execute(select(block.c.features)).scalar_one()
            connection.execute(update(block).values(features=raw[:-1] + bytes([raw[-1] ^ 1])))
        assert stored_features(store)[f"p1 {TODAY}"] == {}, "as if it was not stored"
        assert ledger.commit([event("p1", {"x": 77.0})]).accepted == [False]
        with store.read() as connection:
            assert duplicates_in(connection, STREAM, *ALWAYS) == Repeats(1, 0)
        with pytest.raises(Conflict, match="values of c, x are not stored"):
            erased(store, "p1")
        assert erased(store, "p1", leave_counts=True).counts_left == ("c", "x")
        with store.read() as connection:
            assert len(FeatureBlock(connection.execute(select(block.c.features)).scalar_one())) == 0
        assert len(stored_features(store)) == 9


@pytest.mark.parametrize("size", [8, 300])
def test_no_byte_of_an_erased_row_is_left_in_the_files(store: Store, tmp_path: Path, size: int) -> None:
    """What the block was before, but for what it still is, is nowhere; blocks in one page and in many."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(6 * size, 10)).tolist()
    ledger = open_ledger(store)

    def batch(start: int) -> list[Prediction]:
        return [
            event(str(number), {f"f{place}": value for place, value in enumerate(values[number])})
            for number in range(start, start + size)
        ]

    for start in range(0, 5 * size, size):
        ledger.commit(batch(start))
    files = [tmp_path / name for name in ("modelwatch.db", "modelwatch.db-wal")]
    before = stored_blocks(store)
    ledger.commit(batch(5 * size))
    for number in range(2 * size, 3 * size, max(1, size // 8)):
        erased(store, str(number))
    after = stored_blocks(store)
    changed = [raw for identity, raw in before.items() if after.get(identity) != raw]
    assert len(changed) == 1
    kept = b"".join(after.values())
    pieces = {changed[0][start : start + 24] for start in range(len(changed[0]) - 24)}
    gone = [piece for piece in pieces if piece not in kept]
    assert len(gone) > 100
    for path in files:
        content = path.read_bytes()
        assert not [piece for piece in gone if piece in content], path.name


@both_engines
@pytest.mark.parametrize("is_damaged", [False, True])
def test_large_blocks_are_counted_again_as_their_rows_are(store: Store, is_damaged: bool) -> None:
    """In the columns of the block, by window and by a new segment; a damaged one has no values."""
    events = [
        replace(arrival(number % 31, changed=False), prediction_id=f"{number}", timestamp=NOON + number % 7 * HOUR // 2)
        for number in range(700)
    ]
    clock = Clock()
    open_ledger(store, clock).commit(events)
    assert min(map(len, block_rows(store).values())) > ROWS_AS_ARRAYS
    for number in range(0, 60, 7):
        erased(store, f"{number}")
    left = [each for each in events if each.prediction_id not in {f"{number}" for number in range(0, 60, 7)}]
    block = tables.feature_block
    if is_damaged:
        with store.write() as connection:
            connection.execute(update(block).where(block.c.version == "1").values(features=b"damaged"))
    put_monitor(store, "m", parse_monitor({"segments": ["c"]}), source="t", actor="t", now=NOON, new_id=new_id)
    set_reference(store)
    backfill_profiles(store, "m", *ALWAYS)
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        hours = [(start, start + 1_800) for start in range(NOON // 1_000_000, NOON // 1_000_000 + 12_600, 1_800)]
        [feature] = layouts.segmentation.features
        for segment in ("", *feature.texts):
            found = sum_windows(connection, "m", layouts, "production", hours, segment=segment)
            for (start, end), sums in zip(hours, found, strict=True):
                for version in "01":
                    members = [
                        each
                        for each in left
                        if each.model_version == version
                        and start <= each.timestamp // 1_000_000 < end
                        and (not segment or feature.text_of(each.features.get("c")) == segment)
                    ]
                    if is_damaged and version == "1":
                        assert version not in sums or not any(
                            sums[version].counts[layouts.of(version).slices[subject]].any() for subject in (X, C)
                        )
                    elif members or version in sums:
                        assert sums[version].predictions == len(members)
                        assert sums[version].counts.tolist() == layouts.of(version).count(members).tolist()


@both_engines
def test_deleting_a_version_or_a_model_leaves_no_block_of_it(store: Store) -> None:
    ledger = open_ledger(store)
    ledger.commit([*several(20), *several(20, "v2-", version="2"), *several(20, model="n")])
    assert len(block_rows(store)) == 3
    job = Deletions(store, lambda deletion: False, timer=lambda: 0.0, new_id=new_id, round_seconds=60.0)
    for part, left in ((Part("2", None), 2), (Part(), 1)):
        request_deletion(store, "m", part, actor="test", now=NOON, new_id=new_id)
        while job(Lease("chores", "me", 1), NOON):
            pass
        assert len(block_rows(store)) == left
    assert len(stored_features(store, "n")) == 20


@both_engines
def test_a_block_whose_rows_an_earlier_release_has_removed_goes_with_its_day_or_its_model(store: Store) -> None:
    clock = Clock()
    ledger = open_ledger(store, clock)
    ledger.commit([*several(10, timestamp=NOON - DAY), *several(10, "q", timestamp=NOON - DAY), *several(10, "r")])
    for prefix in ("p", "r"):
        with store.write() as connection:
            connection.execute(delete(tables.prediction).where(tables.prediction.c.prediction_id.startswith(prefix)))
    [expired] = expire_days(store, "m", day=TODAY, arrived_before=NOON + 1).days
    after: Any = ""
    while (after := remove_predictions(store, "m", expired, 3, after)) is not None:
        pass
    assert len(stored_blocks(store)) == 1
    request_deletion(store, "m", Part(), actor="test", now=NOON, new_id=new_id)
    job = Deletions(store, lambda deletion: False, timer=lambda: 0.0, new_id=new_id, round_seconds=60.0)
    while job(Lease("chores", "me", 1), NOON):
        pass
    assert stored_blocks(store) == {}


NUMBERS = st.integers(0, 30)
SAME = st.sampled_from(["keep", "encrypt", "hash"])
STEP = st.one_of(
    st.tuples(st.just("commit"), st.lists(NUMBERS, min_size=1, max_size=14), st.booleans()),
    st.tuples(st.just("label"), NUMBERS, st.sampled_from(["yes", "no"])),
    st.tuples(st.just("erase"), NUMBERS),
    st.tuples(st.just("monitor"), SAME, st.booleans()),
    st.tuples(st.just("reference"), st.sampled_from([1.0, 3.0])),
    st.tuples(st.just("layout")),
    st.tuples(st.just("carry")),
    st.tuples(st.just("fold")),
    st.tuples(st.just("expire"), st.integers(0, 3), st.integers(1, 5)),
    st.tuples(st.just("delete"), st.sampled_from(["0", "1"])),
)


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=examples(25))
@given(steps=st.lists(STEP, max_size=12), fewest=st.integers(1, 4))
def test_after_any_history_all_is_as_with_rows_that_keep_their_features(
    fresh_stores: FreshStores, engine: str, steps: list[tuple[Any, ...]], fewest: int
) -> None:
    found = []
    for number in (fewest, NEVER):
        with fresh_stores.open(engine) as store, blocks_from(number):
            found.append(played(with_keys(store, KEY), steps))
    assert found[0] == found[1]


@contextmanager
def blocks_from(number: int) -> Iterator[None]:
    """Lets so many rows share a block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "FEWEST_ROWS", number)
        yield


def played(store: Store, steps: list[tuple[Any, ...]]) -> list[Any]:
    """What each step says, and what is read and counted at the end."""
    clock = Clock()
    said: list[Any] = []
    ledger = open_ledger(store, clock)
    for kind, *rest in steps:
        clock.advance(1)
        match kind:
            case "commit":
                said.append(ledger.commit([arrival(number, changed=rest[1]) for number in rest[0]]).accepted)
            case "label":
                said.append(ledger.commit([], [label(str(rest[0]), rest[1], timestamp=clock())]).labels)
            case "erase":
                try:
                    said.append(erased(store, str(rest[0])))
                except (UnknownResource, Conflict) as error:
                    said.append(str(error))
            case "monitor":
                config = {"privacy": {"features": {"x": rest[0]}}, "segments": ["c"] if rest[1] else []}
                put_monitor(store, "m", parse_monitor(config), source="t", actor="t", now=NOON, new_id=new_id)
            case "reference":
                set_reference(store, rest[0])
            case "layout":
                set_layout(store, BINARY)
            case "carry":
                backfill_profiles(store, "m", *ALWAYS)
            case "expire":
                if stored_and_counted(store)[1]:
                    expired = expire_days(store, "m", day=TODAY + rest[0], arrived_before=clock() + 1)
                    for day in expired.days:
                        after: Any = ""
                        while (after := remove_predictions(store, "m", day, rest[1], after)) is not None:
                            block_rows(store)
            case "delete":
                try:
                    request_deletion(store, "m", Part(rest[0], None), actor="t", now=NOON, new_id=new_id)
                except UnknownResource as error:
                    said.append(str(error))
                job = Deletions(store, lambda deletion: False, timer=lambda: 0.0, new_id=new_id, round_seconds=60.0)
                while job(Lease("chores", "me", 1), NOON):
                    pass
            case _:
                fold_all(store, NOON + DAY)
        block_rows(store)
    return [*said, *state(store)]


def arrival(number: int, *, changed: bool) -> Prediction:
    values: dict[str, Any] = {"x": number / 3 if number % 5 else None, "c": "abc"[number % 3], "n": number}
    if number % 7 == 0:
        del values["c"]
    return event(
        str(number),
        values | ({"x": 50.5} if changed else {}),
        version=str(number % 2),
        timestamp=NOON + number * 2 * HOUR,
        probability=number / 40,
    )


def state(store: Store) -> list[Any]:
    backfill_profiles(store, "m", *ALWAYS)
    span = (NOON // 1_000_000 - 86_400, NOON // 1_000_000 + 5 * 86_400)
    with store.read() as connection:
        layouts = read_layouts(connection, "m", generation_of(connection, "m") or 0)
        segments = [text for each in layouts.segmentation.features for text in each.texts]
        sums = [
            sum_windows(connection, "m", layouts, "production", [ALWAYS], segment=segment)[0]
            for segment in ("", *sorted(segments))
        ]
        streams = [StreamKey("m", version, "production") for version in "01"]
        shown = [recent_values(connection, stream, span[1], 1_000, span[0], ["x", "c", "n"]) for stream in streams]
        windows = [(start, start + 7_200) for start in range(*span, 14_400)]
        spread = [
            [
                (start, numbers)
                for starts, columns in numbers_between(connection, stream, windows, ["x", "c", "n"])
                for start, *numbers in zip(starts.tolist(), *(column.tolist() for column in columns), strict=True)
            ]
            for stream in streams
        ]
        duplicates = [duplicates_in(connection, stream, *ALWAYS) for stream in streams]
        window = (NOON, NOON + 3 * DAY)
        taken = list(events_between(connection, "m", "production", None, *window, store.protection, lambda _: True))
    counts = [
        {version: (slot.predictions, slot.counts.tolist()) for version, slot in each.items() if slot.counts.any()}
        for each in sums
    ]
    assert all((slot.counts >= 0).all() for each in sums for slot in each.values())
    events = sorted(as_text(row) for row in taken)
    return [
        counts,
        summed_outcomes(store),
        duplicates,
        stored_features(store),
        events,
        [(each.rows, each.given, [*map(bag, each.values.values())]) for each in shown],
        [*map(bag, spread)],
    ]


def as_text(row: StoredPrediction) -> str:
    return repr((replace(row.event, features={}), sorted(row.event.features.items()), row.policy))


def bag(values: Iterable[Any]) -> Counter[str]:
    """In no order."""
    return Counter(map(repr, values))


@both_engines
def test_damaged_features_of_a_row_count_as_not_stored(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    open_ledger(store).commit(several(3))
    table = tables.prediction
    with store.write() as connection:
        connection.execute(update(table).where(table.c.prediction_id == "p1").values(features=b"{"))
    found = stored_features(store)
    assert [bool(found[f"p{number} {TODAY}"]) for number in range(3)] == [True, False, True]
    assert "Features of the prediction 'p1' count as not stored" in caplog.text


@both_engines
def test_a_damaged_prediction_is_an_error_that_names_it(store: Store) -> None:
    open_ledger(store).commit(several(3))
    table = tables.prediction
    with store.write() as connection:
        connection.execute(update(table).where(table.c.prediction_id == "p1").values(prediction="{"))
    with pytest.raises(DamagedData, match="The prediction 'p1' of 'm' can't be read"):
        stored_features(store)
