"""The thread that sends what was logged. It starts with the first row, never at import, and ends with the process."""

from __future__ import annotations

import random
import time
from typing import Callable, List, Mapping, Protocol, Tuple

from modelwatch_client.sending.http import Connection, Receipt, TooLarge, TryAgain, Unreachable
from modelwatch_client.sending.memory_queue import Line, QueueState

PREDICTIONS = "/api/v1/predictions/batch"
OUTCOMES = "/api/v1/ground-truth/batch"
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
MOST_FAULTS = 5
"""A body at which the service fails itself so often is halved, until the row that it fails at is alone."""


class Queue(Protocol):
    """Queue as the sender uses it. query: the model's name and the like, for the address of requests.

    keeps_what_is_not_sent: what is not settled when the client is closed is there after the next start.
    """

    state: QueueState
    keeps_what_is_not_sent: bool

    def take(self) -> List[Line] | None: ...

    def done(self, count: int) -> None: ...

    def abandon(self) -> int: ...

    @property
    def query(self) -> Mapping[str, str]: ...


class Sender:
    """Sends batches until the client is closed. What is under way when its time is over is dropped, and counted."""

    def __init__(self, queue: Queue, connect: Callable[[], Connection], timeout: float) -> None:
        self._queue = queue
        self._state = queue.state
        self._connect = connect
        self._timeout = timeout
        self._connection: Connection | None = None
        # Of the batch in hand: how many rows it has, and the lines that are neither acknowledged nor refused, by the
        # path of their request. The last are the next.
        self._size = 0
        self._parts: List[Tuple[str, List[bytes]]] = []

    def run(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self._is_over():
                try:
                    if not self._send_batch():
                        break
                    pause = FIRST_PAUSE
                except Exception as problem:  # noqa: BLE001 (if this thread ended, nothing would be sent any more)
                    self._wait(pause, f"{type(problem).__name__}: {problem}", retried=False)
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            self._give_up()
            if self._connection is not None:
                self._connection.close()

    def _send_batch(self) -> bool:
        """Sends what is left of the batch in hand, else the next. False when the client is closed."""
        if not self._size:
            batch = self._queue.take()
            if batch is None:
                return False
            outcomes = [line.text for line in batch if line.is_outcome]
            predictions = [line.text for line in batch if not line.is_outcome]
            self._parts = [part for part in ((OUTCOMES, outcomes), (PREDICTIONS, predictions)) if part[1]]
            self._size = len(batch)
        while self._parts:
            if self._is_over():
                return False
            self._send_part(*self._parts[-1])
        self._queue.done(self._size)
        self._size = 0
        return True

    def _send_part(self, path: str, lines: List[bytes]) -> None:
        """Sends lines until each is acknowledged or refused, or they are halved, or there is no time left."""
        pause, faults = FIRST_PAUSE, 0
        while not self._is_over():
            try:
                receipt = self._request(path, lines)
            except TooLarge:
                return self._halve()
            except TryAgain as problem:
                faults += problem.is_fault
                if faults >= MOST_FAULTS and len(lines) > 1:
                    return self._halve()
                if faults >= MOST_FAULTS:
                    return self._settle(1, Receipt(rejected=[(0, str(problem))]))
                seconds = problem.pause if problem.pause is not None else pause * random.uniform(0.5, 1)  # noqa: S311
                self._wait(seconds, str(problem), retried=True)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return self._settle(len(lines), receipt)
        return None

    def _request(self, path: str, lines: List[bytes]) -> Receipt:
        """Raises TooLarge, and TryAgain for all else: what fails on this side, such as a missing file of certificates,
        is not the rows' fault."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            query = self._queue.query
            if path == OUTCOMES:  # An outcome belongs to a prediction of the model, of any version.
                query = {"model_name": query["model_name"]}
            return self._connection.send_lines(path, query, lines, self._time_for_a_request())
        except (TooLarge, TryAgain):
            raise
        except Unreachable as problem:
            raise TryAgain(str(problem)) from problem
        except Exception as problem:
            raise TryAgain(f"{type(problem).__name__}: {problem}") from problem

    def _halve(self) -> None:
        path, lines = self._parts.pop()
        middle = len(lines) // 2
        self._parts += [(path, lines[middle:]), (path, lines[:middle])]

    def _settle(self, count: int, receipt: Receipt) -> None:
        rejected = len(receipt.rejected)
        if rejected:
            reason = receipt.rejected[0][1]
            self._state.failed_once(reason, retried=False)
            self._state.warnings.rows("rejected", rejected, reason)
        self._state.settle(sent=count - rejected, duplicates=receipt.duplicates, rejected=rejected)
        self._parts.pop()

    def _wait(self, seconds: float, why: str, *, retried: bool) -> None:
        self._state.failed_once(why, retried=retried)
        self._state.warnings.problem(f"{why}. What is logged waits, and is sent later")
        self._state.pause(seconds)

    def _give_up(self) -> None:
        dropped = self._queue.abandon()
        if not self._queue.keeps_what_is_not_sent:
            dropped += sum(len(lines) for _, lines in self._parts)
        if dropped:
            self._state.settle(dropped=dropped)
            self._state.warnings.rows("dropped", dropped, "the client was closed before they could be sent")

    def _is_over(self) -> bool:
        deadline = self._state.deadline
        return deadline is not None and time.monotonic() >= deadline

    def _time_for_a_request(self) -> float:
        deadline = self._state.deadline
        return self._timeout if deadline is None else max(0.05, min(self._timeout, deadline - time.monotonic()))
