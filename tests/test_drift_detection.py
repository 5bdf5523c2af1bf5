"""What drift detection says about samples that a person can judge at a glance."""

import numpy as np
import pytest

from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.evidence import rate_increase_p_value
from modelwatch.stats.drift.scores import drift_scores, jensen_shannon, ks, psi, wasserstein
from modelwatch.stats.drift.significance.homogeneity import homogeneity

PSI_WARNING, PSI_ALERT = 0.1, 0.25


class TestDriftDetector:
    """A reference of 10,000 amounts around 100, and windows that differ from it more or less."""

    rng = np.random.default_rng(42)
    sample = rng.normal(100.0, 25.0, 10_000)
    binning = numeric_binning(sample)
    reference = Profile.of(binning, sample)

    def window(self, mean: float, deviation: float = 25.0, size: int = 2_000) -> Profile:
        values = np.random.default_rng(7).normal(mean, deviation, size)
        return Profile.of(self.binning, values.tolist())

    def test_psi_no_drift(self) -> None:
        current = self.window(100.0)
        assert psi(self.reference.coarse, current.coarse) < PSI_WARNING
        assert homogeneity(self.reference.coarse, current.coarse).p_value > 0.001

    def test_psi_moderate_drift(self) -> None:
        assert PSI_WARNING < psi(self.reference.coarse, self.window(110.0).coarse) < PSI_ALERT

    def test_psi_significant_drift(self) -> None:
        current = self.window(130.0)
        assert psi(self.reference.coarse, current.coarse) > PSI_ALERT
        assert homogeneity(self.reference.coarse, current.coarse).p_value < 1e-12

    def test_psi_of_values_outside_the_reference_range(self) -> None:
        current = self.window(10_000.0)
        assert psi(self.reference.coarse, current.coarse) > 5.0
        assert current.above == current.n == 2_000

    def test_a_small_window_can_have_a_large_psi_without_evidence(self) -> None:
        current = self.window(100.0, size=40)
        assert psi(self.reference.coarse, current.coarse) > PSI_WARNING
        assert homogeneity(self.reference.coarse, current.coarse).p_value > 0.001

    def test_ks_no_drift(self) -> None:
        score = ks(self.reference, self.window(100.0))
        assert score.statistic < 0.04
        assert score.p_value > 0.01

    def test_ks_drift(self) -> None:
        score = ks(self.reference, self.window(100.0, deviation=50.0))
        assert 0.1 < score.statistic <= score.upper
        assert score.p_value < 1e-10

    def test_jensen_shannon_no_drift(self) -> None:
        assert jensen_shannon(self.reference.coarse, self.window(100.0).coarse).distance < 0.05

    def test_jensen_shannon_drift(self) -> None:
        score = jensen_shannon(self.reference.coarse, self.window(150.0).coarse)
        assert 0.5 < score.distance < 1.0
        assert score.divergence == pytest.approx(score.distance**2)

    def test_wasserstein_counts_in_standard_deviations(self) -> None:
        assert wasserstein(self.reference, self.window(125.0)) == pytest.approx(1.0, abs=0.1)

    def test_categorical_no_drift(self) -> None:
        binning = categorical_binning(["grocery"] * 600 + ["travel"] * 400)
        reference = Profile.of(binning, ["grocery"] * 600 + ["travel"] * 400)
        scores = drift_scores(reference, Profile.of(binning, ["grocery"] * 60 + ["travel"] * 40))
        assert scores.psi == 0.0
        assert scores.ks is None

    def test_categorical_unseen(self) -> None:
        binning = categorical_binning(["grocery"] * 600 + ["travel"] * 400)
        reference = Profile.of(binning, ["grocery"] * 600 + ["travel"] * 400)
        current = Profile.of(binning, ["grocery"] * 50 + ["travel"] * 30 + ["gambling"] * 20)
        assert current.unseen == 20
        assert psi(reference.coarse, current.coarse) > PSI_ALERT
        assert rate_increase_p_value(reference.unseen, reference.n, current.unseen, current.n) < 1e-12

    def test_missing_values_do_not_change_the_scores(self) -> None:
        values = np.random.default_rng(3).normal(100.0, 25.0, 1_000).tolist()
        with_gaps = Profile.of(self.binning, values + [None] * 500)
        assert drift_scores(self.reference, with_gaps) == drift_scores(self.reference, Profile.of(self.binning, values))
        assert (with_gaps.missing, with_gaps.n) == (500, 1_000)

    def test_windows_add_up(self) -> None:
        morning, evening = self.window(95.0, size=300), self.window(105.0, size=700)
        day = morning + evening
        assert day.n == 1_000
        assert day - evening == morning

    def test_an_empty_window_has_no_score_but_a_reason(self) -> None:
        scores = drift_scores(self.reference, Profile.empty(self.binning))
        assert scores.psi is None
        assert scores.reasons["psi"] == "the current sample has no valid values"

    def test_a_constant_feature_that_comes_alive_drifts(self) -> None:
        binning = numeric_binning(np.full(4_000, 0.4))
        reference = Profile.of(binning, np.full(4_000, 0.4))
        current = Profile.of(binning, np.random.default_rng(0).uniform(0.1, 0.3, 300))
        assert psi(reference.coarse, current.coarse) > PSI_ALERT
        assert ks(reference, current).statistic == 1.0
