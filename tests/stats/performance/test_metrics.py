"""Metrics on small samples: worked values, what is undefined and why, and zero as a value."""

import math
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelwatch.stats.errors import StatsError
from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    ConfusionLayout,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    calibration_curve,
    class_metrics,
    mean_target,
    performance,
    score_metrics,
    wilson,
)
from modelwatch.stats.performance.confusion import confusion_metrics
from modelwatch.stats.performance.intervals import bootstrap, percentile_interval
from modelwatch.stats.performance.regression import regression_metrics
from modelwatch.stats.performance.score_metrics import average_precision

BINARY = ConfusionLayout(("no", "yes"), "yes")
CLASSES = ConfusionLayout(("a", "b", "c"))


def binary(tn: int, fp: int, fn: int, tp: int) -> ConfusionCounts:
    return ConfusionCounts(BINARY, np.array([tn, fp, 0, fn, tp, 0, 0, 0, 0, 0]))


def errors(prediction: list[float], truth: list[float]) -> RegressionCounts:
    return RegressionCounts.of(RegressionLayout(1.0), np.array(prediction), np.array(truth))


def scored(positives: list[float], negatives: list[float]) -> ScoreCounts:
    labels = np.arange(len(positives) + len(negatives)) < len(positives)
    return ScoreCounts.of(np.array(positives + negatives), labels)


def test_values_need_no_resamples_and_intervals_are_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(*given: Any, **options: Any) -> Any:
        drawn.append(given[0].sum())
        return bootstrap(*given, **options)

    monkeypatch.setattr(import_module("modelwatch.stats.performance.confusion"), "bootstrap", counted)
    confused, ranked = performance(binary(tn=51, fp=9, fn=21, tp=19)), performance(scored([0.9, 0.8, 0.7], [0.8, 0.1]))
    assert (confused["f1"].value, ranked["pr_auc"].value) == pytest.approx((38 / 68, 29 / 36))
    assert drawn == []
    for estimate in (confused["f1"], confused["mcc"], ranked["pr_auc"], ranked["pr_auc"]):
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= (estimate.value or 0.0) <= estimate.high
    # That of the area needs none at all.
    assert drawn == [100]


def test_binary_metrics_are_those_of_the_positive_class() -> None:
    metrics = confusion_metrics(binary(tn=50, fp=10, fn=20, tp=20))
    values = {name: estimate.value for name, estimate in metrics.items()}
    assert values == pytest.approx(
        {
            "accuracy": 0.7,
            "balanced_accuracy": (50 / 60 + 0.5) / 2,
            "mcc": (20 * 50 - 10 * 20) / math.sqrt(30 * 40 * 60 * 70),
            "precision": 2 / 3,
            "recall": 0.5,
            "specificity": 50 / 60,
            "f1": 40 / 70,
        }
    )


def test_the_other_class_can_be_the_positive_one() -> None:
    swapped = ConfusionCounts(ConfusionLayout(("no", "yes"), "no"), binary(50, 10, 20, 20).vector)
    assert confusion_metrics(swapped)["recall"].value == pytest.approx(50 / 60)


def test_zero_is_a_value_and_a_zero_denominator_has_a_reason() -> None:
    metrics = confusion_metrics(binary(tn=5, fp=0, fn=3, tp=0))
    assert metrics["recall"].value == metrics["f1"].value == 0.0
    assert metrics["precision"].value is None
    assert metrics["precision"].reason == "class yes was never predicted"
    assert metrics["mcc"].reason == "the truth or the predictions are of one class only"
    nothing = confusion_metrics(binary(tn=5, fp=0, fn=0, tp=0))
    assert nothing["f1"].reason == "class yes is neither in the truth nor in the predictions"
    assert nothing["recall"].reason == "no row is of class yes"
    assert nothing["accuracy"].value == 1.0
    assert confusion_metrics(binary(0, 0, 0, 4))["specificity"].reason == "no row is of another class than yes"


def test_no_rows_leave_everything_undefined() -> None:
    for layout in (BINARY, CLASSES):
        metrics = confusion_metrics(ConfusionCounts.empty(layout))
        assert all(estimate.value is None and estimate.reason for estimate in metrics.values())


def test_a_class_that_is_never_predicted_counts_as_zero_and_an_absent_one_not_at_all() -> None:
    metrics = confusion_metrics(ConfusionCounts.of(CLASSES, ["a", "a", "a"], ["a", "a", "b"]))
    assert metrics["precision_macro"].value == pytest.approx((2 / 3 + 0.0) / 2)
    assert metrics["recall_macro"].value == metrics["balanced_accuracy"].value == 0.5
    assert metrics["f1_macro"].value == pytest.approx(0.8 / 2)
    assert metrics["f1_weighted"].value == pytest.approx(0.8 * 2 / 3)


