"""Queue in memory between the threads that log and the thread that sends: bounded, and never slower than a lock."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable, Deque, List, Mapping, NamedTuple

from modelwatch_client.rows import Outcome, Row, line_of
from modelwatch_client.sending.counts import Counts, Stats, Warnings
from modelwatch_client.values import Unsendable

WHEN_FULL = ("drop_oldest", "drop_newest", "block")


class Line(NamedTuple):
    """A row as it is sent."""

    is_outcome: bool
    text: bytes


class Limits(NamedTuple):
    """Bounds of the queue, and of a batch.

    rows: that may wait, those that are being sent included. when_full: one of WHEN_FULL. block_seconds: that logging
    waits at most when that is "block". batch_rows, batch_bytes: of a request. interval: seconds until one is sent that
    is not full.
    """

    rows: int
    when_full: str
    block_seconds: float
    batch_rows: int
    batch_bytes: int
    interval: float


class QueueState:
    """The lock, the counts, and the conditions that threads wait for; shared by the queues in memory and on disk.

    flushing: number of calls of `flush` that wait; while there are any, no batch waits to be filled.
    """

    def __init__(self, limits: Limits, warnings: Warnings) -> None:
        self.limits = limits
        self.warnings = warnings
        self.start_anew()

    def start_anew(self) -> None:
        """Forgets everything: for a new client, and for the child of a fork, whose parent sends what was queued."""
        lock = threading.Lock()
        self.sender_wakes = threading.Condition(lock)
        self.settled = threading.Condition(lock)
        self.lock = lock
        self.counts = Counts()
        self.flushing = 0
        self.is_closed = False
        self.deadline: float | None = None

    def stats(self) -> Stats:
        with self.lock:
            return self.counts.stats()

    def settle(self, sent: int = 0, duplicates: int = 0, rejected: int = 0, dropped: int = 0, logged: int = 0) -> None:
        """Counts rows whose fate is known; logged: those of them that are counted as logged only now."""
        with self.lock:
            self.counts.logged += logged
            self.counts.sent += sent
            self.counts.duplicates += duplicates
            self.counts.rejected += rejected
            self.counts.dropped += dropped
            self.settled.notify_all()

    def failed_once(self, error: str, *, retried: bool) -> None:
        """Keeps the error of a request."""
        with self.lock:
            self.counts.last_error = error
            self.counts.retries += retried

    def flush(self, seconds: float | None) -> bool:
        """Waits until what has been logged up to now is settled. False when it was not, in time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with self.lock:
            goal = self.counts.logged + self.counts.recovered
            self.flushing += 1
            self.sender_wakes.notify_all()
            try:
                while goal > self.counts.logged + self.counts.recovered - self.counts.pending:
                    left = None if deadline is None else deadline - time.monotonic()
                    if left is not None and left <= 0:
                        return False
                    self.settled.wait(left)
                return True
            finally:
                self.flushing -= 1

    def close(self, seconds: float) -> None:
        """Lets the sender go on for so long, then no longer."""
        with self.lock:
            self.is_closed = True
            self.deadline = time.monotonic() + seconds
            self.sender_wakes.notify_all()

    def pause(self, seconds: float) -> bool:
        """The sender waits before it tries again. False when the client is closed and its time is over."""
        until = time.monotonic() + seconds
        with self.lock:
            while True:
                now = time.monotonic()
                if self.deadline is not None and now >= self.deadline:
                    return False
                end = until if self.deadline is None else min(until, self.deadline)
                if now >= until:
                    return True
                self.sender_wakes.wait(max(0.0, end - now))

    def wait_for_rows(self, count: Callable[[], int]) -> bool:
        """The sender waits, under the lock, until a batch is full or due. False when the client is closed and empty."""
        while count() == 0:
            if self.is_closed:
                return False
            self.sender_wakes.wait()
        due = time.monotonic() + self.limits.interval
        while count() < self.limits.batch_rows and not self.flushing and not self.is_closed:
            left = due - time.monotonic()
            if left <= 0:
                break
            self.sender_wakes.wait(left)
        return True


