"""The client with the real service: what is sent is what counts, and what is asked is answered."""

from __future__ import annotations

import random

import pytest
from modelwatch_client import ApiError, Client, Unreachable


def test_from_a_reference_to_a_verdict_and_labels(service):
    chance = random.Random(1)
    rows = 2_000
    reference = {
        "amount": [chance.gauss(10, 2) for _ in range(rows)],
        "country": [chance.choice("AB") for _ in range(rows)],
        "prediction": [chance.choice(["yes", "no"]) for _ in range(rows)],
    }
    reference["ground_truth"] = [
        value if chance.random() < 0.9 else ("yes" if value == "no" else "no") for value in reference["prediction"]
    ]
    with Client(service.url, model_name="shop", model_version="1") as client:
        client.set_reference(reference, task="binary", positive_class="yes")
        ids = [
            client.log({"amount": chance.gauss(13, 2), "country": "A"}, "yes", prediction_probability=0.8)
            for _ in range(1_000)
        ]
        for identity in ids:
            client.log_ground_truth(identity, "yes")
        assert client.flush(60)
        assert client.stats.sent == 2_000
        drift = client.check_drift()
        assert drift["summary"]["severity"] == "alert"
        assert {each["feature_name"] for each in drift["drift_results"]} >= {"amount", "country"}
        assert client.performance()["current"]
        assert client.quality()["current"]
        assert client.drift_history()["model_name"] == "shop"
        assert client.alerts() == []
        assert client.request("GET", "/version")["version"]
        with pytest.raises(ApiError) as refused:
            client.check_drift(features=["amuont"])
        assert "amuont" in str(refused.value)


def test_a_reference_from_a_frame(service):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": range(500), "b": ["x", "y"] * 250, "y": ["no", "yes"] * 250})
    with Client(service.url, model_name="frame") as client:
        found = client.set_reference(frame, prediction="y")
        assert found
        known = service.get("/api/v1/models/frame")
        assert known["features"] == ["a", "b"]
        assert client.log_batch(frame, prediction="y")
        assert client.flush(30)
    assert service.count("frame") == 500


def test_values_that_pandas_has_arrive_as_they_are_meant(service):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "number": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["x", None, "y"]),
            "flag": pd.array([True, False, None], dtype="boolean"),
            "prediction": [0, 1, 0],
            "timestamp": [pd.Timestamp("2026-11-01", tz="UTC"), pd.Timestamp("2026-11-01 12:00"), pd.NaT],
        }
    )
    with Client(service.url, model_name="values") as client:
        client.log_batch(frame)
        assert client.flush(30)
        assert client.stats.sent == 3, client.stats


def test_a_profile_is_sent_instead_of_its_rows_and_counts_once(service):
    modelwatch = pytest.importorskip("modelwatch")
    pytest.importorskip("pyarrow")
    chance = random.Random(2)
    reference = {"a": [chance.gauss(0, 1) for _ in range(500)], "b": ["x", "y"] * 250}
    with Client(service.url, model_name="counted", model_version="1") as client:
        client.set_reference(reference)
        data = {"a": [chance.gauss(3, 1) for _ in range(300)], "b": ["x", "unknown"] * 150}
        profile = modelwatch.profile(data, like=client.reference_binnings())
        assert [answer["status"] for answer in client.send_profile(profile)] == ["accepted"]
        assert [answer["status"] for answer in client.send_profile(profile)] == ["duplicate"]
        drift = client.check_drift()
        assert {each["feature_name"]: each["sample_size"] for each in drift["drift_results"]} == {"a": 300, "b": 300}
        assert drift["summary"]["severity"] == "alert"
        client.set_reference({"a": [chance.gauss(9, 1) for _ in range(500)]})
        with pytest.raises(ApiError) as refused:
            client.send_profile(modelwatch.profile(data, like=modelwatch.Reference.fit(reference)))
        assert refused.value.status == 409
        assert "cells" in str(refused.value)


def test_a_profile_that_can_not_be_sent_is_tried_again_for_a_while():
    class Body:
        def requests(self, timestamp):
            yield {"profile_id": "x"}

    with Client("http://127.0.0.1:9", model_name="m") as client, pytest.raises(Unreachable):
        client.send_profile(Body(), seconds=0.5)