def test_micro_means_are_the_accuracy_until_a_class_is_unknown() -> None:
    known = confusion_metrics(ConfusionCounts.of(CLASSES, ["a", "a", "b"], ["a", "b", "b"]))
    assert known["precision_micro"] == known["recall_micro"] == known["f1_micro"] == known["accuracy"]
    unknown = confusion_metrics(ConfusionCounts.of(CLASSES, ["a", "a", "b"], ["a", "z", "b"]))
    assert unknown["precision_micro"].value == pytest.approx(2 / 3)
    assert unknown["recall_micro"].value == 1.0
    assert unknown["f1_micro"].value == pytest.approx(0.8)
    only = confusion_metrics(ConfusionCounts.of(CLASSES, ["z", "z"], ["z", "y"]))
    assert only["accuracy"].value == 0.5
    assert {only[name].reason for name in ("f1_macro", "f1_weighted", "recall_micro")} == {
        "no known class is in the truth or in the predictions",
        "no row is of a known class",
    }


def test_the_table_has_every_class_against_the_rest() -> None:
    table = class_metrics(ConfusionCounts.of(CLASSES, ["a", "a", "b", "z"], ["a", "b", "b", "a"]))
    first = table[0]
    assert (first.name, first.support, first.predicted) == ("a", 2, 2)
    assert (first.precision.value, first.recall.value, first.specificity.value) == (0.5, 0.5, 0.5)
    assert first.f1.value == 0.5
    assert table[2].f1.value is None


def test_intervals_are_the_same_every_time_and_move_with_the_seed() -> None:
    counts = binary(50, 10, 20, 20)
    assert confusion_metrics(counts) == confusion_metrics(counts)
    assert confusion_metrics(counts)["f1"].low != confusion_metrics(counts, seed=1)["f1"].low


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60), st.integers(1, 3))
def test_the_ends_of_an_interval_are_quantiles(values: list[float], columns: int) -> None:
    resampled = np.array(values)[:, None] * np.arange(1, columns + 1)
    low, high = percentile_interval(resampled)
    expected = np.quantile(resampled, [0.025, 0.975], axis=0)
    assert np.array([low, high]) == pytest.approx(expected, abs=1e-12)


def test_a_statistic_that_a_resample_leaves_undefined_has_no_interval() -> None:
    resampled = np.column_stack((np.linspace(0.0, 1.0, 101), np.linspace(0.0, 1.0, 101)))
    resampled[3, 1] = np.nan
    found = np.array(percentile_interval(resampled))
    assert found == pytest.approx(np.quantile(resampled, [0.025, 0.975], axis=0), nan_ok=True)
    assert np.isnan(found).tolist() == [[False, True], [False, True]]


def test_the_interval_of_the_average_precision_is_as_wide_as_its_resamples() -> None:
    rng = np.random.default_rng(11)
    widths = []
    for seed in range(8):
        label = rng.random(3_000) < 0.2
        counts = ScoreCounts.of(1.0 / (1.0 + np.exp(-rng.normal(size=3_000) - 2.0 * label)), label)
        estimate = score_metrics(counts)["pr_auc"]
        assert estimate.low is not None
        assert estimate.high is not None
        both = np.concatenate((counts.negatives, counts.positives))
        of_draws = bootstrap(
            both, np.zeros(len(both)), lambda shares: average_precision(shares)[:, None], seed=seed, draws=500
        )
        resampled = 2 * 1.96 * float(np.std(of_draws))
        widths.append((estimate.high - estimate.low) / resampled)
    assert np.mean(widths) == pytest.approx(1.0, abs=0.06)


def test_an_average_precision_of_few_positive_rows_says_how_little_it_knows() -> None:
    single = score_metrics(scored([0.7], [0.1, 0.2]))["pr_auc"]
    assert (single.value, single.low, single.reason) == (1.0, None, "one positive row has no interval")
    perfect = score_metrics(scored([0.9] * 25, [0.1] * 25))["pr_auc"]
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx((1.0, *wilson(25, 25)))
    alone = score_metrics(scored([0.9] * 25, []))["pr_auc"]
    assert (alone.value, alone.high) == (1.0, 1.0)


def test_a_perfect_sample_does_not_prove_a_perfect_model() -> None:
    metrics = confusion_metrics(binary(25, 0, 0, 25)) | score_metrics(scored([0.9] * 25, [0.1] * 25))
    for name in ("accuracy", "f1", "mcc", "balanced_accuracy", "roc_auc"):
        estimate = metrics[name]
        assert estimate.value == estimate.high == 1.0, name
        assert estimate.low is not None
        assert 0.8 < estimate.low < 0.99, name


