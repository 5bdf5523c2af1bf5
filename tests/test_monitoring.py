"""The service through HTTP, as a model service and an operator meet it."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import zstandard

from modelwatch.storage.engine.migrations import newest_version
from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.live_service import LiveService

PREDICTION = {
    "model_name": "fraud_detection_v2",
    "model_version": "2.1.0",
    "environment": "production",
    "prediction_id": "pred-12345",
    "features": [
        {"name": "transaction_amount", "value": 127.50, "data_type": "continuous"},
        {"name": "merchant_category", "value": "grocery", "data_type": "categorical"},
    ],
    "prediction": "legitimate",
    "prediction_probability": 0.92,
    "latency_ms": 45.2,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("service")) as live:
        yield live


@pytest.fixture
def http(service: LiveService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


def model_for(request: pytest.FixtureRequest) -> str:
    """A model of the test's own, so that tests can share a service."""
    return str(request.node.name)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    return model_for(request)


def test_the_quick_start_works(http: httpx.Client) -> None:
    """Log a prediction, set a reference, check drift: the three examples that everybody tries first."""
    answer = http.post("/api/v1/predictions", json=PREDICTION)
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "prediction_id": "pred-12345"})
    values = np.random.default_rng(1).normal(100, 25, 10_000).tolist()
    answer = http.post(
        "/api/v1/reference",
        json={
            "model_name": "fraud_detection_v2",
            "feature_name": "transaction_amount",
            "data_type": "continuous",
            "values": values,
        },
    )
    assert answer.status_code == 201
    [reference] = answer.json()["references"]
    assert (reference["reference_size"], reference["state"], len(reference["cells"])) == (10_000, "active", 10)
    answer = http.post("/api/v1/drift/check", json={"model_name": "fraud_detection_v2", "min_samples": 100})
    [result] = answer.json()["drift_results"]
    assert result["feature_name"] == "transaction_amount"
    assert result["severity"] == "insufficient_data"
    assert result["sample_size"] == 1
    assert "99 more are needed" in result["reason"]


def test_a_repeated_prediction_is_said_to_be_a_duplicate(http: httpx.Client, model: str) -> None:
    body = {**PREDICTION, "model_name": model}
    assert [http.post("/api/v1/predictions", json=body).json()["status"] for _ in range(2)] == ["accepted", "duplicate"]


def test_a_prediction_without_an_id_is_given_one(http: httpx.Client, model: str) -> None:
    body = {**PREDICTION, "model_name": model}
    del body["prediction_id"]
    first, second = (http.post("/api/v1/predictions", json=body).json()["prediction_id"] for _ in range(2))
    assert first != second


