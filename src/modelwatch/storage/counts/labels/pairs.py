"""Labelled predictions by their window, remembered for as long as the counts of the window are what they were.

A history that is evaluated afterwards asks at each of its moments what labels from after it have added. These are
nearly the same predictions and labels each time, so each window's are read once.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from modelwatch.stats.outcomes.outcome_layout import Outcomes
from modelwatch.stats.performance.mergeable import Entries
from modelwatch.storage.counts.sliding import Span, Stretched
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.counting import PREDICTION_COLUMNS, LabelledPrediction
from modelwatch.storage.ledger.predictions.pages import ROWS_PER_READ
from modelwatch.storage.ledger.predictions.rows import decode_scalar
from modelwatch.storage.references.layouts import ModelLayouts
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

MAX_PAIR_BYTES = 16 * 1024 * 1024
OVERHEAD_BYTES = 512

Key = tuple[StreamKey, str, Span]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class WindowPairs:
    """Additions of a window's labelled predictions to its counts.

    known_at: shape (pairs,), when each label became known first, in microseconds, ascending. rows, places, amounts:
    shape (entries,), of which pair, ascending, at which place of the counts, and how much.
    """

    known_at: Integers
    rows: Integers
    places: Integers
    amounts: Integers

    def after(self, moment: int) -> tuple[Integers, Integers] | None:
        """Places and amounts of what labels first known after a moment (microseconds) add; None where there are
        none."""
        first = int(self.known_at.searchsorted(moment, side="right"))
        if first == len(self.known_at):
            return None
        start = int(self.rows.searchsorted(first))
        return self.places[start:], self.amounts[start:]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        arrays = (self.known_at, self.rows, self.places, self.amounts)
        return OVERHEAD_BYTES + sum(each.nbytes for each in arrays)


class _Remembered:
    """Pairs by window, with the state of the counts that they belong to; those used longest ago go first."""

    def __init__(self) -> None:
        self._found: OrderedDict[Key, tuple[bytes, WindowPairs]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: Key, state: bytes) -> WindowPairs | None:
        with self._lock:
            found = self._found.get(key)
            if found is None or found[0] != state:
                return None
            self._found.move_to_end(key)
            return found[1]

    def put(self, key: Key, state: bytes, pairs: WindowPairs) -> None:
        with self._lock:
            before = self._found.pop(key, None)
            self._bytes += pairs.nbytes - (0 if before is None else before[1].nbytes)
            self._found[key] = (state, pairs)
            while self._bytes > MAX_PAIR_BYTES:
                _, (_, oldest) = self._found.popitem(last=False)
                self._bytes -= oldest.nbytes


_of_store: WeakKeyDictionary[Store, _Remembered] = WeakKeyDictionary()


def pairs_of_windows(
    connection: Connection, store: Store, stream: StreamKey, layouts: ModelLayouts, stretch: Span, after: int
) -> dict[Span, WindowPairs]:
    """The labelled predictions of the stream's windows in a stretch, [start, end) in seconds, that hold a label from
    after a moment, in microseconds; by window. Days whose predictions have expired are not left out here."""
    states = _states(connection, stream, layouts, stretch, after)
    remembered = _of_store.setdefault(store, _Remembered())
    layout = layouts.of(stream.version).outcome
    found, missing = dict[Span, WindowPairs](), list[Span]()
    for window, state in states.items():
        pairs = remembered.get((stream, layout.id, window), state)
        if pairs is None:
            missing.append(window)
        else:
            found[window] = pairs
    for window, pairs in _read(connection, stream, layouts, missing).items():
        remembered.put((stream, layout.id, window), states[window], pairs)
        found[window] = pairs
    return found


class _State(NamedTuple):
    """State of a window's counts of outcomes: the time of its newest label, in microseconds, and a digest."""

    newest: int
    digest: bytes


def _states(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, stretch: Span, after: int
) -> dict[Span, bytes]:
    """By window with a label from after then, a digest of its counts by every writer: any label changes it."""
    known = remembered(connection, (_states, stream, layouts.outcome_generation), Stretched[Span, _State])
    known.extend(stretch, lambda missing: _read_states(connection, stream, layouts, missing))
    return {
        window: state.digest
        for window, state in known.found.items()
        if stretch[0] <= window[0] < stretch[1] and state.newest > after
    }