def test_wilson_needs_hits_among_observations() -> None:
    for hits, n in ((1, 0), (3, 2), (-1, 2)):
        with pytest.raises(StatsError):
            wilson(hits, n)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0


@given(
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
    st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30),
)
@example([6e-27, 6e-27], [0.0, 1.0])
def test_areas_are_exact_within_their_bounds(positives: list[float], negatives: list[float]) -> None:
    metrics = score_metrics(scored(positives, negatives))
    p, q = np.array(positives), np.array(negatives)
    area = float(((p[:, None] > q) + 0.5 * (p[:, None] == q)).mean())
    assert metrics["roc_auc"].value == pytest.approx(area, abs=metrics["roc_auc"].bound + 1e-12)
    thresholds = np.unique(p)
    precision = [(p >= t).sum() / ((p >= t).sum() + (q >= t).sum()) for t in thresholds]
    steps = [(p == t).mean() for t in thresholds]
    expected = float(np.dot(precision, steps))
    assert metrics["pr_auc"].value == pytest.approx(expected, abs=metrics["pr_auc"].bound + 1e-9)
    labels = np.repeat([1.0, 0.0], [len(p), len(q)])
    assert metrics["brier"].value == pytest.approx(np.square(np.concatenate((p, q)) - labels).mean(), abs=1e-10)


def test_areas_need_both_classes() -> None:
    assert score_metrics(scored([0.5], []))["roc_auc"].reason == "every labelled row with a score is positive"
    assert score_metrics(scored([], [0.5]))["roc_auc"].reason == "every labelled row with a score is negative"
    assert score_metrics(scored([], [0.5]))["pr_auc"].reason == "no labelled row with a score is positive"
    assert score_metrics(scored([], []))["roc_auc"].value is None
    single = score_metrics(scored([0.7], [0.1, 0.2]))["roc_auc"]
    assert (single.value, single.low, single.reason) == (1.0, None, "one row of a class has no interval")
    assert score_metrics(scored([0.1, 0.1], [0.9, 0.9]))["roc_auc"].value == 0.0


def test_a_score_of_certainty_has_a_finite_loss() -> None:
    metrics = score_metrics(scored([0.0], [1.0]))
    assert metrics["log_loss"].value == pytest.approx(-math.log(1e-15), rel=1e-4)
    assert metrics["brier"].value == 1.0
    assert score_metrics(scored([1.0], [0.0]))["brier"].value == 0.0


def test_unusable_scores_are_counted_apart() -> None:
    counts = scored([0.5, math.nan, 1.5], [-0.1, math.inf])
    assert (counts.n, counts.unscored) == (1, 4)
    classes = ClassScoreCounts.of(
        ClassScoreLayout(("a", "b")), np.array([[0.5, 0.5], [math.nan, 1.0]]), np.array([0, 1])
    )
    assert (classes.n, classes.unscored) == (1, 1)


def test_calibration_compares_scores_with_what_happened() -> None:
    counts = scored([0.95] * 90 + [0.15] * 30, [0.95] * 10 + [0.15] * 70)
    curve = calibration_curve(counts)
    assert [part.n for part in curve] == [0, 100, 0, 0, 0, 0, 0, 0, 0, 100]
    assert (curve[1].observed, curve[9].observed, curve[0].observed) == (0.3, 0.9, None)
    assert curve[1].score == pytest.approx(0.15, abs=1 / 400 + 1e-12)
    error = performance(counts)["ece"]
    assert error.value == pytest.approx((0.15 + 0.05) / 2, abs=error.bound + 1e-12)


def test_a_macro_area_needs_every_class_and_an_unknown_class_costs_a_full_loss() -> None:
    layout = ClassScoreLayout(("a", "b", "c"))
    table = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]] * 2)
    metrics = performance(ClassScoreCounts.of(layout, table, np.array([0, 1, 2] * 2)))
    assert metrics["roc_auc_macro"].value == 1.0
    assert metrics["log_loss"].value == pytest.approx(-(2 * math.log(0.8) + math.log(0.6)) / 3, abs=1e-10)
    assert layout.codes(["a", "c", 1, None]).tolist() == [0, 2, 3, 3]
    missing = performance(ClassScoreCounts.of(layout, table, np.array([0, 1, 1] * 2)))
    assert missing["roc_auc_macro"].value is None
    assert "class c" in (missing["roc_auc_macro"].reason or "")
    unknown = performance(ClassScoreCounts.of(layout, table[:1], np.array([3])))
    assert unknown["log_loss"].value == pytest.approx(-math.log(1e-15))
    once = performance(ClassScoreCounts.of(layout, table[:3], np.array([0, 1, 2])))["roc_auc_macro"]
    assert (once.value, once.reason) == (1.0, "one row of a class has no interval")


