"""Prediction rows: how an event is written as one, and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import Row

from modelwatch.batches import PredictionBatch, Probability
from modelwatch.errors import DamagedData
from modelwatch.events import Prediction, Scalar
from modelwatch.privacy import KEEP_ALL, Policy, policy_from
from modelwatch.stats.counting.kernel import Places
from modelwatch.stats.segments.segmentation import Segmentation
from modelwatch.storage.engine.protection import Protection, StoredPrediction, unpack
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, PlannedBlock
from modelwatch.times import MICROS_PER_DAY

Segments = tuple[str, ...]

FEATURE_COLUMNS = ("features", "protected", "key_id")
BLOCK_COLUMNS = ("block", "place")
# Of a row that keeps none of its features, since it is not in the sample.
NO_FEATURES = (None, None, None)
# Of a row whose features are in none.
NO_BLOCK = (None, None)

# In JSON.
NULL = "null"
# What is written without a comma.
NEVER_WITH_COMMAS = frozenset((bool, int, float, type(None)))

_encode = msgspec.json.Encoder().encode
decode_scalar = msgspec.json.Decoder(bool | int | float | str).decode
decode_probability = msgspec.json.Decoder(float | dict[str, float]).decode
decode_segments = msgspec.json.Decoder(tuple[str, ...]).decode


def day_of(timestamp: int) -> int:
    """Days since 1970 of an event time in microseconds, UTC.

    >>> day_of(86_400_000_000)
    1
    """
    return timestamp // MICROS_PER_DAY


def key_columns(batch: PredictionBatch) -> tuple[list[int], list[str], list[str]]:
    """The primary keys of the rows of a batch: days since 1970, models, ids."""
    days: list[int] = (batch.times // MICROS_PER_DAY).tolist()
    return days, batch.model_names(), batch.ids


def head_columns(
    batch: PredictionBatch, generations: Mapping[str, int], segments: Sequence[Segments], now: int
) -> dict[str, list[Any]]:
    """The columns of the rows of a batch, but for their features. generations: by model. segments: of each row. now:
    when they arrived, microseconds. A column in which all rows are null may be left out."""
    days, models, ids = key_columns(batch)
    streams = batch.stream_of.tolist()
    _, versions, environments = zip(*batch.streams, strict=True)
    head: dict[str, list[Any]] = {
        "day": days,
        "model": models,
        "prediction_id": ids,
        "version": list(map(versions.__getitem__, streams)),
        "environment": list(map(environments.__getitem__, streams)),
        "ts": batch.times.tolist(),
        "arrived_at": [now] * len(ids),
        "generation": list(map(generations.__getitem__, models)),
        "latency_ms": batch.latencies,
        "prediction": _encoded(batch.predictions),
        "probability": [None if text == NULL else text for text in _encoded(batch.probabilities)],
    }
    if any(segments):
        head["segments"] = [_encode(texts).decode() if texts else None for texts in segments]
    return head


def _encoded(values: Sequence[Scalar] | Sequence[Probability]) -> list[str]:
    """The values as they are kept."""
    kinds = set(map(type, values))
    if kinds == {str}:
        # Classes: few of them, again and again.
        written = {value: _encode(value).decode() for value in set(values)}
        return [written[value] for value in values]
    if kinds and kinds <= NEVER_WITH_COMMAS:
        return _encode(values)[1:-1].decode().split(",")
    return [_encode(value).decode() for value in values]


def rows_kept_as_they_came(
    batch: PredictionBatch, policies: Mapping[str, Policy], rates: Mapping[str, float]
) -> Places:
    """The rows of a batch that keep all their features, none of them treated. By model, policies and the share of its
    rows that keep their features."""
    if all(policies[model].keeps_all and rates[model] >= 1.0 for model in batch.models):
        return np.arange(len(batch))
    rows = zip(batch.model_names(), batch.ids, strict=True)
    return np.flatnonzero(
        [policies[model].keeps_all and in_sample(model, identity, rates[model]) for model, identity in rows]
    )


def written_features(batch: PredictionBatch) -> list[bytes]:
    """The column `features` of rows that keep them as they came."""
    return list(map(_encode, batch.feature_maps()))


def feature_columns(
    batch: PredictionBatch, policies: Mapping[str, Policy], rates: Mapping[str, float], protection: Protection
) -> list[tuple[bytes | None, bytes | None, str | None]]:
    """The columns `features`, `protected` and `key_id` of each row of a batch. By model, policies and the share of its
    rows that keep their features.

    Raises ProtectionUnavailable when a needed key is missing.
    """
    days, models, ids = key_columns(batch)
    maps = batch.feature_maps()
    columns = []
    for day, model, identity, features in zip(days, models, ids, maps, strict=True):
        policy, is_kept = policies[model], in_sample(model, identity, rates[model])
        # A missing key is told whether the row is in the sample or not.
        found = protection.columns(model, day, identity, features, policy) if is_kept or policy.needs_key else None
        columns.append(found if found is not None and is_kept else NO_FEATURES)
    return columns


class RowsOfAKind(NamedTuple):
    """Rows of a batch that have values in the same columns of features: fewer columns, for nulls in their place would
    cost each row. rows: their numbers, in the order of their keys, in which every process inserts them."""

    rows: list[int]
    columns: dict[str, list[Any]]


def rows_by_kind(
    batch: PredictionBatch,
    in_order: list[int],
    whole: Places,
    blocks: Sequence[tuple[int, PlannedBlock]],
    policies: Mapping[str, Policy],
    rates: Mapping[str, float],
    protection: Protection,
) -> list[RowsOfAKind]:
    """The rows whose features are kept as they came, in a block or in the row, and the others. in_order: their numbers
    in the order of their keys. whole: those that are kept as they came, rising. By model, policies and the share of its
    rows that keep their features.

    Raises ProtectionUnavailable when a needed key is missing.
    """
    if len(whole) == len(batch) and not blocks:
        written = written_features(batch)
        return [RowsOfAKind(in_order, {"features": [written[row] for row in in_order]})]
    kept = set(whole.tolist())
    in_block = {row: (identity, place) for identity, block in blocks for place, row in enumerate(block.rows.tolist())}
    kinds = []
    if as_they_came := [row for row in in_order if row in kept]:
        columns: dict[str, list[Any]] = {}
        if blocks:
            places = [in_block.get(row, NO_BLOCK) for row in as_they_came]
            columns |= {name: [place[index] for place in places] for index, name in enumerate(BLOCK_COLUMNS)}
        # In their own order: all of a batch are the batch as it is.
        if in_rows := sorted(row for row in as_they_came if row not in in_block):
            features = dict(zip(in_rows, written_features(batch.take(np.array(in_rows))), strict=True))
            columns["features"] = [features.get(row) for row in as_they_came]
        kinds.append(RowsOfAKind(as_they_came, columns))
    if len(as_they_came) < len(in_order):
        treated = [row for row in in_order if row not in kept]
        found = feature_columns(batch.take(np.array(treated)), policies, rates, protection)
        columns = dict(zip(FEATURE_COLUMNS, map(list, zip(*found, strict=True)), strict=True))
        kinds.append(RowsOfAKind(treated, columns))
    return kinds


def segments_of_batch(batch: PredictionBatch, segmentations: Mapping[str, Segmentation]) -> list[Segments]:
    """The segments of each prediction. segmentations: by model."""
    segments: list[Segments] = [()] * len(batch)
    for model in batch.models:
        if not segmentations[model]:
            continue
        rows = batch.rows_of(model)
        part = batch.take(rows)
        texts = [each.texts_of(part.feature(each.feature)) for each in segmentations[model].features]
        for row, of_row in zip(rows.tolist(), zip(*texts, strict=True), strict=True):
            segments[row] = of_row
    return segments


def encode_scalar(value: Scalar) -> str:
    """A value as it is kept."""
    return _encode(value).decode()


def from_row(row: Row[Any], kept: KeptFeatures, protection: Protection) -> StoredPrediction:
    """The event of a prediction row. Raises ProtectionUnavailable when a key is not here."""
    return protection.stored(event_of(row), kept.of(row), row.protected)


def event_of(row: Row[Any]) -> Prediction:
    """The event of a prediction row, without its features. Raises DamagedData when what was predicted can't be read."""
    try:
        prediction = decode_scalar(row.prediction)
        probability = None if row.probability is None else decode_probability(row.probability)
    except msgspec.MsgspecError as error:
        raise DamagedData(f"The prediction {row.prediction_id!r} of {row.model!r} can't be read: {error}.") from error
    return Prediction(
        model_name=row.model,
        model_version=row.version,
        environment=row.environment,
        prediction_id=row.prediction_id,
        timestamp=row.ts,
        features={},
        prediction=prediction,
        probability=probability,
        latency_ms=row.latency_ms,
    )


def segments_of(row: Any, kept: KeptFeatures, segmentation: Segmentation) -> Segments:
    """The segments of a stored prediction, by a row with `segments`, `protected` and the columns of its features.

    Where the row does not have a feature as it came, what it was counted in before tells its segment.
    """
    if not segmentation:
        return ()
    before = () if row.segments is None else decode_segments(row.segments)
    values = kept.of(row)
    policy = KEEP_ALL if row.protected is None else policy_from(unpack(row.protected).policy)
    return tuple(
        each.carried(before)
        if values is None or policy.treatment(each.feature) != "keep"
        else each.text_of(values.get(each.feature))
        for each in segmentation.features
    )


_ALL = 2**64


def in_sample(model: str, prediction_id: str, rate: float) -> bool:
    """True when the features of a prediction are kept, of so large a share of all. The sample of a smaller rate is part
    of that of a larger one.

    >>> [in_sample("fraud", "pred-1", rate) for rate in (0.0, 0.9, 1.0)]
    [False, True, True]
    """
    if rate >= 1.0:
        return True
    name = f"{model}\0{prediction_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest()) < rate * _ALL
