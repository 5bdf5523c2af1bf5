"""The open data sets through the whole service: stored as predictions, evaluated by the scheduler, told as alerts.

Each scenario is looked at with a look-back as long as its windows, once for each: a verdict belongs to the
oracle's window in which the middle of its look-back lies.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from modelwatch.alerting.policy import AlertPolicy
from modelwatch.alerting.queries import list_alerts
from modelwatch.alerting.service import AlertService
from modelwatch.config import Settings
from modelwatch.monitoring.checks.drift.report import DriftReport
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.proofs.lock import Proofs
from tests.support.background import background, new_id, run_out
from tests.support.data.data_sets import DataSets
from tests.support.data.scenarios import Scenario, fill, load
from tests.support.events import NOON, Clock, open_store

# The look-back of each scenario, and the interval in seconds: the length of the oracle's windows.
LOOKBACKS = {
    "elec2_binary": ("7d", 7 * 86_400),
    "insects_multiclass": ("500m", 500 * 60),
    "carloan_nannyml": ("30d", 30 * 86_400),
    "acs_employment_binary": ("91d", 91 * 86_400),
    "agrawal_abrupt_binary": ("25h", 25 * 3_600),
    "agrawal_gradual_binary": ("25h", 25 * 3_600),
    "bike_regression": ("7d", 7 * 86_400),
}
DEFAULTS = DriftRules.of(Settings())


@dataclass(frozen=True)
class Outcome:
    """What was said about a scenario.

    drifted: for each window the features, and `prediction` or `score`, in warning or alert. severe: those in alert.
    alerts: for each incident its kind, the window in which it was opened, and whether it was still open at the end.
    """

    drifted: dict[str, list[str]]
    severe: dict[str, list[str]]
    alerts: list[tuple[str, str, bool]]

    def windows(self, *subjects: str) -> list[str]:
        """The windows in which one of these subjects drifted."""
        return [window for window, moved in self.drifted.items() if set(subjects) & set(moved)]


def live_through(data: Path) -> Outcome:
    """Stores the scenario, lets the background work evaluate and alert, and reads back what it found."""
    scenario = load(data)
    lookback, interval = LOOKBACKS[data.name]
    clock = Clock(NOON + 3_600_000_000)
    rules = replace(DEFAULTS, lookbacks=(lookback,), check_interval=interval, on_new_data=False)
    with TemporaryDirectory() as folder, closing(open_store(Path(folder))) as store:
        fill(store, scenario)
        alerts = AlertService(
            store, policy=lambda _connection, _model: AlertPolicy(), public_url="", clock=clock, new_id=new_id
        )
        run_out(background(store, rules, clock, sink=alerts))
        return _read(store, scenario, interval)


def _read(store: Store, scenario: Scenario, length: int) -> Outcome:
    with store.read() as connection:
        verdicts = verdicts_of(connection, scenario.name, limit=10_000)[::-1]
        alerts = list_alerts(connection, limit=100).lines
    drifted: dict[str, list[str]] = {}
    severe: dict[str, list[str]] = {}
    for verdict in verdicts:
        window = _window(scenario, verdict.window_end - length / 2)
        report = msgspec.json.decode(verdict.result, type=DriftReport)
        moved = report.summary.drifted
        drifted[window] = moved
        severe[window] = [each.feature_name for each in report.drift_results if each.severity == "alert"]
    opened = [
        (alert.kind, _window(scenario, _seconds(alert.started_at) - length / 2), alert.state != "resolved")
        for alert in alerts
    ]
    return Outcome(drifted, severe, sorted(opened, key=lambda each: each[1]))


def _window(scenario: Scenario, moment: float) -> str:
    """The oracle's window that this time is in; the first or last one for times outside."""
    found = [window["window"] for window in scenario.windows if _seconds(window["start"]) <= moment]
    return str(found[-1] if found else scenario.windows[0]["window"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def names(first: int, last: int) -> list[str]:
    return [f"w{index:03}" for index in range(first, last + 1)]


def test_elec2(shared_data: DataSets, proofs: Proofs) -> None:
    said = proofs.figures(live_through, shared_data / "elec2_binary")
    for feature in ("vicprice", "vicdemand", "transfer"):
        windows = said.windows(feature)
        assert windows[0] in ("w012", "w013")
        assert [window for window in said.drifted if window >= "w013"] == [each for each in windows if each >= "w013"]
    assert said.alerts[0][0] == "feature_drift"
    assert any(kind == "feature_drift" and lasts for kind, _, lasts in said.alerts)


def test_insects(shared_data: DataSets, proofs: Proofs) -> None:
    said = proofs.figures(live_through, shared_data / "insects_multiclass")
    first = next(window for window, moved in said.severe.items() if moved)
    assert first in ("w005", "w006")
    assert said.severe["w012"]
    assert any(kind == "feature_drift" and lasts for kind, _, lasts in said.alerts)


def test_carloan(shared_data: DataSets, proofs: Proofs) -> None:
    said = proofs.figures(live_through, shared_data / "carloan_nannyml")
    assert not [window for window in names(0, 4) if said.drifted.get(window)]
    allowed = {"car_value", "loan_length", "repaid_loan_on_prev_car", "salary_range", "size_of_downpayment"}
    for window in names(5, 9):
        if window in said.drifted:
            features = set(said.drifted[window]) - {"prediction", "score"}
            assert features
            assert features <= allowed
    [drift] = [alert for alert in said.alerts if alert[0] == "feature_drift"]
    assert drift == ("feature_drift", "w005", True)


@pytest.mark.timeout(900)
def test_acs(shared_data: DataSets, proofs: Proofs) -> None:
    said = proofs.figures(live_through, shared_data / "acs_employment_binary")
    assert not [window for window in names(0, 3) if said.drifted.get(window)]
    assert said.windows("RELP") == [window for window in said.drifted if window >= "w004"]
    assert {feature for moved in said.drifted.values() for feature in moved} <= {"RELP", "prediction", "score"}


@pytest.mark.parametrize(("name", "most"), [("agrawal_abrupt_binary", 0), ("agrawal_gradual_binary", 2)])
def test_agrawal(shared_data: DataSets, proofs: Proofs, name: str, most: int) -> None:
    said = proofs.figures(live_through, shared_data / name)
    features = [window for window, moved in said.drifted.items() if set(moved) - {"prediction", "score"}]
    assert len(features) <= most


def test_bike(shared_data: DataSets, proofs: Proofs) -> None:
    """The weather of a week differs from that of the year, as it did in the weeks of the reference: it is tolerated."""
    said = proofs.figures(live_through, shared_data / "bike_regression")
    for feature in ("temp", "atemp", "hum", "windspeed"):
        assert len(said.windows(feature)) <= 5
