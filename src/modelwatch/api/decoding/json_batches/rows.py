"""Rows of a JSON body, decoded together and taken apart into lists of what they say.

Nearly always all rows of a body name the same features, and so do many bodies. Then rows are decoded by a type that is
made for these names, which makes no map or names for each row. A row that is not like the first, or is not valid, has
the body decoded in another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from modelwatch.api.decoding.explain import DECODING_ERRORS
from modelwatch.api.decoding.json_batches.row_by_row import is_wrapped
from modelwatch.api.decoding.json_batches.row_types import (
    ROW_TYPES,
    Feature,
    Form,
    Row,
    Shape,
    decoder_of_any,
    shape_of,
)
from modelwatch.api.decoding.repeated_keys import keys_of
from modelwatch.events import DataType, FeatureBody, PredictionBody, Scalar

# For fewer rows, looking at the first one takes as long as a type that is there spares.
WORTH_A_LOOK = 16
# The first row is looked for in so many bytes.
HEAD_BYTES = 1 << 16

T = TypeVar("T")
# What is before the first row.
_FIRST_ROW: dict[Form, re.Pattern[str]] = {
    "list": re.compile(r"\s*\[\s*"),
    "object": re.compile(r'\s*\{\s*"predictions"\s*:\s*\[\s*'),
    "lines": re.compile(r"\s*"),
}
_read_first = json.JSONDecoder().raw_decode
_values_of = msgspec.structs.astuple
_value_of = attrgetter("value")


@dataclass(frozen=True, slots=True)
class FeatureGroup:
    """Features of rows that name the same ones in the same order: of each its values, and its types where one is said.

    rows: their places in the batch.
    """

    rows: Sequence[int]
    names: tuple[str, ...]
    values: Sequence[Sequence[Scalar]]
    types: Sequence[Sequence[DataType | None]] | None = None


class JsonRows:
    """What rows say, a list for each field, None where a row says nothing.

    keys: number of keys that they have without repetitions.
    """

    def __init__(self, rows: Sequence[Row], shape: Shape | None = None) -> None:
        """shape: of each row, where they were decoded by a type that was made for it."""
        self._rows, self._shape = rows, shape
        # Whether `body` has the features in the order in which the row names them, rather than in that of the first.
        self.keeps_order = shape is None or shape.types is not None
        number = len(rows)
        # The features and the prediction are always there.
        self.keys = 2 * number
        self.models = self._column([row.model_name for row in rows])
        self.versions = self._column([row.model_version for row in rows])
        self.environments = self._column([row.environment for row in rows])
        self.ids = self._column([row.prediction_id for row in rows])
        self.moments = self._column([row.timestamp for row in rows])
        self.predictions: list[Scalar] = [row.prediction for row in rows]
        self.probabilities = self._column([row.prediction_probability for row in rows])
        self.latencies = self._column([row.latency_ms for row in rows])
        self.truths = self._column([row.ground_truth for row in rows])
        self.keys += sum(len(share) for share in self.probabilities if type(share) is dict)
        features = [row.features for row in rows]
        self.groups = [self._made(features, shape)] if shape else [*self._maps(features), *self._lists(features)]

    def __len__(self) -> int:
        return len(self.ids)

    def _column(self, given: list[T | UnsetType]) -> list[T]:
        """The values of a field, each of which has a key."""
        missing = given.count(UNSET)
        self.keys += len(given) - missing
        if not missing:
            return given  # type: ignore[return-value]
        return [None if value is UNSET else value for value in given]  # type: ignore[misc]

    def _made(self, features: Sequence[Any], shape: Shape) -> FeatureGroup:
        self.keys += shape.keys * len(features)
        flat: list[Scalar] = []
        for each in features:
            flat += _values_of(each) if shape.types is None else map(_value_of, each)
        width = len(shape.names)
        values = [flat[place::width] for place in range(width)]
        types = None
        if shape.types is not None and not {UNSET, None}.issuperset(shape.types):
            types = [[None if kind is UNSET else kind] * len(features) for kind in shape.types]
        return FeatureGroup(range(len(features)), shape.names, values, types)

    def _maps(self, features: Sequence[Any]) -> Iterator[FeatureGroup]:
        by_names: dict[tuple[str, ...], list[int]] = {}
        for row, each in enumerate(features):
            if type(each) is dict:
                by_names.setdefault(tuple(each), []).append(row)
        for names, rows in by_names.items():
            self.keys += len(names) * len(rows)
            yield FeatureGroup(rows, names, list(zip(*(features[row].values() for row in rows), strict=True)))

    def _lists(self, features: Sequence[Any]) -> Iterator[FeatureGroup]:
        rows = [row for row, each in enumerate(features) if type(each) is list]
        if not rows:
            return
        names: list[str] = []
        given_values: list[Scalar | UnsetType] = []
        given_types: list[DataType | UnsetType | None] = []
        for row in rows:
            # Row by row, while it is in the processor's cache.
            each: list[Feature] = features[row]
            names += [feature.name for feature in each]
            given_values += [feature.value for feature in each]
            given_types += [feature.data_type for feature in each]
        self.keys += len(names)
        values, types = self._column(given_values), self._column(given_types)
        are_typed = types.count(None) < len(types)
        width = len(features[rows[0]])
        # Their widths, too: a long row and a short one would make up for each other.
        if names == names[:width] * len(rows) and all(len(features[row]) == width for row in rows):
            places = range(width)
            of_each = [types[place::width] for place in places] if are_typed else None
            yield FeatureGroup(rows, tuple(names[:width]), [values[place::width] for place in places], of_each)
            return
        by_names: dict[tuple[str, ...], list[tuple[int, slice]]] = {}
        end = 0
        for row in rows:
            place = slice(end, end := end + len(features[row]))
            by_names.setdefault(tuple(names[place]), []).append((row, place))
        for of_rows, found in by_names.items():
            yield FeatureGroup(
                [row for row, _ in found],
                of_rows,
                list(zip(*(values[place] for _, place in found), strict=True)),
                list(zip(*(types[place] for _, place in found), strict=True)) if are_typed else None,
            )

    def body(self, row: int) -> PredictionBody:
        """A row as it is when it is decoded alone."""
        features: Any = self._rows[row].features
        if self._shape is not None and self._shape.types is None:
            features = dict(zip(self._shape.names, _values_of(features), strict=True))
        elif self._shape is not None and self._shape.types is not None:
            said = zip(self._shape.names, features, self._shape.types, strict=True)
            features = [FeatureBody(name, each.value, _or_none(kind)) for name, each, kind in said]
        elif type(features) is list:
            features = [FeatureBody(each.name, _or_none(each.value), _or_none(each.data_type)) for each in features]
        return PredictionBody(
            self.models[row],
            features,
            self.predictions[row],  # type: ignore[arg-type]
            self.ids[row],
            self.versions[row],
            self.environments[row],
            self.moments[row],
            self.probabilities[row],
            self.latencies[row],
            self.truths[row],
        )


def read_rows(body: bytes, in_lines: bool, unnamed: bool, *, keep_order: bool = False) -> JsonRows | None:
    """The rows of an array, of an object around it, or of lines. unnamed: whether they may leave their model out.
    keep_order: whether each row must have its features in its own order.

    None when a row is not valid, when none is there, and when an object may have a key twice.
    """
    form: Form = "lines" if in_lines else "object" if is_wrapped(body) else "list"
    shape, rows = (None, 0) if keep_order else _shape_of_first(body, form)
    made = None if shape is None else ROW_TYPES.decoder(form, unnamed, shape, rows)
    for decode, of_rows in ((made, shape), (decoder_of_any(form, unnamed), None)):
        try:
            found = [] if decode is None else decode(body)
        except DECODING_ERRORS:
            continue
        if found:
            rows_found = JsonRows(found, of_rows)
            return rows_found if keys_of(body) == rows_found.keys + (form == "object") else None
    return None


def _shape_of_first(body: bytes, form: Form) -> tuple[Shape | None, int]:
    """The shape of the first row, and about how many rows there are; None when there may be no type for it, and when
    the rows are too few."""
    head = body[:HEAD_BYTES].decode(errors="ignore")
    start = _FIRST_ROW[form].match(head)
    if start is None:
        return None, 0
    try:
        row, end = _read_first(head, start.end())
    except (ValueError, RecursionError):
        return None, 0
    features = row.get("features") if isinstance(row, dict) else None
    rows = len(body) // end
    return (shape_of(features) if features and rows >= WORTH_A_LOOK else None), rows


def _or_none(value: T | UnsetType | None) -> T | None:
    return None if value is UNSET else value
