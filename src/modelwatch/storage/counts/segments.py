"""Reading segments: the sums of a stream's windows in each of its segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select

from modelwatch.stats.counting.encoded_counts import decode_counts, decode_sparse
from modelwatch.storage.counts.sliding import Span
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.layouts import Counts, ModelLayouts


def segment_profiles(connection: Connection, stream: StreamKey, layouts: ModelLayouts, span: Span) -> dict[str, Slot]:
    """By segment, "" for all, the summed slots of the stream's windows inside the span, in seconds.

    Raises MalformedProfile when stored counts are damaged.
    """
    sums: dict[str, Slot] = {}
    for row in _rows(connection, tables.profile, stream, layouts.generation, span):
        fresh = Slot(row.predictions, decode_counts(row.counts))
        before = sums.get(row.segment)
        sums[row.segment] = fresh if before is None else before + fresh
    return {segment: slot for segment, slot in sums.items() if slot.predictions}


def segment_outcomes(connection: Connection, stream: StreamKey, layouts: ModelLayouts, span: Span) -> dict[str, Counts]:
    """By segment, "" for all, the summed outcome counts of the stream's windows inside the span, in seconds.

    Raises MalformedProfile when stored counts are damaged.
    """
    sums: dict[str, Counts] = {}
    for row in _rows(connection, tables.outcome, stream, layouts.outcome_generation, span):
        counts = decode_sparse(row.counts)
        before = sums.get(row.segment)
        if before is None:
            sums[row.segment] = counts
        else:
            np.add(before, counts, out=before)
    return {segment: counts for segment, counts in sums.items() if counts.any()}


def reference_segments(
    connection: Connection, references: Sequence[str], definitions: Sequence[str]
) -> dict[tuple[str, str], Counts]:
    """The counts of references in the segments of definitions, where they are known: shape (segments · cells,).

    Raises MalformedProfile when stored counts are damaged.
    """
    table = tables.reference_segment
    rows = connection.execute(
        select(table).where(table.c.reference.in_(references), table.c.definition.in_(definitions))
    )
    return {(row.reference, row.definition): decode_sparse(row.counts) for row in rows}


def _rows(connection: Connection, table: Table, stream: StreamKey, generation: int, span: Span) -> Iterator[Any]:
    yield from connection.execute(
        select(table).where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.window_start >= span[0],
            table.c.window_start + table.c.window_len <= span[1],
            table.c.generation == generation,
        )
    )
