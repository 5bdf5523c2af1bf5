"""Group commit: events of many requests become one transaction, and each request is answered after it.

A large request is stored in parts, and others have their turn between them. What the store refuses for its values fails
alone: it is found by halves.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from modelwatch.batches import PredictionBatch, joined
from modelwatch.errors import InvalidInput, ProtectionUnavailable, StoreUnavailable
from modelwatch.events import GroundTruth, Prediction
from modelwatch.ingest.outage import OutageLog
from modelwatch.ingest.queue import AGAIN, Answer, Deadlines, Job, JobQueue, Refused, Waiting, model_names
from modelwatch.storage.engine.store import is_about_values
from modelwatch.storage.ledger.labels import LabelStatus
from modelwatch.storage.ledger.ledger import Committed, Ledger

# So long at most the writer waits while an event loop goes on reading.
GATHERING_SECONDS = 0.005
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
RETRY_AFTER_SECONDS = 5
NOT_STORED = f"The store did not accept them in time, and they were not stored. {AGAIN}"
COULD_NOT = f"The store did not accept them in time. {AGAIN}"
NOT_TRIED = "Not attempted, since the store has refused many others of this request. Send this one without them."
PERHAPS_STORED = f"The store has not answered in time: they may be stored or not. Sent again, they count once. {AGAIN}"

Outcome = tuple[Job, Answer | Exception]

log = logging.getLogger(__name__)


class IngestObserver(Protocol):
    """Observer of commits: event counters live outside this layer."""

    def committed(self, events: PredictionBatch, outcome: Committed, seconds: float) -> None: ...

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
        self._outage = OutageLog()
        self._queue = JobQueue(max_events, max_bytes, observer.queue_depth)
        # Of the event loop that jobs came from last; there is one.
        self._deadlines: Deadlines | None = None
        self._thread = threading.Thread(target=self._run, name="modelwatch-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True while the writer thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Commits what is queued, answers it, and ends the thread."""
        self._queue.close()
        self._thread.join()

    async def submit(self, events: Sequence[Prediction], size: int) -> list[bool | Refused | None]:
        """Returns, once the events are durable, which of them were new; None: its day has expired, it was not taken.

        size: bytes of the body that they came in.
        Raises QueueFull when they don't fit in the queue and StoreUnavailable when the store can't take them in time;
        in both cases the same events may be sent again. Raises InvalidInput when the store refuses all of them.
        """
        return (await self._submitted(events, (), size)).accepted

    async def submit_labels(self, labels: Sequence[GroundTruth], size: int) -> list[LabelStatus | Refused]:
        """Returns, once the labels are durable, the status of each. Raises as `submit`."""
        return (await self._submitted((), labels, size)).labels

    async def _submitted(self, events: Sequence[Prediction], labels: Sequence[GroundTruth], size: int) -> Answer:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.begin(events, labels, size, answer)
        return await answer

    def begin(self, events: Sequence[Prediction], labels: Sequence[GroundTruth], size: int, answer: Waiting) -> None:
        """Takes events or labels in, and calls `answer` in the running event loop with their outcome: what `submit`
        or `submit_labels` would return or raise. Raises as `submit` when they are not taken in."""
        loop = asyncio.get_running_loop()
        rows = events or labels
        models = 1 if len(rows) == 1 else len(set(model_names(rows)))
        deadlines = self._deadlines
        if deadlines is None or deadlines.loop is not loop:
            deadlines = self._deadlines = Deadlines(loop, self._expire)
        job = Job(events, labels, len(rows), models, size, time.monotonic() + self._give_up, answer, deadlines)
        self._queue.put(job)
        deadlines.add(job)
        self._gather(deadlines)

    def _gather(self, deadlines: Deadlines) -> None:
        """Lets the writer wait until the loop has read all that has come: clients that were answered together send
        together, and one commit for all of them takes little longer than for the first."""
        if self._queue.has_enough:
            self._queue.go_on()
        elif not deadlines.gathering:
            deadlines.gathering = True
            until = deadlines.loop.time() + GATHERING_SECONDS
            deadlines.loop.call_soon(self._look_for_more, deadlines, 0, until)

    def _look_for_more(self, deadlines: Deadlines, before: int, until: float) -> None:
        """Lets the writer go on unless more wait than did `before`, when the loop was here last, and not enough."""
        waiting = self._queue.waiting
        if before < waiting and not self._queue.has_enough and deadlines.loop.time() < until:
            deadlines.loop.call_soon(self._look_for_more, deadlines, waiting, until)
        else:
            deadlines.gathering = False
            self._queue.go_on()

    def _expire(self, job: Job) -> None:
        """Answers a request whose time is over. What still waits is never stored; a commit can't be called back."""
        withdrawn = self._queue.withdraw(job)
        if not job.answer.done():
            not_stored = withdrawn and not job.known
            job.answer.set_exception(_unavailable(NOT_STORED if not_stored else PERHAPS_STORED))

    def _run(self) -> None:
        while self._queue.wait():
            if self._linger and not self._queue.closing:
                time.sleep(self._linger)
            # In a frame of its own: what was stored must not stay in memory until there is something else to store.
            self._store()

    def _store(self) -> None:
        jobs = self._queue.take()
        if len(jobs) == 1 and jobs[0].is_large:
            outcome = self._next_part(jobs[0])
            if outcome is None:
                self._queue.put_back(jobs[0])
            else:
                self._finish([(jobs[0], outcome)])
        else:
            for outcomes in self._outcomes(jobs):
                self._finish(outcomes)

    def _finish(self, outcomes: list[Outcome]) -> None:
        self._queue.release([job for job, _ in outcomes])
        self._queue.hold()
        self._resolve(outcomes)

    def _resolve(self, outcomes: list[Outcome]) -> None:
        """Answers the requests, each in the event loop that it waits in."""
        by_loop: dict[Deadlines, list[Outcome]] = {}
        for job, outcome in outcomes:
            by_loop.setdefault(job.deadlines, []).append((job, outcome))
        for deadlines, answers in by_loop.items():
            try:
                deadlines.loop.call_soon_threadsafe(self._answer, deadlines, answers)
            except RuntimeError:
                log.warning("%d requests were stored after their event loop had closed", len(answers))
                self._queue.go_on()

    def _answer(self, deadlines: Deadlines, answers: list[Outcome]) -> None:
        try:
            for job, outcome in answers:
                deadlines.remove(job)
                if job.answer.done():
                    continue
                if job.count > 1 and isinstance(outcome, Answer) and outcome.refused:
                    refused = next(each for each in (*outcome.accepted, *outcome.labels) if isinstance(each, Refused))
                    outcome = InvalidInput(refused.message)
                if isinstance(outcome, Exception):
                    job.answer.set_exception(outcome)
                else:
                    job.answer.set_result(outcome)
        finally:
            # Also where an answer fails: the writer waits for this.
            self._gather(deadlines)

    def _outcomes(self, jobs: list[Job]) -> Iterator[list[Outcome]]:
        """The outcomes of jobs, as soon as they are known. The store is tried for as long as their clients wait."""
        pause, reason = FIRST_PAUSE_SECONDS, NOT_STORED
        while True:
            late, jobs = _sorted_out(jobs, time.monotonic())
            if late:
                yield [(job, _unavailable(reason)) for job in late]
            if not jobs:
                return
            try:
                outcomes = self._together(jobs)
            except Exception as error:  # noqa: BLE001 - it becomes the answer of those whom it is about
                if isinstance(error, SQLAlchemyError) and not is_about_values(error):
                    # Whether the last one was stored may be unknown.
                    reason = COULD_NOT
                    self._outage.failed(error)
                    late, jobs = _sorted_out(jobs, math.inf if self._queue.closing else time.monotonic() + pause)
                    if late:
                        yield [(job, _unavailable(reason)) for job in late]
                    if jobs:
                        time.sleep(pause)
                        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
                elif isinstance(error, StoreUnavailable):
                    yield [(job, error) for job in jobs]
                    return
                elif len(jobs) > 1:
                    # What the store refuses, or brings out a bug, fails no other request.
                    middle = len(jobs) // 2
                    yield from self._outcomes(jobs[:middle])
                    yield from self._outcomes(jobs[middle:])
                    return
                else:
                    yield [(jobs[0], self._failed(jobs[0], error))]
                    return
            else:
                yield outcomes
                return

    def _failed(self, job: Job, error: Exception) -> Answer | Exception:
        """The outcome of a job that can't be stored as it is, alone or with others."""
        if is_about_values(error):
            return self._by_halves(job) if job.count > 1 else _refusal(error)
        if not isinstance(error, ProtectionUnavailable):
            log.error("%d predictions and labels could not be committed", job.count, exc_info=error)
        return error

    def _by_halves(self, job: Job) -> Answer | Exception:
        """The outcome of a job of which the store refuses something: the halves are stored on their own."""
        answer = Answer([], [])
        whole = job.whole or job
        middle = job.count // 2
        for part in (job.part(0, middle), job.part(middle, job.count)):
            if whole.tries <= 0:
                answer.extend(_refused(part, NOT_TRIED))
                continue
            outcome = self._outcome(part)
            if isinstance(outcome, StoreUnavailable) and answer.count:
                return _unavailable(PERHAPS_STORED)
            if isinstance(outcome, InvalidInput):
                whole.tries -= 1
                outcome = _refused(part, outcome.detail)
            if isinstance(outcome, Exception):
                return outcome
            answer.extend(outcome)
        return answer

    def _outcome(self, job: Job) -> Answer | Exception:
        [(_, outcome)] = [each for outcomes in self._outcomes([job]) for each in outcomes]
        return outcome

    def _next_part(self, job: Job) -> Answer | Exception | None:
        """The outcome of a large job once all of its parts are stored; None: there are more. What was stored before a
        failure stays."""
        part = job.next_part()
        outcome = self._outcome(part)
        if isinstance(outcome, StoreUnavailable) and job.known:
            return _unavailable(PERHAPS_STORED)
        if isinstance(outcome, InvalidInput):
            outcome = _refused(part, outcome.detail)
        if isinstance(outcome, Exception):
            return outcome
        if job.first is None:
            job.first = outcome
        else:
            job.first.extend(outcome)
        return job.first if job.known == job.count else None

    def _together(self, jobs: list[Job]) -> list[Outcome]:
        """Stores what jobs bring in one transaction. Raises what the ledger raises."""
        events = joined(job.events for job in jobs)
        labels = [label for job in jobs for label in job.labels]
        started = time.perf_counter()
        committed = self._ledger.commit(events, labels)
        self._outage.succeeded()
        self._observer.committed(events, committed, time.perf_counter() - started)
        if labels:
            self._observer.labelled(labels, committed.labels)
        outcomes: list[Outcome] = []
        event = label = 0
        for job in jobs:
            next_event, next_label = event + len(job.events), label + len(job.labels)
            of_events, of_labels = committed.accepted[event:next_event], committed.labels[label:next_label]
            outcomes.append((job, Answer([*of_events], [*of_labels])))
            event, label = next_event, next_label
        return outcomes


def _sorted_out(jobs: list[Job], moment: float) -> tuple[list[Job], list[Job]]:
    """Jobs whose deadline has passed at a moment, and the others. The first to arrive has the first deadline."""
    place = bisect_right(jobs, moment, key=attrgetter("deadline"))
    return jobs[:place], jobs[place:]


def _unavailable(detail: str) -> StoreUnavailable:
    return StoreUnavailable(detail, RETRY_AFTER_SECONDS)


def _refusal(error: Exception) -> InvalidInput:
    kind = type(getattr(error, "orig", None) or error).__name__
    log.error("The store refused a prediction or label: %s", kind)
    return InvalidInput(f"The store refused these values: {kind}.")


def _refused(job: Job, message: str) -> Answer:
    return Answer([Refused(message)] * len(job.events), [Refused(message)] * len(job.labels))
