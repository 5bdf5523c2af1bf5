"""Batches in JSON and NDJSON, of predictions or of labels: good rows become events, bad rows are named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from modelwatch.api.decoding.checks import may_hold_nul
from modelwatch.api.decoding.explain import DECODING_ERRORS, check_readable, explained
from modelwatch.api.decoding.fields import Collector, Event, Gathered
from modelwatch.api.decoding.repeated_keys import check_keys, keys_of
from modelwatch.errors import BodyTooLarge, FieldError, InvalidInput, MalformedBody
from modelwatch.events import GroundTruthBody, PredictionBody

Body = TypeVar("Body", bound=msgspec.Struct)
# Bytes of a body and of its rows in the mean from which on rows are decoded one at a time.
LARGE_BODY = 4 * 1024 * 1024
LARGE_ROW = 8 * 1024


@dataclass
class _AnyObject:
    """An object whose fields are skipped. Not a Struct: a union may hold only one, and that one is the array."""


class _AnyArray(msgspec.Struct, array_like=True, gc=False):
    """An array whose items are skipped."""


_AnyRow = _AnyObject | _AnyArray | bool | int | float | str | None


class RowFormat(Generic[Body]):
    """The format of rows of one kind: each as a `kind`, many as an array, or in an object under `name`."""

    def __init__(self, name: str, kind: type[Body]) -> None:
        self.name = name
        self.kind = kind
        self.undecoded = _wrapped(name, list[msgspec.Raw])
        self.read_row = msgspec.json.Decoder(kind).decode
        self.read_list = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]
        self.read_lines = msgspec.json.Decoder(kind).decode_lines
        self._read_wrapped = msgspec.json.Decoder(_wrapped(name, list[kind])).decode  # type: ignore[valid-type]
        self._count_wrapped = msgspec.json.Decoder(_wrapped(name, list[_AnyRow])).decode
        self._split_wrapped = msgspec.json.Decoder(self.undecoded).decode

    def read_object(self, body: bytes) -> list[Body]:
        """The rows of the object."""
        rows: list[Body] = getattr(self._read_wrapped(body), self.name)
        return rows

    def count(self, body: bytes, wrapped: bool) -> int:
        """Number of rows, valid or not."""
        return len(getattr(self._count_wrapped(body), self.name) if wrapped else _count_list(body))

    def is_one(self, body: bytes) -> bool:
        """True when the object is a row itself, rather than around a list of rows."""
        given = _read_names(body)
        return self.name not in given and not given.isdisjoint(self.kind.__struct_fields__)

    def is_many(self, body: bytes) -> bool:
        """True when the JSON is an object around a list of rows."""
        return is_wrapped(body) and _read_names(body) == {self.name}

    def split(self, body: bytes, wrapped: bool) -> list[msgspec.Raw]:
        """The rows as they are."""
        rows: list[msgspec.Raw] = getattr(self._split_wrapped(body), self.name) if wrapped else _split_list(body)
        return rows


def _wrapped(name: str, rows: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Batch", [(name, rows)], forbid_unknown_fields=True)


def _read_names(body: bytes) -> set[str]:
    return set(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))


_count_list = msgspec.json.Decoder(list[_AnyRow]).decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class UnnamedPrediction(PredictionBody, kw_only=True):
    """A prediction that may leave its model to the request."""

    model_name: str | None = None  # type: ignore[assignment]


class UnnamedGroundTruth(GroundTruthBody, kw_only=True):
    """A label that may leave its model to the request."""

    model_name: str | None = None  # type: ignore[assignment]


PREDICTIONS = RowFormat("predictions", PredictionBody)
GROUND_TRUTHS = RowFormat("ground_truths", GroundTruthBody)
UNNAMED_PREDICTIONS: RowFormat[PredictionBody] = RowFormat("predictions", UnnamedPrediction)
UNNAMED_GROUND_TRUTHS: RowFormat[GroundTruthBody] = RowFormat("ground_truths", UnnamedGroundTruth)
# Where one row is sent that is not in a list.
ONE_ROW = {"predictions": "/api/v1/predictions", "ground_truths": "/api/v1/ground-truth"}


def check_is_one(body: bytes, rows: RowFormat[Any]) -> None:
    """Raises InvalidInput that says where many rows go when the body holds a list of them, not one; MalformedBody when
    it is not JSON."""
    check_readable(body)
    is_list = body.lstrip()[:1] == b"["
    if is_list or rows.is_many(body):
        found = "a list" if is_list else f"{rows.name!r}"
        many = rows.name.replace("_", " ").replace("ground truths", "labels")
        message = f"Expected an object, got {found}: many {many} go to POST {ONE_ROW[rows.name]}/batch"
        raise InvalidInput("The body is not one row.", (FieldError("", message),))


def filled(row: Body, defaults: Mapping[str, str]) -> Body:
    """The row, with the names that it leaves to the request."""
    for name, value in defaults.items():
        if getattr(row, name) is None:
            setattr(row, name, value)
    return row


class SharedNames:
    """One text for each feature's name, for all rows of a batch.

    The JSON decoder remembers some hundred names; of a wider model each row would have texts of its own, which take
    twice the memory of the values.
    """

    MANY = 256

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()

    def share(self, row: PredictionBody) -> None:
        """Gives the row's features, where they are many and a map, the names of the row before if they are the same."""
        features = row.features
        if not isinstance(features, dict) or len(features) < self.MANY:
            return
        names = tuple(features)
        if names == self._names:
            row.features = dict(zip(self._names, features.values(), strict=True))
        else:
            self._names = names