def test_drift_is_found_and_explained(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
    quiet = predictions(2_000, model=model, start="2026-01-01T12:00:00Z")
    shifted = predictions(2_000, model=model, prefix="late", shift=1.0, start="2026-01-02T12:00:00Z")
    for batch in (quiet, shifted):
        assert http.post("/api/v1/predictions/batch", json=batch).json()["accepted"] == 2_000

    def check(day: int) -> dict[str, dict[str, object]]:
        answer = http.post(
            "/api/v1/drift/check",
            json={
                "model_name": model,
                # What else was counted may have a provisional reference by now.
                "features": ["amount", "merchant"],
                "start": f"2026-01-{day:02}T00:00:00Z",
                "end": f"2026-01-{day + 1:02}T00:00:00Z",
            },
        )
        return {result["feature_name"]: result for result in answer.json()["drift_results"]}

    before, after = check(1), check(2)
    assert {name: result["severity"] for name, result in before.items()} == {"amount": "stable", "merchant": "stable"}
    assert {name: result["severity"] for name, result in after.items()} == {"amount": "alert", "merchant": "stable"}
    evidence = after["amount"]["evidence"]
    assert isinstance(evidence, dict)
    assert evidence["p_value"] < evidence["alpha"] < 1e-3
    top = after["amount"]["top_cells"]
    assert isinstance(top, list)
    assert top[0]["cell"].startswith(">")
    assert top[0]["current"] > 3 * top[0]["reference"]


def test_the_default_check_looks_back_from_the_newest_event(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
    http.post("/api/v1/predictions/batch", json=predictions(1_000, model=model)).raise_for_status()
    late = predictions(1_000, model=model, prefix="late", shift=2.0, start="2026-01-01T20:00:00Z")
    http.post("/api/v1/predictions/batch", json=late).raise_for_status()
    answer = http.post("/api/v1/drift/check", json={"model_name": model, "features": ["amount"]}).json()
    [result] = answer["drift_results"]
    assert answer["summary"]["watermark"] == "2026-01-01T20:05:00Z"
    assert [(each["lookback"], each["sample_size"]) for each in result["lookbacks"]] == [
        *((name, 1_000) for name in ("5m", "15m", "30m", "1h", "2h", "4h", "8h")),
        ("24h", 2_000),
        # Since the shift began, by an estimate: what decides, of no look-back that is configured.
        ("onset", 1_000),
    ]
    assert (result["severity"], result["lookback"]) == ("alert", None)


def test_the_first_predictions_become_a_provisional_reference(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/predictions/batch", json=predictions(1_500, model=model)).raise_for_status()
    deadline = time.monotonic() + 60
    while True:
        report = http.post("/api/v1/drift/check", json={"model_name": model}).json()
        if report["summary"]["provisional"]:
            break
        assert time.monotonic() < deadline, report["summary"]
        time.sleep(0.1)
    assert {each["feature_name"]: each["reference_size"] for each in report["drift_results"]} == {
        "amount": 1_000,
        "merchant": 1_000,
        "prediction": 1_000,
        "score": 1_000,
        "latency": 1_000,
    }
    assert {each["severity"] for each in report["drift_results"]} == {"stable"}
    references = http.get("/api/v1/reference", params={"model_name": model}).json()["references"]
    assert {each["state"] for each in references} == {"provisional"}


def test_a_replaced_reference_is_kept_as_retired(http: httpx.Client, model: str) -> None:
    for shift in (0.0, 5.0):
        values = [value + shift for value in reference_values()["amount"]]
        http.post(
            "/api/v1/reference", json={"model_name": model, "feature_name": "amount", "values": values}
        ).raise_for_status()
    references = http.get("/api/v1/reference", params={"model_name": model}).json()["references"]
    assert [each["state"] for each in references] == ["active", "retired"]


def test_compatible_scores_are_added_when_asked_for(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
    # Fewer than make a provisional reference: it would come at any moment.
    http.post("/api/v1/predictions/batch", json=predictions(900, model=model)).raise_for_status()
    answer = http.post("/api/v1/drift/check", json={"model_name": model, "compat": "evidently"}).json()
    assert all(result["compat"] for result in answer["drift_results"])


def test_an_unknown_model_is_not_found(http: httpx.Client) -> None:
    for answer in (
        http.post("/api/v1/drift/check", json={"model_name": "nobody"}),
        http.get("/api/v1/reference", params={"model_name": "nobody"}),
        http.get("/api/v1/models/nobody"),
    ):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "nobody" in answer.json()["detail"]


def test_an_environment_without_data_says_where_there_is_some(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
    http.post("/api/v1/predictions/batch", json=predictions(10, model=model)).raise_for_status()
    answer = http.post("/api/v1/drift/check", json={"model_name": model, "environment": "staging"}).json()
    assert {result["severity"] for result in answer["drift_results"]} == {"no_data"}
    assert "production" in answer["summary"]["reason"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_compressed_bodies_are_read(http: httpx.Client, model: str, encoding: str) -> None:
    raw = b"[" + b",".join(
        httpx.Request("POST", "http://x", json=each).content for each in predictions(50, model=model)
    )
    raw += b"]"
    body = gzip.compress(raw) if encoding == "gzip" else zstandard.compress(raw)
    answer = http.post(
        "/api/v1/predictions/batch",
        content=body,
        headers={"content-type": "application/json", "content-encoding": encoding},
    )
    assert answer.json() == {"accepted": 50, "duplicates": 0, "rejected": []}


def test_a_compressed_single_prediction_is_read(http: httpx.Client, model: str) -> None:
    body = gzip.compress(httpx.Request("POST", "http://x", json={**PREDICTION, "model_name": model}).content)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert http.post("/api/v1/predictions", content=body, headers=headers).status_code == 202


def test_good_rows_of_a_batch_are_kept_and_bad_ones_named(http: httpx.Client, model: str) -> None:
    batch = predictions(3, model=model)
    batch[1]["features"]["amount"] = [1, 2]
    answer = http.post("/api/v1/predictions/batch", json=batch)
    assert answer.status_code == 202
    [rejected] = answer.json()["rejected"]
    assert (answer.json()["accepted"], rejected["index"]) == (2, 1)
    assert rejected["pointer"].startswith("/features")


def test_models_are_listed_with_their_streams(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/predictions/batch", json=predictions(20, model=model)).raise_for_status()
    report = http.get(f"/api/v1/models/{model}").json()
    assert report["predictions"] == 20
    [stream] = report["streams"]
    assert (stream["model_version"], stream["environment"]) == ("unversioned", "production")
    assert (stream["first_window"], stream["last_window_end"]) == ("2026-01-01T12:00:00Z", "2026-01-01T12:05:00Z")
    assert model in [each["model_name"] for each in http.get("/api/v1/models").json()["models"]]


def test_health_and_versions(http: httpx.Client) -> None:
    assert http.get("/livez").json() == {"status": "alive"}
    for path in ("/health", "/readyz"):
        assert http.get(path).json()["status"] == "healthy"
    assert http.get("/version").json()["schema_version"] == newest_version()


def test_metrics_count_what_was_received(http: httpx.Client, model: str) -> None:
    http.post("/api/v1/predictions/batch", json=predictions(7, model=model)).raise_for_status()
    text = http.get("/metrics").text
    line = f'ml_predictions_total{{environment="production",model_name="{model}",model_version="unversioned"}} 7.0'
    assert line in text.splitlines()


def test_documentation_needs_no_internet(http: httpx.Client) -> None:
    assert http.get("/").headers["location"] == "docs"
    page = http.get("/docs").text
    assert "//" not in page.replace("<!DOCTYPE", "")
    for asset in ("docs/assets/swagger-ui-bundle.js", "docs/assets/swagger-ui.css", "docs/start.js", "openapi.json"):
        assert asset in page or asset == "openapi.json"
        assert http.get(f"/{asset}").status_code == 200


def test_wrong_methods_and_paths_are_problems(http: httpx.Client) -> None:
    for answer, status in ((http.get("/api/v1/predictions"), 405), (http.get("/api/v1/nothing"), 404)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_a_service_that_is_asked_to_stop_ends_cleanly_and_keeps_everything(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    with LiveService(folder) as live:
        httpx.post(f"{live.url}/api/v1/predictions/batch", json=predictions(30), timeout=30).raise_for_status()
        assert live.stop() == 0
        live.start()
        assert httpx.get(f"{live.url}/api/v1/models/fraud", timeout=30).json()["predictions"] == 30


def test_a_full_queue_answers_503_with_a_pause(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A tiny queue and a long linger: the second batch does not fit while the first waits."""
    with LiveService(tmp_path_factory.mktemp("full"), MAX_BUFFER_SIZE="10", COMMIT_LINGER_MS="900") as live:
        import concurrent.futures

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            batches = [predictions(8, prefix=f"b{number}") for number in range(8)]
            answers = list(
                pool.map(
                    lambda batch: httpx.post(f"{live.url}/api/v1/predictions/batch", json=batch, timeout=30), batches
                )
            )
        refused = [index for index, answer in enumerate(answers) if answer.status_code == 503]
        assert refused
        assert all(int(answers[index].headers["retry-after"]) >= 1 for index in refused)
        for index in refused:
            while (
                httpx.post(f"{live.url}/api/v1/predictions/batch", json=batches[index], timeout=30).status_code == 503
            ):
                time.sleep(0.1)
        assert httpx.get(f"{live.url}/api/v1/models/fraud").json()["predictions"] == 64
