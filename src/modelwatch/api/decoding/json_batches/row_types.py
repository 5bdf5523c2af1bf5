"""Types that rows of JSON are decoded by: one for any rows, and some that are made for names that come in many rows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from modelwatch.events import DataType, Scalar

# Types are made for so many features at most, and so many of them are kept: clients choose the names. A list takes a
# type for each of its features.
MOST_NAMES, MOST_LISTED, MOST_TYPES = 500, 200, 32
# Making a type of maps takes as long as it spares in so many values (50 rows of 500 features, 500 of 50), one of lists
# as long as in so many rows, however wide. It is made once they have come, which is counted for so many shapes.
VALUES_WORTH_A_MAP, ROWS_WORTH_A_LIST, MOST_COUNTED = 25_000, 300, 256

# A tuple: what a client says may have no hash.
_DATA_TYPES = (UNSET, None, "continuous", "categorical")

Form = Literal["list", "object", "lines"]


class Feature(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`FeatureBody` that tells null from nothing."""

    name: str
    value: Scalar | UnsetType = UNSET
    data_type: DataType | UnsetType | None = UNSET


class Row(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """`PredictionBody` that tells null from nothing."""

    model_name: str
    features: list[Feature] | dict[str, Scalar]
    prediction: bool | int | float | str
    prediction_id: str | UnsetType | None = UNSET
    model_version: str | UnsetType | None = UNSET
    environment: str | UnsetType | None = UNSET
    timestamp: datetime | UnsetType | None = UNSET
    prediction_probability: float | dict[str, float] | UnsetType | None = UNSET
    latency_ms: float | UnsetType | None = UNSET
    ground_truth: Scalar | UnsetType = UNSET


class UnnamedRow(Row, kw_only=True, gc=False):
    """A row that may leave its model to the request."""

    model_name: str | UnsetType | None = UNSET  # type: ignore[assignment]


Decode = Callable[[bytes], list[Row]]


@dataclass(frozen=True, slots=True)
class Shape:
    """The names of the features of a row, and their types where they are a list; UNSET where one has none."""

    names: tuple[str, ...]
    types: tuple[DataType | UnsetType | None, ...] | None = None

    @property
    def keys(self) -> int:
        """Number of JSON keys in the features of a row."""
        if self.types is None:
            return len(self.names)
        return 3 * len(self.names) - self.types.count(UNSET)

    @property
    def rows_worth_a_type(self) -> float:
        """The number of such rows in which a type spares as much time as it takes to make it."""
        return VALUES_WORTH_A_MAP / len(self.names) if self.types is None else ROWS_WORTH_A_LIST


def shape_of(features: object) -> Shape | None:
    """The shape of these features as JSON has them; None when there may be no type for it."""
    if isinstance(features, dict):
        return Shape(tuple(features)) if len(features) <= MOST_NAMES else None
    if not isinstance(features, list) or len(features) > MOST_LISTED:
        return None
    if not all(isinstance(each, dict) and isinstance(each.get("name"), str) for each in features):
        return None
    types = tuple(each.get("data_type", UNSET) for each in features)
    return (
        Shape(tuple(each["name"] for each in features), types) if all(kind in _DATA_TYPES for kind in types) else None
    )


class RowTypes:
    """The decoders for shapes that many rows have, those that were used last. Safe to use from several threads."""

    def __init__(self) -> None:
        self._decoders: OrderedDict[tuple[Form, bool, Shape], Decode | None] = OrderedDict()
        # How many rows of a shape have come while it had no type, by its hash.
        self._rows: OrderedDict[int, int] = OrderedDict()
        self._lock = threading.Lock()

    def decoder(self, form: Form, unnamed: bool, shape: Shape, rows: int) -> Decode | None:
        """The function that decodes such a body, of about so many rows of this shape.

        None when it is not worth a type, and when a type can't have these names.
        """
        key, mark = (form, unnamed, shape), hash((form, unnamed, shape))
        with self._lock:
            if key in self._decoders:
                self._decoders.move_to_end(key)
                return self._decoders[key]
            rows += self._rows.pop(mark, 0)
            if rows < shape.rows_worth_a_type:
                self._rows[mark] = rows
                if len(self._rows) > MOST_COUNTED:
                    self._rows.popitem(last=False)
                return None
        made = _decoder_of(form, unnamed, shape)
        with self._lock:
            self._decoders[key] = made
            if len(self._decoders) > MOST_TYPES:
                self._decoders.popitem(last=False)
        return made


ROW_TYPES = RowTypes()


@cache
def decoder_of_any(form: Form, unnamed: bool) -> Decode:
    """The function that decodes such a body, whatever the features of its rows are."""
    return _decoder(form, UnnamedRow if unnamed else Row)


def _decoder_of(form: Form, unnamed: bool, shape: Shape) -> Decode | None:
    """The function that decodes such a body, of rows of this shape; None when a type can't have these names."""
    try:
        features = _map_type(shape.names) if shape.types is None else _list_type(shape.names, shape.types)
    except ValueError:
        return None
    base = UnnamedRow if unnamed else Row
    made = msgspec.defstruct("Row", [("features", features)], bases=(base,), kw_only=True, gc=False)
    return _decoder(form, cast(type[Row], made))


def _decoder(form: Form, row: type[Row]) -> Decode:
    if form == "lines":
        return msgspec.json.Decoder(row).decode_lines
    if form == "list":
        return msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]
    wrapped = msgspec.defstruct("Batch", [("predictions", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
    decode = msgspec.json.Decoder(wrapped).decode
    return lambda body: decode(body).predictions  # type: ignore[attr-defined]


def _map_type(names: Sequence[str]) -> Any:
    """A type of maps that have these keys. Raises ValueError when there is none."""
    fields = {f"feature_{place}": name for place, name in enumerate(names)}
    return msgspec.defstruct(
        "Features", [(field, Scalar) for field in fields], rename=fields, forbid_unknown_fields=True, gc=False
    )


def _list_type(names: Sequence[str], types: Sequence[DataType | UnsetType | None]) -> Any:
    """A type of lists of features that have these names and types, in this order: each is told by its name as a tag."""
    features = []
    for name, kind in zip(names, types, strict=True):
        fields: list[tuple[str, Any]] = [("value", Scalar)]
        if kind is not UNSET:
            fields.append(("data_type", Literal[kind]))
        features.append(
            msgspec.defstruct("Feature", fields, tag_field="name", tag=name, forbid_unknown_fields=True, gc=False)
        )
    return tuple[tuple(features)]  # type: ignore[misc]
