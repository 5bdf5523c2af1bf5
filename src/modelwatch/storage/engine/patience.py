"""Reads of a store that may hang: a server that is paused, or cut off, neither answers nor closes the connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from modelwatch.errors import StoreUnavailable

T = TypeVar("T")


class Patience(Generic[T]):
    """Waits for work in a thread of its own, and not for ever. One that hangs is left, and nothing is begun beside it.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._hangs: threading.Thread | None = None

    def within(self, seconds: float, work: Callable[[], T]) -> T:
        """What the work returns, or raises. Raises StoreUnavailable when that, or the work before it, takes longer."""
        late = StoreUnavailable(f"The store did not answer within {seconds:g} s.")
        deadline = time.monotonic() + seconds
        if not self._turn.acquire(timeout=seconds):
            raise late
        try:
            if self._hangs is not None:
                self._hangs.join(max(deadline - time.monotonic(), 0.0))
                if self._hangs.is_alive():
                    raise late
                self._hangs = None
            done: Future[T] = Future()
            thread = threading.Thread(target=_finish, args=(done, work), name="modelwatch-read", daemon=True)
            thread.start()
            try:
                return done.result(max(deadline - time.monotonic(), 0.0))
            except TimeoutError:
                if done.done():
                    raise
                self._hangs = thread
                raise late from None
        finally:
            self._turn.release()


def _finish(done: Future[T], work: Callable[[], T]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the work is waited for
        done.set_exception(error)
