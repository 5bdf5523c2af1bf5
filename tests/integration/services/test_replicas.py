"""Two services on one store: the same answer from either, byte for byte."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.live_service import LiveService


def test_two_processes_give_byte_equal_answers(tmp_path: Path) -> None:
    # No provisional reference between two answers: it is one more state of the store, and they would rightly differ.
    settings = {"PROVISIONAL_REFERENCE_SIZE": "5000"}
    with LiveService(tmp_path, **settings) as one, LiveService(tmp_path, **settings) as two:
        for number, service in enumerate((one, two)):
            answer = httpx.post(
                f"{service.url}/api/v1/predictions/batch", json=predictions(500, prefix=f"p{number}"), timeout=30
            )
            assert answer.json()["accepted"] == 500
        answer = httpx.post(
            f"{two.url}/api/v1/reference", json={"model_name": "fraud", "features": reference_values()}, timeout=30
        )
        assert answer.status_code == 201, answer.text
        requests = [
            {"model_name": "fraud"},
            {"model_name": "fraud", "lookback": "1h", "compat": "evidently"},
            {"model_name": "fraud", "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"},
            {"model_name": "fraud", "features": ["amount"], "min_samples": 5_000},
        ]
        for request in requests:
            first, second = (
                httpx.post(f"{service.url}/api/v1/drift/check", json=request, timeout=30) for service in (one, two)
            )
            assert first.status_code == 200, first.text
            assert first.content == second.content
            assert all(
                result["sample_size"] == 1_000
                for result in first.json()["drift_results"]
                if result["kind"] == "feature"
            )
        assert httpx.get(f"{one.url}/api/v1/reference?model_name=fraud").content == (
            httpx.get(f"{two.url}/api/v1/reference?model_name=fraud").content
        )


def test_a_prediction_sent_to_both_is_a_duplicate_on_the_second(tmp_path: Path) -> None:
    [body] = predictions(1)
    with LiveService(tmp_path) as one, LiveService(tmp_path) as two:
        statuses = [
            httpx.post(f"{service.url}/api/v1/predictions", json=body, timeout=30).json()["status"]
            for service in (one, two)
        ]
    assert statuses == ["accepted", "duplicate"]


def test_each_process_tells_what_it_refused_and_either_answers_with_the_sum(tmp_path: Path) -> None:
    with LiveService(tmp_path) as one, LiveService(tmp_path) as two:
        for times, service in enumerate((one, two), 1):
            for _ in range(times):
                assert httpx.post(f"{service.url}/api/v1/predictions", json={}, timeout=30).status_code == 422
        deadline = time.monotonic() + 60
        while True:
            found = [httpx.get(f"{each.url}/api/v1/service", timeout=30).json() for each in (one, two)]
            if all(each["ingest"]["refused"].get("invalid-input") == 3 for each in found):
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        assert [each["state"] for each in found[0]["processes"]] == ["running", "running"]
    with LiveService(tmp_path) as three:
        states = [each["state"] for each in httpx.get(f"{three.url}/api/v1/service", timeout=30).json()["processes"]]
    assert states[:2] == ["stopped", "stopped"]
