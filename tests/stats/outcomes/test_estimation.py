"""Estimation without labels: right on average, honest intervals, and a reason wherever its assumptions can't hold."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from modelwatch.stats.errors import IncompatibleProfiles, StatsError
from modelwatch.stats.outcomes.estimation import (
    Calibration,
    Estimate,
    Refusal,
    calibrate,
    estimate,
    estimate_accuracy,
    isotonic,
    score_counts,
)
from tests.proofs.lock import Proofs

Sample = tuple[NDArray[np.float64], NDArray[np.bool_]]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def draw(generator: np.random.Generator, n: int, shape: tuple[float, float]) -> Sample:
    """Scores, and labels that follow them by one law whatever the scores' distribution; it is not the identity."""
    scores = generator.beta(*shape, size=n)
    return scores, generator.random(n) < 1.0 / (1.0 + np.exp(2.6 - 6.0 * scores))


def cells_by(scores: NDArray[np.float64], flags: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return score_counts(scores[flags])[0], score_counts(scores[~flags])[0]


def calibrated(generator: np.random.Generator, n: int, shape: tuple[float, float] = (0.7, 0.7)) -> Calibration:
    found = calibrate(*cells_by(*draw(generator, n, shape)), rng=generator)
    assert isinstance(found, Calibration)
    return found


def estimated(found: Estimate | Refusal) -> Estimate:
    assert isinstance(found, Estimate)
    return found


def reason(found: Estimate | Calibration | Refusal) -> str:
    assert isinstance(found, Refusal)
    return found.reason


def realised(scores: NDArray[np.float64], called: NDArray[np.bool_], labels: NDArray[np.bool_]) -> dict[str, float]:
    hits, misses = cells_by(scores, labels)
    tp, fp, fn = (called & labels).sum(), (called & ~labels).sum(), (~called & labels).sum()
    below = np.cumsum(misses) - misses / 2
    return {
        "accuracy": float((called == labels).mean()),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "roc_auc": float(hits @ below) / (hits.sum() * misses.sum()),
    }


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 50)), min_size=1, max_size=30).filter(
        lambda cells: any(weight for _, weight in cells)
    )
)
def test_isotonic_never_falls_and_keeps_the_weighted_sum(cells: list[tuple[float, int]]) -> None:
    values, weights = (np.array(column, dtype=np.float64) for column in zip(*cells, strict=True))
    fitted = isotonic(values, weights)
    assert all(right >= left - 1e-12 for left, right in pairwise(fitted))
    assert fitted @ weights == pytest.approx(values @ weights)


def test_isotonic_is_scipys() -> None:
    generator = rng(4)
    for _ in range(20):
        values, weights = generator.random(60), generator.integers(1, 30, size=60).astype(np.float64)
        expected = optimize.isotonic_regression(values, weights=weights).x
        np.testing.assert_allclose(isotonic(values, weights), expected, atol=1e-12)


def test_an_empty_cell_lies_between_its_neighbours() -> None:
    values, weights = np.array([0.9, 0.2, 0.0, 0.0, 0.8, 0.1]), np.array([0.0, 5.0, 0.0, 0.0, 5.0, 0.0])
    np.testing.assert_allclose(isotonic(values, weights), [0.2, 0.2, 0.4, 0.6, 0.8, 0.8])
    with pytest.raises(StatsError, match="there is none"):
        isotonic(values, np.zeros(6))


def test_scores_of_whole_hundredths_do_not_share_cells() -> None:
    counts, outside = score_counts(np.arange(101) / 100)
    assert (counts.max(), counts.sum(), outside) == (1, 101, 0)


def test_scores_that_are_no_probabilities_are_counted_beside() -> None:
    counts, outside = score_counts(np.array([-0.01, 1.01, np.nan, np.inf, 0.5]))
    assert (counts.sum(), outside) == (1, 4)


