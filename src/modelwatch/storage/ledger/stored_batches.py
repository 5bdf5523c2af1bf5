"""Stored predictions of a day as batches, to be counted again: from blocks as columns, from rows as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Connection, Row, select

from modelwatch.batches import PredictionBatch, StreamName
from modelwatch.errors import DamagedBlock
from modelwatch.stats.segments.segmentation import Segmentation
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.protection import Protection, StoredPrediction
from modelwatch.storage.ledger.blocks import KeptFeatures
from modelwatch.storage.ledger.feature_columns import ROWS_AS_ARRAYS, FeatureBlock
from modelwatch.storage.ledger.pages import pages_of_day
from modelwatch.storage.ledger.rows import (
    Segments,
    decode_probability,
    decode_scalar,
    from_row,
    segments_of,
    segments_of_batch,
)


class StoredBatch(NamedTuple):
    """Stored predictions of one model. segments: of each. rows: what each row tells, where they are not all known to
    keep every feature as it came."""

    batch: PredictionBatch
    segments: Sequence[Segments]
    rows: Sequence[StoredPrediction] | None = None


def stored_batches(
    connection: Connection,
    model: str,
    day: int,
    before_generation: int,
    protection: Protection,
    segmentation: Segmentation,
) -> Iterator[StoredBatch]:
    """A day's predictions that were written in older generations, some megabytes at a time."""
    table, kept = tables.prediction, KeptFeatures(connection)
    older = select(table).where(table.c.generation < before_generation)
    for page in pages_of_day(kept, older, model, day):
        rest: list[Row[Any]] = []
        for identity, members in groupby(page, key=attrgetter("block")):
            rows = list(members)
            block = None if identity is None or len(rows) < ROWS_AS_ARRAYS else kept.block(identity)
            batch = None if block is None else _batch_of(rows, block)
            if batch is None:
                rest += rows
            else:
                yield StoredBatch(batch, segments_of_batch(batch, {model: segmentation}))
        if rest:
            events = [from_row(row, kept, protection) for row in rest]
            segments = [segments_of(row, kept, segmentation) for row in rest]
            yield StoredBatch(PredictionBatch.of([each.event for each in events]), segments, events)


def _batch_of(rows: Sequence[Row[Any]], block: FeatureBlock) -> PredictionBatch | None:
    """The predictions of rows of one block; None when it does not have them all."""
    first, none = rows[0], np.zeros(len(rows), dtype=np.intp)
    # A row's attributes are found one by one, which takes longer than all of its columns.
    columns = dict(zip(first._fields, zip(*rows, strict=True), strict=True))
    try:
        places = block.rows_of(np.array(columns["place"], dtype=np.intp))
    except DamagedBlock:
        return None
    classes = {text: decode_scalar(text) for text in set(columns["prediction"])}
    return PredictionBatch(
        (StreamName(first.model, first.version, first.environment),),
        none,
        list(columns["prediction_id"]),
        np.array(columns["ts"], dtype=np.int64),
        [classes[text] for text in columns["prediction"]],
        [None if text is None else decode_probability(text) for text in columns["probability"]],
        list(columns["latency_ms"]),
        [None] * len(rows),
        (block.columns,),
        none,
        places,
    )
