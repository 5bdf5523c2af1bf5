"""Labels through a real server: what is answered, what the performance says, and who is told when it falls."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService

MODEL = "fraud"
START = datetime(2026, 1, 5, tzinfo=UTC)
ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"


def rows(count: int, seed: int, *, inverted: bool = False) -> dict[str, list[Any]]:
    """Predictions of a calibrated classifier; inverted: the truth is the other class for four rows of five."""
    rng = np.random.default_rng(seed)
    score = rng.beta(0.6, 0.6, count)
    truth = rng.random(count) < score
    if inverted:
        truth ^= rng.random(count) < 0.8
    return {
        "amount": rng.normal(size=count).tolist(),
        "prediction": ["fraud" if value >= 0.5 else "legitimate" for value in score],
        "prediction_probability": score.tolist(),
        "ground_truth": ["fraud" if value else "legitimate" for value in truth],
    }


def table(kind: str, columns: dict[str, Any]) -> bytes:
    sink, made = io.BytesIO(), pa.table(columns)
    if kind == PARQUET:
        pq.write_table(made, sink)
    else:
        with pa.ipc.new_stream(sink, made.schema) as writer:
            writer.write_table(made)
    return sink.getvalue()


def post(client: httpx.Client, path: str, kind: str, columns: dict[str, Any], status: int = 202) -> Any:
    answer = client.post(
        path, params={"model_name": MODEL}, content=table(kind, columns), headers={"content-type": kind}
    )
    assert answer.status_code == status, answer.text
    return answer.json()


def send_hour(client: httpx.Client, hour: int, *, inverted: bool = False) -> None:
    """An hour of predictions, and their labels half an hour later."""
    count = 200
    made = rows(count, hour, inverted=inverted)
    truth = made.pop("ground_truth")
    times = [START + timedelta(hours=hour, seconds=10 * index) for index in range(count)]
    ids = [f"{hour}-{index}" for index in range(count)]
    columns = {"prediction_id": ids, "timestamp": times, **made}
    assert post(client, "/predictions/batch", ARROW, columns)["accepted"] == count
    labels = {
        "prediction_id": ids,
        "ground_truth": truth,
        "timestamp": [time + timedelta(minutes=30) for time in times],
    }
    found = post(client, "/ground-truth/batch", PARQUET, labels)
    none = {"corrected": 0, "duplicates": 0, "waiting": 0, "expired": 0, "rejected": []}
    none |= {"unknown_models": [], "nearest_models": {}}
    assert found == {"accepted": count, **none}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        LiveService(tmp_path_factory.mktemp("labels"), DRIFT_CHECK_INTERVAL="3600") as live,
        httpx.Client(base_url=f"{live.url}/api/v1", timeout=60) as client,
    ):
        answer = client.put(f"/models/{MODEL}/monitor", json={"positive_class": "fraud"})
        assert answer.status_code in (200, 201), answer.text
        post(client, "/reference", PARQUET, rows(5_000, seed=99), status=201)
        for hour in range(8):
            send_hour(client, hour)
        yield client


def performance(client: httpx.Client, **query: str) -> dict[str, Any]:
    answer = client.get(f"/models/{MODEL}/performance", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def matured(report: dict[str, Any], lookback: str) -> dict[str, Any]:
    [window] = [each for each in report["windows"] if each["matured"] and each["lookback"] == lookback]
    found: dict[str, Any] = window
    return found


def test_labels_one_by_one(client: httpx.Client) -> None:
    def say(value: object, identity: str = "single", **more: object) -> httpx.Response:
        body = {"model_name": "other", "prediction_id": identity, "ground_truth": value, **more}
        return client.post("/ground-truth", json=body)

    first = say("fraud", timestamp="2026-01-05T00:00:00Z").json()
    assert (first["status"], first["prediction_id"]) == ("waiting", "single")
    assert "No model named 'other'" in first["reason"]
    prediction = {"model_name": "other", "prediction_id": "single", "features": {"x": 1}, "prediction": "fraud"}
    assert client.post("/predictions", json=prediction).status_code == 202
    assert say("fraud", timestamp="2026-01-05T00:00:00Z").json()["status"] == "duplicate"
    assert say("legitimate").json()["status"] == "corrected"
    assert say("legitimate", "later").json()["status"] == "waiting"
    assert client.get("/models/other/performance").json()["current"][0]["arrivals"]["waiting"] == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"model_name": "m", "prediction_id": "a", "ground_truth": None}, "/ground_truth"),
        ({"model_name": "m", "prediction_id": "a"}, "/ground_truth"),
        ({"model_name": "m", "ground_truth": 1}, "/prediction_id"),
        ({"model_name": "", "prediction_id": "a", "ground_truth": 1}, "/model_name"),
        ({"model_name": "m", "prediction_id": "", "ground_truth": 1}, "/prediction_id"),
        (
            {"model_name": "m", "prediction_id": "a", "ground_truth": 1, "timestamp": "2999-01-01T00:00:00Z"},
            "/timestamp",
        ),
        ({"model_name": "m", "prediction_id": "a", "ground_truth": 1, "label": 1}, "/label"),
        ({"model_name": "m", "prediction_id": "a", "ground_truth": {"is": 1}}, "/ground_truth"),
    ],
)
def test_a_label_that_can_not_be_taken_is_refused_by_field(
    client: httpx.Client, body: dict[str, Any], pointer: str
) -> None:
    answer = client.post("/ground-truth", json=body)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_good_labels_of_a_batch_are_kept_and_bad_ones_named(client: httpx.Client) -> None:
    good = {"model_name": "other", "prediction_id": "batch", "ground_truth": 1}
    bad = {"model_name": "other", "prediction_id": "batch", "ground_truth": None}
    found = client.post("/ground-truth/batch", json={"ground_truths": [good, bad, good]}).json()
    assert (found["waiting"], found["duplicates"], found["accepted"]) == (1, 1, 0)
    assert [(each["index"], each["pointer"]) for each in found["rejected"]] == [(1, "/ground_truth")]
    lines = b'{"model_name":"other","prediction_id":"l","ground_truth":"x"}\nnot json\n'
    answer = client.post("/ground-truth/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    assert (answer.json()["waiting"], answer.json()["rejected"][0]["index"]) == (1, 1)


def test_a_table_of_labels_has_no_other_columns(client: httpx.Client) -> None:
    problem = post(
        client, "/ground-truth/batch", ARROW, {"prediction_id": ["a"], "ground_truth": [1], "amount": [2.0]}, 422
    )
    assert [error["pointer"] for error in problem["errors"]] == ["/amount"]
    problem = post(client, "/ground-truth/batch", PARQUET, {"prediction_id": ["a"]}, 422)
    assert [error["pointer"] for error in problem["errors"]] == ["/ground_truth"]
    found = post(client, "/ground-truth/batch", ARROW, {"prediction_id": [None, "b"], "ground_truth": ["x", None]}, 422)
    assert [error["pointer"] for error in found["errors"]] == ["/0/prediction_id", "/1/ground_truth"]


def test_a_reference_with_truths_needs_the_predictions(client: httpx.Client) -> None:
    answer = client.post(
        "/reference",
        params={"model_name": "other"},
        content=table(PARQUET, {"x": [1.0, 2.0], "ground_truth": ["a", "b"]}),
        headers={"content-type": PARQUET},
    )
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/ground_truth"]


def test_performance_has_intervals_coverage_and_an_estimate_beside_the_truth(client: httpx.Client) -> None:
    [report] = performance(client)["current"]
    assert (report["task"], report["positive_class"], report["score_of"]) == ("binary", "fraud", "positive")
    assert report["reference_labels"] == 5_000
    assert 1_500 <= report["arrivals"]["median_seconds"] <= 2_200
    day = matured(report, "24h")
    assert day["coverage"] == 1.0
    assert day["immature"] is None
    assert day["severity"] == "stable"
    accuracy = day["metrics"]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert accuracy["severity"] == "stable"
    assert sum(map(sum, day["confusion"]["matrix"])) == day["labelled"]
    assert [each["name"] for each in day["per_class"]] == ["fraud", "legitimate"]
    assert sum(each["n"] for each in day["calibration"]) == day["labelled"]
    expected = day["estimate"]["metrics"]["accuracy"]
    assert expected["low"] <= accuracy["value"] <= expected["high"]
    assert "concept drift" in day["estimate"]["assumption"]


def test_performance_over_time(client: httpx.Client) -> None:
    [history] = performance(client, start="2026-01-05T00:00:00Z", end="2026-01-05T08:00:00Z", step="2h")["history"]
    assert [window["predictions"] for window in history["windows"]] == [400] * 4
    assert [window["labelled"] for window in history["windows"]] == [400] * 4
    answer = client.get(f"/models/{MODEL}/performance", params={"start": "2020-01-01T00:00:00Z", "step": "5m"})
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/step"]
    assert client.get("/models/nobody/performance").status_code == 404


def test_a_model_that_gets_worse_is_told_of_with_evidence_that_gives_the_same_again(client: httpx.Client) -> None:
    for hour in range(8, 12):
        send_hour(client, hour, inverted=True)

    def alerts() -> list[dict[str, Any]]:
        answer = client.get("/alerts", params={"model": MODEL, "kind": "performance"})
        found: list[dict[str, Any]] = answer.json()["alerts"]
        return found

    eventually(alerts, "an alert about the performance")
    [found] = alerts()
    detail = client.get(f"/alerts/{found['alert_id']}").json()
    subjects = {member["subject"] for member in detail["members"]}
    assert "accuracy" in subjects
    assert "Performance loss" in detail["alert"]["title"]
    verdict_id = detail["members"][0]["verdict_id"]
    verdict = client.get(f"/verdicts/{verdict_id}").json()
    assert (verdict["check"], verdict["severity"]) == ("performance", "alert")
    assert client.get(f"/verdicts/{verdict_id}/verification").json()["reproduced"] is True
    page = client.get(f"{str(client.base_url).removesuffix('/api/v1/')}/ui/alerts/{found['alert_id']}")
    assert page.status_code == 200
    assert "loss of accuracy" in page.text


def test_the_gauges_tell_the_same(client: httpx.Client) -> None:
    text = client.get(f"{str(client.base_url).removesuffix('/api/v1/')}/metrics").text
    labels = f'environment="production",metric_window="24h",model_name="{MODEL}",model_version="unversioned"'
    for name in ("ml_model_accuracy", "ml_model_f1_score", "ml_model_labeled_ratio"):
        assert f"{name}{{{labels}}}" in text, name
    assert f'ml_labels_total{{model_name="{MODEL}",status="accepted"}} 2400.0' in text
    assert 'ml_data_quality_score{environment="production",model_name="fraud"' in text


def test_quality_is_told_beside(client: httpx.Client) -> None:
    found = client.get(f"/models/{MODEL}/quality").json()
    [report] = found["current"]
    assert 0.99 < report["score"] <= 1.0
    assert [feature["feature_name"] for feature in report["features"]] == ["amount"]
    assert found["history"]
    assert [each["silent"] for each in found["freshness"]] == [None], "a replay is not live"
    assert client.get("/models/nobody/quality").status_code == 404
