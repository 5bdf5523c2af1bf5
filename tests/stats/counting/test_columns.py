"""Columns of values give back what they were made of, and count as the values do one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelwatch.stats.counting.binning import Binning, categorical_binning, numeric_binning
from modelwatch.stats.counting.categorical import Scalar
from modelwatch.stats.counting.columns import (
    Column,
    FloatColumn,
    IntegerColumn,
    MixedColumn,
    TextColumn,
    column_of,
    missing_column,
    scattered,
)
from modelwatch.stats.counting.kernel import CountsByGroup
from tests.support.examples import examples

NUMBERS = st.floats(allow_nan=False, width=64)
WHOLE = st.integers(-(2**63), 2**64 - 1)
TEXTS = st.sampled_from(["red", "green", "0.1", "true", ""])
ANY_VALUES: st.SearchStrategy[list[Scalar]] = st.one_of(
    *(
        st.lists(st.none() | kind, max_size=80)
        for kind in (NUMBERS, WHOLE, st.integers(-5, 5), TEXTS, st.booleans(), NUMBERS | WHOLE | TEXTS | st.booleans())
    )
)
BINNINGS: list[Binning] = [
    numeric_binning(np.linspace(-3.0, 3.0, 400)),
    numeric_binning(np.array([0.0] * 9 + [1.0])),
    categorical_binning(["red", "0.1", True, 1, 2, 0.30000000000000004]),
]


def typed(values: list[Scalar]) -> list[tuple[type, Scalar]]:
    return [(type(value), value) for value in values]


@given(ANY_VALUES)
def test_a_column_gives_back_what_it_was_made_of(values: list[Scalar]) -> None:
    column = column_of(values)
    assert len(column) == len(values)
    assert typed(column.scalars()) == typed(values)
    assert column.present().tolist() == [value is not None for value in values]
    codes, distinct = column.distinct()
    names = [None if code < 0 else distinct[code] for code in codes.tolist()]
    assert [(type(name), name) for name in names] == typed(values)


@given(ANY_VALUES, st.data())
def test_places_of_a_column_are_those_of_its_values(values: list[Scalar], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.sampled_from(range(len(values))), max_size=50)) if values else []
    assert typed(column_of(values).take(np.array(places, dtype=np.intp)).scalars()) == typed(
        [values[place] for place in places]
    )


@given(st.lists(ANY_VALUES, max_size=3), st.randoms(use_true_random=False))
def test_parts_are_put_in_their_places(parts: list[list[Scalar]], random: object) -> None:
    length = sum(map(len, parts)) + 2
    places = list(range(length))
    random.shuffle(places)  # type: ignore[attr-defined]
    expected: list[Scalar] = [None] * length
    given_parts = []
    for values in parts:
        own, places = places[: len(values)], places[len(values) :]
        for place, value in zip(own, values, strict=True):
            expected[place] = value
        given_parts.append((np.array(own, dtype=np.intp), column_of(values)))
    assert typed(scattered(given_parts, length).scalars()) == typed(expected)


@settings(max_examples=examples(200))
@given(ANY_VALUES, st.sampled_from(BINNINGS), st.integers(1, 4), st.data())
def test_a_column_counts_as_its_values_do_in_each_group(
    values: list[Scalar], binning: Binning, number: int, data: st.DataObject
) -> None:
    groups = data.draw(st.lists(st.integers(0, number - 1), min_size=len(values), max_size=len(values)))
    counts = CountsByGroup(np.array(groups, dtype=np.intp), number, binning.size + 3)
    counts.add(3, binning.cells(column_of(values)))
    for group, vector in enumerate(counts.totals()):
        members = [value for value, of_value in zip(values, groups, strict=True) if of_value == group]
        assert vector.tolist() == [0, 0, 0, *binning.count(members).tolist()]


@pytest.mark.parametrize("binning", BINNINGS)
def test_columns_of_arrays_count_as_lists_of_the_same_values(binning: Binning) -> None:
    small = np.array([3, -1, 120, 0] * 10, dtype=np.int8)
    gaps = np.array([True, False] * 20)
    columns: list[Column] = [
        FloatColumn(np.array([0.1, np.nan, np.inf, -np.inf, 3.5, -0.0, 0.1 + 0.2] * 10)),
        IntegerColumn(small),
        IntegerColumn(small.astype(np.uint64) + np.uint64(2**63), gaps),
        TextColumn(np.array([0, -1, 2] * 20), ("red", "not used", "0.1", "nor this")),
        TextColumn(np.array([5]), tuple("abcdefg")),
        MixedColumn([True, 1, 1.0, "1", None, float("nan"), 10**400] * 9),
        missing_column(40),
    ]
    for column in columns:
        counts = CountsByGroup(np.zeros(len(column), dtype=np.intp), 1, binning.size)
        counts.add(0, binning.cells(column))
        assert counts.totals()[0].tolist() == binning.count(column.scalars()).tolist()


def test_many_entries_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    binning, values = BINNINGS[0], np.linspace(-5.0, 5.0, 100)
    groups = np.arange(100) % 3
    totals = []
    for most in (1 << 20, 150):
        monkeypatch.setattr("modelwatch.stats.counting.kernel.MOST_ENTRIES", most)
        counts = CountsByGroup(groups, 3, 4 * binning.size)
        for subject in range(4):
            counts.add(subject * binning.size, binning.cells(FloatColumn(values + subject)))
        totals.append([vector.tolist() for vector in counts.totals()])
    assert totals[0] == totals[1]
    assert CountsByGroup(groups, 3, 2).totals()[2].tolist() == [0, 0]
