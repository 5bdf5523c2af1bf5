"""Macro means of classes with few rows: an unchanged model is no worse for them, and a real loss is found."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from modelwatch.stats.performance import ConfusionCounts, ConfusionLayout, Worsening, performance, worsening
from modelwatch.stats.performance.few_rows import MOST_SUMMED, f1_moments

Floats = NDArray[np.float64]
# What a look of the service with the usual settings may spend on one metric.
ALPHA = 2.3e-5


def zipf(classes: int) -> Floats:
    weights = 1.0 / np.arange(1, classes + 1)
    return weights / weights.sum()


def cells(shares: Floats, right: float) -> Floats:
    """The chance of each pair of truth and prediction: wrong ones fall on the other classes by their shares."""
    others = np.tile(shares, (len(shares), 1))
    np.fill_diagonal(others, 0.0)
    wrong = others / others.sum(axis=1, keepdims=True)
    return shares[:, None] * ((1.0 - right) * wrong + right * np.eye(len(shares)))


def drawn(rng: np.random.Generator, chances: Floats, rows: int) -> ConfusionCounts:
    return counted(rng.multinomial(rows, chances.ravel()).reshape(chances.shape))


def counted(matrix: NDArray[np.int64]) -> ConfusionCounts:
    layout = ConfusionLayout(tuple(f"c{index}" for index in range(len(matrix))))
    return ConfusionCounts(layout, np.append(np.pad(matrix, (0, 1)).ravel(), 0))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7, 1.0])
def test_the_moments_are_those_of_a_binomial_number_of_hits(share: float) -> None:
    for rows in (1, 2, 7, MOST_SUMMED, MOST_SUMMED + 1, 1_000):
        hits = np.arange(rows + 1)
        chance, f1 = stats.binom.pmf(hits, rows, share), 2.0 * hits / (rows + hits)
        mean, variance = f1_moments(np.array([share]), np.array([float(rows)]))
        assert mean[0] == pytest.approx(chance @ f1, abs=1e-12 if rows <= MOST_SUMMED else 2e-5)
        assert variance[0] == pytest.approx(chance @ np.square(f1 - chance @ f1), rel=0.05, abs=1e-12)


@pytest.mark.parametrize(("shares", "right", "rows"), [(zipf(50), 0.7, 300), (np.full(40, 1 / 40), 0.7, 100)])
def test_an_unchanged_model_is_not_worse_for_classes_with_few_rows(shares: Floats, right: float, rows: int) -> None:
    """f1_macro fell by 0.05 there, with p < 0.01 in one window of six; precision_macro and recall_macro in one of 40.
    The reference is another one each time, since it is off by chance, too."""
    rng, chances, trials = np.random.default_rng(31), cells(shares, right), 800
    found: dict[str, list[Worsening]] = {"f1_macro": [], "precision_macro": [], "recall_macro": []}
    for _ in range(trials):
        reference, window = drawn(rng, chances, 10_000), drawn(rng, chances, rows)
        for metric, results in found.items():
            results.append(worsening(metric, reference, window))
    for metric, results in found.items():
        assert abs(float(np.mean([each.loss for each in results if each.loss is not None]))) < 0.01, metric
        # Eight are expected at the level: as many as 17 would be there in one of 250 runs.
        assert sum(each.p_value < 0.01 for each in results) <= 16, metric
        assert sum(each.p_value < 1e-3 for each in results) <= 4, metric


@pytest.mark.parametrize(("classes", "rows", "least"), [(10, 2_000, 0.95), (20, 2_000, 0.9), (50, 2_000, 0.75)])
def test_a_real_fall_is_found_at_the_level_of_the_service(classes: int, rows: int, least: float) -> None:
    rng, shares = np.random.default_rng(32), zipf(classes)
    reference = drawn(rng, cells(shares, 0.8), 10_000)
    results = [worsening("f1_macro", reference, drawn(rng, cells(shares, 0.72), rows)) for _ in range(100)]
    assert np.mean([each.loss for each in results if each.loss is not None]) == pytest.approx(0.08, abs=0.015)
    assert np.mean([each.p_value < ALPHA for each in results]) >= least


def test_a_rare_class_that_is_recognised_no_more_is_found_by_the_means_over_classes() -> None:
    rng = np.random.default_rng(33)
    shares = np.append(np.full(9, 0.11), 0.01)
    before = cells(shares, 0.9)
    after = before.copy()
    after[-1, 0] += after[-1, -1]
    after[-1, -1] = 0.0
    reference, window = drawn(rng, before, 10_000), drawn(rng, after, 3_000)
    for metric in ("f1_macro", "recall_macro", "balanced_accuracy"):
        found = worsening(metric, reference, window)
        assert found.loss is not None
        assert found.loss > 0.06, metric
        assert found.p_value < ALPHA, metric
    found = worsening("accuracy", reference, window)
    assert found.loss is not None
    assert found.loss < 0.02


def test_a_class_without_rows_of_its_own_is_no_loss_of_recall_nor_one_never_predicted_of_precision() -> None:
    reference = np.array([[80, 10, 10], [10, 80, 10], [10, 10, 80]])
    without_rows, never_called = reference.copy(), reference.copy()
    without_rows[2], never_called[:, 2] = 0, 0
    for metric, window in (("recall_macro", without_rows), ("precision_macro", never_called)):
        found = worsening(metric, counted(reference), counted(window))
        assert found.loss is not None
        assert found.loss <= 0.0, metric
        # The value is shown as scikit-learn has it, with 0 for that class.
        assert found.current == performance(counted(window))[metric].value
        assert found.change is not None
        assert found.change < -0.2
    rows_of_a, rows_of_b = (np.diag(diagonal) for diagonal in ([9, 0, 0], [0, 9, 0]))
    rows_of_b[1, 0] = 5
    for metric, why in (("recall_macro", "has rows"), ("precision_macro", None)):
        found = worsening(metric, counted(rows_of_a), counted(rows_of_b))
        assert (found.reason is None) == (why is None)
        assert why is None or why in (found.reason or "")
