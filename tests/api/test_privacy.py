"""Privacy over HTTP: what a monitor may ask for, and what is said without a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.errors import SettingsError
from tests.support.app import App, pointers
from tests.support.privacy import KEY

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
