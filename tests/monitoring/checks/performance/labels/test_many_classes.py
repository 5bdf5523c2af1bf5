"""More classes than are counted one by one: which of them are, chance decides where they are about as frequent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

import modelwatch as mw
from modelwatch.library.performance import PerformanceComparison
from modelwatch.stats.outcomes.classes import counted_by_chance
from modelwatch.stats.outcomes.outcome_layout import decode_outcome_layout
from modelwatch.stats.outcomes.outcomes import outcome_layout

EQUAL = np.full(300, 1 / 300)
# Ten classes have half of the rows, and 290 the other half.
SOME_FREQUENT = np.array([0.05] * 10 + [0.5 / 290] * 290)
# Fifty classes that are about as frequent as one another, and 250 that are a fifteenth of that.
CLEARLY_FIFTY = np.array([0.015] * 50 + [0.001] * 250)
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


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_a_class_that_rises_far_above_equally_frequent_ones_is_found(size: int) -> None:
    """Sixty classes, of which 50 are counted: chance flatters these in the reference, and makes none of them rise."""
    before = rows(1, np.ones(60), size)
    risen = np.ones(60)
    counted = max(set(before["ground_truth"]), key=before["ground_truth"].count)
    risen[int(counted[1:])] = 59.0
    found = performance(before, rows(2, risen, 9_000)).label_drift
    assert found is not None
    assert found.severity == "alert"


@pytest.mark.parametrize("size", [500, 9_000])
def test_classes_that_chance_lets_rise_are_no_shift(size: int) -> None:
    for seed in range(12):
        found = performance(rows(seed, np.ones(60), 6_000), rows(1_000 + seed, np.ones(60), size)).label_drift
        assert found is not None
        assert found.severity in ("stable", "insufficient_data")


def test_a_shift_from_frequent_classes_to_others_is_found() -> None:
    moved = np.array([0.01] * 10 + [0.9 / 290] * 290)
    found = performance(rows(1, SOME_FREQUENT, 3_000), rows(2, moved, 9_000))
    assert found.label_drift is not None
    assert found.label_drift.severity == "alert"


def test_a_worse_mean_over_classes_that_are_clearly_the_most_frequent_is_found() -> None:
    before, now = rows(1, STEEP, 20_000), rows(2, STEEP, 20_000, right=0.5)
    metrics = {each.name: each.severity for each in performance(before, now).metrics}
    assert (metrics["accuracy"], metrics["f1_macro"]) == ("alert", "alert")


def test_equally_frequent_classes_are_no_chance_where_the_others_are_far_rarer() -> None:
    before = rows(1, CLEARLY_FIFTY, 20_000)
    worse = performance(before, rows(3, CLEARLY_FIFTY, 20_000, right=0.4))
    assert next(each for each in worse.metrics if each.name == "f1_macro").severity == "alert"
    assert worse.label_drift is not None
    assert worse.label_drift.severity == "stable"


@pytest.mark.parametrize("size", [5_000, 20_000])
def test_a_shift_among_fifty_equal_classes_beside_a_rare_one_is_found(size: int) -> None:
    """Each was taken for as rare as the rarest of the fifty."""
    before = np.array([1.0] * 50 + [0.02])
    now = np.array([3.0] * 25 + [1.0] * 25 + [0.02])
    found = performance(rows(5, before, size), rows(6, now, size)).label_drift
    assert found is not None
    assert found.severity == "alert"


def test_unlabelled_predictions_choose_classes_and_are_in_no_frequency() -> None:
    names = [f"c{number}" for number in range(60)]
    layout = outcome_layout(names * 2 + ["c0"], names * 2 + ["C0"], more_predictions=names[:50] * 9)
    assert layout.classes == tuple(sorted(names[:50]))
    assert layout.next_frequency == 4
    assert decode_outcome_layout(layout.encode()) == layout
    assert layout.counts_like(replace(layout, next_frequency=None))


def test_without_another_class_a_layout_keeps_the_bytes_of_earlier_releases() -> None:
    names = [f"c{number}" for number in range(50)]
    layout = outcome_layout(names, names)
    assert layout.next_frequency is None
    assert b"next_frequency" not in layout.encode()


def test_a_layout_of_an_earlier_release_has_the_others_as_frequent_as_they_can_be() -> None:
    """The rarest of the fifty, and all others together, are at least as frequent as the next class."""
    matrix = np.diag([100] * 50 + [5])
    assert not counted_by_chance(matrix, None).any()
    matrix[-1, -1] = 5_000
    assert counted_by_chance(matrix, None).all()
    assert not counted_by_chance(matrix, 50).any()


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
