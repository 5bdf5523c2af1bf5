"""What is told of the quality of real data: what has broken, when it has, and nothing before."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from modelwatch.findings import Finding
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.support.background import Taken, background, run_out
from tests.support.data_sets import DataSets
from tests.support.events import NOON, Clock
from tests.support.scenarios import Scenario, fill, load

DAY, WEEK = 86_400, 604_800
Told = list[tuple[datetime, dict[str, Finding]]]


def rules_of(every: int) -> DriftRules:
    """A look at the last week, every so many seconds."""
    return DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("7d",), every, on_new_data=False)


def told(store: Store, scenario: Scenario, kind: str, every: int) -> Told:
    """By time of the evaluation, what was found of a kind, by subject."""
    rules = rules_of(every)
    taken = Taken()
    run_out(background(store, rules, Clock(NOON * 2), sink=taken, quality=QualityRules.of(rules)))
    return [
        (
            datetime.fromtimestamp(each.window_end, UTC),
            {found.subject: found for found in each.findings if found.kind == kind and not found.holding},
        )
        for each in taken.assessments
        if kind in each.kinds
    ]


def time_of(window: dict[str, str], end: str) -> datetime:
    return datetime.fromisoformat(window[end])


@pytest.mark.timeout(180)
def test_values_that_go_missing_are_told_from_the_sixth_window_on(store: Store, shared_data: DataSets) -> None:
    scenario = load(shared_data / "carloan_dq_nannyml")
    fill(store, scenario)
    peer = json.loads((shared_data / "carloan_nannyml" / "oracle_peer_nannyml.json").read_text())
    breaks = time_of(scenario.windows[5], "start")
    for end, found in told(store, scenario, "data_quality", WEEK):
        missing = {subject for subject in found if subject.endswith(": missing")}
        if end <= breaks:
            assert missing == set()
        elif (end - breaks).days >= 7:
            assert missing == {"driver_tenure: missing", "salary_range: missing"}
            assert found["salary_range: missing"].severity == "alert"
    rules = rules_of(WEEK)
    stream = StreamKey(scenario.name, "unversioned", "production")
    report = check_quality(store, rules, QualityRules.of(rules), stream, NOON * 2)
    rates = {each.feature_name: {rule.rule: rule.rate for rule in each.rules} for each in report.features}
    expected = {key: value for key, value in peer["dq_missing"][-1].items() if key.endswith(".value")}
    assert rates["driver_tenure"]["missing"] == pytest.approx(expected["driver_tenure.value"], abs=0.03)
    assert rates["salary_range"]["missing"] == pytest.approx(expected["salary_range.value"], abs=0.03)
    assert rates["car_value"]["missing"] == 0.0


@pytest.mark.timeout(120)
def test_the_week_of_the_hurricane_has_less_than_is_usual(store: Store, shared_data: DataSets) -> None:
    scenario = load(shared_data / "bike_regression")
    fill(store, scenario)
    [week] = [each for each in scenario.windows if each["window"] == "w043"]
    assert week["n"] == 132
    alarmed = [end for end, found in told(store, scenario, "volume", DAY) if found]
    assert alarmed
    assert all(time_of(week, "start") < end <= time_of(week, "end") for end in alarmed)