def test_the_expected_confusion_adds_up_to_the_window() -> None:
    generator = rng(1)
    scores, _ = draw(generator, 3_000, (2.0, 2.0))
    found = estimated(estimate(calibrated(generator, 5_000), *cells_by(scores, scores >= 0.4)))
    assert found.confusion is not None
    table = found.confusion
    assert table.true_positive + table.false_positive == pytest.approx((scores >= 0.4).sum())
    assert table.true_negative + table.false_negative == pytest.approx((scores < 0.4).sum())
    assert found.metrics["precision"].value == pytest.approx(table.true_positive / (scores >= 0.4).sum())
    assert found.metrics["accuracy"].value == pytest.approx((table.true_positive + table.true_negative) / 3_000)
    assert (found.n, found.uncovered) == (3_000, 0.0)


class Errors(NamedTuple):
    """Of the estimates of a metric: their mean error, by how much it may be off by chance, and how many are covered."""

    mean: float
    standard_error: float
    covered: float


def errors_under_shift(labels: int) -> dict[str, Errors]:
    """Of 150 windows whose scores are distributed otherwise than those of the reference, by metric."""
    generator = rng(2)
    errors: dict[str, list[float]] = {}
    covered: dict[str, list[bool]] = {}
    for _ in range(150):
        calibration = calibrated(generator, labels)
        scores, truth = draw(generator, 2_000, (1.2, 1.6))
        called = scores >= 0.5
        found = estimated(estimate(calibration, *cells_by(scores, called)))
        for name, actual in realised(scores, called, truth).items():
            metric = found.metrics[name]  # type: ignore[index]
            assert metric.value is not None
            assert metric.low is not None
            assert metric.high is not None
            errors.setdefault(name, []).append(metric.value - actual)
            covered.setdefault(name, []).append(metric.low <= actual <= metric.high)
    return {
        name: Errors(float(np.mean(off)), float(np.std(off) / np.sqrt(len(off))), float(np.mean(covered[name])))
        for name, off in errors.items()
    }


@pytest.mark.parametrize(("labels", "least"), [(300, 0.82), (2_000, 0.85), (20_000, 0.9)])
def test_estimates_are_unbiased_under_covariate_shift_and_intervals_cover(
    proofs: Proofs, labels: int, least: float
) -> None:
    found = proofs.figures(errors_under_shift, labels)
    assert set(found) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    for name, each in found.items():
        assert abs(each.mean) < 4 * each.standard_error + 0.002, name
        assert each.covered >= least, name


@pytest.mark.parametrize("n", [30, 100, 1_000])
def test_intervals_of_small_windows_cover_what_is_realised(n: int) -> None:
    generator = rng(9)
    covered: dict[str, list[bool]] = {}
    for _ in range(10):
        calibration = calibrated(generator, 5_000)
        for _ in range(60):
            scores, truth = draw(generator, n, (1.2, 1.6))
            called = scores >= 0.5
            found = estimated(estimate(calibration, *cells_by(scores, called)))
            for name, actual in realised(scores, called, truth).items():
                metric = found.metrics[name]  # type: ignore[index]
                assert metric.low is not None
                assert metric.high is not None
                covered.setdefault(name, []).append(metric.low <= actual <= metric.high)
    assert set(covered) == {"accuracy", "precision", "recall", "f1", "roc_auc"}
    for name, each in covered.items():
        assert np.mean(each) >= 0.915, name


def test_an_interval_is_as_wide_as_what_redrawn_labels_and_references_realise() -> None:
    """The delta method beside what it stands for: draws of the reference's fit, and of labels by each."""
    generator = rng(10)
    positive, negative = cells_by(*draw(generator, 3_000, (0.7, 0.7)))
    sizes = positive + negative
    calibration = calibrate(positive, negative, rng=generator)
    assert isinstance(calibration, Calibration)
    scores, _ = draw(generator, 500, (1.2, 1.6))
    called = scores >= 0.5
    found = estimated(estimate(calibration, *cells_by(scores, called))).metrics
    cells = np.minimum((scores * len(sizes)).astype(int), len(sizes) - 1)
    fits = generator.multivariate_normal(
        calibration.probability, calibration.covariance, size=3_000, method="eigh"
    ).clip(0.0, 1.0)
    drawn = [realised(scores, called, generator.random(500) < fit[cells]) for fit in fits]
    for name, metric in found.items():
        assert metric.low is not None
        assert metric.high is not None
        width = 2 * 1.96 * np.std([each[name] for each in drawn])
        assert metric.high - metric.low == pytest.approx(width, rel=0.06), name


