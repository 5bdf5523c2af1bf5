"""Monitors over HTTP: set, read, removed, tried, and what they change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from modelwatch.errors import SettingsError
from tests.support.app import App, pointers

PATH = "/api/v1/models/m/monitor"


def test_a_known_model_without_a_monitor_has_the_defaults(watched: App) -> None:
    found = watched.get("models/m/monitor")
    assert (found["revision"], found["source"], found["monitor"]) == (0, None, {})
    assert found["effective"]["drift"]["psi_alert"] == 0.25
    assert found["effective"]["alerts"]["channels"] == ["slack"]
    assert watched.problem("GET", "models/nobody/monitor", 404)


def test_a_monitor_is_set_as_json_or_yaml_and_read_back(app: App) -> None:
    created = app.request("PUT", PATH, json={"drift": {"psi_alert": 0.5}})
    assert (created.status_code, created.headers["etag"]) == (201, '"1"')
    content = b"model: m\nschedule: {every: 15m}\n"
    changed = app.request("PUT", PATH, content=content, headers={"content-type": "application/yaml; charset=utf-8"})
    assert (changed.status_code, changed.json()["revision"]) == (200, 2)
    found = app.get("models/m/monitor")
    assert found["monitor"] == {"model": "m", "schedule": {"every": "15m"}}
    assert found["effective"]["schedule"]["every"] == "15m"
    assert found["effective"]["drift"]["psi_alert"] == 0.25
    as_yaml = app.request("GET", PATH, headers={"accept": "application/yaml"})
    assert yaml.safe_load(as_yaml.content) == found
    assert [each["model_name"] for each in app.get("monitors")["monitors"]] == ["m"]


def test_what_it_says_about_the_model_is_in_the_models_answer(watched: App) -> None:
    about = {
        "owner": "risk-team",
        "tags": ["payments"],
        "task": "binary",
        "positive_class": "fraud",
        "importance": {"amount": 0.41, "age": 0},
    }
    before = watched.get("models/m")
    assert {name: before[name] for name in about} == {
        "owner": None,
        "tags": [],
        "task": None,
        "positive_class": None,
        "importance": {},
    }
    assert watched.request("PUT", PATH, json=about).status_code == 201
    after = watched.get("models/m")
    assert {name: after[name] for name in about} == about
    [listed] = watched.get("models")["models"]
    assert listed == after


def test_only_the_revision_that_was_seen_is_changed(app: App) -> None:
    app.request("PUT", PATH, json={"budget": 1})
    assert app.request("PUT", PATH, json={"budget": 2}, headers={"if-match": '"1"'}).status_code == 200
    problem = app.problem("PUT", "models/m/monitor", 409, json={"budget": 3}, headers={"if-match": '"1"'})
    assert "revision 2, not 1" in problem["detail"]
    assert app.problem("DELETE", "models/m/monitor", 409, headers={"if-match": "7"})
    assert pointers(app.problem("DELETE", "models/m/monitor", 422, headers={"if-match": "x"})) == ["/if-match"]


def test_a_monitor_is_removed(app: App) -> None:
    app.request("PUT", PATH, json={"budget": 1})
    assert app.request("DELETE", PATH).json() == {"model_name": "m", "deleted": True}
    assert app.request("DELETE", PATH).json()["deleted"] is False
    assert app.problem("GET", "models/m/monitor", 404)


def test_what_is_wrong_is_named(app: App) -> None:
    def refused(body: object) -> list[str]:
        return pointers(app.problem("PUT", "models/m/monitor", 422, json=body))

    assert refused({"budgt": 1, "drift": {"psi_alert": 0}}) == ["/drift/psi_alert", "/budgt"]
    assert refused({"model": "other"}) == ["/model"]
    assert refused({"alerts": {"channels": ["pager"]}}) == ["/alerts/channels/0"]
    assert app.problem("PUT", "models/m/monitor", 400, content=b"{", headers={"content-type": "application/json"})
    assert app.problem("PUT", "models/m/monitor", 415, content=b"a", headers={"content-type": "text/plain"})
    assert app.problem("GET", "models/m/monitor", 404)


def test_it_counts_at_once(watched: App) -> None:
    check = {"model_name": "m", "lookback": "1h"}
    before = watched.post("drift/check", check)
    assert {each["feature_name"]: each["severity"] for each in before["drift_results"]} == {"x": "alert"}
    watched.request("PUT", PATH, json={"drift": {"psi_warning": 5, "psi_alert": 9}, "budget": 0.5})
    after = watched.post("drift/check", check)
    # Still detected, and below the new thresholds.
    assert after["drift_results"][0]["severity"] == "shifted"
    assert after["summary"]["alpha"] == before["summary"]["alpha"] / 2
    watched.request("PUT", PATH, json={"drift": {"leave_out": ["x"]}})
    assert watched.post("drift/check", check)["drift_results"] == []
    assert watched.post("drift/check", check | {"features": ["x"]})["drift_results"][0]["severity"] == "alert"


def test_a_backtest_says_what_it_would_have_said(watched: App) -> None:
    deaf = {"monitor": {"drift": {"psi_warning": 50, "psi_alert": 60}}}
    found = watched.post("models/m/monitor/backtest", deaf)
    [proposed], [in_force] = found["proposed"], found["in_force"]
    assert (proposed["alerts"], in_force["alerts"]) == (0, 1)
    assert in_force["episodes"][0]["subject"] == "x"
    same = watched.post("models/m/monitor/backtest", {})
    assert same["proposed"] == same["in_force"] == found["in_force"]
    part = watched.post("models/m/monitor/backtest", {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"})
    assert part["proposed"][0]["evaluations"] == 0


def test_what_a_backtest_can_not_do(watched: App) -> None:
    def refused(status: int, body: object, model: str = "m") -> object:
        return watched.problem("POST", f"models/{model}/monitor/backtest", status, json=body)

    assert refused(404, {}, "nobody")
    assert refused(404, {"environment": "moon"})
    assert pointers(refused(422, {"monitr": {}})) == [""]
    assert pointers(refused(422, {"start": "soon"})) == ["/start"]
    assert pointers(refused(422, {"monitor": {"budget": 0}})) == ["/monitor/budget"]
    assert pointers(refused(422, {"monitor": {"alerts": {"channels": ["pager"]}}})) == ["/monitor/alerts/channels/0"]


def test_files_are_applied_at_start(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model: m\nbudget: 4\n")
    for _ in range(2):
        app = App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
        found = app.get("models/m/monitor")
        assert (found["source"], found["revision"], found["monitor"]["budget"]) == ("file:m.yaml", 1, 4.0)
        app.close()
    app = App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
    app.request("PUT", PATH, json={"budget": 5})
    app.close()
    app = App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
    assert app.get("models/m/monitor")["monitor"]["budget"] == 4.0
    app.close()


def test_files_that_are_wrong_stop_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        App(tmp_path / "data", MONITORS_PATH=str(tmp_path / "nothing"))
    (tmp_path / "m.yaml").write_text("model: m\nalerts: {channels: [pager]}\n")
    (tmp_path / "n.yaml").write_text("budget: no\n")
    with pytest.raises(SettingsError) as refusal:
        App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
    assert "n.yaml /budget" in str(refusal.value)
    assert "No channel is named 'pager'" in str(refusal.value)
