"""References become one sample for each subject."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from modelwatch.api.decoding.decoder import Decoder
from modelwatch.api.decoding.values import Limits
from modelwatch.errors import InvalidInput
from modelwatch.events import EARLIEST_TIME, ReferenceFrame, ReferenceSample
from tests.api.bad_inputs import ARROW, JSON, PARQUET, arrow_stream, parquet_file
from tests.api.decoding.clock import NOW

decoder = Decoder(Limits(), lambda: NOW, lambda: "made-here")


def from_json(model_name: str | None = None, model_version: str | None = None, **body: Any) -> ReferenceFrame:
    return decoder.reference(json.dumps({"model_name": "m", **body}).encode(), JSON, model_name, model_version)


def from_bytes(way: str, **columns: Any) -> ReferenceFrame:
    """Frame of a table that is sent as an Arrow stream or as Parquet."""
    table = pa.table(columns)
    body, kind = (arrow_stream(table), ARROW) if way == "arrow" else (parquet_file(table), PARQUET)
    return decoder.reference(body, kind, "m", None)


def from_table(**columns: Any) -> dict[tuple[str, str], ReferenceSample]:
    table = pa.table(columns)
    frame = decoder.reference(parquet_file(table), PARQUET, "m", "2")
    assert (frame.model_name, frame.model_version) == ("m", "2")
    assert decoder.reference(arrow_stream(table), ARROW, "m", "2") == frame
    return {(sample.kind, sample.name): sample for sample in frame.samples}


def test_one_feature() -> None:
    frame = from_json(feature_name="amount", data_type="continuous", values=[1, 2.5, None, "x"])
    sample = ReferenceSample("feature", "amount", "continuous", [1, 2.5, None, "x"])
    assert frame == ReferenceFrame("m", None, [sample])


def test_several_features_with_declared_and_inferred_types() -> None:
    frame = from_json(
        features={"a": [1, 2, "x"], "b": ["x", 1], "c": [True, False], "zip": [10115, 80331]},
        data_types={"zip": "categorical"},
        model_version="7",
    )
    types = {sample.name: sample.data_type for sample in frame.samples}
    assert types == {"a": "continuous", "b": "categorical", "c": "categorical", "zip": "categorical"}
    assert frame.model_version == "7"


def test_the_query_may_name_model_and_version() -> None:
    assert from_json("m", "3", feature_name="a", values=[1]).model_version == "3"
    body = json.dumps({"model_name": "m", "model_version": "4", "feature_name": "a", "values": [1]}).encode()
    assert decoder.reference(body, JSON, "m", "3").model_version == "4"


def test_long_integers_become_floats() -> None:
    assert from_json(feature_name="a", values=[10**30, 2**64 - 1]).samples[0].values == [1e30, 2**64 - 1]


def test_a_labelled_frame_gives_a_sample_for_each_subject() -> None:
    samples = from_table(
        amount=[1.5, None, float("inf")],
        category=["a", "b", None],
        member=[True, None, False],
        prediction=["ok", "fraud", "ok"],
        prediction_probability=[0.25, None, 1.0],
        latency_ms=[3, 4, 5],
        ground_truth=["ok", "ok", "ok"],
        timestamp=["2025-01-01T00:00:00Z"] * 3,
        prediction_id=["1", "2", "3"],
        model_version=["9"] * 3,
    )
    assert {subject: (sample.data_type, sample.values) for subject, sample in samples.items()} == {
        ("feature", "amount"): ("continuous", [1.5, None, float("inf")]),
        ("feature", "category"): ("categorical", ["a", "b", None]),
        ("feature", "member"): ("categorical", ["true", None, "false"]),
        ("prediction", ""): ("categorical", ["ok", "fraud", "ok"]),
        ("score", ""): ("continuous", [0.25, None, 1.0]),
        ("latency", ""): ("continuous", [3, 4, 5]),
    }


@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        ([0, 1, 1], "categorical"),
        ([0.0, 1.0, None], "categorical"),
        ([0.5, 1.0, 2.0], "continuous"),
        (list(range(20)), "categorical"),
        (list(range(21)), "continuous"),
        ([True, False], "categorical"),
    ],
)
def test_whole_numbers_of_few_kinds_are_class_ids(values: list[Any], data_type: str) -> None:
    assert from_table(prediction=values)["prediction", ""].data_type == data_type


def test_the_score_of_classes_is_that_of_the_predicted_one() -> None:
    probabilities = [{"true": 0.75, "false": 0.25}, {"true": 0.5, "false": 0.5}, {"true": None, "false": 1.0}]
    samples = from_table(prediction=[True, None, True], prediction_probability=probabilities)
    assert samples["score", ""].values == [0.75, None, None]


def test_the_class_of_a_score_may_be_written_another_way() -> None:
    samples = from_table(prediction=[1, 0], prediction_probability=[{"True": 0.75, "False": 0.25}] * 2)
    assert samples["score", ""].values == [0.75, 0.25]


def test_what_rounding_leaves_beside_a_probability_is_clipped() -> None:
    beside = [1.0000001192092896, -1e-7]
    assert from_table(prediction=["a", "b"], prediction_probability=beside)["score", ""].values == [1.0, 0.0]
    frame = from_json(features={"x": [1, 2]}, prediction=["a", "b"], prediction_probability=beside)
    assert frame.probabilities == [1.0, 0.0]


def test_a_reference_may_have_more_rows_than_a_batch() -> None:
    assert len(from_json(feature_name="a", values=[0.5] * 20_000).samples[0].values) == 20_000
    assert len(from_table(a=[0.5] * 20_000)["feature", "a"].values) == 20_000


def test_a_frame_as_it_is_means_in_json_what_it_means_in_columns() -> None:
    """Columns of known names among the features are no features."""
    columns: dict[str, Any] = {
        "amount": [1.5, 2.5],
        "prediction": ["a", "b"],
        "prediction_probability": [0.5, 0.75],
        "ground_truth": ["a", "a"],
        "latency_ms": [10.0, 12.0],
    }
    frame = from_json(features=dict(columns) | {"timestamp": ["2026-01-01T00:00:00Z", None]})
    of_table = {key: sample.values for key, sample in from_table(**columns).items()}
    assert {(sample.kind, sample.name): sample.values for sample in frame.samples} == of_table
    assert frame.truths == ["a", "a"]
    assert frame.timestamps == [1_767_225_600_000_000, None]


@pytest.mark.parametrize(
    ("features", "beside", "pointer"),
    [
        ({"x": [1.0], "prediction": ["a"]}, {"prediction": ["a"]}, "/features/prediction"),
        ({"x": [1.0], "latency_ms": ["slow"]}, {}, "/features/latency_ms"),
        ({"x": [1.0], "timestamp": ["yesterday"]}, {}, "/features/timestamp"),
        ({"x": [1.0], "latency_ms": [1.0, 2.0]}, {}, "/latency_ms"),
        ({"ground_truth": ["a"]}, {}, "/features"),
        ({"prediction": ["a"], "ground_truth": ["a", "b"]}, {}, "/ground_truth"),
    ],
)
def test_lists_among_the_features_that_can_not_be_meant_are_named(
    features: dict[str, Any], beside: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_json(features=features, **beside)
    assert pointer in [error.pointer for error in refused.value.errors]


def test_a_dictionary_of_integers_is_categorical_in_parquet_too() -> None:
    """pyarrow gives such a column back as plain numbers."""
    samples = from_table(shop=pa.array([3, 7, 3]).dictionary_encode(), amount=[1, 2, 3])
    assert samples["feature", "shop"].data_type == "categorical"
    assert samples["feature", "shop"].values == ["3", "7", "3"]
    assert samples["feature", "amount"].data_type == "continuous"


TIME = "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("way", ["json", "among the features", "arrow", "parquet"])
@pytest.mark.parametrize("wrong", ["1899-12-31T23:59:59Z", "2026-01-01T00:05:01Z", "9999-12-31T00:00:00Z"])
def test_rows_have_times_that_predictions_may_have(way: str, wrong: str) -> None:
    """A stray time made hundreds of megabytes of pieces of time."""
    times = [TIME, wrong, TIME, wrong]
    micros = pa.array([datetime.fromisoformat(each) for each in times], pa.timestamp("us", tz="UTC"))
    send = {
        "json": lambda: from_json(features={"x": [1.0] * 4}, timestamp=times),
        "among the features": lambda: from_json(features={"x": [1.0] * 4, "timestamp": times}),
        "arrow": lambda: from_bytes("arrow", x=[1.0] * 4, timestamp=micros),
        "parquet": lambda: from_bytes("parquet", x=[1.0] * 4, timestamp=micros),
    }
    with pytest.raises(InvalidInput) as refused:
        send[way]()
    prediction = json.dumps({"model_name": "m", "features": {}, "prediction": 1, "timestamp": wrong}).encode()
    with pytest.raises(InvalidInput) as of_prediction:
        decoder.prediction(prediction)
    [problem], [expected] = refused.value.errors, of_prediction.value.errors
    assert problem == replace(expected, pointer="/timestamp/1")


@pytest.mark.parametrize("seconds", [3_200_000_000_000, 2**62, -(2**62)])
def test_times_that_no_date_can_tell_are_refused(seconds: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        from_bytes("arrow", x=[1.0, 2.0], timestamp=pa.array([None, seconds], pa.timestamp("s")))
    [problem] = refused.value.errors
    assert problem.pointer == "/timestamp/1"
    assert problem.value_excerpt == f"{seconds * 1_000_000} µs after 1970"


def test_a_text_that_is_no_time_is_named_by_its_row() -> None:
    with pytest.raises(InvalidInput) as refused:
        from_bytes("parquet", x=[1.0, 2.0, 3.0], timestamp=[TIME, "yesterday", "today"])
    [problem] = refused.value.errors
    assert (problem.pointer, problem.message) == ("/timestamp/1", "Expected a time as RFC 3339 writes it")


def test_the_first_and_the_last_time_of_all_are_taken() -> None:
    frame = from_json(features={"x": [1, 2, 3]}, timestamp=["1900-01-01T00:00:00Z", None, "2026-01-01T00:05:00Z"])
    assert frame.timestamps == [EARLIEST_TIME, None, NOW + 300_000_000]
