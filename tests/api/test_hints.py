"""Answers that say what was probably meant: names of models, and labels that nothing waits for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.app import App
from tests.support.servers.live_service import LiveService

READS = ("", "/drift", "/performance", "/quality", "/segments", "/monitor")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    opened = App(tmp_path)
    opened.post("reference", {"model_name": "fraud_detection", "feature_name": "x", "values": [1.0, 2.0]}, 201)
    yield opened
    opened.close()


@pytest.mark.parametrize("part", READS)
def test_the_nearest_model_is_named(app: App, part: str) -> None:
    problem = app.problem("GET", f"models/fraud_detecton{part}", 404)
    assert problem["detail"].endswith("Did you mean 'fraud_detection'?")


def test_a_check_names_it_too(app: App) -> None:
    problem = app.problem("POST", "drift/check", 404, json={"model_name": "fraud-detection"})
    assert "Did you mean 'fraud_detection'?" in problem["detail"]


def test_a_model_that_has_only_a_monitor_is_known(app: App) -> None:
    assert app.request("PUT", "/api/v1/models/churn/monitor", json={"sample_rate": 0.5}).status_code == 201
    assert app.get("models/churn")["predictions"] == 0


def test_a_backtest_and_a_reference_from_a_window_name_the_nearest_model(app: App) -> None:
    for path, body in (("monitor/backtest", {}), ("reference/from-window", {"lookback": "7d"})):
        problem = app.problem("POST", f"models/fraud_detecton/{path}", 404, json=body)
        assert "Did you mean 'fraud_detection'?" in problem["detail"]


def test_a_name_that_is_like_no_other_gets_no_hint(app: App) -> None:
    assert "Did you mean" not in app.problem("GET", "models/churn", 404)["detail"]


def test_a_label_of_an_unknown_model_says_so(tmp_path: Path) -> None:
    label = {"model_name": "frad", "prediction_id": "one", "ground_truth": 1}
    prediction = {"model_name": "fraud", "prediction_id": "one", "features": {"x": 1.0}, "prediction": 1}
    with LiveService(tmp_path) as live, httpx.Client(base_url=f"{live.url}/api/v1") as client:
        assert client.post("/predictions", json=prediction).status_code == 202
        answer = client.post("/ground-truth", json=label).json()
        assert answer["status"] == "waiting"
        assert answer["reason"] == (
            "No model named 'frad' has sent predictions or has a reference. Did you mean 'fraud'?"
        )
        again = client.post("/ground-truth", json=label).json()
        assert (again["status"], again["reason"]) == ("duplicate", answer["reason"])
        waiting = client.post("/ground-truth", json={**label, "model_name": "fraud", "prediction_id": "two"}).json()
        assert waiting == {"status": "waiting", "prediction_id": "two"}
        batch = client.post(
            "/ground-truth/batch", json=[{**label, "prediction_id": "three"}, {**label, "model_name": "fraud"}]
        ).json()
        assert (batch["unknown_models"], batch["accepted"], batch["waiting"]) == (["frad"], 1, 1)
        assert batch["nearest_models"] == {"frad": "fraud"}
        for path in READS:
            read = client.get(f"/models/frad{path}")
            assert (read.status_code, "Did you mean 'fraud'?" in read.text) == (404, True)
        assert client.get("/reference", params={"model_name": "frad"}).status_code == 404
        assert client.post("/drift/check", json={"model_name": "frad"}).status_code == 404
        assert [each["model_name"] for each in client.get("/models").json()["models"]] == ["fraud"]
        repeated = client.post("/ground-truth/batch", json=[label, {**label, "model_name": "fraud"}]).json()
        assert (repeated["unknown_models"], repeated["duplicates"]) == (["frad"], 2)
