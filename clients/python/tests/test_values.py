"""What values of Python and of the usual packages are sent as."""

from __future__ import annotations

import enum
import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from modelwatch_client.rows import Outcome, Prediction, feature_map, line_of
from modelwatch_client.values import Unsendable, scalar, utc_text


class Colour(enum.Enum):
    RED = "red"


class Grade(enum.IntEnum):
    GOOD = 1


def row(features, prediction="yes", **fields):
    """A prediction with these features, at a fixed time."""
    known = {"prediction_probability": None, "latency_ms": None, "ground_truth": None, "model_version": None, **fields}
    return Prediction("p", 0, features, prediction, *known.values())


def sent(features, prediction="yes", warned=None, **fields):
    warn = (lambda name, what: warned.append((name, what))) if warned is not None else pytest.fail
    return json.loads(line_of(row(features, prediction, **fields), warn))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (3, 3),
        (2.5, 2.5),
        ("a", "a"),
        (None, None),
        (math.nan, None),
        (Decimal("1.25"), 1.25),
        (Decimal("NaN"), None),
        (Colour.RED, "red"),
        (Grade.GOOD, 1),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone.utc), "2026-01-02T03:00:00+00:00"),
        (timedelta(minutes=1), 60.0),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_of_python(value, expected):
    found = scalar(value)
    assert found == expected
    assert type(found) is type(expected)


def test_values_of_numpy():
    np = pytest.importorskip("numpy")
    values = [
        np.float32(0.5),
        np.int64(3),
        np.bool_(True),
        np.str_("x"),
        np.array(2.5),
        np.array([7]),
        np.float64("nan"),
    ]
    assert [scalar(value) for value in values] == [0.5, 3, True, "x", 2.5, 7, None]
    assert json.dumps([scalar(value) for value in values]) == '[0.5, 3, true, "x", 2.5, 7, null]'
    for value in (np.array([1.0, 2.0]), np.float64("inf"), np.array([])):
        with pytest.raises(Unsendable):
            scalar(value)


def test_values_of_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical(["x", None])})
    assert [scalar(value) for value in (*frame["a"], *frame["b"])] == [1, None, "x", None]
    assert scalar(pd.NaT) is None
    assert scalar(pd.Timestamp("2026-01-02 03:04:05")) == "2026-01-02T03:04:05"
    assert feature_map(frame.iloc[0]) == {"a": 1, "b": "x"}


@pytest.mark.parametrize("value", [math.inf, [1], {"a": 1}, object(), b"bytes", {1}])
def test_what_has_no_meaning_can_not_be_sent(value):
    with pytest.raises(Unsendable):
        scalar(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, tzinfo=timezone.utc).replace(tzinfo=None), "2026-01-02T00:00:00.000000+00:00"),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T00:00:00.000000+02:00"),
        (date(2026, 1, 2), "2026-01-02T00:00:00+00:00"),
        (1.5, "1970-01-01T00:00:01.500000Z"),
        (-0.000001, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_times(value, expected):
    assert utc_text(value) == expected


def test_times_of_numpy():
    np = pytest.importorskip("numpy")
    assert utc_text(np.datetime64("2026-01-02T03:04:05")) == "2026-01-02T03:04:05.000000Z"
    assert utc_text(np.datetime64("NaT")) is None


@pytest.mark.parametrize("value", [True, [1], object()])
def test_what_is_no_time_is_named(value):
    with pytest.raises(Unsendable, match="timestamp"):
        line_of(row({})._replace(at=value), pytest.fail)


def test_a_feature_that_can_not_be_sent_is_left_out_and_named():
    warned = []
    found = sent({"good": 1, "list": [1, 2], "inf": math.inf, "nan": math.nan}, warned=warned)
    assert found["features"] == {"good": 1, "nan": None}
    assert [name for name, _ in warned] == ["The feature 'list'", "The feature 'inf'"]


def test_plain_features_with_a_nan_go_as_missing():
    assert sent({"a": math.nan, "b": "x"})["features"] == {"a": None, "b": "x"}


def test_a_prediction_that_can_not_be_sent_is_refused():
    with pytest.raises(Unsendable, match="prediction: "):
        line_of(row({}, [1, 2]), pytest.fail)


def test_probabilities():
    assert sent({}, prediction_probability={True: 0.25, False: 0.75})["prediction_probability"] == {
        "true": 0.25,
        "false": 0.75,
    }
    warned = []
    assert "prediction_probability" not in sent({}, prediction_probability=[0.1, 0.9], warned=warned)
    assert warned[0][0] == "prediction_probability"


def test_names_that_are_no_text_and_broken_text():
    assert sent({1: 2.0, "b": "\ud800"})["features"] == {"1": 2.0, "b": "?"}


def test_an_outcome():
    line = line_of(Outcome("p", None, Grade.GOOD), pytest.fail)
    assert json.loads(line) == {"prediction_id": "p", "ground_truth": 1}


def test_features_of_other_shapes():
    from dataclasses import dataclass
    from typing import NamedTuple

    @dataclass
    class Order:
        amount: float
        country: str

    class Pair(NamedTuple):
        a: int
        b: int

    assert feature_map(Order(1.5, "DE")) == {"amount": 1.5, "country": "DE"}
    assert feature_map(Pair(1, 2)) == {"a": 1, "b": 2}
    with pytest.raises(TypeError, match="expected a mapping"):
        feature_map([1, 2])