def _read_states(connection: Connection, stream: StreamKey, layouts: ModelLayouts, stretch: Span) -> dict[Span, _State]:
    table = tables.outcome
    rows = connection.execute(
        select(
            table.c.window_start,
            table.c.window_len,
            table.c.latest_ts,
            table.c.arrived_at,
            table.c.writer,
            table.c.counts,
        )
        .where(
            table.c.model == stream.model,
            table.c.environment == stream.environment,
            table.c.version == stream.version,
            table.c.segment == "",
            table.c.generation == layouts.outcome_generation,
            table.c.window_start >= stretch[0],
            table.c.window_start < stretch[1],
        )
        .order_by(table.c.window_start, table.c.writer)
    )
    digests: dict[Span, Any] = {}
    newest: dict[Span, int] = {}
    for start, length, latest, arrived, writer, counts in rows:
        window = (start, start + length)
        digest = digests.setdefault(window, blake2b(digest_size=16))
        digest.update(f"{latest} {arrived} {writer} {len(counts)} ".encode())
        digest.update(counts)
        newest[window] = max(latest, newest.get(window, latest))
    return {window: _State(newest[window], digest.digest()) for window, digest in digests.items()}


def _read(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, windows: Sequence[Span]
) -> dict[Span, WindowPairs]:
    if not windows:
        return {}
    ordered = sorted(windows)
    starts = [start for start, _ in ordered]
    outcomes, known_at, of_window = Outcomes(), list[int](), list[int]()
    for row in _rows(connection, stream, (starts[0], max(end for _, end in ordered))):
        place = bisect_right(starts, row.ts // MICROS_PER_SECOND) - 1
        if place < 0 or row.ts >= ordered[place][1] * MICROS_PER_SECOND:
            continue
        labelled = LabelledPrediction.from_row(row)
        delay = (row.first_ts - row.ts) / MICROS_PER_SECOND if row.first_ts > row.ts else 0.0
        outcomes.add(labelled.prediction, labelled.probability, decode_scalar(row.value), delay)
        known_at.append(row.first_ts)
        of_window.append(place)
    entries = layouts.of(stream.version).outcome.entries(outcomes)
    return _divided(ordered, entries, np.array(known_at, dtype=np.int64), np.array(of_window, dtype=np.int64))


def _divided(
    windows: Sequence[Span], entries: Entries, known_at: Integers, of_window: Integers
) -> dict[Span, WindowPairs]:
    """The pairs of each window, in the order in which their labels became known."""
    order = np.lexsort((known_at, of_window))
    ends = np.searchsorted(of_window[order], np.arange(len(windows) + 1))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks = rank[entries.rows]
    by_rank = np.argsort(ranks, kind="stable")
    sorted_ranks = ranks[by_rank]
    cuts = np.searchsorted(sorted_ranks, ends)
    found = {}
    for place, window in enumerate(windows):
        some = by_rank[cuts[place] : cuts[place + 1]]
        found[window] = WindowPairs(
            known_at[order[ends[place] : ends[place + 1]]],
            ranks[some] - ends[place],
            np.asarray(entries.places[some], dtype=np.int64),
            entries.amounts[some],
        )
    return found


def _rows(connection: Connection, stream: StreamKey, stretch: Span) -> Iterable[Any]:
    label, prediction = tables.label, tables.prediction
    pair = (label.c.model == prediction.c.model) & (label.c.prediction_id == prediction.c.prediction_id)
    for day in range(stretch[0] // SECONDS_PER_DAY, (stretch[1] - 1) // SECONDS_PER_DAY + 1):
        rows = connection.execute(
            select(*PREDICTION_COLUMNS, label.c.value, label.c.first_ts)
            .join(label, pair)
            .where(
                prediction.c.day == day,
                prediction.c.model == stream.model,
                prediction.c.version == stream.version,
                prediction.c.environment == stream.environment,
                prediction.c.ts >= stretch[0] * MICROS_PER_SECOND,
                prediction.c.ts < stretch[1] * MICROS_PER_SECOND,
                label.c.applied_at.is_not(None),
            )
        )
        for some in rows.partitions(ROWS_PER_READ):
            yield from some
