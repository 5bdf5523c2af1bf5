"""Codes for missing values as public data sets have them: what is one and what only looks like it.

Made in code with the shape of the columns: `pdays` of Bank Marketing (UCI 222: -1 or 999 for never contacted), blood
pressure of the Pima diabetes data (OpenML 37: 0 for not measured), carbon monoxide of Air Quality (UCI 360: -200).
"""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.quality.codes import codes_in_reference

RNG = np.random.default_rng(8)
PRESSURE = np.clip(RNG.normal(72.0, 12.0, 730).round(), 24, 122)


def codes(values: list[float]) -> list[object]:
    profile = Profile.of(numeric_binning(np.array(values)), values)
    return [each.value for each in codes_in_reference(profile, profile)]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([-1.0] * 3_695 + RNG.integers(1, 872, 826).astype(float).tolist(), -1.0),
        ([999.0] * 4_000 + RNG.integers(0, 28, 150).astype(float).tolist(), 999.0),
        ([0.0] * 35 + PRESSURE.tolist(), 0.0),
        ([-200.0] * 1_683 + RNG.gamma(2.2, 1.0, 7_674).tolist(), -200.0),
        ([0.0] * 50 + (1.4e9 + RNG.uniform(0, 3e8, 900)).tolist(), 0.0),
        ([9_999.0] * 30 + RNG.normal(50.0, 9.0, 900).tolist(), 9_999.0),
    ],
)
def test_a_code_in_a_column_is_recognised(values: list[float], code: float) -> None:
    assert codes(values) == [code]


@pytest.mark.parametrize(
    "values",
    [
        RNG.poisson(0.5, 2_000).astype(float).tolist(),
        RNG.poisson(8.0, 2_000).astype(float).tolist(),
        RNG.integers(0, 2, 2_000).astype(float).tolist(),
        [float(value) for value in (-1, 0, 1)] * 500,
        RNG.normal(0.0, 1.0, 2_000).round().tolist(),
        RNG.exponential(10.0, 2_000).round(1).tolist(),
        RNG.integers(0, 100, 2_000).astype(float).tolist(),
        RNG.integers(18, 100, 2_000).astype(float).tolist(),
        [0.0] * 900 + RNG.lognormal(3.0, 1.0, 1_100).round(2).tolist(),
    ],
)
def test_ordinary_columns_have_no_code(values: list[float]) -> None:
    assert codes(values) == []


def test_names_of_categories_that_stand_for_nothing() -> None:
    names = ["private", "?", "self-employed", "Unknown", "NA", "Namibia", "none of these"]
    profile = Profile.of(categorical_binning(names), names)
    assert {each.value for each in codes_in_reference(profile, profile)} == {"?", "Unknown", "NA"}
