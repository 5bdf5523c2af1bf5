"""Labels and scores as data sets of the field have them: no metric is computed of what does not tell it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelwatch as mw
from modelwatch.library.performance import PerformanceComparison
from modelwatch.stats.outcomes.tasks import infer_task
from modelwatch.stats.performance import ConfusionCounts, ConfusionLayout, confusion_metrics, worsening

ROWS = 2_000


def performance(before: dict[str, Any], after: dict[str, Any]) -> PerformanceComparison:
    found = mw.compare(before, after).performance
    assert found is not None
    return found


def many_classes(classes: int, right: float, seed: int) -> tuple[list[str], list[str]]:
    """Predictions and labels of so many equally frequent classes."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, ROWS)
    called = np.where(rng.random(ROWS) < right, truth, rng.integers(0, classes, ROWS))
    return [f"c{number:03}" for number in called], [f"c{number:03}" for number in truth]


def test_the_correlation_of_classes_most_of_which_are_counted_together_is_not_known() -> None:
    # Seven of ten are right, and scikit-learn's matthews_corrcoef is 0.7: the counts of 50 classes gave -0.5.
    layout = ConfusionLayout(tuple(f"c{number:03}" for number in range(50)))
    old, new = (ConfusionCounts.of(layout, *many_classes(500, right, seed)) for seed, right in ((1, 0.8), (2, 0.7)))
    metrics = confusion_metrics(new)
    assert metrics["accuracy"].value == pytest.approx(0.7, abs=0.03)
    assert metrics["mcc"].value is None
    assert metrics["mcc"].reason == "too many rows are of classes that are counted together, as (other)"
    assert worsening("mcc", old, new).loss is None


def test_the_correlation_stays_known_where_few_rows_are_of_other_classes() -> None:
    layout = ConfusionLayout(tuple(f"c{number:03}" for number in range(50)))
    value = confusion_metrics(ConfusionCounts.of(layout, *many_classes(53, 0.7, 3)))["mcc"].value
    assert value == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(("classes", "said"), [(60, True), (50, False)])
def test_what_the_means_over_classes_leave_out_is_said(classes: int, said: bool) -> None:
    before, after = (
        dict(zip(("prediction", "ground_truth"), many_classes(classes, 0.8, seed), strict=True)) for seed in (1, 2)
    )
    found = performance(before, after)
    assert any("of other classes than the 50 most frequent ones" in each for each in found.warnings) == said


def ranked(seed: int, noise: float) -> dict[str, Any]:
    """Scores of a ranking, around 0."""
    rng = np.random.default_rng(seed)
    score = rng.normal(0, 3, ROWS)
    truth = (score + rng.normal(0, noise, ROWS) > 0).astype(int)
    return {"prediction": (score > 0).astype(int), "prediction_probability": score, "ground_truth": truth}


def test_scores_that_are_no_probabilities_have_no_metrics_of_the_few_that_look_like_some(tmp_path: Path) -> None:
    before, after = ranked(1, 1.0), ranked(2, 3.0)
    mw.Reference.fit(before).save(tmp_path / "reference.mw")
    for reference in (before, mw.Reference.load(tmp_path / "reference.mw")):
        report = mw.compare(reference, after)
        assert report.performance is not None
        values = {each.name: each.current.value for each in report.performance.metrics}
        assert values["accuracy"] is not None
        assert [values[name] for name in ("roc_auc", "log_loss", "brier")] == [None, None, None]
        said = [each for each in report.performance.warnings if "The metrics of scores are left out" in each]
        assert [each.split(", ")[0].rpartition(" in ")[2] for each in said] == [
            "the data set to compare",
            "the reference",
        ]
        assert set(said) <= set(report.summary().splitlines())


SCORE = np.random.default_rng(5).random(ROWS)
SCORED = {
    "prediction": SCORE > 0.5,
    "prediction_probability": SCORE,
    "ground_truth": np.random.default_rng(6).random(ROWS) < SCORE,
}


@pytest.mark.parametrize("where", ["the data set to compare", "the reference", "the saved reference"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, -999.0])
def test_one_score_that_is_no_probability_is_left_out_and_counted(where: str, value: float, tmp_path: Path) -> None:
    broken = SCORED | {"prediction_probability": np.where(np.arange(ROWS) == 7, value, SCORE)}
    reference: Any = broken if "reference" in where else SCORED
    if "saved" in where:
        mw.Reference.fit(reference).save(tmp_path / "reference.mw")
        reference = mw.Reference.load(tmp_path / "reference.mw")
    found = performance(reference, broken if where == "the data set to compare" else SCORED)
    scored = [each for each in found.metrics if each.name in ("roc_auc", "pr_auc", "log_loss", "brier")]
    side = "reference" if "reference" in where else "current"
    assert {getattr(each, side).n for each in scored} == {ROWS - 1}
    assert all(each.reference is not None and each.reference.value is not None for each in scored)
    assert all(each.current.value is not None for each in scored)
    place = where.replace("saved ", "")
    assert f"In {place}, 1 of 2,000 scores is not between 0 and 1, and left out of the metrics." in found.warnings


