"""Labelled predictions by their window, remembered for as long as the counts of the window are what they were.

A history that is evaluated afterwards asks at each of its moments what labels from after it have added. These are
nearly the same predictions and labels each time, so each window's are read once.

A late label counts in a base window inside of one that was rolled up. A prediction does not tell in which of both its
label counts, so such windows are one here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, bindparam, select

from modelwatch.stats.outcomes.outcome_layout import Outcomes
from modelwatch.stats.performance.mergeable import Entries
from modelwatch.storage.counts.sliding import PAGE_SECONDS, Span, Stretched
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.caches import remembered
from modelwatch.storage.engine.models import StreamKey
from modelwatch.storage.engine.store import Store
from modelwatch.storage.ledger.predictions.pages import ROWS_PER_READ
from modelwatch.storage.ledger.predictions.rows import decode_probability, decode_scalar
from modelwatch.storage.references.layouts import ModelLayouts
from modelwatch.times import MICROS_PER_SECOND, SECONDS_PER_DAY

MAX_PAIR_BYTES = 16 * 1024 * 1024
OVERHEAD_BYTES = 512

Key = tuple[StreamKey, str, Span]
Integers = NDArray[np.int64]
NO_INTEGERS: Integers = np.zeros(0, dtype=np.int64)


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
    """The labelled predictions of the stream's windows that start in a stretch, [start, end) in seconds, and hold a
    label from after a moment, in microseconds; by window, overlapping ones as one. Days whose predictions have expired
    are not left out here."""
    states = _states(connection, stream, layouts, stretch, after)
    remembered = _of_store.setdefault(store, _Remembered())
    layout = layouts.of(stream.version).outcome
    found = {window: remembered.get((stream, layout.id, window), state) for window, state in states.items()}
    missing = [window for window, pairs in found.items() if pairs is None]
    asked = {window for window in states if window[0] < stretch[1]}
    if not asked.isdisjoint(missing):
        for window, pairs in _read(connection, stream, layouts, missing).items():
            remembered.put((stream, layout.id, window), states[window], pairs)
            found[window] = pairs
    return {window: pairs for window, pairs in found.items() if pairs is not None and window in asked}


class _State(NamedTuple):
    """State of a window's counts of outcomes: the time of its newest label, in microseconds, and a digest."""

    newest: int
    digest: bytes

    def with_inner(self, other: _State) -> _State:
        """The state of this window together with one that lies in it."""
        return _State(max(self.newest, other.newest), blake2b(self.digest + other.digest, digest_size=16).digest())


def _states(
    connection: Connection, stream: StreamKey, layouts: ModelLayouts, stretch: Span, after: int
) -> dict[Span, bytes]:
    """By window with a label from after then, a digest of its counts by every writer: any label changes it.

    With the windows of the next page where they are known: a history asks for them soon."""
    known = remembered(connection, (_states, stream, layouts.outcome_generation), Stretched[Span, _State])
    known.extend(stretch, lambda missing: _read_states(connection, stream, layouts, missing))
    end = stretch[1] + PAGE_SECONDS
    inside = {window: state for window, state in known.found.items() if stretch[0] <= window[0] < end}
    return {window: state.digest for window, state in _joined(inside).items() if state.newest > after}


def _joined(states: Mapping[Span, _State]) -> dict[Span, _State]:
    """The same with each rolled-up window and those inside of it as one.

    >>> states = {(300, 600): _State(5, b"b"), (0, 3_600): _State(2, b"a"), (3_600, 3_900): _State(3, b"c")}
    >>> {window: state.newest for window, state in _joined(states).items()}
    {(0, 3600): 5, (3600, 3900): 3}
    """
    found: dict[Span, _State] = {}
    outer: Span | None = None
    # Of those that start together, the longest first: windows lie inside of each other, or apart.
    for window in sorted(states, key=lambda each: (each[0], -each[1])):
        if outer is not None and window[0] < outer[1]:
            found[outer] = found[outer].with_inner(states[window])
        else:
            found[window], outer = states[window], window
    return found


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
    """The pairs of windows that do not overlap."""
    if not windows:
        return {}
    ordered = sorted(windows)
    starts, ends = (np.array(edges, dtype=np.int64) * MICROS_PER_SECOND for edges in zip(*ordered, strict=True))
    outcomes, known_at, of_window = Outcomes(), [NO_INTEGERS], [NO_INTEGERS]
    for some in _rows(connection, stream, (ordered[0][0], max(end for _, end in ordered))):
        times, first = (np.array(column, dtype=np.int64) for column in list(zip(*some, strict=True))[:2])
        places = starts.searchsorted(times, side="right") - 1
        inside = np.flatnonzero((places >= 0) & (times < ends[places]))
        known_at.append(first[inside])
        of_window.append(places[inside])
        outcomes.delays.extend((np.maximum(first - times, 0)[inside] / MICROS_PER_SECOND).tolist())
        for place in inside.tolist():
            _, _, predicted, probability, truth = some[place]
            outcomes.predictions.append(decode_scalar(predicted))
            outcomes.probabilities.append(None if probability is None else decode_probability(probability))
            outcomes.truths.append(decode_scalar(truth))
    entries = layouts.of(stream.version).outcome.entries(outcomes)
    return _divided(ordered, entries, np.concatenate(known_at), np.concatenate(of_window))


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


def _rows(connection: Connection, stream: StreamKey, stretch: Span) -> Iterator[Sequence[Any]]:
    """Labelled predictions of a stretch, some thousands at a time: their time, that from which their label was known,
    prediction, probability and label."""
    of_model = {"of_model": stream.model, "of_version": stream.version, "of_environment": stream.environment}
    times = {"since": stretch[0] * MICROS_PER_SECOND, "until": stretch[1] * MICROS_PER_SECOND}
    for day in range(stretch[0] // SECONDS_PER_DAY, (stretch[1] - 1) // SECONDS_PER_DAY + 1):
        yield from connection.execute(_LABELLED, {**of_model, **times, "of_day": day}).partitions(ROWS_PER_READ)


_LABELLED = (
    select(
        tables.prediction.c.ts,
        tables.label.c.first_ts,
        tables.prediction.c.prediction,
        tables.prediction.c.probability,
        tables.label.c.value,
    )
    .join(
        tables.label,
        (tables.label.c.model == tables.prediction.c.model)
        & (tables.label.c.prediction_id == tables.prediction.c.prediction_id),
    )
    .where(
        tables.prediction.c.day == bindparam("of_day"),
        tables.prediction.c.model == bindparam("of_model"),
        tables.prediction.c.version == bindparam("of_version"),
        tables.prediction.c.environment == bindparam("of_environment"),
        tables.prediction.c.ts >= bindparam("since"),
        tables.prediction.c.ts < bindparam("until"),
        tables.label.c.applied_at.is_not(None),
    )
)
