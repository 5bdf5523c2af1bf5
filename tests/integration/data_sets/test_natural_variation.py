"""Real data, window by window: what is said, and that the reference's own variation is not called drift."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from modelwatch.monitoring.checks.rules import DriftRules
from tests.proofs.lock import Proofs
from tests.support.data.data_sets import DataSets
from tests.support.data.scenarios import alarms, fill, load, said
from tests.support.events import open_store

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h", "24h"), 3_600)


def windows_by_feature(data: Path, natural_variation: bool) -> dict[str, list[str]]:
    """The windows in which each feature is warning or alert."""
    scenario = load(data)
    found: dict[str, list[str]] = {}
    with TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        fill(store, scenario)
        rules = replace(RULES, natural_variation=natural_variation)
        for window, features in alarms(said(store, scenario, rules)).items():
            for feature in features:
                found.setdefault(feature, []).append(window)
    return found


def names(first: int, last: int) -> list[str]:
    return [f"w{index:03}" for index in range(first, last + 1)]


def test_carloan_drifts_in_its_second_half_and_nowhere_else(shared_data: DataSets, proofs: Proofs) -> None:
    found = proofs.figures(windows_by_feature, shared_data / "carloan_nannyml", True)
    assert found == {
        feature: names(5, 9) for feature in ("car_value", "loan_length", "repaid_loan_on_prev_car", "salary_range")
    }


@pytest.mark.parametrize("name", ["agrawal_abrupt_binary", "agrawal_gradual_binary"])
def test_a_change_of_the_concept_is_no_drift_of_the_features(shared_data: DataSets, proofs: Proofs, name: str) -> None:
    assert proofs.figures(windows_by_feature, shared_data / name, True) == {}


def test_seasons_that_the_reference_has_too_are_tolerated(shared_data: DataSets, proofs: Proofs) -> None:
    """Weeks against a whole year: by fixed thresholds the temperature is alarming in every single one."""
    fixed = proofs.figures(windows_by_feature, shared_data / "bike_regression", False)
    natural = proofs.figures(windows_by_feature, shared_data / "bike_regression", True)
    for feature in ("temp", "atemp", "hum"):
        assert len(fixed[feature]) > 35
        assert len(natural.get(feature, [])) <= 5


def test_a_seasonal_feature_beside_a_real_change(shared_data: DataSets, proofs: Proofs) -> None:
    """Elec2: the three features that came alive drift for good; demand only in the depth of two winters."""
    found = proofs.figures(windows_by_feature, shared_data / "elec2_binary", True)
    for feature in ("vicprice", "vicdemand", "transfer"):
        assert names(13, 95) == [window for window in found[feature] if window >= "w013"]
        assert min(found[feature]) in ("w012", "w013")
    assert set(found["nswdemand"]) <= {*names(18, 27), *names(70, 80)}
