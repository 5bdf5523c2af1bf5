"""What is told of the quality of real data: what has broken, when it has, and nothing before."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelwatch.findings import Finding
from modelwatch.monitoring.checks.quality.check import check_quality
from modelwatch.monitoring.checks.quality.rules import QualityRules
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from tests.proofs.lock import Proofs
from tests.support.background import Taken, background, run_out
from tests.support.data.data_sets import DataSets
from tests.support.data.scenarios import Scenario, fill, load
from tests.support.events import NOON, Clock, open_store

DAY, WEEK = 86_400, 604_800
Told = list[tuple[datetime, dict[str, Finding]]]


@dataclass(frozen=True)
class Missing:
    """What was said of a data set in which values go missing.

    breaks: when they do. told: by the time of the evaluation, the severity of each rule of a feature that was broken.
    rates: of missing values in the last week, by feature.
    """

    breaks: datetime
    told: list[tuple[datetime, dict[str, str]]]
    rates: dict[str, float | None]


@dataclass(frozen=True)
class Volume:
    """When fewer predictions came than is usual, and the week in which that was so, with its number of predictions."""

    start: datetime
    end: datetime
    predictions: int
    alarmed: list[datetime]


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


def missing_values(data: Path) -> Missing:
    """Evaluates the data set week by week."""
    scenario = load(data)
    rules = rules_of(WEEK)
    stream = StreamKey(scenario.name, "unversioned", "production")
    with TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        fill(store, scenario)
        found = told(store, scenario, "data_quality", WEEK)
        report = check_quality(store, rules, QualityRules.of(rules), stream, NOON * 2)
    return Missing(
        time_of(scenario.windows[5], "start"),
        [(end, {subject: each.severity for subject, each in findings.items()}) for end, findings in found],
        {
            each.feature_name: next((rule.rate for rule in each.rules if rule.rule == "missing"), None)
            for each in report.features
        },
    )


def low_volume(data: Path) -> Volume:
    """Evaluates the data set day by day."""
    scenario = load(data)
    [week] = [each for each in scenario.windows if each["window"] == "w043"]
    with TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        fill(store, scenario)
        alarmed = [end for end, found in told(store, scenario, "volume", DAY) if found]
    return Volume(time_of(week, "start"), time_of(week, "end"), int(week["n"]), alarmed)


@pytest.mark.timeout(180)
def test_values_that_go_missing_are_told_from_the_sixth_window_on(proofs: Proofs, shared_data: DataSets) -> None:
    said = proofs.figures(missing_values, shared_data / "carloan_dq_nannyml")
    peer = json.loads((shared_data / "carloan_nannyml" / "oracle_peer_nannyml.json").read_text())
    assert said.told
    for end, found in said.told:
        missing = {subject for subject in found if subject.endswith(": missing")}
        if end <= said.breaks:
            assert missing == set()
        elif (end - said.breaks).days >= 7:
            assert missing == {"driver_tenure: missing", "salary_range: missing"}
            assert found["salary_range: missing"] == "alert"
    expected = {key: value for key, value in peer["dq_missing"][-1].items() if key.endswith(".value")}
    assert said.rates["driver_tenure"] == pytest.approx(expected["driver_tenure.value"], abs=0.03)
    assert said.rates["salary_range"] == pytest.approx(expected["salary_range.value"], abs=0.03)
    assert said.rates["car_value"] == 0.0


@pytest.mark.timeout(120)
def test_the_week_of_the_hurricane_has_less_than_is_usual(proofs: Proofs, shared_data: DataSets) -> None:
    said = proofs.figures(low_volume, shared_data / "bike_regression")
    assert said.predictions == 132
    assert said.alarmed
    assert all(said.start < end <= said.end for end in said.alarmed)
