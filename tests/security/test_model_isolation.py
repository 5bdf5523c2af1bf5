"""A key that is for some models: it writes to no other, and can't tell whether there is another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modelwatch.storage import Store
from tests.support.keys import bearer, make_key
from tests.support.live_service import LiveService


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
        deadline = time.monotonic() + 10
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
