"""Drift scores: definitions, bounds, and defined answers where there is nothing to compare."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.kernel import rounded
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import (
    drift_scores,
    hellinger,
    jensen_shannon,
    ks,
    psi,
    psi_contributions,
    total_variation,
    wasserstein,
)
from modelwatch.stats.errors import EmptySample, IncompatibleProfiles
from tests.stats.strategies import count_pairs, count_vectors, samples
from tests.support.examples import examples

REFERENCE = np.random.default_rng(0).normal(size=20_000)
BINNING = numeric_binning(REFERENCE)
PROFILE = Profile.of(BINNING, REFERENCE)


def scores_are_plain_numbers(scores: object) -> bool:
    """Whether every float inside is finite."""
    fields = scores if isinstance(scores, tuple) else tuple(getattr(scores, name) for name in scores.__slots__)
    return all(
        math.isfinite(value)
        if isinstance(value, float)
        else value is None or isinstance(value, dict) or scores_are_plain_numbers(value)
        for value in fields
    )


@given(count_pairs())
def test_scores_stay_in_their_range(pair: tuple[list[int], list[int]]) -> None:
    divergence = jensen_shannon(*pair)
    assert psi(*pair) >= 0.0
    assert (psi_contributions(*pair) >= 0.0).all()
    for value in (divergence.divergence, divergence.distance, hellinger(*pair), total_variation(*pair)):
        assert 0.0 <= value <= 1.0


@given(count_vectors)
def test_a_sample_does_not_differ_from_itself(counts: list[int]) -> None:
    double = [2 * count for count in counts]
    assert psi(counts, double) == total_variation(counts, double) == hellinger(counts, double) == 0.0
    assert jensen_shannon(counts, double).distance == 0.0


@given(count_pairs())
def test_symmetric_scores_are_symmetric(pair: tuple[list[int], list[int]]) -> None:
    a, b = pair
    for score in (psi, hellinger, total_variation):
        assert score(a, b) == pytest.approx(score(b, a), rel=1e-12, abs=1e-15)


@given(count_pairs(1000))
def test_jensen_shannon_is_scipys(pair: tuple[list[int], list[int]]) -> None:
    assert jensen_shannon(*pair).divergence == pytest.approx(jensenshannon(*pair, base=2) ** 2, abs=1e-12)


@given(samples, samples, samples)
def test_binned_ks_and_its_bound_enclose_the_exact_one(cells: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    binning = numeric_binning(cells)
    score = ks(Profile.of(binning, a), Profile.of(binning, b))
    if binning.version > 1:
        a, b = rounded(a), rounded(b)
    exact = ks_2samp(a, b, method="asymp").statistic
    assert score.statistic <= exact + 1e-12
    assert exact <= score.upper + 1e-12
    assert 0.0 <= score.p_value <= 1.0


@given(samples, samples)
def test_ks_is_exact_on_the_reference_of_few_values(a: np.ndarray, b: np.ndarray) -> None:
    a = np.round(np.clip(a, -20, 20))
    b = np.random.default_rng(len(b)).choice(a, len(b))  # only values that are atoms
    binning = numeric_binning(a)
    score = ks(Profile.of(binning, a), Profile.of(binning, b))
    assert score.statistic == score.upper == pytest.approx(ks_2samp(a, b, method="asymp").statistic, abs=1e-12)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.1, 1.0), (0.5, 1.2), (-1.0, 0.5)])
def test_ks_and_wasserstein_are_close_to_the_exact_ones_on_continuous_data(shift: float, scale: float) -> None:
    current = np.random.default_rng(1).normal(shift, scale, 5_000)
    profile = Profile.of(BINNING, current)
    score = ks(PROFILE, profile)
    exact = ks_2samp(REFERENCE, current, method="asymp").statistic
    assert score.statistic <= exact <= score.upper <= score.statistic + 2 / 200
    assert wasserstein(PROFILE, profile) == pytest.approx(
        wasserstein_distance(REFERENCE, current) / np.std(REFERENCE), abs=0.02
    )


def test_wasserstein_of_mass_outside_the_reference_range_is_a_lower_bound() -> None:
    far = Profile.of(BINNING, np.full(1000, 1e6))
    span = (BINNING.high - REFERENCE.mean()) / BINNING.scale
    assert wasserstein(PROFILE, far) == pytest.approx(span, rel=1e-2)


@settings(max_examples=examples(200))
@given(samples, samples)
def test_no_score_is_ever_nan(reference: np.ndarray, current: np.ndarray) -> None:
    binning = numeric_binning(reference)
    assert scores_are_plain_numbers(drift_scores(Profile.of(binning, reference), Profile.of(binning, current)))


def test_a_constant_reference_has_no_wasserstein_and_says_why() -> None:
    binning = numeric_binning(np.full(500, 0.003467))
    scores = drift_scores(Profile.of(binning, np.full(500, 0.003467)), Profile.of(binning, np.full(50, 0.001)))
    assert scores.psi is not None
    assert scores.psi > 10.0
    assert scores.ks is not None
    assert scores.ks.statistic == scores.ks.upper == 1.0
    assert scores.wasserstein is None
    assert "constant" in scores.reasons["wasserstein"]


@pytest.mark.parametrize("values", [[], [None] * 50, ["text", True, math.inf]])
def test_windows_without_a_valid_value_have_no_scores_but_reasons(values: list) -> None:
    scores = drift_scores(PROFILE, Profile.of(BINNING, values))
    assert scores.psi is scores.jensen_shannon is scores.ks is scores.wasserstein is scores.hellinger is None
    assert set(scores.reasons.values()) == {"the current sample has no valid values"}
    assert "reference" in drift_scores(Profile.of(BINNING, values), PROFILE).reasons["psi"]


def test_a_single_category_has_defined_scores() -> None:
    binning = categorical_binning(["only"] * 10)
    profile = Profile.of(binning, ["only"] * 10)
    scores = drift_scores(profile, profile)
    assert (scores.psi, scores.hellinger, scores.total_variation, scores.ks) == (0.0, 0.0, 0.0, None)
    assert scores_are_plain_numbers(scores)


def test_scores_of_no_observations_or_other_cells_are_refused() -> None:
    with pytest.raises(EmptySample, match="current"):
        psi([1, 2], [0, 0])
    with pytest.raises(IncompatibleProfiles):
        psi([1, 2], [1, 2, 3])
    other = numeric_binning(np.arange(1000.0))
    with pytest.raises(IncompatibleProfiles):
        drift_scores(PROFILE, Profile.empty(other))
    with pytest.raises(IncompatibleProfiles):
        ks(PROFILE, Profile.empty(other))
    categories = Profile.of(categorical_binning(["a"]), ["a"])
    with pytest.raises(IncompatibleProfiles, match="order"):
        wasserstein(categories, categories)
