"""The labelled data sets, window by window: alerts where the model got worse, none where it did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from modelwatch.monitoring.performance.estimates import expected_performance
from modelwatch.monitoring.performance.judging import Judgement, Window, judge_metric
from modelwatch.monitoring.performance.rules import PerformanceRules
from modelwatch.stats import Call, CallCells, CallCounts, Outcome, OutcomeCounts, OutcomeLayout, outcome_layout
from modelwatch.stats.estimation import Estimate

RULES = PerformanceRules(budget=1.0, check_interval=3_600)
WEEKLY = PerformanceRules(budget=1.0, check_interval=604_800)


class Scenario:
    """A folder of the shared data: its reference, and the rows of each window of the oracle."""

    def __init__(self, folder: Path, rules: PerformanceRules = RULES) -> None:
        self.rules = rules
        self.meta = json.loads((folder / "meta.json").read_text())
        self.oracle = json.loads((folder / "oracle_performance.json").read_text())
        self.production = pd.read_parquet(folder / "production.parquet")
        reference = pd.read_parquet(folder / "reference.parquet")
        rows = self.outcomes(reference[reference["label"].notna()])
        positive = "1" if self.meta["task"] == "binary" else None
        self.layout = outcome_layout(
            [row.prediction for row in rows], [row.truth for row in rows], [row.probability for row in rows], positive
        )
        self.reference = OutcomeCounts.of(self.layout, rows)
        self.alpha = rules.alpha(len(rules.watched(self.meta["task"])) + 1, 1, len(rules.lookbacks))

    def outcomes(self, frame: pd.DataFrame) -> list[Outcome]:
        columns = self.meta["probability"]
        numbers = self.meta["task"] == "regression"

        def named(value: Any) -> Any:
            return float(value) if numbers else str(int(value)) if not isinstance(value, str) else value

        if len(columns) > 1:
            names = [column.removeprefix("proba_") for column in columns]
            scores: list[Any] = [dict(zip(names, row, strict=True)) for row in frame[columns].to_numpy().tolist()]
        else:
            scores = frame[columns[0]].tolist() if columns else [None] * len(frame)
        said, truth = frame["prediction"].tolist(), frame["label"].tolist()
        return [
            Outcome(named(a), score, None if pd.isna(b) else named(b))
            for a, score, b in zip(said, scores, truth, strict=True)
        ]

    def window(self, place: int) -> pd.DataFrame:
        found = self.oracle["windows"][place]
        if "row_start" in found:
            return self.production.iloc[found["row_start"] : found["row_end"]]
        stamp = self.production["timestamp"]
        return self.production[(stamp >= pd.Timestamp(found["start"])) & (stamp < pd.Timestamp(found["end"]))]

    def judgements(self, places: range, names: tuple[str, ...]) -> dict[str, list[Judgement]]:
        """By metric, the judgement in each window, with the labels that came in the end."""
        found: dict[str, list[Judgement]] = {name: [] for name in names}
        for place in places:
            rows = [row for row in self.outcomes(self.window(place)) if row.truth is not None]
            window = Window.of(OutcomeCounts.of(self.layout, rows), None)
            for name in names:
                found[name].append(judge_metric(name, self.reference, window, self.rules, self.alpha))
        return found


def severities(judgements: list[Judgement]) -> list[str]:
    return [judgement.severity for judgement in judgements]


def quiet(found: list[str]) -> bool:
    return set(found) <= {"stable", "insufficient_data"}


def test_elec2_is_alerted_when_victoria_joins_the_market(shared_data: Path) -> None:
    scenario = Scenario(shared_data / "elec2_binary", WEEKLY)
    found = severities(scenario.judgements(range(16), ("accuracy",))["accuracy"])
    assert quiet(found[:13]) is True
    assert found[13] == "alert"


def test_insects_are_alerted_when_the_mix_of_classes_breaks(shared_data: Path) -> None:
    scenario = Scenario(shared_data / "insects_multiclass")
    found = scenario.judgements(range(13), ("accuracy", "roc_auc_macro"))
    accuracy = severities(found["accuracy"])
    assert "alert" in accuracy[5:7]
    assert accuracy[12] == "alert"
    for place in (8, 9, 10):
        # Of one class only: no area, and an accuracy of nothing is nothing and not missing.
        assert found["roc_auc_macro"][place].estimate.value is None
        assert found["roc_auc_macro"][place].severity == "insufficient_data"
        expected = scenario.oracle["windows"][place]["final"]["accuracy"]
        assert found["accuracy"][place].estimate.value == pytest.approx(expected, abs=1e-9)
    assert 0.0 in [found["accuracy"][place].estimate.value for place in (8, 9, 10)]


def test_bike_demand_is_under_predicted_from_the_first_week_to_the_last_whole_one(shared_data: Path) -> None:
    found = Scenario(shared_data / "bike_regression").judgements(range(51), ("mae", "mean_error"))
    assert severities(found["mae"])[0] == "alert"
    assert severities(found["mean_error"]).count("alert") >= 45
    for judgement in found["mean_error"]:
        assert judgement.estimate.value is not None
        assert judgement.estimate.value < 0


def test_car_loans_are_told_in_the_second_half_only(shared_data: Path) -> None:
    scenario = Scenario(shared_data / "carloan_nannyml")
    found = scenario.judgements(range(10), RULES.watched("binary"))
    for name, judgements in found.items():
        assert severities(judgements)[:5] == ["stable"] * 5, name
    for name in ("accuracy", "precision", "f1"):
        # A loss of 0.02 to 0.04 is moderate.
        assert severities(found[name])[5:] == ["warning"] * 5, name
    assert severities(found["log_loss"])[5:] == ["stable"] * 5, "the probabilities stay as good as they were"


def test_the_concept_that_changes_abruptly_is_found_at_its_window(shared_data: Path) -> None:
    found = severities(Scenario(shared_data / "agrawal_abrupt_binary").judgements(range(11), ("accuracy",))["accuracy"])
    assert quiet(found[:9]) is True
    assert "alert" in found[9:11]


def test_the_concept_that_changes_gradually_is_found_on_its_way(shared_data: Path) -> None:
    found = severities(
        Scenario(shared_data / "agrawal_gradual_binary").judgements(range(11), ("accuracy",))["accuracy"]
    )
    assert quiet(found[:5]) is True
    assert "alert" in found[5:11]


def calls(layout: OutcomeLayout, rows: list[Outcome]) -> CallCounts:
    cells = CallCells(layout)
    return CallCounts(cells, cells.count([Call(row.prediction, row.probability) for row in rows]))


def test_an_estimate_does_not_see_a_concept_that_changes(shared_data: Path) -> None:
    """What the assumption says: the estimate stays where it was while the realised accuracy falls."""
    scenario = Scenario(shared_data / "agrawal_abrupt_binary")
    counts = calls(scenario.layout, scenario.outcomes(scenario.window(12)))
    found = expected_performance(scenario.reference, counts.vector)
    assert isinstance(found, Estimate)
    expected = found.metrics["accuracy"].value
    assert expected is not None
    assert expected - scenario.oracle["windows"][12]["final"]["accuracy"] > 0.1


def test_the_same_counts_give_the_same_estimate(shared_data: Path) -> None:
    scenario = Scenario(shared_data / "elec2_binary")
    vector = calls(scenario.layout, scenario.outcomes(scenario.window(0))).vector
    first, second = (expected_performance(scenario.reference, np.array(vector)) for _ in range(2))
    assert first == second
