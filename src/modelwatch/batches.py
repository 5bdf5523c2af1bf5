"""Batches of predictions as columns: what every body becomes, and what the queue, the ledger and the counts work with.

A batch is also a sequence of predictions, for code that reads a few of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeVar, overload

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelwatch.events import GroundTruth, Prediction, Rejection, Scalar
from modelwatch.stats.counting.columns import Column, column_of, missing_column, scattered
from modelwatch.stats.counting.kernel import Places

Probability = float | dict[str, float] | None
# The features of rows that name the same ones in the same order: a column of each.
FeatureBlock = Mapping[str, Column]

T = TypeVar("T")


class StreamName(NamedTuple):
    """One version of a model in one environment."""

    model: str
    version: str
    environment: str


@dataclass(frozen=True, eq=False)
class PredictionBatch(Sequence[Prediction]):
    """Predictions, a column for each field. Each column has an entry for each row.

    streams: the distinct ones; stream_of: of each row the place in them. times: microseconds since 1970.
    blocks: the features; block_of, row_of: of each row its block, and its place in the columns of that. given_maps: the
    features of each row as they came, where they came row by row.
    """

    streams: tuple[StreamName, ...]
    stream_of: Places
    ids: list[str]
    times: NDArray[np.int64]
    predictions: list[Scalar]
    probabilities: list[Probability]
    latencies: list[float | None]
    truths: list[Scalar]
    blocks: tuple[FeatureBlock, ...]
    block_of: Places
    row_of: Places
    given_maps: list[dict[str, Scalar]] | None = None

    @classmethod
    def of(cls, events: Sequence[Prediction]) -> PredictionBatch:
        """The batch of these predictions; one that is a batch already as it is."""
        if isinstance(events, PredictionBatch):
            return events
        named = [(each.model_name, each.model_version, each.environment) for each in events]
        streams = {stream: place for place, stream in enumerate(dict.fromkeys(named))}
        maps = [each.features for each in events]
        by_names: dict[tuple[str, ...], list[int]] = {}
        for place, features in enumerate(maps):
            by_names.setdefault(tuple(features), []).append(place)
        block_of, row_of = np.zeros(len(events), dtype=np.intp), np.arange(len(events))
        blocks: list[FeatureBlock] = []
        for names, places in by_names.items():
            if len(by_names) > 1:
                block_of[places], row_of[places] = len(blocks), np.arange(len(places))
            values = zip(*(maps[place].values() for place in places), strict=True)
            blocks.append(dict(zip(names, map(column_of, values), strict=True)))
        return cls(
            tuple(map(StreamName._make, streams)),
            np.array(list(map(streams.__getitem__, named)), dtype=np.intp),
            [each.prediction_id for each in events],
            np.array([each.timestamp for each in events], dtype=np.int64),
            [each.prediction for each in events],
            [each.probability for each in events],
            [each.latency_ms for each in events],
            [each.ground_truth for each in events],
            tuple(blocks),
            block_of,
            row_of,
            maps,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Prediction]:
        fields = (self.ids, self.times.tolist(), self.feature_maps(), self.predictions)
        further = (self.probabilities, self.latencies, self.truths)
        for stream, *values in zip(self.stream_of.tolist(), *fields, *further, strict=True):
            yield Prediction(*self.streams[stream], *values)

    @overload
    def __getitem__(self, place: int) -> Prediction: ...
    @overload
    def __getitem__(self, place: slice) -> PredictionBatch: ...
    def __getitem__(self, place: int | slice) -> Prediction | PredictionBatch:
        if isinstance(place, slice):
            return self.take(np.arange(*place.indices(len(self))))
        [event] = self.take(np.array([range(len(self))[place]]))
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The distinct models."""
        return tuple(dict.fromkeys(stream.model for stream in self.streams))

    def model_names(self) -> list[str]:
        """The model of each row."""
        names = [stream.model for stream in self.streams]
        return [names[stream] for stream in self.stream_of.tolist()]

    def labels(self) -> list[GroundTruth]:
        """The labels that came inside of predictions, known since the prediction itself."""
        if self.truths.count(None) == len(self):
            return []
        rows = zip(self.model_names(), self.ids, self.truths, self.times.tolist(), strict=True)
        return [GroundTruth(model, identity, truth, time) for model, identity, truth, time in rows if truth is not None]

    def rows_of(self, model: str) -> Places:
        """The places of a model's rows."""
        if len(self.models) == 1:
            return np.arange(len(self)) if model == self.models[0] else np.empty(0, dtype=np.intp)
        wanted = np.array([stream.model == model for stream in self.streams])
        return np.flatnonzero(wanted[self.stream_of])

    def take(self, places: Places) -> PredictionBatch:
        """The batch of the rows at these places, in their order; of all of them as they are, this batch itself."""
        if len(places) == len(self) and (places == np.arange(len(self))).all():
            return self
        some = places.tolist()
        streams, stream_of = _used(self.streams, self.stream_of[places])
        blocks, block_of = _used(self.blocks, self.block_of[places])
        return PredictionBatch(
            streams,
            stream_of,
            [self.ids[place] for place in some],
            self.times[places],
            [self.predictions[place] for place in some],
            [self.probabilities[place] for place in some],
            [self.latencies[place] for place in some],
            [self.truths[place] for place in some],
            blocks,
            block_of,
            self.row_of[places],
            None if self.given_maps is None else [self.given_maps[place] for place in some],
        )

    def where(self, chosen: NDArray[np.bool_]) -> PredictionBatch:
        """The batch of the chosen rows; of all of them, this batch itself. chosen: of each row, whether it is one."""
        return self if chosen.all() else self.take(np.flatnonzero(chosen))

    def feature(self, name: str) -> Column:
        """The values of a feature; missing where a row does not have it."""
        parts = []
        for place in self._blocks_with.get(name, ()):
            column, rows = self.blocks[place][name], self._rows_in[place]
            parts.append((rows, column if self._are_whole[place] else column.take(self.row_of[rows])))
        if len(parts) == 1 and len(self.blocks) == 1:
            return parts[0][1]
        return scattered(parts, len(self)) if parts else missing_column(len(self))

    @property
    def feature_names(self) -> Collection[str]:
        """The features that any row has."""
        return self._blocks_with.keys()

    def feature_maps(self) -> list[dict[str, Scalar]]:
        """The features of each row, in the order that it, or the first one that names the same, named them."""
        if self.given_maps is not None:
            return self.given_maps
        if len(self.blocks) == 1:
            return self._maps_of(0)
        maps: list[dict[str, Scalar]] = [{} for _ in self.ids]
        for place, rows in enumerate(self._rows_in):
            for row, features in zip(rows.tolist(), self._maps_of(place), strict=True):
                maps[row] = features
        return maps

    def _maps_of(self, place: int) -> list[dict[str, Scalar]]:
        block, rows = self.blocks[place], self._rows_in[place]
        if not block:
            return [{} for _ in rows]
        whole, of_rows = self._are_whole[place], self.row_of[rows]
        values = [(column if whole else column.take(of_rows)).scalars() for column in block.values()]
        return [dict(zip(block, row, strict=True)) for row in zip(*values, strict=True)]

    @cached_property
    def _blocks_with(self) -> Mapping[str, Sequence[int]]:
        """By feature, the places of the blocks that have it."""
        if len(self.blocks) == 1:
            return dict.fromkeys(self.blocks[0], (0,))
        found: dict[str, list[int]] = {}
        for place, block in enumerate(self.blocks):
            for name in block:
                found.setdefault(name, []).append(place)
        return found

    @cached_property
    def _rows_in(self) -> list[Places]:
        """Of each block, the places of its rows."""
        if len(self.blocks) == 1:
            return [np.arange(len(self))]
        return [np.flatnonzero(self.block_of == place) for place in range(len(self.blocks))]

    @cached_property
    def _are_whole(self) -> list[bool]:
        """Of each block, whether the rows here are all that its columns have, in their order."""
        return [
            all(len(column) == len(rows) for column in islice(block.values(), 1))
            and bool((self.row_of[rows] == np.arange(len(rows))).all())
            for block, rows in zip(self.blocks, self._rows_in, strict=True)
        ]


