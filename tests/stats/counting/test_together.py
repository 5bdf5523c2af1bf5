"""Counts of several subjects at once are those of each alone."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.events import Scalar
from modelwatch.stats.counting.binning import Binning, NumericBinning, categorical_binning, numeric_binning
from modelwatch.stats.counting.columns import Column, FloatColumn, column_of
from modelwatch.stats.counting.kernel import CHUNK, CountsByGroup
from modelwatch.stats.counting.together import MOST_TOGETHER, count_together


def subjects(number: int) -> list[tuple[Binning, list[Scalar]]]:
    """Binnings, and values of many kinds."""
    rng = np.random.default_rng(number)
    normal = numeric_binning(rng.normal(size=5_000))
    exact = NumericBinning(normal.edges, normal.coarse_of, normal.low, normal.high, normal.scale, version=1)
    # What single precision can't tell apart.
    fine = numeric_binning(np.array([0.1, 0.1 + 1e-12] * 50))
    names = categorical_binning(["red", "green", "1", "true", "0.1"] * 40)
    floats = rng.normal(0.0, 2.0, number).tolist()
    odd: list[Scalar] = [None, 1, True, "red", 2**70, 10**400, float("nan"), float("inf"), -1e300, 0.1 + 0.2, "never"]
    return [
        (normal, floats),
        (exact, floats),
        (normal, [odd[place % len(odd)] for place in range(number)]),
        (names, [odd[place % len(odd)] for place in range(number)]),
        (exact, rng.integers(-3, 3, number).tolist()),
        (normal, [None if place % 3 else place / 1_000 for place in range(number)]),
        (fine, rng.choice([0.1, 0.1 + 1e-12, 0.2], number).tolist()),
        (names, rng.choice(["red", "green", "blue"], number).tolist()),
        (normal, [1e300 if place == 3 else place / 100 for place in range(number)]),
        (normal, [number if place % 2 else number + 0.5 for place in range(number)]),
    ]


@pytest.mark.parametrize("number", [0, 1, 30, 31, 99, 100, 1_000, CHUNK, CHUNK + 1])
def test_several_subjects_are_counted_together_as_alone(number: int) -> None:
    counted: list[tuple[int, Binning, Column]] = []
    expected: list[int] = []
    for binning, values in subjects(number):
        counted.append((len(expected), binning, column_of(values)))
        expected += binning.count(values).tolist()
    assert count_together(counted, len(expected)).tolist() == expected
    by_group = CountsByGroup(np.zeros(number, dtype=np.intp), 1, len(expected))
    for start, binning, column in counted:
        by_group.add(start, binning.cells(column))
    assert by_group.totals()[0].tolist() == expected


def test_more_columns_than_are_sorted_at_once() -> None:
    binning = numeric_binning(np.random.default_rng(1).normal(size=5_000))
    rows = 2_000
    number = 2 * MOST_TOGETHER // rows + 5
    values = np.random.default_rng(2).normal(size=(number, rows))
    counted = [(place * binning.size, binning, FloatColumn(row)) for place, row in enumerate(values)]
    counts = count_together(counted, number * binning.size).reshape(number, -1)
    assert counts.tolist() == [binning.count_floats(row).tolist() for row in values]
    # The columns are as they were.
    assert values.tolist() == np.random.default_rng(2).normal(size=(number, rows)).tolist()
