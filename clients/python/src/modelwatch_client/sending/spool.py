"""A queue on disk: what was logged before the process is killed is sent after its next start, once.

Rows go into segments: files of a fixed size that are mapped into memory, so that logging copies bytes and makes no call
of the system; what was copied is the file's even when the process is killed in the same moment. A segment begins with
how far it has been sent, and is removed once all of it is. Each process locks its segments; those of a process that is
gone are taken over by the next one that uses the folder. A row that was sent, but not marked as sent, is sent again
with its id: the service counts it once.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from pathlib import Path
from typing import Deque, List, Mapping

from modelwatch_client.rows import Outcome, Row, line_of
from modelwatch_client.sending.memory_queue import Line, QueueState, first_of, reject_unsendable
from modelwatch_client.sending.segments import HAS_LOCKS, Segment, remove_unfinished

FSYNC = ("never", "batch", "always")
SEGMENT_BYTES = 8 * 1024 * 1024
MOST_BYTES = 256 * 1024 * 1024
SCAN_SECONDS = 30.0
# Seconds between two syncs, at least.
SHORTEST_INTERVAL = 0.05
_PREDICTION, _OUTCOME = b"P", b"L"


class SpoolFull(Exception):
    """The folder holds as many bytes as it may, or the disk is full."""


class SpoolQueue:
    """Rows wait in segments. When the folder is full the newest rows are dropped."""

    keeps_what_is_not_sent = True

    def __init__(
        self, state: QueueState, folder: Path, query: Mapping[str, str], *, most_bytes: int = MOST_BYTES, fsync: str
    ) -> None:
        if not HAS_LOCKS:
            raise ValueError("spool_dir needs file locks (flock), which this system does not have")
        folder.mkdir(parents=True, exist_ok=True)
        self.state = state
        self._folder = folder
        self._own_query = dict(query)
        self._size = min(SEGMENT_BYTES, most_bytes)
        self._most = max(1, most_bytes // self._size)
        self._fsync = fsync
        self._segments: Deque[Segment] = deque()
        self._lines: Deque[Line] = deque()
        self._next_scan = 0.0
        self._syncing: threading.Event | None = None

    @property
    def query(self) -> Mapping[str, str]:
        return self._segments[0].query

    def start_anew(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for segment in self._segments:
            with contextlib.suppress(OSError, ValueError):
                segment.close()
        self._segments, self._lines, self._next_scan, self._syncing = deque(), deque(), 0.0, None
        self.state.start_anew()

    def put(self, row: Row) -> bool:
        """Copies the row into a file. False when it was rejected or dropped."""
        state = self.state
        try:
            record = (_OUTCOME if isinstance(row, Outcome) else _PREDICTION) + line_of(row, state.warnings.unsendable)
        except Exception as problem:  # noqa: BLE001 (an object of the caller may raise anything; its caller is not hurt)
            reject_unsendable(state, problem, logged=1)
            return False
        record += b"\n"
        with state.lock:
            state.counts.logged += 1
            try:
                if state.is_closed:
                    raise SpoolFull("the client is closed")
                self._writable(len(record)).append(record)
            except (SpoolFull, OSError) as problem:
                state.counts.dropped += 1
                why = str(problem)
            else:
                why = ""
                pending = state.counts.pending
                if pending in (1, state.limits.batch_rows):
                    state.sender_wakes.notify()
        if why:
            state.warnings.rows("dropped", 1, f"{self._folder}: {why}")
        elif self._fsync == "always":
            self.sync()
        return not why

    def _writable(self, count: int) -> Segment:
        """The newest segment, or a new one. Under the lock. Raises SpoolFull, OSError."""
        newest = self._segments[-1] if self._segments else None
        if newest is not None and newest.query == self._own_query and newest.has_room(count):
            return newest
        if len(self._segments) >= self._most:
            raise SpoolFull(f"{self._most * self._size:,} bytes wait")
        segment = Segment.create(self._folder, self._size, self._own_query)
        if not segment.has_room(count):
            segment.remove()
            raise SpoolFull(f"a row of {count:,} bytes is larger than a file")
        self._segments.append(segment)
        return segment

    def recover(self) -> int:
        """Takes over what ended processes have left in the folder. Returns how many rows that is."""
        self._next_scan = time.monotonic() + SCAN_SECONDS
        remove_unfinished(self._folder)
        with self.state.lock:
            known = {segment.path for segment in self._segments}
        found: List[Segment] = []
        for path in sorted(self._folder.glob("*.spool"), key=_age):
            if path not in known:
                segment = Segment.take_over(path)
                if segment is not None:
                    found.append(segment)
        count = sum(segment.count() for segment in found)
        with self.state.lock:
            self._segments.extendleft(reversed(found))
            self.state.counts.recovered += count
        return count

    def take(self) -> List[Line] | None:
        """The next batch, of one segment; waits for it. None when the client is closed and nothing is left."""
        state = self.state
        if self._fsync == "batch" and self._syncing is None:
            ended = threading.Event()
            threading.Thread(target=self._keep_synced, args=(ended,), name="modelwatch-sync", daemon=True).start()
            self._syncing = ended
        if not self._lines:
            if time.monotonic() >= self._next_scan:
                self.recover()
            self._leave_finished()
            with state.lock:
                if not state.wait_for_rows(lambda: state.counts.pending):
                    return None
            self._leave_finished()
            with state.lock:
                read = self._segments[0].read(state.limits.batch_bytes)
            self._lines.extend(Line(record[:1] == _OUTCOME, record[1:]) for record in read.split(b"\n") if record)
            if self._fsync == "batch":
                self.sync()
        return first_of(self._lines, state.limits)

    def done(self, count: int) -> None:
        if not self._lines:
            with self.state.lock:
                self._segments[0].mark_sent(self._segments[0].taken)

    def abandon(self) -> int:
        """Leaves the files for the next process. Nothing is dropped."""
        if self._syncing is not None:
            self._syncing.set()
        if self._fsync != "never":
            self.sync()
        with self.state.lock:
            while self._segments:
                segment = self._segments.popleft()
                if segment.sent >= segment.end:
                    segment.remove()
                else:
                    segment.close()
            self._lines.clear()
        return 0

    def sync(self) -> None:
        """Forces what was logged up to now to the disk. What hinders it is told, and it is tried again."""
        with self.state.lock:
            unsynced = [segment for segment in self._segments if segment.synced < segment.end]
        for segment in unsynced:
            try:
                segment.sync()
            except (OSError, ValueError) as problem:
                with self.state.lock:
                    is_gone = segment not in self._segments  # Sent and removed meanwhile.
                if not is_gone:
                    why = f"{segment.path} can't be forced to the disk: {problem}"
                    self.state.failed_once(why, retried=False)
                    self.state.warnings.problem(why)

    def _keep_synced(self, ended: threading.Event) -> None:
        """Syncs each interval, in a thread of its own: the sender may wait long for an answer, or to try again."""
        while not ended.wait(max(self.state.limits.interval, SHORTEST_INTERVAL)):
            self.sync()

    def _leave_finished(self) -> None:
        """Removes segments that are sent, up to the one with rows to read, and the newest, which is written to."""
        with self.state.lock:
            while len(self._segments) > 1 and self._segments[0].taken >= self._segments[0].end:
                self._segments.popleft().remove()


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
