"""More classes than are counted one by one: which of them are, chance decides where they are about as frequent."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import modelwatch as mw
from modelwatch.library.performance import PerformanceComparison

EQUAL = np.full(300, 1 / 300)
# Ten classes have half of the rows, and 290 the other half.
SOME_FREQUENT = np.array([0.05] * 10 + [0.5 / 290] * 290)
STEEP = (1 / np.arange(1, 101)) ** 2


def rows(seed: int, shares: NDArray[np.float64], count: int, right: float = 0.7) -> dict[str, list[str]]:
    rng = np.random.default_rng(seed)
    shares = shares / shares.sum()
    truth = rng.choice(len(shares), count, p=shares)
    said = np.where(rng.random(count) < right, truth, rng.choice(len(shares), count, p=shares))
    return {
        "prediction": [f"c{number}" for number in said.tolist()],
        "ground_truth": [f"c{number}" for number in truth.tolist()],
    }


def performance(before: dict[str, list[str]], now: dict[str, list[str]]) -> PerformanceComparison:
    found = mw.compare(before, now).performance
    assert found is not None
    return found


@pytest.mark.parametrize("shares", [EQUAL, SOME_FREQUENT])
@pytest.mark.parametrize("seed", range(2))
def test_the_same_model_on_the_same_data_is_no_finding(shares: NDArray[np.float64], seed: int) -> None:
    """Labels were always found to have shifted, and the mean over the classes worse in one of four comparisons."""
    found = performance(rows(seed, shares, 3_000), rows(1_000 + seed, shares, 9_000))
    assert found.severity == "stable"
    assert found.label_drift is not None
    assert found.label_drift.severity in ("stable", "insufficient_data")
    f1 = next(each for each in found.metrics if each.name == "f1_macro")
    assert f1.severity == "insufficient_data"
    assert "Other classes are about as frequent" in (f1.reason or "")


def test_a_shift_among_classes_that_are_clearly_frequent_is_found() -> None:
    moved = SOME_FREQUENT.copy()
    moved[0] = 0.15
    found = performance(rows(1, SOME_FREQUENT, 3_000), rows(2, moved, 9_000))
    assert found.label_drift is not None
    assert found.label_drift.severity in ("warning", "alert")


def test_a_shift_from_frequent_classes_to_others_is_found() -> None:
    moved = np.array([0.01] * 10 + [0.9 / 290] * 290)
    found = performance(rows(1, SOME_FREQUENT, 3_000), rows(2, moved, 9_000))
    assert found.label_drift is not None
    assert found.label_drift.severity == "alert"


def test_a_worse_mean_over_classes_that_are_clearly_the_most_frequent_is_found() -> None:
    before, now = rows(1, STEEP, 20_000), rows(2, STEEP, 20_000, right=0.5)
    metrics = {each.name: each.severity for each in performance(before, now).metrics}
    assert (metrics["accuracy"], metrics["f1_macro"]) == ("alert", "alert")


def test_accuracy_is_judged_over_all_classes() -> None:
    found = performance(rows(1, EQUAL, 3_000), rows(2, EQUAL, 3_000, right=0.5))
    assert next(each for each in found.metrics if each.name == "accuracy").severity == "alert"


def test_without_a_labelled_row_there_is_no_other_reason() -> None:
    """Precision said that the class was never predicted, of rows in which it was."""
    before = {"prediction": ["no", "yes"] * 200, "ground_truth": ["no", "yes"] * 200}
    found = performance(before, {**before, "ground_truth": [None] * 400})  # type: ignore[dict-item]
    reasons = {each.name: each.reason for each in found.metrics}
    of_labels = {reasons[name] for name in ("accuracy", "precision", "recall", "specificity")}
    assert of_labels == {"there are no labelled rows"}
