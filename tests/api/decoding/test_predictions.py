"""One prediction in JSON becomes one event."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput, RequestError
from modelwatch.events import DriftCheckBody, Prediction
from tests.api.bad_inputs import GOOD, good_body
from tests.api.decoding.clock import NOW

decoder = Decoder(Limits(), lambda: NOW, lambda: "made-here")


def decoded(**changes: Any) -> Prediction:
    return decoder.prediction(good_body(**changes))


def test_every_field_of_a_prediction_arrives_in_its_event() -> None:
    event = decoded(
        model_version="2.1.0",
        environment="staging",
        timestamp="2025-06-01T12:00:00.123456+02:00",
        prediction_probability=0.92,
        latency_ms=45.2,
        ground_truth="fraud",
    )
    assert event == Prediction(
        model_name="fraud",
        model_version="2.1.0",
        environment="staging",
        prediction_id="p-1",
        timestamp=1_748_772_000_123_456,
        features={"amount": 127.5, "category": "grocery"},
        prediction="legitimate",
        probability=0.92,
        latency_ms=45.2,
        ground_truth="fraud",
    )


def test_what_is_left_out_gets_its_default() -> None:
    event = decoder.prediction(b'{"model_name": "m", "features": {}, "prediction": 1}')
    assert (event.model_version, event.environment, event.prediction_id) == ("unversioned", "production", "made-here")
    assert (event.timestamp, event.probability, event.latency_ms, event.ground_truth) == (NOW, None, None, None)


def test_a_flat_map_gives_the_same_event_as_a_list() -> None:
    assert decoded(features={"amount": 127.5, "category": "grocery"}) == decoded()


@pytest.mark.parametrize(
    ("value", "data_type", "kept"),
    [
        (True, None, "true"),
        (False, "continuous", "false"),
        (True, "categorical", "true"),
        (3, "categorical", "3"),
        (3.0, "categorical", "3"),
        (2.5, "categorical", "2.5"),
        (None, "categorical", None),
        ("12", "continuous", "12"),
        (3, None, 3),
        (2**64 - 1, None, 2**64 - 1),
        (-(2**63), "continuous", -(2**63)),
        (2**64, None, 2.0**64),
        (10**30, "categorical", "1" + "0" * 30),
        (9_007_199_254_740_993, "categorical", "9007199254740993"),
    ],
)
def test_values_are_kept_as_their_type_says(value: Any, data_type: str | None, kept: Any) -> None:
    event = decoded(features=[{"name": "x", "value": value, "data_type": data_type}])
    assert event.features == {"x": kept}
    assert type(event.features["x"]) is type(kept)


def test_booleans_of_a_flat_map_are_text_and_long_integers_floats() -> None:
    assert decoded(features={"a": True, "b": 10**20, "c": None}).features == {"a": "true", "b": 1e20, "c": None}


def test_a_prediction_may_be_any_scalar() -> None:
    for value in (True, 3, 0.25, "", "fraud"):
        assert decoded(prediction=value).prediction == value


def test_probabilities_by_class_are_kept() -> None:
    assert decoded(prediction_probability={"a": 1, "b": 0}).probability == {"a": 1.0, "b": 0.0}


def test_what_rounding_leaves_beside_a_probability_is_clipped() -> None:
    assert decoded(prediction_probability=1.0000001192092896).probability == 1.0
    assert decoded(prediction_probability={"a": -1e-7, "b": 1.000001}).probability == {"a": 0.0, "b": 1.0}


@pytest.mark.parametrize(
    ("given", "pointer"), [(1.00001, "/prediction_probability"), ({"a": -1e-5, "b": 1}, "/prediction_probability/a")]
)
def test_what_is_more_than_rounding_is_no_probability(given: Any, pointer: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        decoded(prediction_probability=given)
    assert [problem.pointer for problem in wrong.value.errors] == [pointer]


def test_a_time_without_zone_is_utc() -> None:
    assert decoded(timestamp="2025-01-01 00:00:00").timestamp == decoded().timestamp


def test_without_time_stamp_the_id_gives_the_time() -> None:
    v7, ulid = "019b76da-a800-7000-8000-000000000000", "01KDVDNA000000000000000000"
    for identity in (v7, ulid):
        assert decoded(prediction_id=identity, timestamp=None).timestamp == 1_767_225_600_000_000


@pytest.mark.parametrize(
    "identity",
    [
        "7ZZZZZZZZZ0000000000000000",  # a ULID of the year 10889
        "00000000010000000000000000",  # a ULID of 1970: more likely a counter
        "0000000000000000000000000A",
        "550e8400-e29b-41d4-a716-446655440000",
        "order-2025-01-01",
    ],
)
def test_an_implausible_time_in_an_id_does_not_count(identity: str) -> None:
    assert decoded(prediction_id=identity, timestamp=None).timestamp == NOW


def test_five_minutes_ahead_are_allowed_and_no_more() -> None:
    assert decoded(timestamp="2026-01-01T00:05:00Z").timestamp == NOW + 300_000_000
    with pytest.raises(InvalidInput):
        decoded(timestamp="2026-01-01T00:05:00.000001Z")


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(
            model_name="",
            timestamp="1860-01-01T00:00:00Z",
            features=[{"name": ""}, {"name": "a"}, {"name": "a"}],
            prediction_probability=2,
            latency_ms=-1,
        )
    assert {error.pointer for error in caught.value.errors} == {
        "/model_name",
        "/timestamp",
        "/features/0/name",
        "/features/2/name",
        "/prediction_probability",
        "/latency_ms",
    }


def test_every_field_of_a_wrong_type_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(model_name=1, prediction=None, features={"a": [], "b": 1, "c": {}}, modelversion="2")
    errors = {error.pointer: error for error in caught.value.errors}
    assert errors.keys() == {"/model_name", "/prediction", "/features/a", "/features/c", "/modelversion"}
    assert errors["/modelversion"].message == "Unknown field; did you mean model_version?"
    assert errors["/features/a"].value_excerpt == "[]"


def test_limits_are_settings() -> None:
    strict = Decoder(Limits(max_features=1, max_name_length=5, max_value_length=3), lambda: NOW, lambda: "id")
    with pytest.raises(InvalidInput) as caught:
        strict.prediction(good_body(prediction_id="123456", prediction="four"))
    assert [error.pointer for error in caught.value.errors] == ["/features", "/prediction_id", "/prediction"]
    assert strict.prediction(good_body(features={"a": "abc"}, prediction="abc")).features == {"a": "abc"}


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert decoded(prediction="a\\u0000").prediction == "a\\u0000"


def test_a_large_prediction_within_its_limits_is_taken() -> None:
    features = {f"feature {index} {'x' * 400}": "y" * 200 for index in range(2_000)}
    assert len(decoded(features=features).features) == 2_000


def test_a_drift_check_is_read() -> None:
    body = decoder.drift_check(b'{"model_name": "m", "lookback": "6h", "features": ["a"], "min_samples": 10}')
    assert body == DriftCheckBody("m", lookback="6h", features=["a"], min_samples=10)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
near_predictions = st.fixed_dictionaries(
    {},
    optional={
        "model_name": st.just("m") | values,
        "prediction_id": st.text(max_size=5) | values,
        "timestamp": st.datetimes().map(lambda moment: moment.isoformat() + "Z") | values,
        "features": st.dictionaries(st.text(max_size=3), scalars)
        | st.lists(st.fixed_dictionaries({"name": st.text(max_size=3), "value": scalars}))
        | values,
        "prediction": scalars,
        "prediction_probability": st.floats(0, 1) | values,
        "latency_ms": st.floats(0, 1e6) | values,
        "ground_truth": scalars,
        "model_version": st.text(max_size=3) | values,
        "other": values,
    },
)


def is_sound(event: Prediction) -> bool:
    kept = [*event.features.values(), event.prediction, event.ground_truth]
    return (
        all(not isinstance(value, float) or math.isfinite(value) for value in kept)
        and not any(isinstance(value, bool) for value in event.features.values())
        and all([event.model_name, event.model_version, event.environment, event.prediction_id])
        and "\0" not in json.dumps(msgspec.to_builtins(event), ensure_ascii=False)
        and 0 <= event.timestamp <= NOW + 300_000_000
    )


@given(near_predictions | values)
def test_any_json_is_an_event_or_a_request_error(value: Any) -> None:
    body = json.dumps(value).encode()
    for content in (body, json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")):
        with suppress(RequestError):
            event = decoder.prediction(content)
            assert is_sound(event)
            assert decoder.batch(b"[" + content + b"]", "application/json").events == [event]


@given(st.lists(near_predictions | values, max_size=4) | values, st.sampled_from(["json", "x-ndjson"]))
def test_any_json_is_a_batch_or_a_request_error(value: Any, kind: str) -> None:
    lines = kind == "x-ndjson" and isinstance(value, list)
    body = "\n".join(map(json.dumps, value)).encode() if lines else json.dumps(value).encode()
    for read in (
        lambda: decoder.batch(body, f"application/{kind}"),
        lambda: decoder.reference(body, "application/json", None, None),
        lambda: decoder.drift_check(body),
    ):
        with suppress(RequestError):
            read()


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_an_event_or_a_request_error(noise: bytes, place: int) -> None:
    body = good_body()
    for content in (noise, body[:place] + noise + body[place + len(noise) :]):
        with suppress(RequestError):
            assert is_sound(decoder.prediction(content))


references = st.fixed_dictionaries(
    {"model_name": st.just("m")},
    optional={
        "feature_name": st.text(max_size=3) | values,
        "values": st.lists(scalars, max_size=5) | values,
        "data_type": st.sampled_from(["continuous", "categorical", "other"]),
        "features": st.dictionaries(st.text(max_size=3), st.lists(scalars, max_size=3)) | values,
        "data_types": st.dictionaries(st.text(max_size=3), st.sampled_from(["continuous", "categorical"])),
    },
)


@given(references)
def test_any_reference_is_samples_or_a_request_error(value: Any) -> None:
    with suppress(RequestError):
        frame = decoder.reference(json.dumps(value).encode(), "application/json", None, None)
        assert frame.samples
        assert all(sample.values and sample.name for sample in frame.samples)


def test_the_good_body_is_good() -> None:
    assert decoded().model_name == GOOD["model_name"]