class MemoryQueue:
    """Rows wait as they were logged; the sender's thread encodes them."""

    keeps_what_is_not_sent = False

    def __init__(self, state: QueueState, query: Mapping[str, str]) -> None:
        self.state = state
        self.query = query
        self._rows: Deque[Row] = deque()
        self._rest: Deque[Line] = deque()

    def start_anew(self) -> None:
        self.state.start_anew()
        self._rows, self._rest = deque(), deque()

    def put(self, row: Row) -> bool:
        """Adds a row. False when it was dropped: of a full queue the oldest or the newest is, or the caller waits."""
        state = self.state
        dropped = 0
        with state.lock:
            counts, limits = state.counts, state.limits
            counts.logged += 1
            if counts.pending > limits.rows or state.is_closed:
                dropped = self._make_room()
            if dropped != 2:
                self._rows.append(row)
                if len(self._rows) in (1, limits.batch_rows):
                    state.sender_wakes.notify()
        if dropped:
            why = "the queue is full" if not state.is_closed else "the client is closed"
            state.warnings.rows("dropped", 1, f"{why} ({state.limits.rows:,} rows wait)")
        return dropped != 2

    def _make_room(self) -> int:
        """Under the lock. 0: there is room now, 1: an older row was dropped, 2: the new one is."""
        state = self.state
        if state.limits.when_full == "block" and not state.is_closed:
            deadline = time.monotonic() + state.limits.block_seconds
            while state.counts.pending > state.limits.rows and not state.is_closed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                state.settled.wait(left)
            else:
                if not state.is_closed:
                    return 0
        state.counts.dropped += 1
        if state.limits.when_full == "drop_oldest" and self._rows and not state.is_closed:
            self._rows.popleft()
            return 1
        return 2

    def take(self) -> List[Line] | None:
        """The next batch; waits for it. None when the client is closed and nothing is left."""
        state, limits = self.state, self.state.limits
        with state.lock:
            if not self._rest and not state.wait_for_rows(lambda: len(self._rows)):
                return None
            count = min(len(self._rows), limits.batch_rows - len(self._rest))
            rows = [self._rows.popleft() for _ in range(max(0, count))]
        self._rest.extend(self._encoded(rows))
        return first_of(self._rest, limits)

    def _encoded(self, rows: List[Row]) -> List[Line]:
        lines = []
        for row in rows:
            try:
                lines.append(Line(isinstance(row, Outcome), line_of(row, self.state.warnings.unsendable)))
            except Exception as problem:  # noqa: BLE001 (an object of the caller may raise anything; the others are sent)
                reject_unsendable(self.state, problem)
        return lines

    def done(self, count: int) -> None:
        """The sender has settled so many rows of what it took last."""

    def abandon(self) -> int:
        """Rows that are still here when the client has been closed, which are dropped."""
        with self.state.lock:
            count = len(self._rows) + len(self._rest)
            self._rows.clear()
            self._rest.clear()
        return count


def reject_unsendable(state: QueueState, problem: Exception, logged: int = 0) -> None:
    """Counts a row that can't be encoded as rejected, with the reason. logged: 1 if it is not counted as logged yet."""
    why = str(problem) if isinstance(problem, Unsendable) else f"{type(problem).__name__}: {problem}"
    state.failed_once(why, retried=False)
    state.settle(logged=logged, rejected=1)
    state.warnings.rows("rejected", 1, why)


def first_of(lines: Deque[Line], limits: Limits) -> List[Line]:
    """Takes a batch from the front: at least one line, at most the limits."""
    batch: List[Line] = []
    size = 0
    while lines and len(batch) < limits.batch_rows:
        size += len(lines[0].text) + 1
        if batch and size > limits.batch_bytes:
            break
        batch.append(lines.popleft())
    return batch