def test_scores_with_many_beyond_0_to_1_are_no_probabilities() -> None:
    broken = SCORED | {"prediction_probability": np.where(np.arange(ROWS) % 50 == 0, 1.5, SCORE)}
    found = performance(SCORED, broken)
    reasons = {each.reason for each in found.metrics if each.name in ("roc_auc", "log_loss", "brier", "ece")}
    why = "in the data set to compare, 40 of 2,000 scores are not between 0 and 1, so they are no probabilities"
    assert reasons == {why}
    assert f"The metrics of scores are left out: {why}." in found.warnings


def in_percent(seed: int) -> dict[str, Any]:
    """Scores in percent of a class of 1 %: nearly all are below 1 %, those of most positives above."""
    rng = np.random.default_rng(seed)
    truth = rng.random(20_000) < 0.01
    found = rng.random(20_000) < 0.7
    score = np.minimum(np.exp(rng.normal(np.log(0.05), 0.9, 20_000) + 4.5 * (found & truth)), 100.0)
    assert 0.003 < np.mean(score > 1.0) < 0.01
    assert np.mean(score[truth] > 1.0) > 0.6
    return {"prediction": score > 2.0, "prediction_probability": score, "ground_truth": truth}


@pytest.mark.parametrize("rows", [20_000, 1_000])
def test_scores_of_a_rare_class_in_percent_are_not_judged_by_what_is_below_1(rows: int) -> None:
    before, after = ({name: each[:rows] for name, each in in_percent(seed).items()} for seed in (1, 2))
    found = performance(before, after)
    values = {each.name: each.current.value for each in found.metrics}
    assert [values[name] for name in ("roc_auc", "pr_auc", "log_loss", "brier")] == [None] * 4
    beyond = int((after["prediction_probability"] > 1.0).sum())
    why = (
        f"in the data set to compare, {beyond} of {rows:,} scores are not between 0 and 1, so they are no probabilities"
    )
    assert f"The metrics of scores are left out: {why}." in found.warnings


@pytest.mark.parametrize(
    ("odd", "usable"),
    [
        ([-1.0] * 20, True),
        ([-1.0] * 10 + [-999.0] * 10, True),
        ([-1.0] * 21, False),
        ([-1.0, -9.0, -999.0], False),
        ([1.5, -0.2], True),
        ([1.5, -0.2, 3.0], False),
        ([1.5] * 3, False),
        ([np.inf] * 40 + [-1.0], True),
    ],
)
def test_only_codes_and_a_score_in_a_thousand_are_taken_for_errors(odd: list[float], usable: bool) -> None:
    broken = SCORED | {"prediction_probability": np.concatenate([odd, SCORE[len(odd) :]])}
    found = performance(SCORED, broken)
    roc_auc = next(each for each in found.metrics if each.name == "roc_auc")
    assert (roc_auc.current.value is not None) is usable
    if usable:
        assert roc_auc.current.n == ROWS - len(odd)


@pytest.mark.parametrize("column", ["prediction", "ground_truth"])
def test_one_infinite_number_of_a_regression_is_left_out_and_counted(column: str) -> None:
    rng = np.random.default_rng(7)
    truth = rng.normal(size=ROWS)
    fine = {"prediction": truth + rng.normal(size=ROWS), "ground_truth": truth}
    found = performance(fine, fine | {column: np.where(np.arange(ROWS) == 7, np.inf, fine[column])})
    mae = next(each for each in found.metrics if each.name == "mae")
    assert (mae.current.n, mae.current.value is not None) == (ROWS - 1, True)
    what = "predictions" if column == "prediction" else "labels"
    assert f"In the data set to compare, 1 of 2,000 {what} is infinite, and left out of the metrics." in found.warnings


def test_labels_of_one_class_are_not_called_missing() -> None:
    called = np.arange(ROWS) % 2
    found = performance(
        {"prediction": np.zeros(ROWS, int), "ground_truth": np.zeros(ROWS, int)},
        {"prediction": called, "ground_truth": called},
    )
    assert found.reason is not None
    assert found.reason.startswith("The labels of the reference are left out: its labels do not determine a task")
    reasons = {each.reason for each in found.metrics if each.severity == "no_reference"}
    assert reasons == {found.reason}


def test_few_whole_predictions_of_labels_that_are_fractions_are_amounts() -> None:
    rng = np.random.default_rng(4)
    days = rng.gamma(4, 0.5, ROWS)
    assert infer_task(np.round(days).clip(1, 5).tolist(), days.tolist(), []) == ("regression", "labels")
    # One wrong label does not make amounts of classes.
    assert infer_task([0, 1] * 50, [0, 1] * 49 + [0.5, 1], []) == ("classes", "few")
