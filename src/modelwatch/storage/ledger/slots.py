"""Writer slots: the counts of one writer for one window, as they stand in the store after its last commit.

There are two kinds: those of a profile, which count predictions, and those of outcomes, which count labelled ones.

The pace of a rolled-up window is what each of its base windows had, beside the counts that were added up. How much came
when, and when it arrived, is a few bytes a base window. So everything that looks at volumes and silence is as exact
after a roll-up as before.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, select, tuple_

from modelwatch.config import BASE_WINDOW_SECONDS
from modelwatch.events import EARLIEST_TIME
from modelwatch.stats.counting.encoded_counts import (
    WORTH_COMPRESSING,
    decode_counts,
    decode_sparse,
    encode_counts,
    encode_sparse,
)
from modelwatch.stats.errors import MalformedProfile
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.prepared import ManyRows
from modelwatch.storage.references.layouts import Counts
from modelwatch.times import MICROS_PER_SECOND

MAX_CACHED_BYTES = 64 * 1024 * 1024
SLOT_OVERHEAD_BYTES = 512
MAX_EVICTED = 100_000
# With each commit, deflating counts takes longer than writing so many bytes. Folding deflates them.
REWRITTEN_BYTES = 16 * 1024
KEYS_PER_QUERY = 500
# Of the pace of a window: for each of its base windows, so many numbers.
_COLUMNS = 5


class SlotKey(NamedTuple):
    """A window of a stream in a generation of layouts, of a segment or "" for all. window_start: seconds."""

    model: str
    generation: int
    version: str
    environment: str
    window_start: int
    segment: str = ""


class BaseWindow(NamedTuple):
    """Numbers of one base window. window_start: seconds. latest_ts, arrived_at: of the newest, in microseconds."""

    window_start: int
    predictions: int
    duplicates: int
    latest_ts: int
    arrived_at: int


def encode_pace(windows: Iterable[BaseWindow]) -> bytes:
    """Compact bytes of base windows; those of one start are added up.

    >>> raw = encode_pace([BaseWindow(600, 2, 0, 5, 7), BaseWindow(300, 1, 1, 3, 3), BaseWindow(600, 1, 0, 6, 6)])
    >>> [tuple(window) for window in decode_pace(raw)]
    [(300, 1, 1, 3, 3), (600, 3, 0, 6, 7)]
    """
    merged: dict[int, BaseWindow] = {}
    for each in windows:
        before = merged.get(each.window_start)
        merged[each.window_start] = each if before is None else _sum(before, each)
    table = np.array([merged[start] for start in sorted(merged)], dtype=np.int64).reshape(-1, _COLUMNS).T
    starts = table[0].copy()
    # Small numbers take less: times are kept from the start of their window, and windows from the one before.
    table[4] -= table[3]
    table[3] -= starts * MICROS_PER_SECOND
    table[0] = np.diff(starts // BASE_WINDOW_SECONDS, prepend=0)
    return zlib.compress(table.astype("<i8").tobytes(), 6)


def decode_pace(raw: bytes) -> list[BaseWindow]:
    """The base windows of these bytes, by their start. Raises MalformedProfile when they are none."""
    try:
        table = np.frombuffer(zlib.decompress(raw), dtype="<i8").reshape(_COLUMNS, -1).astype(np.int64)
    except (zlib.error, ValueError) as error:
        raise MalformedProfile(f"the base windows of a rolled-up window can't be read: {error}") from error
    starts = np.cumsum(table[0]) * BASE_WINDOW_SECONDS
    latest = table[3] + starts * MICROS_PER_SECOND
    columns = (starts, table[1], table[2], latest, table[4] + latest)
    return [BaseWindow(*row) for row in np.stack(columns, axis=1).tolist()]


def base_windows(row: Any) -> list[BaseWindow]:
    """Base windows that a row of the profile table holds; none of those of a segment once they are rolled up."""
    if row.pace is not None:
        return decode_pace(row.pace)
    if row.segment or row.window_len != BASE_WINDOW_SECONDS:
        return []
    return [BaseWindow(row.window_start, row.predictions, row.duplicates, row.latest_ts, row.arrived_at)]


def merged_pace(first: bytes | None, second: bytes | None) -> bytes | None:
    """The pace of two windows together; None has none."""
    if first is None or second is None:
        return first if second is None else second
    return encode_pace([*decode_pace(first), *decode_pace(second)])


def _sum(one: BaseWindow, other: BaseWindow) -> BaseWindow:
    return BaseWindow(
        one.window_start,
        one.predictions + other.predictions,
        one.duplicates + other.duplicates,
        max(one.latest_ts, other.latest_ts),
        max(one.arrived_at, other.arrived_at),
    )


@dataclass(frozen=True, slots=True)
class Slot:
    """A window's counts: `predictions` rows, and one vector over all subjects of the layout.

    latest_ts, arrived_at: the newest of these rows by event time and by arrival, in microseconds. duplicates: rows that
    came again; changed_duplicates: those that said something else than the first time. What the common writer takes
    back of what others counted is negative; the sum over writers never is.
    pace: of a window that was rolled up.
    """

    predictions: int
    counts: Counts
    latest_ts: int = EARLIEST_TIME
    arrived_at: int = 0
    duplicates: int = 0
    changed_duplicates: int = 0
    pace: bytes | None = None

    def __add__(self, other: Slot) -> Slot:
        return Slot(
            self.predictions + other.predictions,
            self.counts + other.counts,
            max(self.latest_ts, other.latest_ts),
            max(self.arrived_at, other.arrived_at),
            self.duplicates + other.duplicates,
            self.changed_duplicates + other.changed_duplicates,
            merged_pace(self.pace, other.pace),
        )

    @classmethod
    def of_row(cls, row: Any) -> Slot:
        """The slot that a row of the table holds. Raises MalformedProfile when its counts are damaged."""
        return cls(
            row.predictions,
            decode_counts(row.counts),
            row.latest_ts,
            row.arrived_at,
            row.duplicates,
            row.changed_duplicates,
            row.pace,
        )

    def columns(self, *, is_rewritten: bool = False) -> dict[str, Any]:
        """Columns of this slot's row beside its key. is_rewritten: whether it is written again and again."""
        worth_compressing = REWRITTEN_BYTES if is_rewritten else WORTH_COMPRESSING
        return {
            "predictions": self.predictions,
            "counts": encode_counts(self.counts, signed=True, worth_compressing=worth_compressing),
            "latest_ts": self.latest_ts,
            "arrived_at": self.arrived_at,
            "duplicates": self.duplicates,
            "changed_duplicates": self.changed_duplicates,
            "pace": self.pace,
        }


