"""Every window of every labelled scenario equals the oracle that was computed with scikit-learn, final labels.

The oracle writes 0 where a class metric is undefined and averages over all classes; we say why it is undefined and
average over the classes that occur, so macro means are compared through the number of classes. What depends on the
order of single scores (both areas) is compared within the bound that the estimate itself states.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.stats.performance import (
    ClassScoreCounts,
    ClassScoreLayout,
    ConfusionCounts,
    ConfusionLayout,
    Estimate,
    RegressionCounts,
    RegressionLayout,
    ScoreCounts,
    class_metrics,
    mean_target,
    performance,
    worsening,
)
from tests.parity.scenarios import rows
from tests.support.data.data_sets import DataSets, read_part

BINARY = (
    "acs_employment_binary",
    "agrawal_abrupt_binary",
    "agrawal_gradual_binary",
    "carloan_dq_nannyml",
    "carloan_nannyml",
    "elec2_binary",
)
TOLERANCE = 1e-9
CELL_WIDTH = 1 / 200
CLASSES = ConfusionLayout(("0", "1"), "1")


def labelled(folder: Path) -> list[tuple[pd.DataFrame, dict[str, Any]]]:
    """The labelled rows of the reference and of every window, each with its oracle."""
    oracle = json.loads((folder / "oracle_performance.json").read_text())
    production = read_part(folder, "production").to_pandas()
    parts = [(read_part(folder, "reference").to_pandas(), oracle["reference"])]
    parts += [(rows(production, window), window["final"]) for window in oracle["windows"]]
    known = [(part[part["label"].notna()], expected) for part, expected in parts]
    assert [len(part) for part, _ in known] == [expected["n_labelled"] for _, expected in known]
    return known


def agrees(estimate: Estimate, expected: float | None, *, undefined_is: float | None = None) -> bool:
    """Whether the value is the oracle's, within its own bound, and inside its interval."""
    if estimate.value is None:
        return expected == undefined_is and bool(estimate.reason)
    assert expected is not None
    assert estimate.low is None or estimate.high is None or estimate.low <= estimate.value <= estimate.high
    return estimate.value == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE + estimate.bound)


def binary_counts(part: pd.DataFrame) -> tuple[ConfusionCounts, ScoreCounts]:
    truth = part["label"].astype(int)
    return (
        ConfusionCounts.of(CLASSES, part["prediction"].tolist(), truth.tolist()),
        ScoreCounts.of(part["proba"].to_numpy(dtype=np.float64), truth.to_numpy() == 1),
    )


@pytest.mark.parametrize("name", BINARY)
def test_binary_metrics_equal_the_oracle(shared_data: DataSets, name: str) -> None:
    merged, parts = None, labelled(shared_data / name)
    for part, expected in parts:
        confusion, scores = binary_counts(part)
        assert confusion.matrix[:2, :2].tolist() == [[expected["tn"], expected["fp"]], [expected["fn"], expected["tp"]]]
        metrics = performance(confusion) | performance(scores)
        for metric in ("accuracy", "precision", "recall", "f1", "specificity", "roc_auc", "log_loss", "brier"):
            assert agrees(metrics[metric], expected[metric]), (metric, metrics[metric], expected[metric])
        assert agrees(metrics["pr_auc"], expected["average_precision"])
        assert metrics["roc_auc"].value == pytest.approx(expected["roc_auc"], abs=CELL_WIDTH)
        assert metrics["roc_auc"].bound < 3 * CELL_WIDTH
        merged = scores if merged is None else merged + scores
    everything = pd.concat([part for part, _ in parts])
    assert merged == binary_counts(everything)[1]


def test_multiclass_metrics_equal_the_oracle(shared_data: DataSets) -> None:
    folder = shared_data / "insects_multiclass"
    names = tuple(json.loads((folder / "meta.json").read_text())["classes"])
    layout, of_scores = ConfusionLayout(names), ClassScoreLayout(names)
    undefined_areas = 0
    for part, expected in labelled(folder):
        confusion = ConfusionCounts.of(layout, part["prediction"].tolist(), part["label"].tolist())
        assert confusion.matrix[:-1, :-1].tolist() == expected["confusion"]
        probabilities = part[[f"proba_{name}" for name in names]].to_numpy(dtype=np.float64)
        scores = ClassScoreCounts.of(of_scores, probabilities, of_scores.codes(part["label"].tolist()))
        metrics = performance(confusion) | performance(scores)
        occurring = int(((confusion.matrix.sum(axis=0) + confusion.matrix.sum(axis=1)) > 0).sum())
        assert agrees(metrics["accuracy"], expected["accuracy"])
        assert agrees(metrics["log_loss"], expected["log_loss"])
        assert agrees(metrics["roc_auc_macro"], expected["roc_auc_ovr_macro"])
        undefined_areas += expected["roc_auc_ovr_macro"] is None
        for metric in ("precision", "recall", "f1"):
            assert agrees(metrics[f"{metric}_macro"], expected[f"{metric}_macro"] * len(names) / occurring)
            assert agrees(metrics[f"{metric}_weighted"], expected[f"{metric}_weighted"])
            for row in class_metrics(confusion):
                own = expected["per_class"][row.name]
                assert agrees(getattr(row, metric), own[metric], undefined_is=0.0)
                assert row.support == own["support"]
    assert undefined_areas == 8


def test_regression_metrics_equal_the_oracle(shared_data: DataSets) -> None:
    parts = labelled(shared_data / "bike_regression")
    layout = RegressionLayout.of(parts[0][0]["label"].to_numpy(dtype=np.float64))
    for part, expected in parts:
        prediction, truth = (part[column].to_numpy(dtype=np.float64) for column in ("prediction", "label"))
        counts = RegressionCounts.of(layout, prediction, truth)
        metrics = performance(counts)
        for metric in ("mae", "rmse", "r2", "mean_error"):
            assert agrees(metrics[metric], expected[metric]), metric
        assert mean_target(counts) == pytest.approx(expected["mean_label"], rel=TOLERANCE)
        assert agrees(metrics["mape"], float(np.mean(np.abs((prediction - truth) / truth))))


def test_the_known_losses_are_seen_and_no_others(shared_data: DataSets) -> None:
    (confusion, scores), *windows = [binary_counts(part) for part, _ in labelled(shared_data / "carloan_nannyml")]
    # The second half of the production rows has drifted, the first has not.
    for metric in ("accuracy", "f1", "recall", "balanced_accuracy", "mcc"):
        p_values = [worsening(metric, confusion, later).p_value for later, _ in windows]
        assert min(p_values[:5]) > 1e-3, metric
        assert max(p_values[5:]) < 1e-4, metric
    areas = [worsening("roc_auc", scores, later) for _, later in windows]
    assert min(area.p_value for area in areas[:5]) > 1e-3
    assert all(area.loss is not None and area.loss > 0 and area.p_value < 0.01 for area in areas[5:])
