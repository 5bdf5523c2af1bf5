"""Batches in JSON and NDJSON: good rows become events, bad rows are named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from modelwatch.api.wire.checks import Checker
from modelwatch.api.wire.explain import DECODING_ERRORS, MAX_PROBLEMS, check_readable, explained
from modelwatch.errors import BodyTooLarge, FieldError, InvalidInput, MalformedBody
from modelwatch.events import DecodedBatch, Prediction, PredictionBody, Rejection


class BatchBody(msgspec.Struct, forbid_unknown_fields=True):
    """The other form of a batch: an object around the array."""

    predictions: list[PredictionBody]


@dataclass
class _AnyObject:
    """An object whose fields are skipped. Not a Struct: a union may hold only one, and that one is the array."""


class _AnyArray(msgspec.Struct, array_like=True, gc=False):
    """An array whose items are skipped."""


_AnyRow = _AnyObject | _AnyArray | bool | int | float | str | None


class _Counted(msgspec.Struct, forbid_unknown_fields=True):
    predictions: list[_AnyRow]


class _Undecoded(msgspec.Struct, forbid_unknown_fields=True):
    predictions: list[msgspec.Raw]


_read_list = msgspec.json.Decoder(list[PredictionBody]).decode
_read_lines = msgspec.json.Decoder(PredictionBody).decode_lines
_read_object = msgspec.json.Decoder(BatchBody).decode
_read_row = msgspec.json.Decoder(PredictionBody).decode
_count_list = msgspec.json.Decoder(list[_AnyRow]).decode
_count_object = msgspec.json.Decoder(_Counted).decode
_split_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_split_object = msgspec.json.Decoder(_Undecoded).decode


class Collector:
    """Gathers the events and rejections of one batch."""

    def __init__(self) -> None:
        self._events: list[Prediction] = []
        self._rejected: list[Rejection] = []
        self._errors: list[FieldError] = []
        self._unreadable = 0

    def take(self, event: Prediction) -> None:
        self._events.append(event)

    def reject(self, index: int, error: InvalidInput | MalformedBody) -> None:
        """Names the row by its first problem; the others are kept in case the whole batch is refused."""
        problems = error.errors or (FieldError("", error.detail),)
        self._unreadable += isinstance(error, MalformedBody)
        first, more = problems[0], len(problems) - 1
        message = f"{first.message} (and {more} more)" if more else first.message
        self._rejected.append(Rejection(index, first.pointer, message))
        if len(self._errors) < MAX_PROBLEMS:
            self._errors.extend(
                FieldError(f"/{index}{problem.pointer}", problem.message, problem.value_excerpt)
                for problem in problems[: MAX_PROBLEMS - len(self._errors)]
            )

    def batch(self) -> DecodedBatch:
        """What was gathered.

        Raises InvalidInput when there are rows and none is valid, MalformedBody when none of them is JSON.
        """
        if self._rejected and not self._events:
            if self._unreadable == len(self._rejected):
                raise MalformedBody(f"No row of the batch can be read. The first: {self._rejected[0].message}")
            raise InvalidInput(f"None of the {len(self._rejected)} rows is valid.", tuple(self._errors))
        return DecodedBatch(self._events, self._rejected)


def decode_json(body: bytes, checker: Checker, now: int, max_rows: int) -> DecodedBatch:
    """The batch of an array, or of `{"predictions": [...]}`."""
    wrapped = body.lstrip()[:1] == b"{"
    try:
        rows = _read_object(body).predictions if wrapped else _read_list(body)
    except DECODING_ERRORS as error:
        return _decode_each(_split(body, wrapped, error, max_rows), checker, now, may_hold_nul(body))
    if len(rows) > max_rows:
        raise too_many_rows(max_rows)
    return _check_all(rows, checker, now, may_hold_nul(body))


def decode_lines(body: bytes, checker: Checker, now: int, max_rows: int) -> DecodedBatch:
    """The batch of one prediction a line; empty lines are no rows."""
    try:
        rows = _read_lines(body)
    except DECODING_ERRORS:
        return _decode_each(_lines(body, max_rows), checker, now, may_hold_nul(body))
    if len(rows) > max_rows:
        raise too_many_rows(max_rows)
    return _check_all(rows, checker, now, may_hold_nul(body))


def may_hold_nul(body: bytes) -> bool:
    """Whether a text in the JSON body may hold U+0000, which JSON only has as an escape."""
    return b"\\u0000" in body


def too_many_rows(limit: int) -> BodyTooLarge:
    """The error of a batch with too many rows."""
    return BodyTooLarge(f"The batch has more than {limit} rows, which is MAX_BATCH_ROWS.")


def _check_all(rows: list[PredictionBody], checker: Checker, now: int, nul: bool) -> DecodedBatch:
    collector = Collector()
    for index, row in enumerate(rows):
        try:
            collector.take(checker.event(row, now, nul))
        except InvalidInput as error:
            collector.reject(index, error)
    return collector.batch()


def _decode_each(rows: Iterable[bytes | msgspec.Raw], checker: Checker, now: int, nul: bool) -> DecodedBatch:
    collector = Collector()
    for index, row in enumerate(rows):
        try:
            collector.take(checker.event(_read_row(row), now, nul))
        except InvalidInput as error:
            collector.reject(index, error)
        except DECODING_ERRORS as error:
            collector.reject(index, _reason(row, error))
    return collector.batch()


def _reason(row: bytes | msgspec.Raw, cause: BaseException) -> InvalidInput | MalformedBody:
    try:
        return explained(row, PredictionBody, cause)
    except MalformedBody as error:
        return error


def _split(body: bytes, wrapped: bool, cause: BaseException, max_rows: int) -> list[msgspec.Raw]:
    """The undecoded rows. They are counted first: a million undecoded zeros would need a multiple of the body."""
    check_readable(body)
    try:
        count = len(_count_object(body).predictions if wrapped else _count_list(body))
        if count > max_rows:
            raise too_many_rows(max_rows)
        return _split_object(body).predictions if wrapped else _split_list(body)
    except msgspec.ValidationError as error:
        kind = _Undecoded if wrapped else list[_AnyRow]
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
