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


@pytest.mark.parametrize("where", ["the data set to compare", "the reference"])
def test_one_infinite_score_is_the_reason_why_no_metric_of_scores_is_known(where: str) -> None:
    rng = np.random.default_rng(5)
    score = rng.random(ROWS)
    fine = {"prediction": score > 0.5, "prediction_probability": score, "ground_truth": rng.random(ROWS) < score}
    broken = fine | {"prediction_probability": np.where(np.arange(ROWS) == 7, np.inf, score)}
    found = performance(fine, broken) if where != "the reference" else performance(broken, fine)
    reasons = {each.reason for each in found.metrics if each.name in ("roc_auc", "log_loss", "brier", "ece")}
    why = f"in {where}, 1 of 2,000 scores is not between 0 and 1, so they are no probabilities"
    assert reasons == {why}
    assert f"The metrics of scores are left out: {why}." in found.warnings


def test_labels_of_one_class_are_not_called_missing() -> None:
    called = np.arange(ROWS) % 2
    found = performance(
        {"prediction": np.zeros(ROWS, int), "ground_truth": np.zeros(ROWS, int)},
        {"prediction": called, "ground_truth": called},
    )
    assert found.reason is not None
    assert found.reason.startswith("The labels of the reference are left out: its labels tell no task")
    reasons = {each.reason for each in found.metrics if each.severity == "no_reference"}
    assert reasons == {found.reason}


def test_few_whole_predictions_of_labels_that_are_fractions_are_amounts() -> None:
    rng = np.random.default_rng(4)
    days = rng.gamma(4, 0.5, ROWS)
    assert infer_task(np.round(days).clip(1, 5).tolist(), days.tolist(), []) == ("regression", "labels")
    # One wrong label does not make amounts of classes.
    assert infer_task([0, 1] * 50, [0, 1] * 49 + [0.5, 1], []) == ("classes", "few")
