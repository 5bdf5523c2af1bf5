"""Rows as the service reads them: one line of JSON for each prediction or outcome, and the ids of predictions."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from typing import Any, Callable, Dict, NamedTuple, Union

from modelwatch_client.values import Scalar, Unsendable, micros_text, scalar, utc_text

NAMED_COLUMNS = ("prediction_id", "timestamp", "prediction", "prediction_probability", "latency_ms", "ground_truth")
"""The columns of a frame of predictions that are not features."""

Warn = Callable[[str, str], None]
"""Takes the name of a value that can't be sent, and what it is."""


class Prediction(NamedTuple):
    """A prediction as it was logged. at: its time, microseconds since 1970 or what `utc_text` takes."""

    prediction_id: str
    at: Any
    features: Mapping[str, Any]
    prediction: Any
    prediction_probability: Any
    latency_ms: Any
    ground_truth: Any
    model_version: str | None


class Outcome(NamedTuple):
    """Ground truth of a prediction, as it was logged. at: when it became known, or None."""

    prediction_id: str
    at: Any
    ground_truth: Any


Row = Union[Prediction, Outcome]

_PLAIN = frozenset((str, int, float, bool, type(None)))
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def feature_map(features: Any) -> Dict[str, Any]:
    """A copy of the features by name, of a mapping, dataclass, named tuple, pydantic model, series, or frame of a row.

    Raises TypeError for anything else.
    """
    if isinstance(features, Mapping):
        return dict(features)
    if dataclasses.is_dataclass(features) and not isinstance(features, type):
        return {each.name: getattr(features, each.name) for each in dataclasses.fields(features)}
    for name in ("_asdict", "model_dump"):
        method = getattr(features, name, None)
        if callable(method) and not isinstance(features, type):
            return dict(method())
    if hasattr(features, "columns") and hasattr(features, "to_dict"):
        from modelwatch_client.frames import columns_of

        columns = columns_of(features)
        if any(len(values) != 1 for values in columns.values()):
            raise TypeError("features are those of one prediction: log_batch() takes a frame of many")
        return {name: values[0] for name, values in columns.items()}
    if hasattr(features, "to_dict"):
        return dict(features.to_dict())
    raise TypeError(f"features is a {type(features).__name__}: expected a mapping, a dataclass, a series or a model")


def line_of(row: Row, warn: Warn) -> bytes:
    """The row as JSON, without a line break. Features that can't be sent are left out, and named to `warn`.

    Raises Unsendable when what was predicted, or what was true, can't be sent.
    """
    fields: Dict[str, Any] = {"prediction_id": row.prediction_id}
    at = row.at
    if type(at) is int:
        fields["timestamp"] = micros_text(at)
    elif at is not None:
        try:
            fields["timestamp"] = utc_text(at)
        except Unsendable as problem:
            raise Unsendable(f"timestamp: {problem}") from None
    if isinstance(row, Outcome):
        fields["ground_truth"] = _named("ground_truth", row.ground_truth)
        return _bytes(fields)
    features = row.features
    is_plain = type(features) is dict and _PLAIN.issuperset(map(type, features.values()))
    fields["features"] = features if is_plain else _features(features, warn)
    fields["prediction"] = _named("prediction", row.prediction)
    if row.prediction_probability is not None:
        probability = _probability(row.prediction_probability, warn)
        if probability is not None:
            fields["prediction_probability"] = probability
    if row.latency_ms is not None:
        fields["latency_ms"] = _named("latency_ms", row.latency_ms)
    if row.ground_truth is not None:
        fields["ground_truth"] = _named("ground_truth", row.ground_truth)
    if row.model_version is not None:
        fields["model_version"] = str(row.model_version)
    try:
        return _bytes(fields)
    except ValueError:  # A NaN or an infinite number among plain values.
        fields["features"] = _features(features, warn)
        return _bytes(fields)


def _bytes(fields: Dict[str, Any]) -> bytes:
    return _encode(fields).encode("utf-8", "replace")


def _named(name: str, value: Any) -> Scalar:
    try:
        return scalar(value)
    except Unsendable as problem:
        raise Unsendable(f"{name}: {problem}") from None


def _features(features: Mapping[str, Any], warn: Warn) -> Dict[str, Scalar]:
    found: Dict[str, Scalar] = {}
    for name, value in features.items():
        try:
            found[str(name)] = scalar(value)
        except Unsendable as problem:
            warn(f"The feature {str(name)!r}", str(problem))
    return found


def _probability(value: Any, warn: Warn) -> Scalar | Dict[str, Scalar] | None:
    try:
        if isinstance(value, Mapping):
            return {_class_name(name): scalar(each) for name, each in value.items()}
        return scalar(value)
    except Unsendable as problem:
        warn("prediction_probability", f"{problem}; expected a number, or a mapping from class to number")
        return None


def _class_name(name: Any) -> str:
    known = scalar(name)
    return ("true" if known else "false") if isinstance(known, bool) else str(known)


def new_id() -> str:
    """A new id. Made from the system's random numbers, so that forked processes never make the same.

    >>> first, second = new_id(), new_id()
    >>> len(first), first[14], first[19] in "89ab", first != second
    (36, '7', True, True)
    """
    random = int.from_bytes(os.urandom(10), "big")
    high = (time.time_ns() // 1_000_000) << 16 | 0x7000 | random >> 68
    low = 0x8000_0000_0000_0000 | random & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
