"""Estimated performance of the car-loan windows beside the realised one and beside NannyML's estimate."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.stats.outcomes.estimation import Calibration, Estimate, calibrate, estimate, score_counts
from tests.parity.scenarios import load, rows
from tests.support.data.data_sets import DataSets

METRICS = ("accuracy", "precision", "recall", "f1", "roc_auc")
LOWER_THRESHOLD = 0.9633


def cells_by(part: pd.DataFrame, column: str) -> list[Any]:
    return [score_counts(part["proba"].to_numpy()[part[column].to_numpy() == value])[0] for value in (1, 0)]


@pytest.fixture(scope="module")
def windows(shared_data: DataSets) -> list[tuple[Estimate, dict[str, Any], dict[str, Any]]]:
    """Our estimate, NannyML's, and the realised performance of every window."""
    reference, production, oracle = load(shared_data / "carloan_nannyml")
    peer = json.loads((shared_data / "carloan_nannyml" / "oracle_peer_nannyml.json").read_text())
    calibration = calibrate(*cells_by(reference, "label"), rng=np.random.default_rng(0))
    assert isinstance(calibration, Calibration)
    found = []
    for window, theirs, realised in zip(oracle["windows"], peer["cbpe"], peer["realized"], strict=True):
        ours = estimate(calibration, *cells_by(rows(production, window), "prediction"))
        assert isinstance(ours, Estimate)
        found.append((ours, theirs, realised))
    return found


def test_the_estimated_area_is_near_the_realised_one_in_every_window(windows: list[Any]) -> None:
    for ours, _, realised in windows:
        assert ours.metrics["roc_auc"].value == pytest.approx(realised["roc_auc.value"], abs=0.006)
        assert ours.metrics["roc_auc"].low <= realised["roc_auc.value"] <= ours.metrics["roc_auc"].high


def test_the_estimated_area_falls_below_the_threshold_from_the_sixth_window_on(windows: list[Any]) -> None:
    below = [ours.metrics["roc_auc"].value < LOWER_THRESHOLD for ours, _, _ in windows]
    assert below == [False] * 5 + [True] * 5


@pytest.mark.parametrize("metric", METRICS)
def test_every_estimate_is_that_of_the_peer(windows: list[Any], metric: str) -> None:
    for ours, theirs, _ in windows:
        assert ours.metrics[metric].value == pytest.approx(theirs[f"{metric}.value"], abs=0.001)


def test_every_prediction_is_covered_by_the_reference(windows: list[Any]) -> None:
    for ours, _, _ in windows:
        assert (ours.n, ours.uncovered) == (5_000, 0.0)
