"""Counts of all subjects of a model, however many of its features a row names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.batches import PredictionBatch
from modelwatch.events import Prediction
from modelwatch.stats.counting.binning import Binning, categorical_binning, numeric_binning
from modelwatch.storage.references.layouts import Counts, Layout, subject_values
from modelwatch.storage.references.subjects import PREDICTION, SCORE, Subject
from tests.support.events import event

NUMBERS, COLORS = numeric_binning(np.linspace(-3.0, 3.0, 400)), categorical_binning(["red", "green"])
FEATURES: dict[str, Binning] = {"a": NUMBERS, "b": COLORS, "c": NUMBERS, "d": COLORS}
LAYOUT = Layout(
    {
        **{Subject("feature", name): binning for name, binning in FEATURES.items()},
        PREDICTION: categorical_binning(["yes", "no"]),
        SCORE: numeric_binning(np.linspace(0.0, 1.0, 400)),
    }
)
# "e" has no reference, and "d" may be in no row at all.
ROWS = st.lists(
    st.dictionaries(st.sampled_from("abce"), st.none() | st.floats(-4.0, 4.0) | st.just("red"), max_size=4),
    min_size=1,
    max_size=60,
)


def one_by_one(events: list[Prediction]) -> Counts:
    counts = np.zeros(LAYOUT.size, dtype=np.int64)
    for subject, place in LAYOUT.slices.items():
        counts[place] = LAYOUT.binnings[subject].count(subject_values(subject, events))
    return counts


@given(ROWS, st.integers(1, 3), st.data())
def test_features_that_rows_do_not_name_are_missing(
    rows: list[dict[str, float | str | None]], number: int, data: st.DataObject
) -> None:
    events = [event(f"p{place}", dict(features), probability=0.25) for place, features in enumerate(rows)]
    groups = np.array(data.draw(st.lists(st.integers(0, number - 1), min_size=len(rows), max_size=len(rows))))
    found = LAYOUT.count_groups(PredictionBatch.of(events), groups, number)
    for group, counts in enumerate(found):
        own = [each for each, of in zip(events, groups.tolist(), strict=True) if of == group]
        np.testing.assert_array_equal(counts, one_by_one(own))


@pytest.mark.parametrize("rows", [1, 20, 500])
def test_a_feature_that_nobody_names_is_missing_once_a_row(rows: int) -> None:
    counts = LAYOUT.count([event(f"p{place}", {"a": 0.5}) for place in range(rows)])
    for name, binning in FEATURES.items():
        of_feature = counts[LAYOUT.slices[Subject("feature", name)]]
        assert of_feature.sum() == rows
        missing = binning.size - (4 if binning is NUMBERS else 2)
        assert of_feature[missing] == (0 if name == "a" else rows)
