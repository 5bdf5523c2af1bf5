"""The bounded queue between the requests and the one thread that stores what they bring."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelwatch.errors import QueueFull, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.storage import LabelStatus

AGAIN = "Send the same again after the pause in Retry-After."


@dataclass(frozen=True, slots=True)
class Answer:
    """Which events were new (None: too old), and what became of each label."""

    accepted: list[bool | None]
    labels: list[LabelStatus]


@dataclass(slots=True, eq=False)
class Job:
    """What one request brings. count: its events and labels together. size: bytes of its body.

    deadline: of the monotonic clock; no transaction begins for it after that.
    """

    events: Sequence[Prediction]
    labels: Sequence[GroundTruth]
    count: int
    size: int
    deadline: float
    answer: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop


class JobQueue:
    """Jobs in their order. What was taken keeps its room until it is released. Safe to use from several threads."""

    def __init__(self, max_events: int, max_bytes: int, depth: Callable[[int], None]) -> None:
        """depth: is told how many events and labels wait or are being stored."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._depth = depth
        self._jobs: deque[Job] = deque()
        self._events = 0
        self._bytes = 0
        self._wake = threading.Condition()
        self._closing = False

    @property
    def closing(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._closing

    def put(self, job: Job) -> None:
        """Raises QueueFull when it doesn't fit, and StoreUnavailable when the queue is closing."""
        with self._wake:
            if self._closing:
                raise StoreUnavailable("The service is shutting down.", retry_after=5)
            self._check_room(job.count, job.size)
            self._jobs.append(job)
            self._events += job.count
            self._bytes += job.size
            if len(self._jobs) == 1:
                self._wake.notify()

    def withdraw(self, job: Job) -> bool:
        """Takes back a job that nobody has taken; False when somebody has."""
        with self._wake:
            try:
                # Those that expire are the ones that came first: it stands at the front.
                self._jobs.remove(job)
            except ValueError:
                return False
        self.release([job])
        return True

    def wait(self) -> bool:
        """Returns when there is a job; False when there will be none any more."""
        with self._wake:
            while not self._jobs and not self._closing:
                self._wake.wait()
            return bool(self._jobs)

    def take(self, most: int) -> list[Job]:
        """The next jobs with at most so many events and labels together, or one that has more; none when none wait."""
        with self._wake:
            self._depth(self._events)
            jobs: list[Job] = []
            size = 0
            while self._jobs and (not jobs or size + self._jobs[0].count <= most):
                job = self._jobs.popleft()
                size += job.count
                jobs.append(job)
            return jobs

    def release(self, jobs: Sequence[Job]) -> None:
        """Makes room for others."""
        with self._wake:
            self._events -= sum(job.count for job in jobs)
            self._bytes -= sum(job.size for job in jobs)
            self._depth(self._events)

    def close(self) -> None:
        """Takes nothing in any more; what waits can still be taken."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _check_room(self, events: int, size: int) -> None:
        """An empty queue takes anything that the limits of a request let through."""
        if not self._events:
            return
        if self._events + events > self._max_events:
            raise QueueFull(
                f"{self._events} predictions and labels wait to be stored, and MAX_BUFFER_SIZE is {self._max_events}."
                f" {AGAIN}"
            )
        if self._bytes + size > self._max_bytes:
            raise QueueFull(
                f"{self._bytes} bytes of predictions and labels wait to be stored, and MAX_BUFFER_BYTES is"
                f" {self._max_bytes}. {AGAIN}"
            )
