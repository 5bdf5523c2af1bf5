"""What batches are made of: the fields of predictions as columns, and the good and bad rows that are looked at alone.

Rows are looked at one by one only where a column shows something unusual. Features are columns of their own:
`json_batches/columnar.py`, `columns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from modelwatch.api.decoding.checks import Checker
from modelwatch.api.decoding.explain import MAX_PROBLEMS
from modelwatch.api.decoding.values import Limits, pointer_to, text_problem
from modelwatch.batches import FeatureBlock, PredictionBatch, Probability, StreamName
from modelwatch.errors import FieldError, InvalidInput, MalformedBody, excerpt
from modelwatch.events import DEFAULT_ENVIRONMENT, DEFAULT_VERSION, Rejection, Scalar
from modelwatch.stats.counting.kernel import Places

# What rows have that do not say it. Without a model they are not valid.
STREAM_DEFAULTS = {"model_name": None, "model_version": DEFAULT_VERSION, "environment": DEFAULT_ENVIRONMENT}

Event = TypeVar("Event")


class Stream(NamedTuple):
    """What a row names as its stream; without a model it is not valid."""

    model: str | None
    version: str
    environment: str


@dataclass(frozen=True, slots=True)
class Fields:
    """What rows say beside their features: a list for each field, with an entry for each row.

    streams: the distinct ones; stream_of: of each row the place in them. times: microseconds since 1970.
    """

    streams: Sequence[Stream]
    stream_of: Sequence[int]
    ids: list[str]
    times: list[int]
    predictions: list[Scalar]
    probabilities: list[Probability]
    latencies: list[float | None]
    truths: list[Scalar]

    def batch(self, blocks: Sequence[FeatureBlock], block_of: Places, row_of: Places, rows: Places) -> PredictionBatch:
        """The batch of these rows, which are valid. blocks, block_of, row_of: of all rows."""
        times = np.zeros(len(self.ids), dtype=np.int64)
        # Those of other rows may not fit.
        times[rows] = [self.times[row] for row in rows.tolist()]
        every_row = PredictionBatch(
            # Rows without a model are not valid.
            tuple(StreamName(stream.model or "", stream.version, stream.environment) for stream in self.streams),
            np.array(self.stream_of, dtype=np.intp),
            self.ids,
            times,
            self.predictions,
            self.probabilities,
            self.latencies,
            self.truths,
            tuple(blocks),
            block_of,
            row_of,
        )
        return every_row.take(rows)


def check_defaults(defaults: Mapping[str, str], limits: Limits) -> None:
    """Raises InvalidInput that names the parameters of a request that are no names."""
    problems = []
    for name, value in defaults.items():
        if name not in STREAM_DEFAULTS:
            raise ValueError(f"no {name} can have a default")
        if wrong := text_problem(value, limits.max_name_length):
            problems.append(FieldError(pointer_to(name), wrong, excerpt(value)))
    if problems:
        raise InvalidInput("The parameters of the request are not valid.", tuple(problems))


def given_ids(ids: Sequence[str | None], checker: Checker) -> list[str]:
    """The ids of predictions; those that have none get one."""
    return [checker.new_id() if each is None else each for each in ids]


def given_times(times: Sequence[int | None], ids: Sequence[str], checker: Checker, now: int) -> list[int]:
    """The times of predictions, microseconds. now: when they arrived."""
    return [
        checker.time_without(identity, now) if each is None else each for identity, each in zip(ids, times, strict=True)
    ]


def unusual_rows(fields: Fields, checker: Checker, now: int, may_contain_nul: bool) -> set[int]:
    """The rows of which `Checker.checked` may refuse or change a field beside the features; there is at least one row.

    Probabilities of the others are put down as they are kept. may_contain_nul: whether a text may hold U+0000.
    now: microseconds.
    """
    found: set[int] = set()
    rooms = [checker.room_for_id(stream) for stream in fields.streams]
    lengths = list(map(len, fields.ids))
    if min(lengths) <= 2 or max(lengths) > min(rooms):
        of_rows = enumerate(zip(lengths, fields.stream_of, strict=True))
        found.update(row for row, (length, stream) in of_rows if not 2 < length <= rooms[stream])
    if may_contain_nul and "\0" in "".join(fields.ids):
        found.update(row for row, identity in enumerate(fields.ids) if "\0" in identity)
    found.update(checker.wrong_times(fields.times, now))
    found.update(row for row, each in enumerate(fields.latencies) if each is not None and not 0.0 <= each < inf)
    for row, share in enumerate(fields.probabilities):
        if share is not None and not (type(share) is float and 0.0 <= share <= 1.0):
            problems: list[FieldError] = []
            fields.probabilities[row] = checker.probability(share, may_contain_nul, problems)
            if problems:
                found.add(row)
    for values in (fields.predictions, fields.truths):
        found.update(checker.unusual_values(values, may_contain_nul))
    return found


class Collector(Generic[Event]):
    """Gathers the events and rejections of one batch."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._rejected: list[Rejection] = []
        self._errors: list[FieldError] = []
        self._unreadable = 0

    def take(self, event: Event) -> None:
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

    def batch(self, others: int = 0) -> Gathered[Event]:
        """The batch gathered so far. others: number of valid rows that are not in it.

        Raises InvalidInput when there are rows and none is valid, MalformedBody when none of them is JSON.
        """
        if self._rejected and not self._events and not others:
            if self._unreadable == len(self._rejected):
                raise MalformedBody(f"No row of the batch can be read. The first: {self._rejected[0].message}")
            rows = len(self._rejected)
            raise InvalidInput(f"None of the {rows} rows is valid.", tuple(self._errors), rows)
        return Gathered(self._events, self._rejected)


@dataclass(frozen=True, slots=True)
class Gathered(Generic[Event]):
    """The good rows of a batch as events, and the bad ones by name."""

    events: Sequence[Event]
    rejected: list[Rejection]
