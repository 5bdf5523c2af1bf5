"""Segments: every prediction counts once in one value of each segment feature, whatever happens in what order."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.errors import UnknownResource
from modelwatch.events import GroundTruth, Prediction, Scalar
from modelwatch.storage.counts.outcomes import sum_outcomes
from modelwatch.storage.counts.profiles import sum_windows
from modelwatch.storage.counts.streams import count_streams, days_with_data, last_window_end, newest_window, streams
from modelwatch.storage.counts.volumes import hourly_volumes, predictions_in, windows_since
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.maintenance.backfill_profiles import backfill_profiles
from modelwatch.storage.maintenance.erasure import erase
from modelwatch.storage.references.monitors import delete_monitor, put_monitor
from tests.support.events import ALWAYS, NOON, Clock, event, numbered, open_ledger, open_store, stored_and_counted
from tests.support.examples import examples
from tests.support.stores.fresh import ENGINES, FreshStores
from tests.support.stores.labels import BINARY, CLASSES, generation, label, set_layout
from tests.support.stores.segments import (
    counted_by_segment,
    counted_from,
    labelled_by_segment,
    labelled_from,
    layouts_now,
    name_segments,
    segmentation,
    set_values,
    sums_by_feature,
)
from tests.support.stores.stored import fold_all
from tests.support.stores.uncertain import UncertainStore

pytestmark = pytest.mark.both_engines

COUNTRIES: list[Scalar] = ["DE"] * 5 + ["FR"] * 3 + ["IT"] * 2
AMOUNTS: list[Scalar] = [float(number) for number in range(100)]


def numbers(store: Store) -> dict[str, int]:
    """By segment, how many predictions."""
    return {segment: predictions for segment, (predictions, _) in counted_by_segment(store).items()}


def test_a_prediction_counts_in_one_value_of_each_segment_feature(store: Store) -> None:
    name_segments(store, "country", {"feature": "amount", "cuts": 2})
    set_values(store, country=COUNTRIES, amount=AMOUNTS)
    open_ledger(store).commit(
        [
            event("a", {"country": "DE", "amount": 10.0}),
            event("b", {"country": "XY", "amount": 90.0}),
            event("c", {"country": None, "amount": "much"}),
            event("d", {}),
        ]
    )
    assert numbers(store) == {
        "": 4,
        "amount=(invalid)": 1,
        "amount=(missing)": 1,
        "amount=<= 49": 1,
        "amount=> 49": 1,
        "country=(missing)": 2,
        "country=(other)": 1,
        "country=DE": 1,
    }


def test_the_fifty_most_frequent_values_have_segments_and_the_rest_are_other(store: Store) -> None:
    name_segments(store, "city")
    cities = [f"city-{number:02}" for number in range(60)]
    set_values(store, city=[city for rank, city in enumerate(cities) for _ in range(100 - rank)])
    open_ledger(store).commit([event(city, {"city": city}) for city in cities])
    found = numbers(store)
    assert found["city=(other)"] == 10
    assert found["city=city-49"] == 1
    assert "city=city-50" not in found
    assert len(found) == 1 + 50 + 1


def test_a_feature_without_a_reference_has_no_segments_until_there_is_one(store: Store) -> None:
    name_segments(store, "country")
    events = [event("a", {"country": "DE"})]
    open_ledger(store).commit(events)
    assert not segmentation(store)
    set_values(store, country=COUNTRIES)
    backfill_profiles(store, "m", *ALWAYS)
    assert counted_by_segment(store) == counted_from(store, events)
    assert numbers(store) == {"": 1, "country=DE": 1}


def test_segments_that_are_named_later_are_counted_from_the_rows(store: Store) -> None:
    set_values(store, country=COUNTRIES)
    set_layout(store, BINARY)
    events = [event("a", {"country": "DE"}, probability=0.8), event("b", {"country": "FR"}, probability=0.3)]
    ledger = open_ledger(store)
    ledger.commit(events, [label("a"), label("b", "no")])
    before = generation(store)
    name_segments(store, "country")
    assert generation(store) == before + 1
    backfill_profiles(store, "m", *ALWAYS)
    assert counted_by_segment(store) == counted_from(store, events)
    assert labelled_by_segment(store) == labelled_from(store, events, [label("a"), label("b", "no")])


def test_the_same_segments_again_make_no_generation(store: Store) -> None:
    set_values(store, country=COUNTRIES)
    name_segments(store, "country")
    before = generation(store)
    name_segments(store, {"feature": "country"}, "no such feature")
    assert generation(store) == before


def test_segments_that_are_not_named_any_more_are_gone_and_nothing_else_is(store: Store) -> None:
    set_values(store, country=COUNTRIES)
    set_layout(store, BINARY)
    name_segments(store, "country")
    open_ledger(store).commit([event("a", {"country": "DE"}, probability=0.8, ground_truth="no")])
    delete_monitor(store, "m", actor="test", now=NOON, new_id=numbered("audit"))
    backfill_profiles(store, "m", *ALWAYS)
    assert list(counted_by_segment(store)) == [""]
    assert list(labelled_by_segment(store)) == [""]
    open_ledger(store, prefix="v").commit([], [label("a", "yes", timestamp=NOON + 1)])
    assert labelled_by_segment(store) == labelled_from(
        store, [event("a", probability=0.8)], [label("a", "no"), label("a", "yes", timestamp=NOON + 1)]
    )


def test_segments_whose_meaning_stays_keep_their_counts(store: Store) -> None:
    """They must not depend on the stored features, which may be gone by then."""
    name_segments(store, "country")
    set_values(store, country=COUNTRIES)
    open_ledger(store).commit([event("a", {"country": "DE"})])
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE prediction SET features = NULL")
    set_values(store, amount=AMOUNTS)
    name_segments(store, "country", "amount")
    backfill_profiles(store, "m", *ALWAYS)
    assert numbers(store) == {"": 1, "amount=(unknown)": 1, "country=DE": 1}


def test_a_label_finds_the_segments_of_a_prediction_without_its_features(store: Store) -> None:
    name_segments(store, "country")
    set_values(store, country=COUNTRIES)
    set_layout(store, BINARY)
    events = [event("a", {"country": "FR"}, probability=0.8)]
    ledger = open_ledger(store)
    ledger.commit(events)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE prediction SET features = NULL")
    ledger.commit([], [label("a")])
    assert labelled_by_segment(store) == labelled_from(store, events, [label("a")])
    set_values(store, country=["FR", "IT"] * 5)
    backfill_profiles(store, "m", *ALWAYS)
    assert labelled_by_segment(store) == labelled_from(store, events, [label("a")])


def test_a_value_that_was_never_stored_is_unknown_and_not_missing(store: Store) -> None:
    set_layout(store, BINARY)
    set_values(store, country=COUNTRIES)
    put_monitor(
        store,
        "m",
        parse_monitor({"privacy": {"features": {"country": "drop"}}}),
        source="test",
        actor="test",
        now=NOON,
        new_id=numbered("audit"),
    )
    ledger = open_ledger(store)
    ledger.commit([event("a", {"country": "FR", "x": 1.0}, probability=0.8)], [label("a", "no")])
    name_segments(store, "country")
    backfill_profiles(store, "m", *ALWAYS)
    assert numbers(store) == {"": 1, "country=(unknown)": 1}
    ledger.commit([], [label("a", "yes", timestamp=NOON + 1)])
    found = labelled_by_segment(store)
    assert found["country=(unknown)"] == found[""]
    assert sorted(found) == ["", "country=(unknown)"]


def test_the_segments_follow_the_reference_of_all_versions_else_the_newest(store: Store) -> None:
    name_segments(store, "country")
    set_values(store, version="1", country=["DE"])
    set_values(store, version="2", country=["FR"])
    assert [each.values for each in segmentation(store).features] == [("FR",)]
    set_values(store, country=["IT"])
    assert [each.values for each in segmentation(store).features] == [("IT",)]
    set_values(store, version="1", country=["PL"])
    assert [each.values for each in segmentation(store).features] == [("IT",)]


def test_names_and_values_with_signs_of_their_own_are_told_apart(store: Store) -> None:
    name_segments(store, "a", "a=b")
    set_values(store, **{"a": ["b=(other)", "(other)", "\0", "%00"], "a=b": ["(other)", "x"]})
    open_ledger(store).commit(
        [
            event("1", {"a": "b=(other)", "a=b": "(other)"}),
            event("2", {"a": "(other)", "a=b": "y"}),
            event("3", {"a": "\0", "a=b": "x"}),
            event("4", {"a": "%00", "a=b": "x"}),
        ]
    )
    assert numbers(store) == {
        "": 4,
        "a%3Db=%28other)": 1,
        "a%3Db=(other)": 1,
        "a%3Db=x": 2,
        "a=%00": 1,
        "a=%2500": 1,
        "a=%28other)": 1,
        "a=b=(other)": 1,
    }
    assert {each.feature_of(text).feature for each in [segmentation(store)] for text in numbers(store) if text} == {  # type: ignore[union-attr]
        "a",
        "a=b",
    }


@pytest.mark.parametrize("happened", ["before", "after"])
def test_a_commit_with_an_unknown_outcome_counts_once_in_its_segments(tmp_path: Path, happened: str) -> None:
    open_store(tmp_path).close()
    store = UncertainStore(f"sqlite:///{tmp_path / 'modelwatch.db'}")
    name_segments(store, "country")
    set_values(store, country=COUNTRIES)
    set_layout(store, BINARY)
    ledger = open_ledger(store)
    events = [event(name, {"country": "DE"}, probability=0.7, ground_truth="no") for name in "ab"]
    ledger.commit(events[:1])
    store.fail_next = happened
    ledger.commit(events)
    ledger.commit([], [label("a", "yes", timestamp=NOON + 1)])
    told = [label("a", "no"), label("b", "no"), label("a", "yes", timestamp=NOON + 1)]
    assert counted_by_segment(store) == counted_from(store, events)
    assert labelled_by_segment(store) == labelled_from(store, events, told)


def test_no_reader_counts_a_prediction_twice(store: Store) -> None:
    name_segments(store, "country", "amount")
    set_values(store, country=COUNTRIES, amount=AMOUNTS)
    set_layout(store, BINARY)
    hour = NOON // 3_600_000_000 * 3_600_000_000
    events = [
        event(f"{number}", {"country": country, "amount": 5.0}, probability=0.8, timestamp=hour, ground_truth="yes")
        for number, country in enumerate(["DE", "FR", "DE"])
    ]
    open_ledger(store).commit([*events, events[0]])
    start, end = hour // 1_000_000, hour // 1_000_000 + 300
    stream = StreamKey("m", "1", "production")
    with store.read() as connection:
        layouts = layouts_now(store)
        [profile] = sum_windows(connection, "m", layouts, "production", [ALWAYS])
        [outcomes] = sum_outcomes(connection, "m", layouts, "production", [ALWAYS])
        assert profile["1"].predictions == 3
        assert outcomes["1"][BINARY.parts["delays"].place].sum() == 3
        assert [each.predictions for each in streams(connection)] == [3]
        assert windows_since(connection, stream, None, end, 10) == [(end, 3)]
        assert predictions_in(connection, stream, start, end) == 3
        assert hourly_volumes(connection, stream, start, end) == {start: 3}
        assert count_streams(connection, "m", start, end) == 1
        assert last_window_end(connection, "m", "production") == end
        newest = newest_window(connection, stream)
        assert newest is not None
        assert newest.window_start == start
        assert days_with_data(connection, "m") == [start // 86_400]
    assert stored_and_counted(store) == (3, 3)


def test_only_what_occurs_in_a_window_has_rows(store: Store) -> None:
    name_segments(store, "country")
    set_values(store, country=COUNTRIES)
    open_ledger(store).commit([event("a", {"country": "DE"}), event("b", {"country": "DE"})])
    with store.read() as connection:
        assert sorted(connection.execute(select(tables.profile.c.segment)).scalars()) == ["", "country=DE"]


features = st.fixed_dictionaries(
    {"country": st.sampled_from(["DE", "FR", "IT", "XY", None, 7]), "amount": st.sampled_from([1.0, 60.0, None, "x"])}
)
truths = st.builds(
    lambda number, value, late: label(str(number), value, timestamp=NOON + late * 1_000_000),
    st.integers(0, 7),
    st.sampled_from(["yes", "no", "maybe"]),
    st.integers(-5, 3_000),
)
names = st.lists(st.sampled_from(["country", "amount", "absent"]), max_size=3, unique=True).map(
    lambda chosen: [{"feature": "amount", "cuts": 3} if name == "amount" else name for name in chosen]
)
step = st.one_of(
    st.tuples(st.just("commit"), st.lists(st.integers(0, 7), max_size=5), st.lists(truths, max_size=4)),
    st.tuples(st.just("segments"), names, st.none()),
    st.tuples(st.just("reference"), st.sampled_from(["country", "amount"]), st.integers(0, 1)),
    st.tuples(st.just("layout"), st.sampled_from([BINARY, CLASSES]), st.none()),
    st.tuples(st.just("erase"), st.integers(0, 7), st.none()),
    st.tuples(st.sampled_from(["carry", "fold", "rotate"]), st.none(), st.none()),
)
REFERENCES: dict[str, list[list[Scalar]]] = {
    "country": [["DE", "DE", "FR"], ["IT", "FR"]],
    "amount": [[float(number) for number in range(100)], [float(number) for number in range(50, 90)]],
}


def identity(number: int, values: list[dict[str, Scalar]]) -> Prediction:
    """What is sent under one id is always the same, as a client's retry is."""
    return event(
        str(number),
        values[number],
        timestamp=NOON + number % 3 * 40_000_000_000,
        probability=number / 10,
        prediction="yes" if number % 2 else "no",
    )