Check = Callable[[Body, bool], Event]


def decode_json(body: bytes, rows: RowFormat[Body], check: Check[Body, Event], max_rows: int) -> Gathered[Event]:
    """The batch of an array, or of an object around it. check: makes the event of a row; its second argument is
    whether a text may hold U+0000.

    Raises BodyTooLarge for too many rows, MalformedBody, or InvalidInput for a repeated key or without a valid row.
    """
    wrapped = is_wrapped(body)
    try:
        found = None if has_large_rows(body, rows) else rows.read_object(body) if wrapped else rows.read_list(body)
    except DECODING_ERRORS as error:
        return _decode_each(_split(body, rows, wrapped, error, max_rows), rows, check, may_hold_nul(body))
    if found is not None and len(found) > max_rows:
        raise too_many_rows(max_rows)
    written = rows.split(body, wrapped)
    if wrapped and keys_of(body) > 1 + sum(keys_of(bytes(row)) for row in written):
        problem = FieldError(f"/{rows.name}", "Duplicate key")
        raise InvalidInput("The object around the rows has a duplicate key.", (problem,), len(written))
    if found is None:
        if len(written) > max_rows:
            raise too_many_rows(max_rows)
        return _decode_each(written, rows, check, may_hold_nul(body))
    return _check_all(found, written, check, may_hold_nul(body))


def has_large_rows(body: bytes, rows: RowFormat[Any]) -> bool:
    """True when rows of an array, or of an object around it, are decoded one at a time: all of them, before their names
    are shared, take twice the memory. Raises what decoding raises."""
    return len(body) > LARGE_BODY and rows.count(body, is_wrapped(body)) * LARGE_ROW < len(body)


def is_wrapped(body: bytes) -> bool:
    """True when the body begins as an object does."""
    return body.lstrip()[:1] == b"{"


def decode_lines(body: bytes, rows: RowFormat[Body], check: Check[Body, Event], max_rows: int) -> Gathered[Event]:
    """The batch of one row a line; empty lines are no rows.

    Raises BodyTooLarge for too many rows, MalformedBody, or InvalidInput when none is valid.
    """
    try:
        found = rows.read_lines(body)
    except DECODING_ERRORS:
        return _decode_each(_lines(body, max_rows), rows, check, may_hold_nul(body))
    if len(found) > max_rows:
        raise too_many_rows(max_rows)
    return _check_all(found, _lines(body, max_rows), check, may_hold_nul(body))


def too_many_rows(limit: int) -> BodyTooLarge:
    """The error of a batch with too many rows."""
    return BodyTooLarge(f"The batch has more than {limit} rows, which is MAX_BATCH_ROWS.")


def _check_all(
    rows: Iterable[Body], written: Iterable[bytes | msgspec.Raw], check: Check[Body, Event], may_contain_nul: bool
) -> Gathered[Event]:
    """written: the same rows, as they came."""
    collector: Collector[Event] = Collector()
    for index, (row, text) in enumerate(zip(rows, written, strict=True)):
        try:
            check_keys(text, row)
            collector.take(check(row, may_contain_nul))
        except InvalidInput as error:
            collector.reject(index, error)
    return collector.batch()


def _decode_each(
    given: Iterable[bytes | msgspec.Raw], rows: RowFormat[Body], check: Check[Body, Event], may_contain_nul: bool
) -> Gathered[Event]:
    collector: Collector[Event] = Collector()
    for index, row in enumerate(given):
        try:
            typed = rows.read_row(row)
            check_keys(row, typed)
            collector.take(check(typed, may_contain_nul))
        except InvalidInput as error:
            collector.reject(index, error)
        except DECODING_ERRORS as error:
            collector.reject(index, _reason(row, rows, error))
    return collector.batch()


def _reason(row: bytes | msgspec.Raw, rows: RowFormat[Body], cause: BaseException) -> InvalidInput | MalformedBody:
    try:
        return explained(row, rows.kind, cause)
    except MalformedBody as error:
        return error


def _split(body: bytes, rows: RowFormat[Body], wrapped: bool, cause: BaseException, max_rows: int) -> list[msgspec.Raw]:
    """The undecoded rows. They are counted first: a million undecoded zeros would need a multiple of the body."""
    check_readable(body)
    try:
        if rows.count(body, wrapped) > max_rows:
            raise too_many_rows(max_rows)
        return rows.split(body, wrapped)
    except msgspec.ValidationError as error:
        if wrapped and rows.is_one(body):
            place = ONE_ROW[rows.name]
            raise MalformedBody(f"This is one row: send it to POST {place}, or in a list.") from None
        kind = rows.undecoded if wrapped else list[_AnyRow]
        raise explained(body, kind, error) from None


def _lines(body: bytes, max_rows: int) -> Iterator[bytes]:
    start, rows = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        end = len(body) if end < 0 else end
        line = body[start:end].strip()
        start = end + 1
        if line:
            rows += 1
            if rows > max_rows:
                raise too_many_rows(max_rows)
            yield line
