"""Reads of a store that may hang: a server that is paused, or cut off, neither answers nor closes the connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from modelwatch.errors import StoreUnavailable

T = TypeVar("T")


class _Read(Generic[T]):
    """Work, and what it will return or raise."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.done: Future[T] = Future()
        self._work = work

    def run(self) -> None:
        try:
            self.done.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
            self.done.set_exception(error)


class Patience(Generic[T]):
    """Waits for a read in a thread of its own, not for ever. One that hangs is left, and nothing is begun beside it.

    All who come while a read runs wait for the same next one: what they get was read after they came, and none of them
    waits for more than two. Of a store that takes more than half of the time for one, they get no answer.
    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Read[T] | None = None
        self._next: _Read[T] | None = None

    def within(self, seconds: float, work: Callable[[], T]) -> T:
        """What the work, or that of another who waits, returns or raises. Raises StoreUnavailable when that, with the
        rest of the read before it, takes longer."""
        done = self._begun(work).done
        try:
            return done.result(seconds)
        except TimeoutError:
            # The work's own, or it has ended just now.
            if done.done():
                return done.result()
            raise StoreUnavailable(f"The store did not answer within {seconds:g} s.") from None

    def _begun(self, work: Callable[[], T]) -> _Read[T]:
        """The read that begins now, or that follows the one which runs."""
        with self._lock:
            if self._running is None:
                read = _Read(work)
                # Where no thread can be started, the next caller tries again.
                threading.Thread(target=self._run, args=(read,), name="modelwatch-read", daemon=True).start()
                self._running = read
                return read
            if self._next is None:
                self._next = _Read(work)
            return self._next

    def _run(self, read: _Read[T]) -> None:
        following: _Read[T] | None = read
        while following is not None:
            following.run()
            with self._lock:
                following = self._running = self._next
                self._next = None