@pytest.mark.parametrize("kind", ENGINES)
@settings(max_examples=examples(40))
@given(values=st.lists(features, min_size=8, max_size=8), steps=st.lists(step, max_size=16))
def test_the_counts_of_segments_are_those_of_the_rows_after_any_history(
    fresh_stores: FreshStores,
    kind: str,
    values: list[dict[str, Scalar]],
    steps: list[tuple[str, object, object]],
) -> None:
    with fresh_stores.open(kind) as store:
        name_segments(store, "country", {"feature": "amount", "cuts": 3})
        set_values(store, country=COUNTRIES)
        set_layout(store, BINARY)
        clock = Clock()
        ledgers = [open_ledger(store, clock, "x"), open_ledger(store, clock, "y")]
        sent: dict[str, Prediction] = {}
        told: list[GroundTruth] = []
        for number, (what, first, second) in enumerate(steps):
            if what == "commit":
                assert isinstance(first, list)
                assert isinstance(second, list)
                batch = [identity(each, values) for each in first]
                ledgers[number % 2].commit(batch, second)
                sent |= {each.prediction_id: each for each in batch}
                told += second
            elif what == "segments":
                name_segments(store, *first)  # type: ignore[misc]
            elif what == "reference":
                set_values(store, **{first: REFERENCES[first][second]})  # type: ignore[dict-item,index]
            elif what == "layout":
                set_layout(store, first)  # type: ignore[arg-type]
            elif what == "carry":
                backfill_profiles(store, "m", *ALWAYS)
            elif what == "erase":
                with contextlib.suppress(UnknownResource):
                    erase(store, "m", str(first), actor="test", now=NOON, new_id=lambda: uuid.uuid4().hex)
                sent.pop(str(first), None)
                told = [each for each in told if each.prediction_id != str(first)]
            elif what == "rotate":
                clock.advance(4_000)
            else:
                fold_all(store, clock() + 1)
        backfill_profiles(store, "m", *ALWAYS)
        profiles, outcomes = counted_by_segment(store), labelled_by_segment(store)
        assert profiles == counted_from(store, sent.values())
        assert outcomes == labelled_from(store, sent.values(), told)
        present = {each.feature for each in segmentation(store).features}
        if profiles:
            sums = sums_by_feature(store, {segment: [n, *counts] for segment, (n, counts) in profiles.items()})
            assert sums == {key: [profiles[""][0], *profiles[""][1]] for key in present}
        if outcomes:
            assert sums_by_feature(store, outcomes) == dict.fromkeys(present, outcomes[""])
