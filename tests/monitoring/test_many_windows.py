"""Many windows at once: what may drift is what `judge` calls drift, and all are judged as each by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modelwatch.monitoring.checks.drift.judge import Tolerance, judge, may_drift
from modelwatch.simulation.features import Feature
from modelwatch.stats.counting.binning import categorical_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.tests import homogeneity

CASES = 4_000


def profiles(counts: NDArray[np.int64]) -> Profile:
    """A profile of as many cells as there are counts."""
    binning = categorical_binning([str(index) for index in range(len(counts) - 2)])
    return Profile(binning, np.append(counts, [0, 0]))


def case(rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A reference and a window over the same cells: small or large, alike or not, with empty cells or without."""
    cells = int(rng.integers(3, 13))
    shares = rng.dirichlet(np.full(cells, rng.choice([0.3, 1.0, 100.0])))
    moved = shares if rng.random() < 0.3 else np.roll(shares, 1) * rng.random() + shares
    reference = rng.multinomial(int(10 ** rng.uniform(0, 5)), shares)
    window = rng.multinomial(int(10 ** rng.uniform(0, 4)), moved / moved.sum())
    return reference, window


def test_what_may_drift_agrees_with_judge_on_thousands_of_cases() -> None:
    rng = np.random.default_rng(1)
    drifted = screened = grouped = 0
    for _ in range(CASES):
        reference, window = case(rng)
        alpha, threshold, least = float(10 ** rng.uniform(-7, -1.4)), float(rng.choice([0.01, 0.1, 0.3])), 30
        passes = bool(may_drift(reference, window[None], np.array([alpha]), threshold, least)[0])
        judgement = judge(profiles(reference), profiles(window), Tolerance(threshold, 1.0), alpha, least)
        says_drift = judgement.severity in ("warning", "alert")
        assert passes == says_drift
        drifted += says_drift
        screened += not passes
        grouped += says_drift and homogeneity(reference, window).df < len(reference) - 1
    # All of these happen often enough to mean something.
    assert min(drifted, screened) > CASES / 10
    assert grouped > CASES / 40


def test_many_looks_are_screened_as_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    feature = Feature.drawn(2_000, rng)
    windows = rng.multinomial(rng.integers(1, 400, 300), feature.coarse_shares(0.4))
    alphas = rng.choice([1e-5, 1e-3, 0.05], 300)
    together = may_drift(feature.reference.coarse, windows, alphas, 0.1, 50)
    alone = [
        bool(may_drift(feature.reference.coarse, windows[[index]], alphas[[index]], 0.1, 50)[0]) for index in range(300)
    ]
    assert together.tolist() == alone
    assert 30 < together.sum() < 270


def test_a_window_without_values_may_not_drift() -> None:
    feature = Feature.drawn(100, np.random.default_rng(4))
    nothing = np.zeros((1, feature.binning.n_coarse), dtype=np.int64)
    assert not may_drift(feature.reference.coarse, nothing, np.array([0.05]), 0.1, 1)[0]
