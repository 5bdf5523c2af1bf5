"""Privacy over HTTP: what a monitor may ask for, and what is said without a key."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from modelwatch.errors import SettingsError
from tests.support.app import App, pointers
from tests.support.events import NOON, event, open_ledger, stored_and_counted
from tests.support.stores.privacy import KEY

ASKING = {"privacy": {"default": "hash", "features": {"a/b": "encrypt", "c": "drop"}}}


def test_a_treatment_that_needs_a_key_is_refused_without_one(app: App) -> None:
    problem = app.problem("PUT", "models/m/monitor", 422, json=ASKING)
    assert pointers(problem) == ["/privacy/default", "/privacy/features/a~1b"]
    assert "ENCRYPTION_KEY is not set" in problem["errors"][0]["message"]
    backtest = app.problem("POST", "models/m/monitor/backtest", 422, json={"monitor": ASKING})
    assert pointers(backtest) == ["/monitor/privacy/default", "/monitor/privacy/features/a~1b"]


def test_dropping_needs_no_key(app: App) -> None:
    answer = app.request("PUT", "/api/v1/models/m/monitor", json={"privacy": {"features": {"c": "drop"}}})
    assert answer.status_code == 201
    assert answer.json()["effective"]["privacy"] == {
        "store": "predictions",
        "default": "keep",
        "features": {"c": "drop"},
    }


def test_with_a_key_everything_can_be_asked_for(tmp_path: Path) -> None:
    app = App(tmp_path, ENCRYPTION_KEY=KEY, PRIVACY_STORE="profiles")
    answer = app.request("PUT", "/api/v1/models/m/monitor", json=ASKING)
    assert answer.status_code == 201
    assert answer.json()["effective"]["privacy"]["store"] == "profiles"
    app.close()


@pytest.mark.parametrize(
    ("privacy", "pointer", "says"),
    [
        ({"features": {"iban": "encript"}}, "/privacy/features/iban", "Expected 'keep', 'hash', 'drop' or 'encrypt'"),
        ({"default": "none"}, "/privacy/default", "Expected 'keep', 'hash', 'drop' or 'encrypt'"),
        ({"store": "nothing"}, "/privacy/store", "Expected 'predictions' or 'profiles'"),
        ({"feature": {}}, "/privacy/feature", "did you mean features?"),
    ],
)
def test_what_is_wrong_is_pointed_at(app: App, privacy: object, pointer: str, says: str) -> None:
    [error] = app.problem("PUT", "models/m/monitor", 422, json={"privacy": privacy})["errors"]
    assert error["pointer"] == pointer
    assert says in error["message"]


def test_a_file_that_asks_for_a_key_stops_a_start_without_one(tmp_path: Path) -> None:
    path = tmp_path / "monitor.yaml"
    path.write_text("model: m\nprivacy: {features: {iban: encrypt}}\n")
    with pytest.raises(SettingsError, match=r"monitor.yaml.*/privacy/features/iban.*ENCRYPTION_KEY is not set"):
        App(tmp_path / "without", MONITORS_PATH=str(path))
    App(tmp_path / "with", MONITORS_PATH=str(path), ENCRYPTION_KEY=KEY).close()


class TestErasing:
    PATH = "/api/v1/models/fraud/predictions/"

    def send(self, app: App, identity: str, **more: object) -> None:
        """Straight into the store, as a commit does."""
        open_ledger(app.store, prefix=identity + str(more)).commit([event(identity, {"x": 1.0}, model="fraud", **more)])  # type: ignore[arg-type]

    @pytest.mark.parametrize("identity", ["p-1", "a/b c", "ü?#%2F", "../x", "p-1/"])
    def test_removes_a_prediction_with_any_id(self, app: App, identity: str) -> None:
        self.send(app, identity)
        path = self.PATH + quote(identity, safe="")
        answer = app.request("DELETE", path)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {
            "status": "erased",
            "model_name": "fraud",
            "prediction_id": identity,
            "predictions": 1,
            "days": ["2025-06-15"],
            "labels": 0,
            "counts_left": [],
        }
        assert app.request("DELETE", path).status_code == 404
        assert stored_and_counted(app.store, "fraud") == (0, 0)

    def test_of_one_day(self, app: App) -> None:
        self.send(app, "a")
        self.send(app, "a", timestamp=NOON + 86_400_000_000)
        answer = app.request("DELETE", self.PATH + "a", params={"day": "2025-06-16"})
        assert answer.json()["days"] == ["2025-06-16"]
        app.problem("DELETE", "models/fraud/predictions/a", 404, params={"day": "2025-06-16"})
        problem = app.problem("DELETE", "models/fraud/predictions/a", 422, params={"day": "yesterday"})
        assert pointers(problem) == ["/day"]

    def test_says_what_it_would_leave_and_leaves_it_when_told_to(self, app: App) -> None:
        app.request("PUT", "/api/v1/models/fraud/monitor", json={"privacy": {"store": "profiles"}})
        numbers = {"model_name": "fraud", "features": {"x": list(range(100))}}
        assert app.request("POST", "/api/v1/reference", json=numbers).status_code == 201
        self.send(app, "a")
        problem = app.problem("DELETE", "models/fraud/predictions/a", 409)
        assert "The values of x are not stored" in problem["detail"]
        answer = app.request("DELETE", self.PATH + "a", params={"leave_counts": "true", "actor": "dpo"})
        assert answer.json()["counts_left"] == ["x"]
        [entry] = app.get("audit", action="prediction.erase")["entries"]
        assert (entry["actor"], entry["target"]) == ("dpo", "model/fraud")