def joined(parts: Iterable[Sequence[Prediction]]) -> PredictionBatch:
    """The batch of the predictions of all parts, in their order. Parts that are lists become columns together."""
    batches: list[PredictionBatch] = []
    waiting: list[Prediction] = []
    for part in parts:
        # Asking an abstract class takes longer than the rest.
        if type(part) is PredictionBatch:
            if not len(part):
                continue
            if waiting:
                batches.append(PredictionBatch.of(waiting))
                waiting = []
            batches.append(part)
        else:
            waiting += part
    if waiting or not batches:
        batches.append(PredictionBatch.of(waiting))
    if len(batches) == 1:
        return batches[0]
    streams: dict[StreamName, int] = {}
    stream_of, block_of, blocks = [], [], 0
    for batch in batches:
        own = [streams.setdefault(stream, len(streams)) for stream in batch.streams]
        stream_of.append(np.array(own, dtype=np.intp)[batch.stream_of])
        block_of.append(batch.block_of + blocks)
        blocks += len(batch.blocks)
    return PredictionBatch(
        tuple(streams),
        np.concatenate(stream_of),
        [each for batch in batches for each in batch.ids],
        np.concatenate([batch.times for batch in batches]),
        [each for batch in batches for each in batch.predictions],
        [each for batch in batches for each in batch.probabilities],
        [each for batch in batches for each in batch.latencies],
        [each for batch in batches for each in batch.truths],
        tuple(block for batch in batches for block in batch.blocks),
        np.concatenate(block_of),
        np.concatenate([batch.row_of for batch in batches]),
    )


def _used(known: tuple[T, ...], codes: Places) -> tuple[tuple[T, ...], Places]:
    """Those of the known that have a code, and the codes in them."""
    if len(known) == 1 and len(codes):
        return known, codes
    used = sorted(set(codes.tolist()))
    if len(used) == len(known):
        return known, codes
    numbers = np.empty(len(known), dtype=np.intp)
    numbers[used] = np.arange(len(used))
    return tuple(known[code] for code in used), numbers[codes]


class DecodedBatch(msgspec.Struct, frozen=True):
    """The good rows of a batch, and the bad ones by name."""

    events: PredictionBatch
    rejected: list[Rejection]


class DecodedLabels(msgspec.Struct, frozen=True):
    """The good rows of a batch of labels, and the bad ones by name."""

    labels: Sequence[GroundTruth]
    rejected: list[Rejection]
