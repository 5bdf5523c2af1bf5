"""A queue on disk: what was logged before the process is killed is sent after its next start, once.

Rows go into segments: files of a fixed size that are mapped into memory, so that logging copies bytes and makes no call
of the system; what was copied is the file's even when the process is killed in the same moment. A segment begins with
how far it has been sent, and is removed once all of it is. Each process locks its segments; those of a process that is
gone are taken over by the next one that uses the folder. A row that was sent, but not marked as sent, is sent again
with its id: the service counts it once.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Deque, Dict, List, Mapping

from modelwatch_client.rows import Outcome, Row, line_of
from modelwatch_client.sending.counts import logger
from modelwatch_client.sending.memory_queue import Line, QueueState, first_of, reject_unsendable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FSYNC = ("never", "batch", "always")
SEGMENT_BYTES = 8 * 1024 * 1024
MOST_BYTES = 256 * 1024 * 1024
SCAN_SECONDS = 30.0
_MAGIC = b"modelwatch 1 "
_HEAD = len(_MAGIC) + 17
_PREDICTION, _OUTCOME = b"P", b"L"


class SpoolFull(Exception):
    """The folder holds as many bytes as it may, or the disk is full."""


class Segment:
    """A file of rows.

    query: the model's name and the like. end: where its rows end. sent: up to where they are settled. taken: up to
    where they are read. All in bytes from the start of the file.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, size)
        self.size = size
        self.query: Dict[str, str] = {}
        self.end = self.sent = self.taken = 0

    @classmethod
    def create(cls, folder: Path, size: int, query: Mapping[str, str]) -> Segment:
        """A new file, locked before it has its name, so that no other process takes it for one left behind.

        Raises OSError when the disk is full.
        """
        path = folder / f"{uuid.uuid4().hex}.spool"
        hidden = path.with_suffix(".new")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(descriptor, size)
            segment = cls(path, descriptor, size)
            head = json.dumps(query).encode() + b"\n"
            segment.end = segment.taken = _HEAD + len(head)
            segment._map[_HEAD : segment.end] = head
            segment.mark_sent(segment.end)
            hidden.rename(path)
        except BaseException:
            os.close(descriptor)
            hidden.unlink()
            raise
        segment.query = dict(query)
        return segment

    @classmethod
    def take_over(cls, path: Path) -> Segment | None:
        """The segment of a process that is gone; None when it is in use, or none. Removes it when all of it is sent."""
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(descriptor).st_size
            if not size or not path.exists():
                raise ValueError("it is empty")
            segment = cls(path, descriptor, size)
        except (OSError, ValueError):
            os.close(descriptor)
            return None
        try:
            segment._read_head()
        except ValueError as problem:
            logger.warning("%s is left alone: %s", path, problem)
            segment.close()
            return None
        if segment.sent >= segment.end:
            segment.remove()
            return None
        return segment

    def _read_head(self) -> None:
        if self._map[: len(_MAGIC)] != _MAGIC:
            raise ValueError("it is no spool file")
        self.sent = int(self._map[len(_MAGIC) : _HEAD - 1])
        line_end = self._map.find(b"\n", _HEAD)
        self.query = {str(name): str(text) for name, text in json.loads(self._map[_HEAD:line_end]).items()}
        # A row that was being copied when the process was killed has no line break: it had not been logged.
        self.end = max(self._map.rfind(b"\n"), line_end) + 1
        self.taken = self.sent

    def has_room(self, count: int) -> bool:
        return self.end + count <= self.size

    def append(self, record: bytes) -> None:
        self._map[self.end : self.end + len(record)] = record
        self.end += len(record)

    def read(self, most: int) -> bytes:
        """Whole records from where reading stopped, about `most` bytes of them."""
        stop = self.end
        if stop - self.taken > most:
            stop = self._map.find(b"\n", self.taken + most, self.end) + 1
        found = self._map[self.taken : stop]
        self.taken = stop
        return found

    def mark_sent(self, place: int) -> None:
        self.sent = place
        self._map[:_HEAD] = _MAGIC + b"%016d\n" % place

    def count(self) -> int:
        """Rows that are not read yet."""
        return self._map[self.taken : self.end].count(b"\n")

    def sync(self) -> None:
        self._map.flush()

    def close(self) -> None:
        self._map.close()
        os.close(self._descriptor)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()


class SpoolQueue:
    """Rows wait in segments. When the folder is full the newest rows are dropped."""

    keeps_what_is_not_sent = True

    def __init__(
        self, state: QueueState, folder: Path, query: Mapping[str, str], *, most_bytes: int = MOST_BYTES, fsync: str
    ) -> None:
        if fcntl is None:
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

    @property
    def query(self) -> Mapping[str, str]:
        return self._segments[0].query

    def start_anew(self) -> None:
        """In the child of a fork: the files are the parent's."""
        for segment in self._segments:
            with contextlib.suppress(OSError, ValueError):
                segment.close()
        self._segments, self._lines, self._next_scan = deque(), deque(), 0.0
        self.state.start_anew()

    def put(self, row: Row) -> bool:
        """Copies the row into a file. False when it was rejected or dropped."""
        state = self.state
        try:
            record = (_OUTCOME if isinstance(row, Outcome) else _PREDICTION) + line_of(row, state.warnings.unsendable)
        except Exception as problem:  # noqa: BLE001 (an object of the caller may raise anything; its caller is not hurt)
            with state.lock:
                state.counts.logged += 1
            reject_unsendable(state, problem)
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
                if self._fsync == "always":
                    self._segments[-1].sync()
        if why:
            state.warnings.rows("dropped", 1, f"{self._folder}: {why}")
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
        found: List[Segment] = []
        for path in sorted(self._folder.glob("*.spool"), key=_age):
            if all(path != segment.path for segment in self._segments):
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
                self._segments[-1].sync()
        return first_of(self._lines, state.limits)

    def done(self, count: int) -> None:
        if not self._lines:
            with self.state.lock:
                self._segments[0].mark_sent(self._segments[0].taken)

    def abandon(self) -> int:
        """Leaves the files for the next process. Nothing is dropped."""
        with self.state.lock:
            while self._segments:
                segment = self._segments.popleft()
                if segment.sent >= segment.end:
                    segment.remove()
                else:
                    segment.close()
            self._lines.clear()
        return 0

    def _leave_finished(self) -> None:
        """Removes segments that are sent, up to the one with rows to read, and the newest, which is written to."""
        with self.state.lock:
            while len(self._segments) > 1 and self._segments[0].taken >= self._segments[0].end:
                self._segments.popleft().remove()


def _reserve(descriptor: int, size: int) -> None:
    """Gives the file its size on the disk, so that writing to its map can't fail later. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for _ in range(-(-size // (1 << 20))):
        os.write(descriptor, bytes(1 << 20))
    os.ftruncate(descriptor, size)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
