"""The demo's payments: reproducible, plausible, and shifted in two features only."""

from __future__ import annotations

import numpy as np
import pytest

from modelwatch.demo.generator import (
    FOLLOWING,
    SHIFTED_FEATURES,
    Payments,
    Values,
    event_times,
    payments,
)
from modelwatch.stats.counting.binning import categorical_binning, numeric_binning
from modelwatch.stats.counting.profile import Profile
from modelwatch.stats.drift.scores import drift_scores

SIZE = 20_000
START = 1_767_225_600.0


def sample(seed: int, *, shifted: bool) -> Payments:
    rng = np.random.default_rng(seed)
    return payments(rng, event_times(rng, START, START + 86_400, SIZE), np.full(SIZE, shifted))


def columns(sample: Payments) -> dict[str, Values]:
    return {
        **sample.features,
        "prediction": sample.prediction,
        "score": sample.probability,
        "latency": sample.latency_ms,
    }


def psi(reference: Values, current: Values) -> float:
    before, after = reference.tolist(), current.tolist()
    if any(isinstance(value, str | bool) for value in before):
        profile = Profile.of(categorical_binning(before), before)
    else:
        numbers = np.array([value for value in before if value is not None], dtype=np.float64)
        profile = Profile.of(numeric_binning(numbers), before)
    score = drift_scores(profile, Profile.of(profile.binning, after)).psi
    assert score is not None
    return score


def test_the_same_seed_gives_the_same_payments() -> None:
    first, second = sample(1, shifted=False), sample(1, shifted=False)
    assert [first.row(index) for index in range(50)] == [second.row(index) for index in range(50)]
    assert first.row(0) != sample(2, shifted=False).row(0)


@pytest.mark.parametrize("seed", range(3))
def test_only_the_two_features_and_what_follows_from_them_shift(seed: int) -> None:
    before, after = columns(sample(seed, shifted=False)), columns(sample(seed + 100, shifted=True))
    scores = {name: psi(before[name], after[name]) for name in before}
    moved = {*SHIFTED_FEATURES, *FOLLOWING}
    assert moved < scores.keys()
    assert all(scores[name] > 0.2 for name in moved)
    assert all(score < 0.01 for name, score in scores.items() if name not in moved)


def test_without_a_shift_nothing_moves() -> None:
    first, second = columns(sample(1, shifted=False)), columns(sample(2, shifted=False))
    assert max(psi(first[name], second[name]) for name in first) < 0.01


def test_values_are_plausible() -> None:
    made = sample(3, shifted=False)
    assert made.features["transaction_amount"].min() > 0
    assert set(made.prediction) == {"fraud", "legitimate"}
    assert 0.01 < (made.prediction == "fraud").mean() < 0.1
    assert 0 <= made.probability.min() < made.probability.max() <= 1
    assert ((made.probability > 0.5) == (made.prediction == "fraud")).all()
    missing = np.mean([value is None for value in made.features["device_trust_score"]])
    assert 0.02 < missing < 0.04
    row = made.row(0)
    assert all(isinstance(value, bool | int | float | str | None) for value in row["features"].values())


def test_the_scores_are_right_until_the_shift_and_then_too_high() -> None:
    before, after = sample(1, shifted=False), sample(2, shifted=True)
    rates = [(each.probability.mean(), (each.truth == "fraud").mean()) for each in (before, after)]
    assert abs(rates[0][0] - rates[0][1]) < 0.01
    assert rates[1][0] - rates[1][1] > 0.05
    accuracy = [(each.prediction == each.truth).mean() for each in (before, after)]
    assert accuracy[0] - accuracy[1] > 0.03


def test_more_is_paid_by_day_than_at_night() -> None:
    times = event_times(np.random.default_rng(1), START, START + 2 * 86_400, 10_000)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= START
    assert times[-1] < START + 2 * 86_400
    hours = (times % 86_400) // 3_600
    assert (hours == 15).sum() > 2 * (hours == 3).sum()
