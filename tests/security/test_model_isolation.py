"""A key that is for some models: it writes to no other, and can't tell whether there is another."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwatch.access import SCOPES
from modelwatch.config import Settings
from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine.store import Store
from modelwatch.storage.verdicts.verdicts import verdicts_of
from tests.support.alerts.assessments import assessment
from tests.support.app import App
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send, set_reference
from tests.support.events import NOON, Clock
from tests.support.keys import bearer, make_key
from tests.support.servers.live_service import LiveService


def prediction(model: str, identity: str) -> dict[str, Any]:
    return {"model_name": model, "prediction_id": identity, "features": {"x": 1.0}, "prediction": "yes"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("isolated"), API_KEYS_REQUIRED="true") as live:
        yield live


@pytest.fixture(scope="module")
def keys(service: LiveService) -> dict[str, str]:
    store = Store(f"sqlite:///{service.data_dir}/modelwatch.db")
    found = {
        "all": make_key(store, "admin")[1],
        "mine": make_key(store, "ingest", "read", models=frozenset({"mine"}))[1],
    }
    store.close()
    with httpx.Client(base_url=service.url, headers=bearer(found["all"])) as client:
        deadline = time.monotonic() + 60
        while client.get("/version").status_code == 401:
            assert time.monotonic() < deadline, "a new key is known within seconds"
            time.sleep(0.05)
        for model in ("mine", "theirs"):
            client.post("/api/v1/predictions", json=prediction(model, "1")).raise_for_status()
    return found


@pytest.fixture
def mine(service: LiveService, keys: dict[str, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, headers=bearer(keys["mine"])) as client:
        yield client


def test_it_writes_to_its_own_model_alone(mine: httpx.Client) -> None:
    assert mine.post("/api/v1/predictions", json=prediction("mine", "2")).status_code == 202
    for path, body in (
        ("predictions", prediction("theirs", "2")),
        ("predictions/batch", [prediction("mine", "3"), prediction("theirs", "3")]),
        ("ground-truth", {"model_name": "theirs", "prediction_id": "1", "ground_truth": "no"}),
        ("ground-truth/batch", [{"model_name": "theirs", "prediction_id": "1", "ground_truth": "no"}]),
        ("reference", {"model_name": "theirs", "feature_name": "x", "data_type": "continuous", "values": [1.0, 2.0]}),
    ):
        answer = mine.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 403, path
        assert "'theirs'" in answer.json()["detail"]


def test_nothing_of_a_refused_batch_is_stored(mine: httpx.Client) -> None:
    refused = mine.post("/api/v1/predictions/batch", json=[prediction("mine", "z"), prediction("theirs", "z")])
    assert refused.status_code == 403
    assert mine.post("/api/v1/predictions", json=prediction("mine", "z")).json()["status"] == "accepted"


def test_a_model_of_others_is_answered_as_one_that_there_is_not(mine: httpx.Client) -> None:
    paths = (
        "models/{}",
        "models/{}/drift",
        "models/{}/performance",
        "models/{}/performance/stretch",
        "models/{}/quality/series",
        "models/{}/compare",
        "models/{}/quality",
        "models/{}/segments?metric=accuracy",
        "models/{}/monitor",
        "reference?model_name={}",
    )
    for path in paths:
        answers = [mine.get(f"/api/v1/{path.format(model)}") for model in ("theirs", "nobodys")]
        assert [answer.status_code for answer in answers] == [404, 404], path
        assert answers[0].text.replace("theirs", "nobodys") == answers[1].text
        assert _comparable(answers[0]) == _comparable(answers[1])
    checks = [mine.post("/api/v1/drift/check", json={"model_name": model}) for model in ("theirs", "nobodys")]
    assert [answer.status_code for answer in checks] == [404, 404]
    assert checks[0].text.replace("theirs", "nobodys") == checks[1].text


def _comparable(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}


def test_lists_have_its_own_models_alone(mine: httpx.Client, service: LiveService, keys: dict[str, str]) -> None:
    assert [each["model_name"] for each in mine.get("/api/v1/models").json()["models"]] == ["mine"]
    everything = httpx.get(f"{service.url}/api/v1/models", headers=bearer(keys["all"])).json()
    assert [each["model_name"] for each in everything["models"]] == ["mine", "theirs"]
    monitor = {"budget": 0.5}
    for model in ("mine", "theirs"):
        httpx.put(f"{service.url}/api/v1/models/{model}/monitor", json=monitor, headers=bearer(keys["all"]))
    assert [each["model_name"] for each in mine.get("/api/v1/monitors").json()["monitors"]] == ["mine"]


def test_alerts_of_other_models_are_not_there(mine: httpx.Client) -> None:
    assert mine.get("/api/v1/alerts", params={"model": "theirs"}).json()["alerts"] == []
    assert mine.get("/api/v1/alerts/0").status_code == 404
    assert mine.get("/api/v1/verdicts/0").status_code == 404
    assert mine.get("/api/v1/verdicts/0/verification").status_code == 404


def test_an_alert_of_another_model_is_answered_as_one_that_there_is_not(tmp_path: Path) -> None:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    app.desk.take(assessment(0, {"amount": "alert"}, model="theirs"), assessment(0, {"amount": "alert"}, model="mine"))
    alerts = {alert.model: alert.id for alert in app.desk.alerts()}
    _, mine = make_key(app.store, "admin", models=frozenset({"mine"}))
    _, everything = make_key(app.store, "admin")
    listed = app.request("GET", "/api/v1/alerts", headers=bearer(mine)).json()["alerts"]
    assert [each["model_name"] for each in listed] == ["mine"]
    for method, path in (
        ("GET", "/api/v1/alerts/{}"),
        ("POST", "/api/v1/alerts/{}/acknowledge"),
        ("POST", "/api/v1/alerts/{}/resolve"),
    ):
        hidden, absent = (
            app.request(method, path.format(identity), headers=bearer(mine))
            for identity in (alerts["theirs"], "nowhere")
        )
        assert (hidden.status_code, absent.status_code) == (404, 404)
        assert hidden.text.replace(alerts["theirs"], "nowhere") == absent.text
        assert app.request(method, path.format(alerts["mine"]), headers=bearer(mine)).status_code == 200
    assert app.request("GET", f"/api/v1/alerts/{alerts['theirs']}", headers=bearer(everything)).status_code == 200
    app.close()


def test_a_verdict_on_another_model_is_answered_as_one_that_there_is_not(tmp_path: Path) -> None:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    set_reference(app.store, normal(1_000))
    clock = Clock(NOON + 10 * HOUR)
    send(app.store, clock, normal(200), at=NOON)
    finish(clock)
    run_out(background(app.store, DriftRules.of(Settings()), clock))
    with app.store.read() as connection:
        [verdict, *_] = verdicts_of(connection, "m", limit=10)
    for models, status in ((frozenset({"mine"}), 404), (frozenset({"m"}), 200)):
        _, key = make_key(app.store, "read", models=models)
        for path in (f"/api/v1/verdicts/{verdict.id}", f"/api/v1/verdicts/{verdict.id}/verification"):
            deadline = time.monotonic() + 60
            while (answer := app.request("GET", path, headers=bearer(key))).status_code == 401:
                assert time.monotonic() < deadline, "a new key is known within seconds"
                time.sleep(0.05)
            assert answer.status_code == status, answer.text
    app.close()


QUERIES = ("", "?limit=0", "?cursor=nonsense", "?start=nonsense", "?version=1", "?metric=a%00b")
BODIES: tuple[dict[str, Any], ...] = ({}, {"json": {}}, {"json": {"monitor": {"budget": 1}}}, {"content": "["})


def test_no_operation_on_a_model_tells_whether_there_is_one(tmp_path: Path) -> None:
    """Whatever else is right or wrong about the request, and whatever the key may do."""
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    _, everything = make_key(app.store, "admin")
    keys = [make_key(app.store, scope, models=frozenset({"mine"}))[1] for scope in SCOPES]
    for model in ("mine", "theirs"):
        sample = {"model_name": model, "feature_name": "x", "data_type": "continuous", "values": [1.0, 2.0, 3.0]}
        for method, path, body in (("POST", "reference", sample), ("PUT", f"models/{model}/monitor", {})):
            answer = app.request(method, f"/api/v1/{path}", json=body, headers=bearer(everything))
            assert answer.status_code == 201, answer.text
    document = app.request("GET", "/openapi.json").json()["paths"]
    operations = [(method, path) for path, each in document.items() if "{model_name}" in path for method in each]
    assert len(operations) > 8
    for key in keys:
        for method, path in operations:
            for query in QUERIES:
                for body in BODIES if method in ("put", "post") else BODIES[:1]:
                    hidden, absent = (
                        app.request(
                            method.upper(),
                            re.sub(r"\{[^}]*\}", "x", path.replace("{model_name}", model)) + query,
                            headers=bearer(key),
                            **body,
                        )
                        for model in ("theirs", "nobodys")
                    )
                    assert hidden.status_code in (403, 404, 422), (method, path, query)
                    assert hidden.status_code == absent.status_code, (method, path, query)
                    assert hidden.text.replace("theirs", "nobodys") == absent.text
                    assert _comparable(hidden) == _comparable(absent)
    monitor = app.request("GET", "/api/v1/models/theirs/monitor", headers=bearer(everything)).json()
    assert monitor["revision"] == 1
    app.close()
