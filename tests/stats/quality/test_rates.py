"""Data quality: what the counts beside the cells decide, on small profiles and on the car-loan data."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.quality.codes import codes_in_reference, sentinel_sides, sentinels
from modelwatch.stats.quality.rates import (
    RateCheck,
    compare_rates,
    data_quality_score,
    rate_checks,
    schema_changes,
    unsound_counts,
    unsound_share,
)
from tests.parity.scenarios import load, rows, texts
from tests.support.data.data_sets import DataSets

NUMBERS = numeric_binning(np.arange(1_000.0))
COLOURS = categorical_binning(["red", "green", "blue"])
ALPHA = 1e-5


def numbers(*values: object) -> Profile:
    return Profile.of(NUMBERS, list(values))  # type: ignore[arg-type]


def check(reference: Profile, current: Profile, rule: str, **parameters: float) -> RateCheck:
    return next(each for each in rate_checks(reference, current, **parameters) if each.rule == rule)


def test_only_the_rules_that_apply_to_the_feature_are_checked() -> None:
    numeric = rate_checks(Profile.empty(NUMBERS), Profile.empty(NUMBERS))
    assert [each.rule for each in numeric] == ["missing", "invalid_type", "below_range", "above_range"]
    categorical = rate_checks(Profile.empty(COLOURS), Profile.empty(COLOURS))
    assert [each.rule for each in categorical] == ["missing", "invalid_type", "unseen_category"]


def test_each_rate_is_a_share_of_the_values_that_could_break_its_rule() -> None:
    current = numbers(*[None] * 4, *["text"] * 2, -1.0, 5_000.0, 5_000.0, 3.0)
    by_rule = {each.rule: each for each in rate_checks(numbers(1.0), current)}
    assert (by_rule["missing"].current_count, by_rule["missing"].current_n) == (4, 10)
    assert (by_rule["invalid_type"].current_count, by_rule["invalid_type"].current_n) == (2, 6)
    assert (by_rule["below_range"].current_count, by_rule["below_range"].current_n) == (1, 4)
    assert (by_rule["above_range"].current_count, by_rule["above_range"].current_n) == (2, 4)
    assert {each.dimension for each in by_rule.values()} == {"completeness", "validity", "consistency"}


@pytest.mark.parametrize(
    ("before", "now", "large"),
    [(0, 9, False), (0, 10, True), (6, 17, False), (6, 18, True), (4, 13, False), (100, 149, False), (100, 150, True)],
)
def test_a_rise_is_large_by_five_points_or_threefold_with_a_point(before: int, now: int, large: bool) -> None:
    reference = numbers(*[None] * before, *[1.0] * (1_000 - before))
    current = numbers(*[None] * now, *[1.0] * (1_000 - now))
    assert check(reference, current, "missing").large is large


def test_what_counts_as_large_can_be_set() -> None:
    reference, current = numbers(*[1.0] * 100), numbers(None, *[1.0] * 99)
    assert check(reference, current, "missing").large
    assert not check(reference, current, "missing", least_factor_rise=0.02).large
    assert check(reference, current, "missing", least_factor_rise=0.02, least_rise=0.01).large


def test_a_fall_is_neither_large_nor_significant() -> None:
    found = check(numbers(*[None] * 50, *[1.0] * 50), numbers(*[1.0] * 100), "missing")
    assert found.change == -0.5
    assert not found.large
    assert found.p_value == 1.0


def test_the_p_value_is_fishers() -> None:
    found = check(numbers(*[None] * 7, *[1.0] * 193), numbers(*[None] * 9, *[1.0] * 91), "missing")
    assert found.p_value == pytest.approx(stats.fisher_exact([[9, 91], [7, 193]], alternative="greater").pvalue)


@pytest.mark.parametrize("empty_side", ["reference", "current"])
def test_a_side_without_values_has_no_rate_and_is_never_an_alarm(empty_side: str) -> None:
    some, none = numbers(None, None), Profile.empty(NUMBERS)
    pair = (none, some) if empty_side == "reference" else (some, none)
    for found in rate_checks(*pair):
        assert found.change is None
        assert (found.p_value, found.large) == (1.0, False)


def test_rates_over_different_cells_are_refused() -> None:
    with pytest.raises(IncompatibleProfiles, match="same binning"):
        rate_checks(Profile.empty(NUMBERS), Profile.empty(COLOURS))
    with pytest.raises(IncompatibleProfiles):
        sentinels(Profile.empty(NUMBERS), Profile.empty(COLOURS), {})


def test_driver_tenure_and_salary_range_lose_values_from_the_sixth_window_on(shared_data: DataSets) -> None:
    reference, production, oracle = load(shared_data / "carloan_dq_nannyml")
    peer = json.loads((shared_data / "carloan_nannyml" / "oracle_peer_nannyml.json").read_text())
    features = ("driver_tenure", "salary_range", "size_of_downpayment", "repaid_loan_on_prev_car")
    values = {
        "driver_tenure": reference["driver_tenure"].tolist(),
        **{name: texts(reference[name]) for name in features[1:]},
    }
    binnings = {
        name: numeric_binning(np.array(sample)) if name == "driver_tenure" else categorical_binning(sample)
        for name, sample in values.items()
    }
    baseline = {name: Profile.of(binnings[name], values[name]) for name in features}
    for window, missing, unseen in zip(oracle["windows"], peer["dq_missing"], peer["dq_unseen"], strict=True):
        part = rows(production, window)
        late = missing["chunk.chunk_index"] >= 5
        for name in features:
            sample = part[name].tolist() if name == "driver_tenure" else texts(part[name])
            profile = Profile.of(binnings[name], sample)
            found = {each.rule: each for each in rate_checks(baseline[name], profile)}
            loses = name in ("driver_tenure", "salary_range")
            if loses:
                assert found["missing"].current_rate == pytest.approx(0.22 if late else 0.10, abs=0.015)
            if f"{name}.value" in missing:
                assert found["missing"].current_rate == pytest.approx(missing[f"{name}.value"], abs=1e-12)
            alarm = found["missing"].large and found["missing"].p_value < ALPHA
            assert alarm is (loses and late), name
            if f"{name}.value" in unseen:
                assert found["unseen_category"].current_count == round(unseen[f"{name}.value"] * profile.total)


@given(st.lists(st.sampled_from([1.0, -5.0, 2_000.0, None, "text", float("inf")]), min_size=1))
def test_a_value_is_unsound_by_one_rule_at_most(values: list[object]) -> None:
    profile = numbers(*values)
    broken = sum(count for count, _ in unsound_counts(profile).values())
    assert broken == sum(value != 1.0 for value in values)
    assert unsound_share(profile) == broken / len(values)


@given(st.lists(st.lists(st.sampled_from([1.0, -5.0, None, "text"])), min_size=1, max_size=4))
def test_what_the_dimensions_lose_adds_up_to_what_the_score_loses(features: list[list[object]]) -> None:
    quality = data_quality_score(numbers(*values) for values in features)
    if quality.score is None:
        assert not any(features)
        assert set(quality.dimensions.values()) == {None}
    else:
        lost = sum(1.0 - value for value in quality.dimensions.values() if value is not None)
        assert 1.0 - quality.score == pytest.approx(lost)


def test_a_sample_without_values_has_no_unsound_share() -> None:
    assert unsound_share(Profile.empty(NUMBERS)) is None


def test_a_feature_that_appears_or_disappears_is_a_schema_change() -> None:
    changes = schema_changes({"a": 500, "b": 500, "c": 0}, {"a": 80, "c": 3}, reference_n=500, current_n=80)
    assert [(each.feature, each.change) for each in changes] == [("b", "disappeared"), ("c", "appeared")]
    assert changes[0].p_value < ALPHA < changes[1].p_value


def test_a_window_without_rows_changes_no_schema() -> None:
    assert schema_changes({"a": 5}, {}, reference_n=5, current_n=0) == ()
    assert schema_changes({}, {"a": 5}, reference_n=0, current_n=5) == ()


@pytest.mark.parametrize("count", [-1, 11])
def test_a_feature_in_more_rows_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(StatsError, match="between 0 and 10"):
        schema_changes({"a": count}, {}, reference_n=10, current_n=10)


@pytest.mark.parametrize("size", [1, 2, 5, 24, 60])
@pytest.mark.parametrize(("reference_size", "rate"), [(100, 0.02), (100, 0.3), (1_000, 0.002), (1_000, 0.1)])
def test_few_values_are_called_unsound_by_chance_no_more_often_than_many(
    size: int, reference_size: int, rate: float
) -> None:
    """By enumeration of every pair of counts, so to the last digit."""
    before = stats.binom.pmf(np.arange(reference_size + 1), reference_size, rate)
    now = stats.binom.pmf(np.arange(size + 1), size, rate)
    alpha = 1e-3
    wrong = 0.0
    for known in np.flatnonzero(before > 1e-12).tolist():
        for count in range(size + 1):
            [found] = compare_rates({"missing": (known, reference_size)}, {"missing": (count, size)})
            wrong += float(before[known] * now[count]) if found.large and found.p_value < alpha else 0.0
    assert wrong <= alpha


def test_counts_rule_a_sentinel_out_before_any_raw_value_is_read() -> None:
    assert sentinel_sides(numbers(*[1.0] * 99, -200.0)) == ()
    assert sentinel_sides(numbers(*[1.0] * 97, -200.0, -200.0, 9_999.0)) == ("below",)
    assert sentinel_sides(Profile.empty(NUMBERS)) == ()
    assert sentinel_sides(Profile.of(COLOURS, ["pink"])) == ()


def test_a_repeated_value_outside_the_range_is_a_sentinel_and_scattered_ones_are_not() -> None:
    reference = Profile.of(NUMBERS, np.arange(1_000.0).tolist())
    scattered = [1_000.0 + step for step in range(20)]
    current = numbers(*[5.0] * 500, *[-200.0] * 30, *scattered, *[99_999.0] * 8)
    counts = {-200.0: 30, 5.0: 500, 99_999.0: 8} | dict.fromkeys(scattered, 1)
    (low, high) = sentinels(reference, current, counts)
    assert (low.value, low.side, low.count) == (-200.0, "below", 30)
    assert (high.value, high.side, high.share) == (99_999.0, "above", 8 / 558)
    assert low.p_value < ALPHA < high.p_value
    assert len(sentinels(reference, current, counts, least_share=0.02)) == 1


@pytest.mark.parametrize("levels", [[0.414912], [0.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
def test_beside_a_reference_of_few_levels_a_new_one_is_no_code_for_a_missing_value(levels: list[float]) -> None:
    """As the feature `transfer` of elec2: constant in the reference, then alive."""
    given = levels * 250
    binning = numeric_binning(np.array(given))
    reference = Profile.of(binning, given)
    alive = {0.500526: 48, 0.794298: 30, 7.5: 22, -0.25: 40}
    now = Profile.of(binning, [value for value, count in (alive | {levels[0]: 860}).items() for _ in range(count)])
    assert sentinels(reference, now, alive) == ()
    coded = Profile.of(binning, [-999.0] * 40 + given[:860])
    (found,) = sentinels(reference, coded, {-999.0: 40})
    assert (found.value, found.side, found.count) == (-999.0, "below", 40)


def test_codes_beside_mostly_zero_numbers_are_found_however_few_cells_hold_them() -> None:
    """Hundreds of different amounts are in two or three cells, since nearly all values are 0."""
    rng = np.random.default_rng(1)
    amounts = np.where(rng.random(100_000) < 0.99, 0.0, rng.exponential(100.0, 100_000))
    binning = numeric_binning(amounts)
    reference = Profile.of(binning, amounts)
    assert np.count_nonzero(reference.fine) < 5
    now = amounts.copy()
    now[:3_000] = -200.0
    (found,) = sentinels(reference, Profile.of(binning, now), {-200.0: 3_000})
    assert (found.value, found.side, found.count) == (-200.0, "below", 3_000)
    coded = amounts.copy()
    coded[:2_000] = -999.0
    binning = numeric_binning(coded)
    reference = Profile.of(binning, coded)
    now[:8_000] = -999.0
    (known,) = codes_in_reference(reference, Profile.of(binning, now))
    assert (known.value, known.reference_count, known.current_count) == (-999.0, 2_000, 8_000)


def test_a_categorical_feature_has_no_sentinels() -> None:
    profile = Profile.of(COLOURS, ["pink"] * 10)
    assert sentinels(profile, profile, {-200.0: 10}) == ()


@pytest.mark.parametrize("values", [{-200.0: 3}, {-200.0: -1}])
def test_values_of_another_window_are_refused(values: dict[float, int]) -> None:
    current = numbers(1.0, -200.0, -200.0)
    with pytest.raises(StatsError, match="same window"):
        sentinels(current, current, values)
