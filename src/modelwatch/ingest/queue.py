"""The bounded queue between the requests and the one thread that stores what they bring."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from modelwatch.batches import PredictionBatch
from modelwatch.errors import QueueFull, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.storage.ledger.labels import LabelStatus

AGAIN = "Send the same again after the pause in Retry-After."
MAX_EVENTS_PER_COMMIT = 2_000
# A model takes longer than an event: it is registered, held, and has windows of its own.
MAX_MODELS_PER_COMMIT = 250
# What a commit writes is in memory several times: as events, as rows, and as the driver's parameters. Of bodies.
MAX_BYTES_PER_COMMIT = 8 * 1024 * 1024
# From so many on, none waits for more of them; nor where there is a commit full of events, or bytes.
ENOUGH_JOBS = 100
# What is tried of a request on its own, row by row, before the rest of it is refused as a whole.
MAX_REFUSED_ROWS = 20


@dataclass(frozen=True, slots=True)
class Refused:
    """The reason why the store did not take one event or label of a request, while it took others."""

    message: str


@dataclass(slots=True)
class Answer:
    """The outcome of a job: which events were new (None: too old), and the status of each label."""

    accepted: list[bool | Refused | None]
    labels: list[LabelStatus | Refused]

    @property
    def count(self) -> int:
        """The number of its events and labels."""
        return len(self.accepted) + len(self.labels)

    @property
    def refused(self) -> bool:
        """True when the store took none of them."""
        rows = (*self.accepted, *self.labels)
        return isinstance(rows[0], Refused) and all(isinstance(each, Refused) for each in rows)

    def extend(self, other: Answer) -> None:
        """Adds the outcome of those that follow."""
        self.accepted.extend(other.accepted)
        self.labels.extend(other.labels)


class Waiting(Protocol):
    """Receiver of the outcome of a job, in an event loop; a future is one."""

    def done(self) -> bool:
        """True when it takes no outcome any more."""
        ...

    def set_result(self, result: Answer, /) -> None: ...

    def set_exception(self, exception: Exception, /) -> None: ...


# Without a text of its content: the error of a queue that does not have it would hold one, which takes seconds.
@dataclass(slots=True, eq=False, repr=False)
class Job:
    """The content of one request: events or labels, `count` of them, of so many models. size: bytes of its body.

    deadline: of the monotonic clock; no transaction begins for it after that. deadlines: those of its loop. first: the
    outcome of the first parts of a large one. whole: the job that this one is a part of. tries: how many more rows of a
    whole one are tried on their own.
    """

    events: Sequence[Prediction]
    labels: Sequence[GroundTruth]
    count: int
    models: int
    size: int
    deadline: float
    answer: Waiting
    deadlines: Deadlines
    first: Answer | None = None
    whole: Job | None = None
    tries: int = MAX_REFUSED_ROWS

    @property
    def known(self) -> int:
        """The number of its rows whose outcome is known."""
        return 0 if self.first is None else self.first.count

    @property
    def is_large(self) -> bool:
        """True when it needs more than one commit."""
        return self.count > 1 and (self.count > self.rows_per_commit or self.models > MAX_MODELS_PER_COMMIT)

    @property
    def rows_per_commit(self) -> int:
        """The number of its rows that one commit takes."""
        return max(1, min(MAX_EVENTS_PER_COMMIT, MAX_BYTES_PER_COMMIT * self.count // max(self.size, 1)))

    def part(self, start: int, stop: int) -> Job:
        """Part of its events or labels, as a job that is not in the queue."""
        events, labels, whole = self.events[start:stop], self.labels[start:stop], self.whole or self
        return replace(self, events=events, labels=labels, count=stop - start, models=1, first=None, whole=whole)

    def next_part(self) -> Job:
        """The part for one commit, of those whose outcome is not known yet."""
        start = self.known
        stop = min(start + self.rows_per_commit, self.count)
        if self.models > MAX_MODELS_PER_COMMIT:
            models: set[str] = set()
            for place, model in enumerate(model_names(self.events or self.labels)[start:stop], start):
                models.add(model)
                if len(models) > MAX_MODELS_PER_COMMIT:
                    return self.part(start, place)
        return self.part(start, stop)


def model_names(rows: Sequence[Prediction] | Sequence[GroundTruth]) -> Sequence[str]:
    """The model of each row."""
    return rows.model_names() if isinstance(rows, PredictionBatch) else [row.model_name for row in rows]


class JobQueue:
    """Jobs in their order. What was taken keeps its room until it is released. Safe to use from several threads."""

    def __init__(self, max_events: int, max_bytes: int, depth: Callable[[int], None]) -> None:
        """depth: called with the number of events and labels that wait or are being stored."""
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._depth = depth
        self._jobs: deque[Job] = deque()
        self._events = 0
        self._bytes = 0
        # Itself, where no thread waits or is woken: the methods of a condition around it are Python.
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        # Whether what waits may be taken.
        self._ready = False
        self._closing = False

    @property
    def waiting(self) -> int:
        """Number of jobs that wait to be taken."""
        return len(self._jobs)

    @property
    def closing(self) -> bool:
        """True when nothing is taken in any more."""
        return self._closing

    def put(self, job: Job) -> None:
        """Takes in a job, to be taken after the next `go_on`. Raises QueueFull when it doesn't fit, and
        StoreUnavailable when the queue is closing."""
        with self._lock:
            if self._closing:
                raise StoreUnavailable("The service is shutting down.", retry_after=5)
            self._check_room(job.count, job.size)
            self._jobs.append(job)
            self._events += job.count
            self._bytes += job.size

    def withdraw(self, job: Job) -> bool:
        """Withdraws a job that was not taken yet; False when it was."""
        with self._lock:
            try:
                # Those that expire are the ones that came first: it stands at the front.
                self._jobs.remove(job)
            except ValueError:
                return False
        self.release([job])
        return True

    @property
    def has_enough(self) -> bool:
        """True when what waits needs no companions."""
        full = self._events >= MAX_EVENTS_PER_COMMIT or self._bytes >= MAX_BYTES_PER_COMMIT
        return full or len(self._jobs) >= ENOUGH_JOBS

    def hold(self) -> None:
        """Lets what waits go on waiting until `go_on`, unless it is enough. For the thread that takes it."""
        self._ready = self.has_enough

    def go_on(self) -> None:
        """Lets what waits be taken."""
        with self._wake:
            if self._jobs:
                self._ready = True
                self._wake.notify()

    def wait(self) -> bool:
        """Returns when there are jobs to take; False when there will be none any more."""
        with self._wake:
            while not (self._ready and self._jobs) and not self._closing:
                self._wake.wait()
            self._ready = False
            return bool(self._jobs)

    def take(self) -> list[Job]:
        """The next jobs that fit into one commit together, or a large one; none when none wait."""
        with self._lock:
            self._depth(self._events)
            jobs: list[Job] = []
            count = models = size = 0
            while self._jobs:
                job = self._jobs[0]
                count, models, size = count + job.count, models + job.models, size + job.size
                full = count > MAX_EVENTS_PER_COMMIT or models > MAX_MODELS_PER_COMMIT or size > MAX_BYTES_PER_COMMIT
                if jobs and (full or job.is_large):
                    break
                jobs.append(self._jobs.popleft())
            return jobs

    def put_back(self, job: Job) -> None:
        """Puts a large job behind all others, to be taken in its turn. It keeps its room."""
        with self._lock:
            self._jobs.append(job)
            self._ready = True

    def release(self, jobs: Sequence[Job]) -> None:
        """Makes room for others."""
        with self._lock:
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
                f"{self._events} predictions and labels are waiting to be stored, and MAX_BUFFER_SIZE is"
                f" {self._max_events}."
                f" {AGAIN}"
            )
        if self._bytes + size > self._max_bytes:
            raise QueueFull(
                f"{self._bytes} bytes of predictions and labels are waiting to be stored, and MAX_BUFFER_BYTES is"
                f" {self._max_bytes}. {AGAIN}"
            )


class Deadlines:
    """The jobs that wait in an event loop. All may wait as long, so one timer looks at the first of them.

    expire: called with each job whose deadline has passed. Everything but `loop` is for that loop alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[Job], None]) -> None:
        self.loop = loop
        self._expire = expire
        self._jobs: dict[Job, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        # Whether the loop is reading what belongs into the next commit.
        self.gathering = False

    def add(self, job: Job) -> None:
        """Waits for the deadline of a job, which is not before that of any other here."""
        self._jobs[job] = None
        if self._timer is None:
            self._look_again(job)

    def remove(self, job: Job) -> None:
        """Forgets a job that has its answer."""
        self._jobs.pop(job, None)

    def _look(self) -> None:
        self._timer = None
        now = time.monotonic()
        while self._jobs:
            job = next(iter(self._jobs))
            if job.deadline > now:
                self._look_again(job)
                return
            del self._jobs[job]
            self._expire(job)

    def _look_again(self, first: Job) -> None:
        self._timer = self.loop.call_later(max(0.0, first.deadline - time.monotonic()), self._look)
