"""Predictions that come again: in which window they count, and whether they say something else than the first time.

The first one stays as it is. A repeat is compared with the row that is stored, so what the row does not hold (features
outside of the sample, dropped ones) is not compared. Time stamp and latency may differ: they say how it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from modelwatch.errors import ProtectionUnavailable
from modelwatch.events import Prediction, Scalar
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.prepared import RowsByModelAndId
from modelwatch.storage.engine.protection import Protection, decode_features
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.blocks import KeptFeatures, by_block
from modelwatch.storage.ledger.predictions.rows import day_of, decode_probability, decode_scalar
from modelwatch.storage.ledger.slots import SlotKey, window_start
from modelwatch.storage.references.layouts import ModelLayouts

_encode = msgspec.json.Encoder().encode


class Repeats(NamedTuple):
    """Number of known predictions that came again in a window, and of those with another content."""

    total: int = 0
    changed: int = 0


class _Row(NamedTuple):
    """The columns of a stored prediction that a repeat is placed and compared by."""

    model: str
    prediction_id: str
    version: str
    environment: str
    ts: int
    prediction: str
    probability: str | None
    features: bytes | None
    protected: bytes | None
    block: int | None
    place: int | None


def stored_of_repeats(store: Store) -> RowsByModelAndId:
    """The statement that reads the stored predictions of a day."""
    table = tables.prediction
    return RowsByModelAndId(store, table, [table.c[name] for name in _Row._fields], table.c.day == bindparam("day"))


def repeats_by_window(
    connection: Connection,
    stored: RowsByModelAndId,
    repeated: Sequence[Prediction],
    layouts: Mapping[str, ModelLayouts],
    protection: Protection,
) -> dict[SlotKey, Repeats]:
    """The repeats by their window: that of the prediction as it is stored. stored: of `stored_of_repeats`."""
    days: dict[int, dict[tuple[str, str], list[Prediction]]] = {}
    for event in repeated:
        of_day = days.setdefault(day_of(event.timestamp), {})
        of_day.setdefault((event.model_name, event.prediction_id), []).append(event)
    windows: dict[SlotKey, Repeats] = {}
    kept = KeptFeatures(connection)
    for day, events in days.items():
        for row in by_block(_Row(*values) for values in stored.read(connection, sorted(events), day=day)):
            generation = layouts[row.model].generation
            key = SlotKey(row.model, generation, row.version, row.environment, window_start(row.ts))
            again = events[row.model, row.prediction_id]
            changed = sum(_differs(event, row, kept, protection) for event in again)
            before = windows.get(key, Repeats())
            windows[key] = Repeats(before.total + len(again), before.changed + changed)
    return windows


def stored_repeats(
    connection: Connection, model: str, environment: str, version: str | None, start: int, end: int
) -> dict[int, Repeats]:
    """Number of repeats by start of the windows that start in [start, end), of a version or of all; seconds."""
    table = tables.profile
    conditions = [
        table.c.model == model,
        table.c.environment == environment,
        table.c.segment == "",
        table.c.window_start >= start,
        table.c.window_start < end,
    ]
    if version is not None:
        conditions.append(table.c.version == version)
    rows = connection.execute(
        select(table.c.window_start, func.sum(table.c.duplicates), func.sum(table.c.changed_duplicates))
        .where(*conditions)
        .group_by(table.c.window_start)
    )
    return {row[0]: Repeats(int(row[1] or 0), int(row[2] or 0)) for row in rows}


def changed_by_window(connection: Connection, stream: StreamKey, start: int, end: int) -> dict[int, tuple[int, int]]:
    """By start of its windows inside [start, end), oldest first, how many predictions were sent again with different
    content, and how many others were sent; seconds."""
    table = tables.profile
    rows = connection.execute(
        select(
            table.c.window_start,
            func.sum(table.c.changed_duplicates),
            func.sum(table.c.predictions + table.c.duplicates - table.c.changed_duplicates),
        )
        .where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
            table.c.window_start >= start,
            table.c.window_start + table.c.window_len <= end,
        )
        .group_by(table.c.window_start)
        .order_by(table.c.window_start)
    )
    return {row[0]: (int(row[1]), int(row[2])) for row in rows}


def _differs(event: Prediction, row: _Row, kept: KeptFeatures, protection: Protection) -> bool:
    """True when the event differs from the row, as far as the row has the values."""
    if (event.model_version, event.environment) != (row.version, row.environment):
        return True
    if event.prediction != decode_scalar(row.prediction):
        return True
    probability = None if row.probability is None else decode_probability(row.probability)
    if event.probability != probability:
        return True
    features = kept.of(row)
    if features is None or (row.protected is None and features == event.features):
        return False
    # As it would be stored: not every number is one in JSON.
    given = decode_features(_encode(event.features))
    try:
        return _other_features(event, given, features, row, protection)
    except ProtectionUnavailable:
        return False


def _other_features(
    event: Prediction, given: dict[str, Scalar], features: dict[str, Scalar], row: _Row, protection: Protection
) -> bool:
    at_first = protection.stored(msgspec.structs.replace(event, timestamp=row.ts, features={}), features, row.protected)
    known = at_first.event.features
    for name in {*given, *known}:
        form, value = at_first.form(name), given.get(name)
        if form == "none":
            continue
        if form == "hash" and value is not None:
            [value] = protection.hash_all(event.model_name, name, [value])
        if value != known.get(name):
            return True
    return False