@dataclass(frozen=True, slots=True)
class OutcomeSlot:
    """A writer's share of a window's outcome counts; an entry may be negative.

    latest_ts, arrived_at: of the newest of these labels by its own time and by arrival, in microseconds.
    """

    counts: Counts
    latest_ts: int = EARLIEST_TIME
    arrived_at: int = 0

    def __add__(self, other: OutcomeSlot) -> OutcomeSlot:
        return OutcomeSlot(
            self.counts + other.counts,
            max(self.latest_ts, other.latest_ts),
            max(self.arrived_at, other.arrived_at),
        )

    @classmethod
    def of_row(cls, row: Any) -> OutcomeSlot:
        """The slot that a row of the table holds. Raises MalformedProfile when its counts are damaged."""
        return cls(decode_sparse(row.counts), row.latest_ts, row.arrived_at)

    def columns(self, *, is_rewritten: bool = False) -> dict[str, Any]:
        """Columns of this slot's row beside its key."""
        return {"counts": encode_sparse(self.counts), "latest_ts": self.latest_ts, "arrived_at": self.arrived_at}


def window_start(timestamp: int) -> int:
    """The start of the base window, in seconds, of an event time in microseconds.

    >>> window_start(1_700_000_123_000_000)
    1700000100
    """
    seconds = timestamp // 1_000_000
    return seconds - seconds % BASE_WINDOW_SECONDS