def test_the_same_seed_gives_the_same_estimate() -> None:
    scores, _ = draw(rng(3), 500, (1.0, 1.0))
    once, again = (estimated(estimate(calibrated(rng(5), 1_000), *cells_by(scores, scores > 0.5))) for _ in range(2))
    assert once == again


def test_a_metric_that_will_hardly_be_defined_has_no_interval() -> None:
    calibration = calibrate([0, 30, 100], [3_000, 270, 0], rng=rng())
    assert isinstance(calibration, Calibration)
    metrics = estimated(estimate(calibration, [0, 0, 10], [10, 0, 0])).metrics
    # One of 3,000 negative labels could have been positive.
    assert metrics["recall"].low == pytest.approx(0.984, abs=1e-3)
    assert (metrics["recall"].high, metrics["recall"].reason) == (1.0, None)
    hardly = estimated(estimate(calibration, [0, 0, 1], [0, 0, 0])).metrics
    assert (hardly["roc_auc"].low, hardly["recall"].low) == (None, 1.0)


def test_a_cell_whose_labels_are_all_of_one_class_is_not_sure_of_it() -> None:
    """A reference of 300 labels, whose 75 highest are often all positive though 2 % of such are not."""
    generator, covered, all_positive = rng(12), [], 0
    for _ in range(200):
        high = generator.random(300) < 0.25
        scores = np.where(high, 0.975, 0.15)
        labels = generator.random(300) < np.where(high, 0.98, 0.15)
        calibration = calibrate(*cells_by(scores, labels), rng=generator, draws=50)
        assert isinstance(calibration, Calibration)
        truth = generator.random(250) < 0.98
        metric = estimated(estimate(calibration, *cells_by(np.full(250, 0.975), np.ones(250, dtype=np.bool_))))
        precision = metric.metrics["precision"]
        assert precision.low is not None
        assert precision.high is not None
        assert precision.low < precision.high
        covered.append(precision.low <= truth.mean() <= precision.high)
        all_positive += precision.value == 1.0
    # Those intervals had no width, and 76 % covered.
    assert all_positive > 20
    assert np.mean(covered) >= 0.92


def test_a_perfect_reference_proves_no_perfect_window() -> None:
    calibration = calibrate([0, 100], [100, 0], rng=rng())
    metrics = estimated(estimate(calibration, [0, 500], [500, 0])).metrics
    for name, metric in metrics.items():
        assert metric.value == metric.high == 1.0, name
        assert metric.low is not None
        # Wilson's interval of 100 right ones of 100 is [0.963, 1].
        assert 0.95 < metric.low < 0.985, name


def test_a_smaller_window_has_a_wider_interval() -> None:
    calibration = calibrated(rng(1), 20_000)
    widths = []
    for n in (100, 10_000):
        scores, _ = draw(rng(2), n, (1.0, 1.0))
        metric = estimated(estimate(calibration, *cells_by(scores, scores > 0.5))).metrics["accuracy"]
        assert metric.low is not None
        assert metric.high is not None
        widths.append(metric.high - metric.low)
    assert widths[0] > 5 * widths[1]


def test_accuracy_of_several_classes_follows_the_top_class_scores() -> None:
    generator = rng(8)
    confidence = generator.beta(5.0, 2.0, size=20_000)
    right = generator.random(20_000) < confidence * 0.9
    calibration = calibrate(*cells_by(confidence, right), rng=generator)
    later = generator.beta(3.0, 3.0, size=5_000)
    found = estimated(estimate_accuracy(calibration, score_counts(later)[0]))
    assert set(found.metrics) == {"accuracy"}
    assert found.confusion is None
    assert found.metrics["accuracy"].value == pytest.approx(later.mean() * 0.9, abs=0.015)


