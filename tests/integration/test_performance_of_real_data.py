"""What is told of the labelled data sets as their labels come: real losses, at the time, and nothing before."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.findings import Finding
from modelwatch.monitoring import DriftRules
from modelwatch.monitoring.performance import check_performance
from modelwatch.monitoring.performance.rules import PerformanceRules
from modelwatch.storage import Store, StreamKey
from tests.integration.test_outcomes_of_real_data import Labelled, Replay, load, seconds
from tests.support.background import Taken, background, run_out
from tests.support.events import NOON, Clock

Told = list[dict[str, Finding]]


def told_by_window(store: Store, data: Labelled, every: int) -> Told:
    """After each window of the oracle, what was found anew since the one before, by subject; the last: after all."""
    replay, taken = Replay(store, data), Taken()
    rules = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("24h",), every, on_new_data=False)
    chores = background(store, rules, Clock(NOON * 2), sink=taken)
    told: Told = []
    seen = 0
    for window in [*data.oracle["windows"], None]:
        replay.until(1 << 62 if window is None else seconds(window["end"]) * 1_000_000)
        run_out(chores)
        found = {}
        for assessment in taken.assessments[seen:]:
            if "performance" in assessment.kinds:
                found |= {each.subject: each for each in assessment.findings if not each.holding}
        seen = len(taken.assessments)
        told.append(found)
    return told


def first(told: Told, subject: str) -> int | None:
    """The first window after which the subject was told of."""
    return next((index for index, found in enumerate(told) if subject in found), None)


@pytest.mark.timeout(180)
def test_concept_change_without_covariate_change_is_told_when_its_labels_have_come(
    store: Store, shared_data: Path
) -> None:
    told = told_by_window(store, load(shared_data, "agrawal_abrupt_binary"), 43_200)
    # The concept changes with w010; nine of ten labels have come within three days, which are three windows.
    assert not any(told[:12])
    for subject in ("accuracy", "log_loss", "f1"):
        assert first(told, subject) in (12, 13)
    assert told[-1]["accuracy"].severity == "alert"
    assert all("accuracy" in found for found in told[14:])


@pytest.mark.timeout(180)
def test_a_model_of_six_classes_falls_when_the_mix_of_classes_breaks(store: Store, shared_data: Path) -> None:
    told = told_by_window(store, load(shared_data, "insects_multiclass"), 14_400)
    assert first(told, "accuracy") in (5, 6, 7)
    assert "accuracy" in told[12], "still told at the documented change"
    assert first(told, "ground_truth") is not None


@pytest.mark.timeout(180)
def test_a_demand_that_doubles_is_told_from_the_start_and_never_over(store: Store, shared_data: Path) -> None:
    data = load(shared_data, "bike_regression")
    told = told_by_window(store, data, 604_800)
    weeks = [index for index, found in enumerate(told[:51]) if "mae" in found]
    assert weeks[0] <= 1
    assert len(weeks) >= 49
    worst = told[weeks[0]]
    assert worst["mae"].severity == "alert"
    assert "mean_error" in worst, "the model under-predicts"


@pytest.mark.timeout(120)
def test_an_estimate_without_labels_is_near_the_realised_value(store: Store, shared_data: Path) -> None:
    """Each window of the oracle is a version of the model here."""
    data = load(shared_data, "carloan_nannyml")
    replay = Replay(store, data)
    replay.until(1 << 62)
    rules = PerformanceRules(1.0, 3_600, lookbacks=("60d",))
    estimates = []
    for window in data.oracle["windows"]:
        stream = StreamKey(data.name, window["window"], "production")
        report = check_performance(store, rules, stream, NOON * 2)
        estimate = report.windows[0].estimate
        assert estimate is not None
        assert report.windows[0].predictions == 5_000
        value = estimate.metrics["roc_auc"].value
        assert value is not None
        assert abs(value - window["final"]["roc_auc"]) <= 0.006
        estimates.append(value)
    assert min(estimates[:5]) > 0.9633 > max(estimates[5:])
