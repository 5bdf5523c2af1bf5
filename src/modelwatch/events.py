"""The vocabulary of the wire: what model services send, and the validated events it becomes.

`PredictionBody`, `ReferenceBody` and their kin mirror the JSON that users write (msgspec decodes straight into them).
`Prediction` and `ReferenceSample` are what the rest of the service works with: every name checked, every value a
scalar, the time in microseconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

Scalar = bool | int | float | str | None
DataType = Literal["continuous", "categorical"]
Task = Literal["binary", "multiclass", "regression"]
SampleKind = Literal["feature", "prediction", "score", "latency"]

# 1900-01-01, in microseconds and in days since 1970: there is nothing before it.
EARLIEST_TIME = -2_208_988_800_000_000
EARLIEST_DAY = -25_567
# 9999-12-31: what is rounded up from here is a time, too.
LATEST_TIME = 253_402_214_400_000_000

DEFAULT_VERSION = "unversioned"
DEFAULT_ENVIRONMENT = "production"


class FeatureBody(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One feature of a prediction; `null` means missing."""

    name: str
    value: Scalar = None
    data_type: DataType | None = None


class PredictionBody(msgspec.Struct, forbid_unknown_fields=True):
    """A prediction as a model service sends it."""

    model_name: str
    features: list[FeatureBody] | dict[str, Scalar]
    prediction: bool | int | float | str
    prediction_id: str | None = None
    model_version: str | None = None
    environment: str | None = None
    timestamp: datetime | None = None
    prediction_probability: float | dict[str, float] | None = None
    latency_ms: float | None = None
    ground_truth: Scalar = None


class GroundTruthBody(msgspec.Struct, forbid_unknown_fields=True):
    """The label of a prediction, as a model service sends it; `timestamp`: when it became known."""

    model_name: str
    prediction_id: str
    ground_truth: bool | int | float | str
    timestamp: datetime | None = None


class ReferenceBody(msgspec.Struct, forbid_unknown_fields=True):
    """A reference as users set it: either one feature (`feature_name` and `values`) or a map (`features`).

    Beside a map, the other lists have, for each row, the prediction, its probability, the label, the time and the
    latency. Within the map, their names mean the same: a frame as it is can be sent. `task` and `positive_class`
    describe the labels.
    """

    model_name: str
    model_version: str | None = None
    feature_name: str | None = None
    data_type: DataType | None = None
    values: list[Scalar] | None = None
    features: dict[str, list[Scalar]] | None = None
    data_types: dict[str, DataType] | None = None
    prediction: list[Scalar] | None = None
    prediction_probability: list[float | dict[str, float] | None] | None = None
    ground_truth: list[Scalar] | None = None
    timestamp: list[datetime | None] | None = None
    latency_ms: list[float | None] | None = None
    task: Task | None = None
    positive_class: Scalar = None


class DriftCheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """A drift check to run: one model, a window or look-back, and optionally some features."""

    model_name: str
    model_version: str | None = None
    environment: str | None = None
    features: list[str] | None = None
    min_samples: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    lookback: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    compat: str | None = None


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """A validated prediction. `timestamp` is in microseconds since 1970, UTC, and negative before; categorical values
    are text."""

    model_name: str
    model_version: str
    environment: str
    prediction_id: str
    timestamp: int
    features: dict[str, Scalar]
    prediction: bool | int | float | str
    probability: float | dict[str, float] | None = None
    latency_ms: float | None = None
    ground_truth: Scalar = None


class GroundTruth(msgspec.Struct, frozen=True, gc=False):
    """The label of the predictions with this id. `timestamp`: when it became known, microseconds since 1970."""

    model_name: str
    prediction_id: str
    value: bool | int | float | str
    timestamp: int


class ReferenceSample(msgspec.Struct, frozen=True):
    """The reference values of one subject of a model, as given: nulls and wrong types are still in it."""

    kind: SampleKind
    name: str
    data_type: DataType
    values: list[Scalar]


class ReferenceFrame(msgspec.Struct, frozen=True):
    """The reference samples of one request. `model_version` None: for every version that has none of its own.

    timestamps: when each row was, in microseconds since 1970; None when the rows carry no time. truths, probabilities:
    of each row, beside the sample of the prediction; None when the rows have none. in_rows: whether the samples are the
    columns of one table, so that values at one place belong together. task, positive_class: as they were said.
    """

    model_name: str
    model_version: str | None
    samples: list[ReferenceSample]
    timestamps: list[int | None] | None = None
    truths: list[Scalar] | None = None
    probabilities: list[float | dict[str, float] | None] | None = None
    in_rows: bool = False
    task: Task | None = None
    positive_class: Scalar = None


class Rejection(msgspec.Struct, frozen=True):
    """One row of a batch that was not taken, and why."""

    index: int
    pointer: str
    message: str
