"""GET /overview: the models at a glance."""

from __future__ import annotations

import pytest

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.storage.references.monitors import put_monitor
from modelwatch.views.models.list import models_overview
from modelwatch.views.models.rows import Wanted
from tests.exposition.scraping import evaluate_app, set_reference, traffic
from tests.support.alerts.assessments import assessment
from tests.support.app import App, pointers
from tests.support.events import open_ledger


def test_a_line_has_the_state_the_worst_finding_and_what_it_rests_on(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    evaluate_app(app)
    view = app.get("overview")
    [line] = view["models"]
    assert (line["model_name"], line["environment"], line["model_version"]) == ("m", "production", "1")
    assert line["state"] == "alert"
    assert line["sentence"].startswith("1 of 2 features drifts: amount")
    assert line["worst"]["subject"] == "amount"
    assert line["worst"]["score"] == pytest.approx(line["psi"])
    assert (line["psi_subject"], line["predictions"], line["predictions_seconds"]) == ("amount", 400, 86_400)
    assert line["reference"]["kind"] == "own"
    assert line["data_until"].startswith("2025-06-15T15:05")
    series = line["series"]
    assert len(series["psi"]) == len(series["metric"]) == len(series["predictions_per_hour"]) == 84
    assert series["psi"][-1] == pytest.approx(line["psi"])
    assert (series["severity"][-1], series["predictions_per_hour"][-1]) == ("alert", 400)
    assert series["psi"][:-1] == [None] * 83
    others = ("warning", "unknown", "catching_up", "no_data", "shifted", "stable")
    assert view["states"] == {"alert": 1} | dict.fromkeys(others, 0)


def test_each_state_has_its_sentence(app: App) -> None:
    ledger = open_ledger(app.store)
    set_reference(app.store)
    ledger.commit(traffic(400))
    ledger.commit(traffic(400, model="without"))
    set_reference(app.store, model="waiting")
    evaluate_app(app)
    ledger.commit(traffic(2, model="fresh"))
    # The clock of the service is the real one, and what tests write arrived years ago.
    with app.store.read() as connection:
        view, _ = models_overview(connection, Wanted(), now=app.desk.clock.now)
    lines = {line.model_name: (line.state, line.sentence) for line in view.models}
    assert lines["fresh"] == ("catching_up", "Not evaluated yet.")
    assert lines["waiting"] == ("no_data", "A reference is set, but nothing has arrived.")
    assert lines["without"][0] == "unknown"
    assert lines["without"][1].startswith("No reference is set.")
    assert lines["m"] == ("stable", "2 features and the model's outputs are as in the reference.")
    [long_ago] = app.get("overview", search="fresh")["models"]
    assert long_ago["state"] == "no_data"
    assert long_ago["sentence"].startswith("No reference is set, and nothing has arrived for ")


def test_the_worst_come_first_and_pages_follow_one_another(app: App) -> None:
    ledger = open_ledger(app.store)
    for index in range(5):
        ledger.commit(traffic(2, model=f"m{index}"))
    app.desk.take(assessment(0, {"amount": "warning"}, model="m3"))
    app.desk.take(assessment(0, {"amount": "alert", "country": "alert"}, model="m4"))
    app.desk.take(assessment(0, {"amount": "alert"}, model="m2"))
    names, cursor = [], None
    while True:
        query = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        view = app.get("overview", **query)
        assert view["total"] == 5
        names += [line["model_name"] for line in view["models"]]
        cursor = view["next_cursor"]
        if cursor is None:
            break
    assert names == ["m4", "m2", "m3", "m0", "m1"]


def test_lines_are_found_by_name_owner_tag_state_and_environment(app: App) -> None:
    ledger = open_ledger(app.store)
    for index in range(3):
        ledger.commit(traffic(2, model=f"Model-{index}", environment=f"e{index}"))
    config = parse_monitor({"owner": "Risk", "tags": ["tier-1", "eu"]})
    put_monitor(app.store, "Model-1", config, source="api", actor="ann", now=1, new_id=lambda: "x")
    app.desk.take(assessment(0, {"amount": "alert"}, model="Model-2", environment="e2"))

    def found(**query: str) -> list[str]:
        return [line["model_name"] for line in app.get("overview", sort="name", **query)["models"]]

    assert found() == ["Model-0", "Model-1", "Model-2"]
    assert found(search="model-0") == ["Model-0"]
    assert found(search="risk") == found(search="TIER") == found(owner="Risk") == found(tag="eu") == ["Model-1"]
    assert found(environment="e2") == found(state="alert") == ["Model-2"]
    assert found(search="risk", state="alert") == []
    view = app.get("overview", search="nothing")
    assert (view["total"], view["owners"], view["tags"]) == (0, ["Risk"], ["eu", "tier-1"])
    assert view["environments"] == ["e0", "e1", "e2"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("state=calm", "/state"), ("limit=101", "/limit"), ("range=5h", "/range"), ("cursor=x", "/cursor")],
)
def test_a_wrong_parameter_is_named(app: App, query: str, pointer: str) -> None:
    assert pointers(app.problem("GET", f"overview?{query}", 422)) == [pointer]
