"""Documents of monitors over HTTP: which are read, how, what is said of the others, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelwatch.errors import SettingsError
from tests.support.app import App, pointers

PATH = "/api/v1/models/m/monitor"


def put(app: App, body: object, **headers: str) -> Any:
    """What is answered to a monitor that is taken."""
    answer = app.request(
        "PUT", PATH, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )
    assert answer.is_success, answer.text
    return answer.json()


def test_everything_that_is_wrong_is_pointed_at(app: App) -> None:
    def refused(body: object) -> list[str]:
        return pointers(app.problem("PUT", "models/m/monitor", 422, json=body))

    routes = [{"channels": ["slack"]}, {"channels": ["pager", "slack", "pigeon"]}]
    assert refused({"model": "other", "alerts": {"channels": ["slack", "pager"], "routes": routes}}) == [
        "/model",
        "/alerts/channels/1",
        "/alerts/routes/1/channels/0",
        "/alerts/routes/1/channels/2",
    ]
    assert refused([]) == refused("x") == refused(5) == [""]
    assert app.get("audit")["entries"] == []


def test_errors_say_what_to_do(app: App) -> None:
    def said(body: object) -> str:
        [error] = app.problem("PUT", "models/m/monitor", 422, json=body)["errors"]
        return f"{error['message']}; {error['value_excerpt']}"

    assert said({"alerts": {"channels": ["pager"]}}) == "No channel has this name; there are: slack; pager"
    assert said({"model": "other"}) == "The address names the model 'm'; other"
    assert (
        said({"drift": {"psi_warning": 0.4, "psi_alert": 0.3}}) == "Expected more than psi_warning, which is 0.4; 0.3"
    )


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"a: 1\na: 2\n", "application/yaml", "line 2: 'a' is given twice"),
        (b"a: !!bool x\n", "application/yaml", "the tag '!!bool'"),
        (b"drift: {min_samples: 0x" + b"f" * 9_000 + b"}", "text/yaml", "too many digits"),
        (b'{"labels": {"a": "\\ud800"}}', "application/json", "lone surrogate"),
        (b"budget: 1", "application/json", "not JSON"),
        (b"", "application/json", "not JSON"),
        (b"\xff", "application/x-yaml", "not UTF-8"),
    ],
)
def test_what_can_not_be_read_is_said(app: App, content: bytes, kind: str, says: str) -> None:
    problem = app.problem("PUT", "models/m/monitor", 400, content=content, headers={"content-type": kind})
    assert says in problem["detail"]


def test_a_document_has_a_largest_size(app: App) -> None:
    content = b"# " + b"x" * 1024 * 1024
    assert app.problem("PUT", "models/m/monitor", 413, content=content, headers={"content-type": "text/yaml"})


def test_the_media_type_decides_how_it_is_read(app: App) -> None:
    for kind in ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml; charset=utf-8"):
        assert app.request("PUT", PATH, content=b"budget: 2", headers={"content-type": kind}).is_success
    for kind in ("application/json", "application/merge-patch+json", "Application/JSON; charset=utf-8"):
        assert app.request("PUT", PATH, content=b'{"budget": 2}', headers={"content-type": kind}).is_success
    problem = app.problem("PUT", "models/m/monitor", 415, content=b"a", headers={"content-type": "text/csv"})
    assert problem["detail"] == "A monitor is sent as application/json or application/yaml, not as 'text/csv'."


def test_the_answer_to_a_change_may_be_yaml_too(app: App) -> None:
    answer = app.request("PUT", PATH, json={"labels": {"team": "é"}}, headers={"accept": "text/html, text/yaml;q=0.9"})
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(answer.content)["monitor"] == {"labels": {"team": "é"}}


def test_a_revision_is_named_in_several_ways(app: App) -> None:
    assert put(app, {"budget": 1}, if_match='"0"')["revision"] == 1
    assert put(app, {"budget": 2}, if_match='W/"1"')["revision"] == 2
    assert put(app, {"budget": 3}, if_match="2")["revision"] == 3
    assert put(app, {"budget": 3}, if_match="*")["revision"] == 3
    assert app.problem("PUT", "models/n/monitor", 409, json={}, headers={"if-match": '"1"'})
    assert app.request("DELETE", PATH, headers={"if-match": '"3"'}).json()["deleted"] is True
    assert put(app, {"budget": 4}, if_match='"0"')["revision"] == 4


def test_what_is_in_effect_is_a_monitor_too(app: App) -> None:
    effective = put(app, {"drift": {"psi_warning": 0.2}, "alerts": {"repeat_every": "never"}})["effective"]
    assert effective["alerts"]["repeat_every"] == "never"
    again = put(app, effective)
    assert (again["revision"], again["effective"]) == (2, effective)


def test_null_means_not_given(app: App) -> None:
    effective = put(app, {"budget": None, "drift": {"psi_alert": None}})["effective"]
    assert (effective["budget"], effective["drift"]["psi_alert"]) == (1.0, 0.25)


def test_a_threshold_alone_is_shown_with_what_gives_way_to_it(watched: App) -> None:
    drift = put(watched, {"drift": {"psi_warning": 5}})["effective"]["drift"]
    assert (drift["psi_warning"], drift["psi_alert"]) == (5.0, 5.0)
    [result] = watched.post("drift/check", {"model_name": "m", "lookback": "1h"})["drift_results"]
    assert (result["tolerance"]["psi_warning"], result["tolerance"]["psi_alert"]) == (5.0, 5.0)


def test_a_backtest_is_beside_what_is_in_force(watched: App) -> None:
    put(watched, {"drift": {"psi_warning": 50, "psi_alert": 60}})
    content = b"monitor: {schedule: {every: 2h, on_new_data: false}}\nenvironment: production\nmodel_version: '1'\n"
    answer = watched.request(
        "POST", f"{PATH}/backtest", content=content, headers={"content-type": "application/yaml"}
    ).json()
    [proposed], [in_force] = answer["proposed"], answer["in_force"]
    assert (proposed["alerts"], in_force["alerts"]) == (1, 0)
    assert proposed["evaluations"] < in_force["evaluations"]
    assert watched.get("models/m/monitor")["revision"] == 1
    assert watched.get("alerts")["alerts"] == []


def test_what_is_wrong_with_a_backtest_is_pointed_at(watched: App) -> None:
    def refused(status: int, body: object) -> Any:
        return watched.problem("POST", "models/m/monitor/backtest", status, json=body)

    assert pointers(refused(422, [])) == [""]
    assert pointers(refused(422, {"monitor": 5})) == ["/monitor"]
    assert pointers(refused(422, {"monitor": {"model": "other", "budget": 1}})) == ["/monitor/model"]
    assert pointers(refused(422, {"monitor": {"drift": {"psi": 1}}})) == ["/monitor/drift/psi"]
    assert refused(404, {"model_version": "9"})["detail"] == (
        "There is no data of version '9' in 'production'; there is: 1 in production."
    )
    assert refused(404, {"environment": "moon"})["detail"] == ("There is no data in 'moon'; there is: 1 in production.")
    assert watched.get("monitors")["monitors"] == []


def test_every_problem_of_every_file_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model: m\nalerts: {channels: [pager]}\n")
    (tmp_path / "n.yaml").write_text("budget: no\n")
    listed = '{"monitors": [{"model": "a"}, {"model": "b", "alerts": {"routes": [{"channels": ["pager"]}]}}]}'
    (tmp_path / "o.json").write_text(listed)
    (tmp_path / "p.yaml").write_text("model: m\n")
    with pytest.raises(SettingsError) as refusal:
        App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
    title, *lines = str(refusal.value).splitlines()
    assert title == "The monitors can't be applied:"
    assert sorted(line.removeprefix(f"  - {tmp_path}/") for line in lines) == [
        "m.yaml /alerts/channels/0: No channel is named 'pager'; there are: none",
        "n.yaml /budget: Expected a number, got 'False'",
        "o.json /monitors/1/alerts/routes/0/channels/0: No channel is named 'pager'; there are: none",
        f"p.yaml: The model 'm' has a monitor in {tmp_path}/m.yaml already",
    ]


def test_nothing_is_applied_when_one_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model: m\nbudget: 4\n")
    (tmp_path / "n.yaml").write_text("model: n\nbudgt: 4\n")
    with pytest.raises(SettingsError):
        App(tmp_path / "data", MONITORS_PATH=str(tmp_path))
    app = App(tmp_path / "data")
    assert app.get("monitors")["monitors"] == []
    app.close()


def test_a_monitor_stays_when_its_file_goes(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model: m\nbudget: 4\n")
    App(tmp_path / "data", MONITORS_PATH=str(tmp_path / "m.yaml")).close()
    app = App(tmp_path / "data")
    assert app.get("models/m/monitor")["monitor"]["budget"] == 4.0
    app.close()