@pytest.mark.parametrize(
    ("positive", "negative", "outside", "expected"),
    [
        ([0, 0], [0, 0], 0, "has no labels"),
        ([500, 500], [0, 0], 0, "one class"),
        ([0, 0], [500, 500], 0, "one class"),
        ([20, 80], [80, 19], 0, "at least 200"),
        ([0, 19], [500, 0], 0, "19 of the rarer class"),
        ([20, 80], [80, 20], 3, "no probabilities"),
        ([0, 0], [0, 0], 9, "no probabilities"),
        ([400, 100], [100, 400], 0, "lower scores"),
    ],
)
def test_a_reference_that_can_not_be_calibrated_is_refused(
    positive: list[int], negative: list[int], outside: int, expected: str
) -> None:
    refusal = calibrate(positive, negative, outside=outside, rng=rng())
    assert expected in reason(refusal)
    assert estimate(refusal, [1, 1], [1, 1]) is refusal
    assert estimate_accuracy(refusal, [1, 1]) is refusal


def test_a_score_that_says_nothing_is_calibrated_to_the_base_rate() -> None:
    calibration = calibrate([100, 100], [300, 300], rng=rng())
    assert isinstance(calibration, Calibration)
    np.testing.assert_allclose(calibration.probability, 0.25, atol=0.03)


@pytest.mark.parametrize(
    ("called_positive", "called_negative", "outside", "expected"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0], 0, "no prediction has a score"),
        ([0, 0, 0, 0], [0, 0, 0, 0], 7, "no probabilities"),
        ([0, 50, 0, 0], [50, 0, 0, 0], 2, "no probabilities"),
        ([0, 0, 0, 50], [50, 0, 0, 0], 0, "50 % of the window's scores"),
    ],
)
def test_a_window_outside_the_assumptions_is_refused(
    called_positive: list[int], called_negative: list[int], outside: int, expected: str
) -> None:
    calibration = calibrate([10, 50, 90, 0], [90, 50, 10, 0], rng=rng())
    assert expected in reason(estimate(calibration, called_positive, called_negative, outside=outside))
    together = [one + other for one, other in zip(called_positive, called_negative, strict=True)]
    assert expected in reason(estimate_accuracy(calibration, together, outside=outside))


def test_an_undefined_metric_says_why_and_the_others_stand() -> None:
    calibration = calibrate([10, 50, 90], [90, 50, 10], rng=rng())
    metrics = estimated(estimate(calibration, [0, 0, 0], [10, 10, 10])).metrics
    assert metrics["precision"].value is None
    assert metrics["precision"].reason == "nothing was predicted positive"
    assert (metrics["recall"].value, metrics["f1"].value) == (0.0, 0.0)
    assert metrics["roc_auc"].value is not None


def test_a_window_in_which_no_positive_label_is_expected_has_no_recall_and_no_area() -> None:
    calibration = calibrate([0, 100], [200, 50], rng=rng())
    metrics = estimated(estimate(calibration, [0, 0], [100, 0])).metrics
    assert metrics["accuracy"].value == 1.0
    for name in ("precision", "recall", "f1", "roc_auc"):
        assert metrics[name].value is None
        assert metrics[name].reason


def test_a_single_prediction_has_an_expected_area_and_no_interval_of_it() -> None:
    calibration = calibrate([10, 50, 90], [90, 50, 10], rng=rng())
    area = estimated(estimate(calibration, [0, 1, 0], [0, 0, 0])).metrics["roc_auc"]
    assert area.value == pytest.approx(0.5)
    assert (area.low, area.high, area.reason) == (None, None, "too few predictions for an interval")


def test_other_cells_and_negative_counts_are_refused() -> None:
    calibration = calibrate([10, 50, 90], [90, 50, 10], rng=rng())
    with pytest.raises(IncompatibleProfiles, match="cells of its calibration"):
        estimate(calibration, [1, 1], [1, 1])
    with pytest.raises(IncompatibleProfiles, match="same cells"):
        calibrate([1, 2], [1], rng=rng())
    with pytest.raises(IncompatibleProfiles, match="same cells"):
        calibrate([], [], rng=rng())
    with pytest.raises(StatsError, match="never negative"):
        calibrate([1, -2], [1, 2], rng=rng())
