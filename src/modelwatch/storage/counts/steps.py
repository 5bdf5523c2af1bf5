"""Reading a stretch step by step: the sums of the windows of each step, in one pass over the stored windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, select

from modelwatch.stats.counting.encoded_counts import decode_sparse
from modelwatch.storage.counts.profiles import BYTES_AT_ONCE, FIRST_ROWS, MOST_ROWS, known_sum
from modelwatch.storage.engine import tables
from modelwatch.storage.ledger.slots import Slot
from modelwatch.storage.references.layouts import Counts, ModelLayouts


def profile_steps(
    connection: Connection,
    model: str,
    layouts: ModelLayouts,
    environment: str,
    boundaries: Sequence[int],
    version: str | None = None,
    segment: str = "",
) -> Iterator[tuple[int, dict[str, Slot]]]:
    """The steps with data between ascending boundaries, in seconds: the place of each, and the summed slot of every
    version that has data in it. One step after the other, so that of a long stretch no more than one is in memory.

    Only windows that lie inside of a step and belong to the layouts' generation are added. Raises MalformedProfile when
    counts can't be read.
    """
    key = (model, environment, segment, version, layouts.generation)
    for step, rows in _by_step(connection, tables.profile, key, boundaries):
        predictions: dict[str, int] = {}
        encoded: dict[str, list[bytes]] = {}
        for _, _, name, counts, number in rows:
            predictions[name] = predictions.get(name, 0) + number
            encoded.setdefault(name, []).append(counts)
        yield step, {name: Slot(predictions[name], known_sum(parts)) for name, parts in encoded.items()}


def outcome_steps(
    connection: Connection,
    model: str,
    layouts: ModelLayouts,
    environment: str,
    boundaries: Sequence[int],
    version: str | None = None,
    segment: str = "",
) -> Iterator[tuple[int, dict[str, Counts]]]:
    """The same of labelled predictions: summed outcome counts by version, laid out by `layouts.of(version).outcome`.

    Raises MalformedProfile when stored counts are damaged.
    """
    key = (model, environment, segment, version, layouts.outcome_generation)
    for step, rows in _by_step(connection, tables.outcome, key, boundaries):
        sums: dict[str, Counts] = {}
        for _, _, name, encoded in rows:
            counts = decode_sparse(encoded)
            sums[name] = sums[name] + counts if name in sums else counts
        yield step, {name: total for name, total in sums.items() if total.any()}


_Key = tuple[str, str, str, str | None, int]


def _by_step(
    connection: Connection, table: Table, key: _Key, boundaries: Sequence[int]
) -> Iterator[tuple[int, list[Any]]]:
    """The rows inside of each step, in the order of the steps, of those that have some: start and length of the window
    in seconds, version, encoded counts; of profiles also the number of predictions."""
    model, environment, segment, version, generation = key
    conditions = [
        table.c.model == model,
        table.c.environment == environment,
        table.c.segment == segment,
        table.c.window_start >= boundaries[0],
        table.c.window_start < boundaries[-1],
        table.c.generation == generation,
    ]
    columns = [table.c.window_start, table.c.window_len, table.c.version, table.c.counts]
    if version is not None:
        conditions.append(table.c.version == version)
    if table is tables.profile:
        columns.append(table.c.predictions)
    result = connection.execute(select(*columns).where(*conditions).order_by(table.c.window_start))
    edges, number = np.asarray(boundaries, dtype=np.int64), FIRST_ROWS
    present, held = -1, list[Any]()
    while some := result.fetchmany(number):
        number = min(MOST_ROWS, 1 + BYTES_AT_ONCE * len(some) // (1 + sum(len(row[3]) for row in some)))
        steps = np.searchsorted(edges, [row[0] for row in some], side="right") - 1
        for step, row in zip(steps.tolist(), some, strict=True):
            if row[0] + row[1] > boundaries[step + 1]:
                continue
            if step != present:
                if held:
                    yield present, held
                present, held = step, []
            held.append(row)
    if held:
        yield present, held
