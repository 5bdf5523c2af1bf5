"""Group commit: events of many requests become one transaction, and each request is answered after it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from modelwatch.errors import InvalidInput, ProtectionUnavailable, QueueFull, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.storage import Committed, LabelStatus, Ledger

MAX_EVENTS_PER_COMMIT = 2_000
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
AGAIN = "Send the same again after the pause in Retry-After."

log = logging.getLogger(__name__)


class IngestObserver(Protocol):
    """Is told what was committed: event counters live outside this layer."""

    def committed(self, events: Sequence[Prediction], outcome: Committed, seconds: float) -> None: ...

    def labelled(self, labels: Sequence[GroundTruth], statuses: Sequence[LabelStatus]) -> None: ...

    def queue_depth(self, events: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Answer:
    """Which events were new (None: too old), and what became of each label."""

    accepted: list[bool | None]
    labels: list[LabelStatus]


@dataclass(slots=True)
class _Job:
    events: Sequence[Prediction]
    labels: Sequence[GroundTruth]
    size: int
    answer: asyncio.Future[_Answer]
    loop: asyncio.AbstractEventLoop

    def __len__(self) -> int:
        return len(self.events) + len(self.labels)


class Batcher:
    """The bounded queue in front of the ledger, and the one thread that empties it."""

    def __init__(
        self,
        ledger: Ledger,
        observer: IngestObserver,
        *,
        max_events: int,
        max_bytes: int,
        linger_seconds: float,
        give_up_seconds: float = 10.0,
    ) -> None:
        self._ledger = ledger
        self._observer = observer
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._linger = linger_seconds
        self._give_up = give_up_seconds
        self._jobs: deque[_Job] = deque()
        self._queued = 0
        self._queued_bytes = 0
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="modelwatch-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writer thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Commits what is queued, answers it, and ends the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    async def submit(self, events: Sequence[Prediction], size: int) -> list[bool | None]:
        """Returns, once the events are durable, which of them were new; None: its day has expired, it was not taken.

        size: bytes of the body that they came in.
        Raises QueueFull when they don't fit in the queue and StoreUnavailable when the store can't take them; in both
        cases the same events may be sent again.
        """
        return (await self._submitted(events, (), size)).accepted

    async def submit_labels(self, labels: Sequence[GroundTruth], size: int) -> list[LabelStatus]:
        """Returns, once the labels are durable, what became of each. Raises as `submit`."""
        return (await self._submitted((), labels, size)).labels

    async def _submitted(self, events: Sequence[Prediction], labels: Sequence[GroundTruth], size: int) -> _Answer:
        loop = asyncio.get_running_loop()
        job = _Job(events, labels, size, loop.create_future(), loop)
        with self._wake:
            if self._closing:
                raise StoreUnavailable("The service is shutting down.", retry_after=5)
            self._check_room(len(job), size)
            self._jobs.append(job)
            self._queued += len(job)
            self._queued_bytes += size
            if len(self._jobs) == 1:
                self._wake.notify()
        return await job.answer

    def _check_room(self, events: int, size: int) -> None:
        """An empty queue takes anything that the limits of a request let through."""
        if not self._queued:
            return
        if self._queued + events > self._max_events:
            raise QueueFull(
                f"{self._queued} predictions and labels wait to be stored, and MAX_BUFFER_SIZE is {self._max_events}."
                f" {AGAIN}"
            )
        if self._queued_bytes + size > self._max_bytes:
            raise QueueFull(
                f"{self._queued_bytes} bytes of predictions and labels wait to be stored, and MAX_BUFFER_BYTES is"
                f" {self._max_bytes}. {AGAIN}"
            )

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._closing:
                    self._wake.wait()
                if not self._jobs:
                    return
                closing = self._closing
            if self._linger and not closing:
                time.sleep(self._linger)
            self._commit(self._take())

    def _take(self) -> list[_Job]:
        with self._wake:
            self._observer.queue_depth(self._queued)
            jobs = [self._jobs.popleft()]
            size = len(jobs[0])
            while self._jobs and size + len(self._jobs[0]) <= MAX_EVENTS_PER_COMMIT:
                job = self._jobs.popleft()
                size += len(job)
                jobs.append(job)
            return jobs

    def _commit(self, jobs: list[_Job]) -> None:
        outcomes: list[tuple[_Job, _Answer | Exception]]
        events = [event for job in jobs for event in job.events]
        labels = [label for job in jobs for label in job.labels]
        try:
            answer = self._with_patience(events, labels)
        except (DataError, IntegrityError, ProtectionUnavailable) as error:
            outcomes = [(job, self._alone(job, error if len(jobs) == 1 else None)) for job in jobs]
        except StoreUnavailable as error:
            outcomes = [(job, error) for job in jobs]
        except Exception as error:
            log.exception("A batch of %d predictions and labels could not be committed", len(events) + len(labels))
            outcomes = [(job, error) for job in jobs]
        else:
            accepted, statuses = iter(answer.accepted), iter(answer.labels)
            outcomes = [
                (job, _Answer(list(islice(accepted, len(job.events))), list(islice(statuses, len(job.labels)))))
                for job in jobs
            ]
        with self._wake:
            self._queued -= len(events) + len(labels)
            self._queued_bytes -= sum(job.size for job in jobs)
            self._observer.queue_depth(self._queued)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, _Answer | Exception]]] = {}
        for job, outcome in outcomes:
            by_loop.setdefault(job.loop, []).append((job, outcome))
        for loop, answers in by_loop.items():
            try:
                loop.call_soon_threadsafe(_answer, answers)
            except RuntimeError:
                log.warning("%d requests were stored after their event loop had closed", len(answers))

    def _alone(self, job: _Job, failed: Exception | None) -> _Answer | Exception:
        """Commits one request by itself, so that an event that the store refuses fails nobody else's."""
        if failed is None:
            try:
                return self._with_patience(job.events, job.labels)
            except (DataError, IntegrityError) as error:
                failed = error
            except (StoreUnavailable, ProtectionUnavailable) as error:
                return error
            except Exception as error:
                log.exception("A request of %d predictions and labels could not be committed", len(job))
                return error
        if isinstance(failed, ProtectionUnavailable):
            return failed
        log.error("The store refused a request of %d predictions and labels: %s", len(job), type(failed).__name__)
        return InvalidInput(f"The store refused these values: {type(failed).__name__}.")

    def _with_patience(self, events: Sequence[Prediction], labels: Sequence[GroundTruth]) -> _Answer:
        """Commits in pieces, trying again while the store is away, for as long as a client would wait."""
        if len(events) + len(labels) <= MAX_EVENTS_PER_COMMIT:
            return self._piece(events, labels)
        answer = _Answer([], [])
        for start in range(0, max(len(events), len(labels)), MAX_EVENTS_PER_COMMIT):
            end = start + MAX_EVENTS_PER_COMMIT
            piece = self._piece(events[start:end], labels[start:end])
            answer.accepted.extend(piece.accepted)
            answer.labels.extend(piece.labels)
        return answer

    def _piece(self, events: Sequence[Prediction], labels: Sequence[GroundTruth]) -> _Answer:
        began = time.monotonic()
        pause = FIRST_PAUSE_SECONDS
        while True:
            started = time.perf_counter()
            try:
                outcome = self._ledger.commit(events, labels)
            except (DataError, IntegrityError):
                raise
            except SQLAlchemyError as error:
                if self._closing or time.monotonic() - began + pause > self._give_up:
                    raise StoreUnavailable("The store could not take them in time.", 5) from error
                log.warning("Commit failed, trying again in %.2f s: %s", pause, str(error).splitlines()[0])
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._observer.committed(events, outcome, time.perf_counter() - started)
                if labels:
                    self._observer.labelled(labels, outcome.labels)
                return _Answer(outcome.accepted, outcome.labels)


def _answer(answers: list[tuple[_Job, _Answer | Exception]]) -> None:
    for job, outcome in answers:
        if job.answer.done():
            continue
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)
