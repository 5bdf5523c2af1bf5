"""Group commit: events of many requests become one transaction, and each request is answered after it."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Protocol

from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from modelwatch.errors import InvalidInput, ProtectionUnavailable, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.ingest.queue import AGAIN, Answer, Job, JobQueue
from modelwatch.storage import Committed, LabelStatus, Ledger

MAX_EVENTS_PER_COMMIT = 2_000
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5
NOT_STORED = f"The store could not take them in time, and they were not stored. {AGAIN}"
COULD_NOT = f"The store could not take them in time. {AGAIN}"
PERHAPS_STORED = f"The store has not answered in time: they may be stored or not. Sent again, they count once. {AGAIN}"

Outcome = tuple[Job, Answer | Exception]

log = logging.getLogger(__name__)


class IngestObserver(Protocol):
    """Is told what was committed: event counters live outside this layer."""

    def committed(self, events: Sequence[Prediction], outcome: Committed, seconds: float) -> None: ...

    def labelled(self, labels: Sequence[GroundTruth], statuses: Sequence[LabelStatus]) -> None: ...

    def queue_depth(self, events: int) -> None: ...


class Batcher:
    """The bounded queue in front of the ledger, and the one thread that empties it.

    A request is answered within `give_up_seconds`, and no transaction is begun for it after that.
    """

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
        self._linger = linger_seconds
        self._give_up = give_up_seconds
        self._queue = JobQueue(max_events, max_bytes, observer.queue_depth)
        self._thread = threading.Thread(target=self._run, name="modelwatch-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writer thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Commits what is queued, answers it, and ends the thread."""
        self._queue.close()
        self._thread.join()

    async def submit(self, events: Sequence[Prediction], size: int) -> list[bool | None]:
        """Returns, once the events are durable, which of them were new; None: its day has expired, it was not taken.

        size: bytes of the body that they came in.
        Raises QueueFull when they don't fit in the queue and StoreUnavailable when the store can't take them in time;
        in both cases the same events may be sent again.
        """
        return (await self._submitted(events, (), size)).accepted

    async def submit_labels(self, labels: Sequence[GroundTruth], size: int) -> list[LabelStatus]:
        """Returns, once the labels are durable, what became of each. Raises as `submit`."""
        return (await self._submitted((), labels, size)).labels

    async def _submitted(self, events: Sequence[Prediction], labels: Sequence[GroundTruth], size: int) -> Answer:
        loop = asyncio.get_running_loop()
        count = len(events) + len(labels)
        job = Job(events, labels, count, size, time.monotonic() + self._give_up, loop.create_future(), loop)
        self._queue.put(job)
        timer = loop.call_later(self._give_up, self._expire, job)
        try:
            return await job.answer
        finally:
            timer.cancel()

    def _expire(self, job: Job) -> None:
        """Answers a request whose time is over. What still waits is never stored; a commit can't be called back."""
        withdrawn = self._queue.withdraw(job)
        if not job.answer.done():
            job.answer.set_exception(_unavailable(NOT_STORED if withdrawn else PERHAPS_STORED))

    def _run(self) -> None:
        while self._queue.wait():
            if self._linger and not self._queue.closing:
                time.sleep(self._linger)
            for outcomes in self._outcomes(self._queue.take(MAX_EVENTS_PER_COMMIT)):
                self._queue.release([job for job, _ in outcomes])
                _tell(outcomes)

    def _outcomes(self, jobs: list[Job]) -> Iterator[list[Outcome]]:
        """What becomes of jobs, as soon as it is known. The store is tried for as long as their clients wait."""
        if len(jobs) == 1 and jobs[0].count > MAX_EVENTS_PER_COMMIT:
            yield [(jobs[0], self._in_pieces(jobs[0]))]
            return
        pause, said = FIRST_PAUSE_SECONDS, NOT_STORED
        while True:
            late, jobs = _sorted_out(jobs, time.monotonic())
            if late:
                yield [(job, _unavailable(said)) for job in late]
            if not jobs:
                return
            try:
                outcomes = self._together(jobs)
            except (DataError, IntegrityError, ProtectionUnavailable) as error:
                if len(jobs) == 1:
                    yield [(jobs[0], _refusal(jobs[0], error))]
                    return
                # What the store refuses fails nobody else's request.
                for job in jobs:
                    yield from self._outcomes([job])
                return
            except SQLAlchemyError as error:
                # Whether the last one was stored may be unknown.
                said = COULD_NOT
                late, jobs = _sorted_out(jobs, math.inf if self._queue.closing else time.monotonic() + pause)
                if late:
                    yield [(job, _unavailable(said)) for job in late]
                if jobs:
                    log.warning("Commit failed, trying again in %.2f s: %s", pause, str(error).splitlines()[0])
                    time.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            except Exception as error:
                if not isinstance(error, StoreUnavailable):
                    log.exception(
                        "A batch of %d predictions and labels could not be committed", sum(job.count for job in jobs)
                    )
                yield [(job, error) for job in jobs]
                return
            else:
                yield outcomes
                return

    def _in_pieces(self, job: Job) -> Answer | Exception:
        """The outcome of a job that is too large for one commit. What was stored before a failure stays."""
        answer = Answer([], [])
        for start in range(0, max(len(job.events), len(job.labels)), MAX_EVENTS_PER_COMMIT):
            part = slice(start, start + MAX_EVENTS_PER_COMMIT)
            events, labels = job.events[part], job.labels[part]
            piece = Job(events, labels, len(events) + len(labels), 0, job.deadline, job.answer, job.loop)
            [[(_, outcome)]] = self._outcomes([piece])
            if isinstance(outcome, StoreUnavailable) and start:
                return _unavailable(PERHAPS_STORED)
            if isinstance(outcome, Exception):
                return outcome
            answer.accepted.extend(outcome.accepted)
            answer.labels.extend(outcome.labels)
        return answer

    def _together(self, jobs: list[Job]) -> list[Outcome]:
        """Stores what jobs bring in one transaction. Raises what the ledger raises."""
        events = [event for job in jobs for event in job.events]
        labels = [label for job in jobs for label in job.labels]
        started = time.perf_counter()
        committed = self._ledger.commit(events, labels)
        self._observer.committed(events, committed, time.perf_counter() - started)
        if labels:
            self._observer.labelled(labels, committed.labels)
        accepted, statuses = iter(committed.accepted), iter(committed.labels)
        return [
            (job, Answer(list(islice(accepted, len(job.events))), list(islice(statuses, len(job.labels)))))
            for job in jobs
        ]


def _sorted_out(jobs: list[Job], moment: float) -> tuple[list[Job], list[Job]]:
    """Those whose deadline is over at a moment, and the others. Whoever came first has the first deadline."""
    place = bisect_right(jobs, moment, key=attrgetter("deadline"))
    return jobs[:place], jobs[place:]


def _unavailable(detail: str) -> StoreUnavailable:
    return StoreUnavailable(detail, RETRY_AFTER_SECONDS)


def _refusal(job: Job, error: Exception) -> Exception:
    if isinstance(error, ProtectionUnavailable):
        return error
    log.error("The store refused a request of %d predictions and labels: %s", job.count, type(error).__name__)
    return InvalidInput(f"The store refused these values: {type(error).__name__}.")


def _tell(outcomes: list[Outcome]) -> None:
    """Answers the requests, each in the event loop that it waits in."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for job, outcome in outcomes:
        by_loop.setdefault(job.loop, []).append((job, outcome))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_answer, answers)
        except RuntimeError:
            log.warning("%d requests were stored after their event loop had closed", len(answers))


def _answer(answers: list[Outcome]) -> None:
    for job, outcome in answers:
        if job.answer.done():
            continue
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)
