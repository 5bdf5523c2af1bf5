"""Scales: ticks are round, few and enclose the values, for numbers, magnitudes and times."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.charts.drawing.numbers import moment, number, percent, tick_texts
from modelwatch.charts.drawing.scales import Linear, Log, Time, floats

values = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20)
HOUR, DAY = 3_600.0, 86_400.0


def is_round(tick: float, step: float) -> bool:
    return abs(tick / step - round(tick / step)) < 1e-6


@given(values, st.booleans(), st.integers(2, 8))
def test_linear_ticks_are_multiples_of_a_round_step_and_enclose_the_values(
    data: list[float], zero: bool, most: int
) -> None:
    scale = Linear.over(data, zero=zero, most=most)
    ticks = np.array(scale.ticks)
    steps = np.diff(ticks)
    assert 2 <= len(ticks) <= max(most, 3)
    assert np.all(steps > 0)
    step = float(steps[0])
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert any(math.isclose(mantissa, each, rel_tol=1e-6) for each in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
    assert all(is_round(tick, step) for tick in scale.ticks)
    known = [value for value in floats(data).tolist() if not math.isnan(value)]
    assert all(scale.low <= value <= scale.high for value in known)
    assert all(0 <= scale.at(value) <= 1 for value in known)
    if zero and known:
        assert scale.low <= 0 <= scale.high


@given(values)
def test_logarithmic_ticks_are_one_or_three_times_a_power_of_ten(data: list[float]) -> None:
    scale = Log.over(data)
    assert 2 <= len(scale.ticks) <= 7
    for tick in scale.ticks:
        assert round(tick / 10.0 ** math.floor(math.log10(tick) + 1e-9), 6) in (1, 3)
    known = [value for value in floats(data).tolist() if value > 0]
    assert all(scale.low <= value * 1.0000001 and value <= scale.high * 1.0000001 for value in known)


@pytest.mark.parametrize(
    ("span", "first_level", "multiple"),
    [
        (HOUR, ["12:00"], 300),
        (12 * HOUR, ["12:00", "18:00"], 1800),
        (48 * HOUR, ["00:00"] * 2, 3 * HOUR),
        (7 * DAY, ["Mon 30"], DAY),
    ],
)
def test_times_are_round_in_utc(span: float, first_level: list[str], multiple: float) -> None:
    start = datetime(2026, 11, 27, 11, 20, tzinfo=UTC).timestamp()
    ticks = Time.over(start, start + span).ticks()
    assert [tick.text for tick in ticks if tick.level == 0] == first_level
    assert all(tick.at % multiple == 0 for tick in ticks)


def test_months_begin_on_their_first_day_and_years_are_named_below() -> None:
    start, end = (datetime(year, month, 10, tzinfo=UTC).timestamp() for year, month in ((2025, 9), (2026, 5)))
    scale = Time.over(start, end)
    assert [tick.text for tick in scale.ticks()] == ["Oct", "Nov", "Dec", "Jan", "Feb", "Mar", "Apr", "May"]
    assert all(moment(tick.at).day == 1 for tick in scale.ticks())
    assert [text for _, text in scale.contexts()] == ["2025", "2026"]


@given(st.floats(), st.floats())
def test_any_two_times_make_a_scale_with_few_ticks(a: float, b: float) -> None:
    scale = Time.over(a, b)
    assert scale.low < scale.high
    assert len(scale.ticks()) <= 120
    assert 1 <= len(scale.contexts()) <= 120


@given(values, st.sampled_from(["number", "percent"]))
def test_texts_of_ticks_differ_and_are_short(data: list[float], form: str) -> None:
    ticks = Linear.over(data).ticks
    texts = tick_texts(ticks, form)  # type: ignore[arg-type]
    if max(map(abs, ticks)) < 1e13 * (ticks[1] - ticks[0]) / max(ticks[1] - ticks[0], 1):
        close = (ticks[1] - ticks[0]) / max(map(abs, ticks)) < 1e-3
        assert close or len(set(texts)) == len(texts)


@pytest.mark.parametrize("value", [-2.2e-309, -5e-324, -1e-290, -1.1e-290, 1e-290])
def test_what_is_almost_nothing_is_on_its_scale(value: float) -> None:
    scale = Linear.over([value])
    assert scale.low <= floats([value])[0] <= scale.high


def test_constant_values_have_room_around_them() -> None:
    assert 0 < Linear.over([5.0, 5.0]).at(5.0) < 1
    assert Linear.over([0.0]).ticks[0] == 0
    assert Linear.over([]).ticks[-1] == 1


def test_a_scale_of_shares_never_passes_its_bounds() -> None:
    assert Linear.over([0.86, 0.999], top=1.0).high == 1.0
    assert Linear.over([0.001, 0.02], least=0.0).low >= 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.842193, "0.842"),
        (1e6, "1\u00a0M"),
        (-0.00001, "−1\u00a0×\u00a010⁻⁵"),
        (999_999, "999,999"),
        (math.inf, "∞"),
        (math.nan, "–"),
        (12.0, "12"),
        (999.4, "999"),
        (999.6, "1,000"),
        (999_999.6, "1\u00a0M"),
        (999_999_999, "1\u00a0G"),
        (9.996e14, "1\u00a0×\u00a010¹⁵"),
    ],
)
def test_numbers_have_sensible_digits(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.842193, "84.2\u00a0%"),
        (0.9994, "99.9\u00a0%"),
        (0.9995, ">\u00a099.9\u00a0%"),
        (0.9999999, ">\u00a099.9\u00a0%"),
        (-0.9999, "<\u00a0−99.9\u00a0%"),
        (1.0, "100\u00a0%"),
        (-0.056, "−5.6\u00a0%"),
        (1e-7, "<\u00a00.01\u00a0%"),
        (2.5, "250\u00a0%"),
    ],
)
def test_shares_have_sensible_digits(share: float, text: str) -> None:
    assert percent(share) == text


@given(st.floats())
def test_any_number_is_written(value: float) -> None:
    assert 0 < len(number(value)) < 16
    assert percent(value).endswith("%") or math.isnan(value)
