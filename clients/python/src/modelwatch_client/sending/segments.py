"""Segments of the spool directory: files of rows, each locked by the process that writes it."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import uuid
from pathlib import Path
from typing import Dict, Mapping

from modelwatch_client.sending.counts import warn
from modelwatch_client.sending.http import check_names

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HAS_LOCKS = fcntl is not None
_MAGIC = b"modelwatch 1 "
_HEAD = len(_MAGIC) + 17
# Until it is locked and has a head, a file has this suffix instead of that of a segment.
_UNFINISHED = ".new"
_OPEN = os.O_RDWR | getattr(os, "O_CLOEXEC", 0)


class Segment:
    """A file of rows.

    query: the model's name and the like. end: where its rows end. sent: up to where they are settled. taken: up to
    where they are read. synced: up to where they survive the machine. All in bytes from the start of the file.
    """

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, size)
        self.size = size
        self.query: Dict[str, str] = {}
        self.end = self.sent = self.taken = self.synced = 0

    @classmethod
    def create(cls, folder: Path, size: int, query: Mapping[str, str]) -> Segment:
        """A new file, locked before it has its name, so that no other process takes it for one left behind.

        Raises OSError when the disk is full.
        """
        path = folder / f"{uuid.uuid4().hex}.spool"
        hidden = path.with_suffix(_UNFINISHED)
        descriptor = os.open(hidden, _OPEN | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _reserve(descriptor, size)
            segment = cls(path, descriptor, size)
            head = json.dumps(query).encode() + b"\n"
            segment.end = segment.taken = _HEAD + len(head)
            segment._map[_HEAD : segment.end] = head
            segment.mark_sent(segment.end)
            hidden.rename(path)
        except (BlockingIOError, FileNotFoundError):
            # Another process came before the lock, and took the file for one left behind.
            os.close(descriptor)
            return cls.create(folder, size, query)
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
            descriptor = os.open(path, _OPEN)
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
            warn("%s is left alone: %s", path, problem)
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
        query = json.loads(self._map[_HEAD:line_end])
        if not isinstance(query, dict) or "model_name" not in query:
            raise ValueError("it names no model")
        self.query = {str(name): str(text) for name, text in query.items()}
        check_names(self.query)
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
        """Forces the rows up to now to the disk, and the file's name with the first of them. Raises OSError."""
        end = self.end
        if hasattr(os, "fdatasync"):  # Other threads go on meanwhile, which they don't while a map is flushed.
            os.fdatasync(self._descriptor)
        else:
            self._map.flush()
        if not self.synced:
            _sync_folder(self.path.parent)
        self.synced = end

    def close(self) -> None:
        self._map.close()
        os.close(self._descriptor)

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()


def remove_unfinished(folder: Path) -> None:
    """Removes what processes were about to make segments of when they were killed. Those of a living one are locked."""
    for path in folder.glob("[0-9a-f]" * 32 + _UNFINISHED):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, _OPEN)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as problem:
        if problem.errno not in (errno.EBADF, errno.EINVAL):  # That of a file system on which folders need no sync.
            raise
    finally:
        os.close(descriptor)


def _reserve(descriptor: int, size: int) -> None:
    """Gives the file its size on the disk, so that writing to its map can't fail later. Raises OSError."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    for _ in range(-(-size // (1 << 20))):
        os.write(descriptor, bytes(1 << 20))
    os.ftruncate(descriptor, size)