def test_regression_metrics_are_textbook_values() -> None:
    metrics = regression_metrics(errors([3.0, 5.0, 2.0, 8.0], [2.0, 5.0, 4.0, 8.0]))
    values = {name: estimate.value for name, estimate in metrics.items()}
    assert values == pytest.approx(
        {"mae": 0.75, "rmse": math.sqrt(5 / 4), "r2": 1 - 5 / 18.75, "mean_error": -0.25, "mape": 0.25}
    )


def test_regression_metrics_that_are_undefined_say_why() -> None:
    zero = regression_metrics(errors([1.0, 2.0], [0.0, 0.0]))
    assert zero["mape"].reason == "2 targets are 0"
    assert zero["r2"].reason == "all targets are equal"
    assert regression_metrics(errors([1.0], [1.0]))["r2"].reason == "at least two labelled rows are needed"
    assert regression_metrics(errors([1.0], [1.0]))["mae"].value == 0.0
    assert regression_metrics(errors([1.0, 2.0], [1.0, 2.0]))["rmse"].high == 0.0
    nothing = errors([math.nan], [1.0])
    assert nothing.invalid == 1
    assert all(estimate.value is None for estimate in regression_metrics(nothing).values())
    assert mean_target(nothing) is None


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1.0, 1e9, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_any_unit_and_any_offset_of_the_target_keep_their_digits(unit: float, offset: float) -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(offset, 1.0, 200)
    prediction = truth + rng.normal(0.1, 0.3, 200)
    # The products are rounded, so the expected values are those of the scaled arrays.
    p, y = prediction * unit, truth * unit
    metrics = regression_metrics(RegressionCounts.of(RegressionLayout.of(y), p, y))
    error = p / unit - y / unit
    assert metrics["mae"].value == pytest.approx(np.abs(error).mean() * unit, rel=1e-9)
    assert metrics["rmse"].value == pytest.approx(math.sqrt(np.square(error).mean()) * unit, rel=1e-9)
    assert metrics["r2"].value == pytest.approx(1 - np.square(error).mean() / truth.var(), rel=1e-8)
    assert metrics["mean_error"].value == pytest.approx(error.mean() * unit, rel=1e-8)


def test_one_absurd_row_is_seen_and_not_lost() -> None:
    counts = errors([1.0, 1e308], [1.0, -1e308])
    metrics = regression_metrics(counts)
    assert counts.saturated == 1
    assert metrics["mae"].value == 2.0**23
    assert (metrics["mae"].reason or "").startswith("a lower bound")
    assert metrics["mean_error"].value is metrics["r2"].value is mean_target(counts) is None
    ratios = errors([1.0, 2.0], [1e-12, 2.0])
    assert ratios.saturated_ratios == 1
    assert "lower bound" in (regression_metrics(ratios)["mape"].reason or "")


def test_a_constant_or_all_zero_reference_still_has_a_unit() -> None:
    assert RegressionLayout.of(np.zeros(3)) == RegressionLayout(1.0)
    assert RegressionLayout.of(np.full(3, 5.0)).scale == 8.0
    tiny = RegressionLayout.of(np.array([5e-324, 0.0]))
    assert tiny.scale > 0.0


def test_the_error_histogram_holds_every_pair() -> None:
    counts = errors([0.0, 1.0, 3.0, 1e30], [0.0, 0.0, 0.0, 0.0])
    assert int(counts.histogram.sum()) == counts.n == 4
    assert counts.histogram[0] == counts.histogram[-1] == 1
    assert len(counts.error_edges) + 1 == len(counts.histogram)
    cell = int(np.flatnonzero(counts.histogram)[2])
    assert counts.error_edges[cell - 1] < 3.0 <= counts.error_edges[cell]


def test_an_interval_of_a_loss_or_an_error_does_not_go_below_0() -> None:
    """Two rows that differ a lot are sure of nothing; but nothing is lost less than nothing."""
    losses = performance(ScoreCounts.of(np.array([0.9, 0.1]), np.array([True, True])))
    truth = np.array([1.0, 2.0])
    errors = performance(RegressionCounts.of(RegressionLayout.of(truth), np.array([1.0, 9.0]), truth))
    assert [losses[name].low for name in ("log_loss", "brier")] == [0.0, 0.0]
    assert [errors[name].low for name in ("mae", "mape")] == [0.0, 0.0]
    low = errors["mean_error"].low
    assert low is not None
    assert low < 0.0
