"""Real data, window by window: what is said, and that the reference's own variation is not called drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelwatch.monitoring.checks.rules import DriftRules
from tests.support.data_sets import DataSets
from tests.support.events import open_store
from tests.support.scenarios import alarms, fill, load, said

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h", "24h"), 3_600)
FIXED = replace(RULES, natural_variation=False)


def windows_by_feature(shared_data: DataSets, folder: Path, name: str, rules: DriftRules) -> dict[str, list[str]]:
    """The windows in which each feature is warning or alert; printed for the reader."""
    scenario = load(shared_data, name)
    store = open_store(folder)
    fill(store, scenario)
    found: dict[str, list[str]] = {}
    for window, features in alarms(said(store, scenario, rules)).items():
        print(f"{name} {window}: {', '.join(features) or 'quiet'}")
        for feature in features:
            found.setdefault(feature, []).append(window)
    store.close()
    return found


def names(first: int, last: int) -> list[str]:
    return [f"w{index:03}" for index in range(first, last + 1)]


def test_carloan_drifts_in_its_second_half_and_nowhere_else(shared_data: DataSets, tmp_path: Path) -> None:
    found = windows_by_feature(shared_data, tmp_path, "carloan_nannyml", RULES)
    assert found == {
        feature: names(5, 9) for feature in ("car_value", "loan_length", "repaid_loan_on_prev_car", "salary_range")
    }


@pytest.mark.parametrize("name", ["agrawal_abrupt_binary", "agrawal_gradual_binary"])
def test_a_change_of_the_concept_is_no_drift_of_the_features(shared_data: DataSets, tmp_path: Path, name: str) -> None:
    assert windows_by_feature(shared_data, tmp_path, name, RULES) == {}


def test_seasons_that_the_reference_has_too_are_tolerated(shared_data: DataSets, tmp_path: Path) -> None:
    """Weeks against a whole year: by fixed thresholds the temperature is alarming in every single one."""
    (tmp_path / "fixed").mkdir()
    (tmp_path / "natural").mkdir()
    fixed = windows_by_feature(shared_data, tmp_path / "fixed", "bike_regression", FIXED)
    natural = windows_by_feature(shared_data, tmp_path / "natural", "bike_regression", RULES)
    for feature in ("temp", "atemp", "hum"):
        assert len(fixed[feature]) > 35
        assert len(natural.get(feature, [])) <= 5


def test_a_seasonal_feature_beside_a_real_change(shared_data: DataSets, tmp_path: Path) -> None:
    """Elec2: the three features that came alive drift for good; demand only in the depth of two winters."""
    found = windows_by_feature(shared_data, tmp_path, "elec2_binary", RULES)
    for feature in ("vicprice", "vicdemand", "transfer"):
        assert names(13, 95) == [window for window in found[feature] if window >= "w013"]
        assert min(found[feature]) in ("w012", "w013")
    assert set(found["nswdemand"]) <= {*names(18, 27), *names(70, 80)}
