"""Writer slots: the counts of one writer for one window, as they stand in the store after its last commit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection, Insert, select, tuple_

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.stats import decode_counts, encode_counts
from modelwatch.storage import tables
from modelwatch.storage.layouts import Counts

MAX_CACHED_BYTES = 64 * 1024 * 1024
SLOT_OVERHEAD_BYTES = 512
KEYS_PER_QUERY = 500


class SlotKey(NamedTuple):
    """Which window of which stream, in which generation of the model's binnings."""

    model: str
    generation: int
    version: str
    environment: str
    window_start: int


@dataclass(frozen=True, slots=True)
class Slot:
    """A window's counts: `predictions` rows, and one vector over all subjects of the layout.

    latest_ts, arrived_at: the newest of these rows by event time and by arrival, in microseconds.
    """

    predictions: int
    counts: Counts
    latest_ts: int = 0
    arrived_at: int = 0

    def __add__(self, other: Slot) -> Slot:
        return Slot(
            self.predictions + other.predictions,
            self.counts + other.counts,
            max(self.latest_ts, other.latest_ts),
            max(self.arrived_at, other.arrived_at),
        )


def window_start(timestamp: int) -> int:
    """The start of the base window, in seconds, of an event time in microseconds.

    >>> window_start(1_700_000_123_000_000)
    1700000100
    """
    seconds = timestamp // 1_000_000
    return seconds - seconds % BASE_WINDOW_SECONDS


class SlotCache:
    """The slots that this writer has committed, as many as fit in memory; the others are read back when needed."""

    def __init__(self, max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._slots: OrderedDict[SlotKey, Slot] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    def clear(self) -> None:
        self._slots.clear()
        self._bytes = 0

    def get(self, connection: Connection, writer: str, keys: Iterable[SlotKey]) -> dict[SlotKey, Slot]:
        """The slots of these keys; a key without a slot yet is left out."""
        found: dict[SlotKey, Slot] = {}
        missing: list[SlotKey] = []
        for key in keys:
            slot = self._slots.get(key)
            if slot is None:
                missing.append(key)
            else:
                found[key] = slot
        for start in range(0, len(missing), KEYS_PER_QUERY):
            found.update(_stored(connection, writer, missing[start : start + KEYS_PER_QUERY]))
        return found

    def put(self, committed: Mapping[SlotKey, Slot]) -> None:
        """Takes over what a commit has made true."""
        for key, slot in committed.items():
            previous = self._slots.pop(key, None)
            if previous is not None:
                self._bytes -= previous.counts.nbytes + SLOT_OVERHEAD_BYTES
            self._slots[key] = slot
            self._bytes += slot.counts.nbytes + SLOT_OVERHEAD_BYTES
        while self._bytes > self._max_bytes and self._slots:
            _, oldest = self._slots.popitem(last=False)
            self._bytes -= oldest.counts.nbytes + SLOT_OVERHEAD_BYTES


def _stored(connection: Connection, writer: str, keys: list[SlotKey]) -> dict[SlotKey, Slot]:
    table = tables.profile
    columns = (table.c.model, table.c.generation, table.c.version, table.c.environment, table.c.window_start)
    rows = connection.execute(
        select(*columns, table.c.predictions, table.c.counts, table.c.latest_ts, table.c.arrived_at).where(
            table.c.writer == writer,
            table.c.segment == "",
            table.c.window_len == BASE_WINDOW_SECONDS,
            tuple_(*columns).in_(keys),
        )
    )
    return {SlotKey(*row[:5]): slot_of(row) for row in rows}


def slot_of(row: Any) -> Slot:
    """The slot that a row of the profile table holds."""
    return Slot(row.predictions, decode_counts(row.counts), row.latest_ts, row.arrived_at)


def save(
    connection: Connection,
    upsert: Insert,
    writer: str,
    slots: Mapping[SlotKey, Slot],
    window_len: int = BASE_WINDOW_SECONDS,
) -> None:
    """Replaces the writer's state of these windows. upsert: `store.upsert(tables.profile)`."""
    rows: list[dict[str, Any]] = [
        {
            **key._asdict(),
            "window_len": window_len,
            "segment": "",
            "writer": writer,
            "predictions": slot.predictions,
            "counts": encode_counts(slot.counts),
            "latest_ts": slot.latest_ts,
            "arrived_at": slot.arrived_at,
        }
        for key, slot in sorted(slots.items(), key=lambda item: item[0])
    ]
    if rows:
        connection.execute(upsert, rows)