def window_starts(timestamps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The `window_start` of each event time, shape as given."""
    seconds = timestamps // MICROS_PER_SECOND
    return seconds - seconds % BASE_WINDOW_SECONDS


class _Kept(Protocol):
    @property
    def counts(self) -> Counts: ...

    def __add__(self, other: Self) -> Self: ...

    @classmethod
    def of_row(cls, row: Any) -> Self: ...

    def columns(self, *, is_rewritten: bool = False) -> dict[str, Any]: ...


S = TypeVar("S", bound=_Kept)


@dataclass(frozen=True, slots=True)
class SlotTable(Generic[S]):
    """The table that slots of a kind are kept in."""

    table: Table
    kind: type[S]

    def read(
        self, connection: Connection, writer: str, keys: list[SlotKey], window_len: int = BASE_WINDOW_SECONDS
    ) -> dict[SlotKey, S]:
        """The slots of these keys; a key without a slot is left out."""
        by_model: dict[str, list[SlotKey]] = {}
        for key in keys:
            by_model.setdefault(key.model, []).append(key)
        found: dict[SlotKey, S] = {}
        for model, of_model in sorted(by_model.items()):
            for start in range(0, len(of_model), KEYS_PER_QUERY):
                some = of_model[start : start + KEYS_PER_QUERY]
                found.update(self._some(connection, writer, model, some, window_len))
        return found

    def _some(
        self, connection: Connection, writer: str, model: str, keys: list[SlotKey], window_len: int
    ) -> dict[SlotKey, S]:
        table = self.table
        columns = [table.c[name] for name in SlotKey._fields]
        rows = connection.execute(
            select(table).where(
                # What the primary key begins with: by a list of whole keys SQLite would read all slots of the writer.
                table.c.model == model,
                table.c.window_start.in_(sorted({key.window_start for key in keys})),
                table.c.window_len == window_len,
                tuple_(*columns).in_(keys),
                table.c.writer == writer,
            )
        )
        return {key_of(row): self.kind.of_row(row) for row in rows}


PROFILES: SlotTable[Slot] = SlotTable(tables.profile, Slot)
OUTCOMES: SlotTable[OutcomeSlot] = SlotTable(tables.outcome, OutcomeSlot)


def key_of(row: Any) -> SlotKey:
    """The key of a row of either table."""
    return SlotKey(row.model, row.generation, row.version, row.environment, row.window_start, row.segment)


def with_pace(slot: S, windows: Sequence[BaseWindow] | None) -> S:
    """The slot of a rolled-up window that these base windows became."""
    return replace(slot, pace=encode_pace(windows)) if windows and isinstance(slot, Slot) else slot


class SlotCache(Generic[S]):
    """The slots that this writer has committed, as many as fit in memory; the others are read back when needed.

    Nobody else writes them, so a key that is neither here nor among those that had to go has no slot, and is not asked
    for: a commit of thousands of new models would ask thousands of times.
    """

    def __init__(self, kept_in: SlotTable[S], max_bytes: int = MAX_CACHED_BYTES) -> None:
        self._kept_in = kept_in
        self._slots: OrderedDict[SlotKey, S] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes
        # By their hashes; None: too many of them, any may have been evicted.
        self._evicted: set[int] | None = set()

    def clear(self) -> None:
        """Begins with a writer that has written nothing."""
        self._slots.clear()
        self._bytes = 0
        self._evicted = set()

    def get(self, connection: Connection, writer: str, keys: Iterable[SlotKey]) -> dict[SlotKey, S]:
        """The slots of these keys; a key without a slot yet is left out."""
        found: dict[SlotKey, S] = {}
        missing: list[SlotKey] = []
        for key in keys:
            slot = self._slots.get(key)
            if slot is not None:
                found[key] = slot
            elif self._evicted is None or hash(key) in self._evicted:
                missing.append(key)
        found.update(self._kept_in.read(connection, writer, missing))
        return found

    def put(self, committed: Mapping[SlotKey, S]) -> None:
        """Takes over what a commit has made true."""
        for key, slot in committed.items():
            previous = self._slots.pop(key, None)
            if previous is not None:
                self._bytes -= previous.counts.nbytes + SLOT_OVERHEAD_BYTES
            self._slots[key] = slot
            self._bytes += slot.counts.nbytes + SLOT_OVERHEAD_BYTES
        while self._bytes > self._max_bytes and self._slots:
            key, oldest = self._slots.popitem(last=False)
            self._bytes -= oldest.counts.nbytes + SLOT_OVERHEAD_BYTES
            if self._evicted is not None:
                self._evicted.add(hash(key))
                if len(self._evicted) > MAX_EVICTED:
                    self._evicted = None


def save(
    connection: Connection,
    upsert: ManyRows,
    writer: str,
    slots: Mapping[SlotKey, S],
    window_len: int = BASE_WINDOW_SECONDS,
    *,
    is_rewritten: bool = False,
) -> None:
    """Replaces the writer's state of these windows.

    upsert: of `store.upsert` of the slots' table. is_rewritten: whether they are written again and again until they are
    folded.
    """
    rows: list[dict[str, Any]] = [
        {**key._asdict(), "window_len": window_len, "writer": writer, **slot.columns(is_rewritten=is_rewritten)}
        for key, slot in sorted(slots.items(), key=lambda item: item[0])
    ]
    upsert.run(connection, rows)
