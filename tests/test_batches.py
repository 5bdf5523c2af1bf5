"""Batches of predictions: columns that behave as the list of predictions that they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.batches import PredictionBatch, joined
from modelwatch.events import Prediction
from tests.support.events import event

VALUES = st.none() | st.floats(allow_nan=False) | st.integers(-9, 9) | st.sampled_from(["red", "green"])
EVENTS = st.lists(
    st.builds(
        event,
        st.text("ab", min_size=1, max_size=3),
        st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3),
        model=st.sampled_from("mn"),
        version=st.sampled_from("12"),
        timestamp=st.integers(-(2**50), 2**50),
        prediction=st.booleans() | st.sampled_from(["yes", "no"]) | st.floats(allow_nan=False),
        probability=st.none() | st.floats(0.0, 1.0) | st.just({"yes": 0.25}),
        latency_ms=st.none() | st.floats(0.0, 9.0),
        ground_truth=st.none() | st.just("yes"),
    ),
    max_size=70,
)


def typed(events: list[Prediction]) -> list[object]:
    return [(each, [(name, type(value)) for name, value in each.features.items()]) for each in events]


@given(EVENTS)
def test_a_batch_is_the_list_of_its_predictions(events: list[Prediction]) -> None:
    batch = PredictionBatch.of(events)
    assert typed(list(batch)) == typed(events)
    assert batch == events
    assert events == batch
    assert PredictionBatch.of(batch) is batch
    assert [batch[place] for place in range(-len(events), len(events))] == events + events
    assert list(batch.models) == list(dict.fromkeys(each.model_name for each in events))
    assert batch.model_names() == [each.model_name for each in events]
    assert batch.feature_maps() == [each.features for each in events]
    of_columns = dataclasses.replace(batch, given_maps=None)
    assert of_columns.feature_maps() == batch.feature_maps()
    assert typed(list(of_columns)) == typed(events)
    assert set(batch.feature_names) == {name for each in events for name in each.features}
    for name in "xyz":
        assert batch.feature(name).scalars() == [each.features.get(name) for each in events]


@given(EVENTS, st.integers(0, 70), st.integers(0, 70), st.data())
def test_parts_of_a_batch_are_those_of_the_list(
    events: list[Prediction], start: int, stop: int, data: st.DataObject
) -> None:
    batch = PredictionBatch.of(events)
    assert typed(list(batch[start:stop])) == typed(events[start:stop])
    places = data.draw(st.lists(st.sampled_from(range(len(events))), max_size=40)) if events else []
    part = batch.take(np.array(places, dtype=np.intp))
    assert typed(list(part)) == typed([events[place] for place in places])
    # Of what is not in it, nothing is known any more.
    assert set(part.models) == {events[place].model_name for place in places}
    for model in part.models:
        assert [events[places[row]].model_name for row in part.rows_of(model).tolist()] == [
            model
        ] * part.model_names().count(model)
    for name in "xyz":
        assert part.feature(name).scalars() == [events[place].features.get(name) for place in places]


@given(st.lists(EVENTS, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_batches_and_lists_are_joined_in_their_order(parts: list[list[Prediction]], as_batch: list[bool]) -> None:
    given_parts = [
        PredictionBatch.of(part) if is_batch else part for part, is_batch in zip(parts, as_batch, strict=False)
    ]
    together = joined(given_parts)
    expected = [each for part in parts for each in part]
    assert typed(list(together)) == typed(expected)
    for name in "xyz":
        assert together.feature(name).scalars() == [each.features.get(name) for each in expected]


def test_a_place_outside_of_a_batch_is_an_error() -> None:
    with pytest.raises(IndexError):
        PredictionBatch.of([event("a")])[1]
