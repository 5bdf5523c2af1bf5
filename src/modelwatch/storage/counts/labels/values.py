"""Labelled predictions as they were said: the value that was predicted, and the one that was true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, and_, select

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import Scalar
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.counting import PREDICTION_COLUMNS, segment_columns, stored_segments
from modelwatch.storage.ledger.labels import oldest_kept_day
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, by_block
from modelwatch.storage.ledger.predictions.rows import decode_scalar
from modelwatch.storage.references.layouts import ModelLayouts
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY


def labelled_values(
    connection: Connection,
    stream: StreamKey,
    layouts: ModelLayouts,
    span: Span,
    *,
    one_of: int = 1,
    segment: str = "",
) -> list[tuple[Scalar, Scalar]]:
    """Predictions of [start, end), in seconds, that have a label, and the label.

    one_of: of so many base windows one is read. segment: of a segment; empty for all. Days whose predictions have
    expired are left out.
    """
    label, prediction = tables.label, tables.prediction
    pair = and_(label.c.model == prediction.c.model, label.c.prediction_id == prediction.c.prediction_id)
    own = segment_columns(layouts.segment_generation) if segment else ()
    columns = (*PREDICTION_COLUMNS, *own, label.c.value)
    kept = KeptFeatures(connection)
    oldest = oldest_kept_day(connection, stream.model)
    found: list[tuple[Scalar, Scalar]] = []
    for day in range(max(span[0] // SECONDS_PER_DAY, oldest), (span[1] - 1) // SECONDS_PER_DAY + 1):
        conditions = [
            prediction.c.day == day,
            prediction.c.model == stream.model,
            prediction.c.version == stream.version,
            prediction.c.environment == stream.environment,
            prediction.c.ts >= span[0] * MICROS_PER_SECOND,
            prediction.c.ts < span[1] * MICROS_PER_SECOND,
            label.c.applied_at.is_not(None),
        ]
        if one_of > 1:
            conditions.append((prediction.c.ts // (BASE_WINDOW_SECONDS * MICROS_PER_SECOND)) % one_of == 0)
        rows: Iterable[Any] = connection.execute(select(*columns).join(label, pair).where(*conditions))
        found += [
            (decode_scalar(row.prediction), decode_scalar(row.value))
            for row in (by_block(rows) if segment else rows)
            if not segment or segment in stored_segments(row, layouts, kept)
        ]
    return found
