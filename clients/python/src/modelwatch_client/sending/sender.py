"""The thread that sends what was logged. It starts with the first row, never at import, and ends with the process."""

from __future__ import annotations

import random
import time
from typing import Callable, List, Mapping, Protocol

from modelwatch_client.sending.http import Connection, Receipt, TooLarge, TryAgain
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

    def run(self) -> None:
        try:
            while (batch := self._queue.take()) is not None:
                predictions = [line.text for line in batch if not line.is_outcome]
                outcomes = [line.text for line in batch if line.is_outcome]
                self._send(PREDICTIONS, predictions)
                self._send(OUTCOMES, outcomes)
                if self._is_over():
                    break
                self._queue.done(len(batch))
        finally:
            dropped = self._queue.abandon()
            if dropped:
                self._state.settle(dropped=dropped)
                self._state.warnings.rows("dropped", dropped, "the client was closed before they could be sent")
            if self._connection is not None:
                self._connection.close()

    def _send(self, path: str, lines: List[bytes]) -> None:
        """Sends lines until each is acknowledged or refused, or there is no time left."""
        if not lines:
            return None
        pause, faults = FIRST_PAUSE, 0
        while not self._is_over():
            try:
                receipt = self._request(path, lines)
            except TooLarge:
                return self._send_halves(path, lines)
            except TryAgain as problem:
                faults += problem.is_fault
                if faults >= MOST_FAULTS and len(lines) > 1:
                    return self._send_halves(path, lines)
                if faults >= MOST_FAULTS:
                    return self._settle(1, Receipt(rejected=[(0, str(problem))]))
                self._state.failed_once(str(problem), retried=True)
                self._state.warnings.problem(f"{problem}. What is logged waits, and is sent later")
                seconds = problem.pause if problem.pause is not None else pause * random.uniform(0.5, 1)  # noqa: S311
                pause = min(2 * pause, LONGEST_PAUSE)
                self._state.pause(seconds)
            else:
                return self._settle(len(lines), receipt)
        return self._give_up(len(lines))

    def _request(self, path: str, lines: List[bytes]) -> Receipt:
        try:
            if self._connection is None:
                self._connection = self._connect()
            query = self._queue.query
            if path == OUTCOMES:  # An outcome belongs to a prediction of the model, of any version.
                query = {"model_name": query["model_name"]}
            return self._connection.send_lines(path, query, lines, self._time_for_a_request())
        except (TooLarge, TryAgain):
            raise
        except Exception as problem:
            raise TryAgain(f"{type(problem).__name__}: {problem}", is_fault=True) from problem

    def _send_halves(self, path: str, lines: List[bytes]) -> None:
        middle = len(lines) // 2
        self._send(path, lines[:middle])
        self._send(path, lines[middle:])

    def _settle(self, count: int, receipt: Receipt) -> None:
        rejected = len(receipt.rejected)
        if rejected:
            reason = receipt.rejected[0][1]
            self._state.failed_once(reason, retried=False)
            self._state.warnings.rows("rejected", rejected, reason)
        self._state.settle(sent=count - rejected, duplicates=receipt.duplicates, rejected=rejected)

    def _give_up(self, count: int) -> None:
        if self._queue.keeps_what_is_not_sent:
            return
        self._state.settle(dropped=count)
        self._state.warnings.rows("dropped", count, "the client was closed before they could be sent")

    def _is_over(self) -> bool:
        deadline = self._state.deadline
        return deadline is not None and time.monotonic() >= deadline

    def _time_for_a_request(self) -> float:
        deadline = self._state.deadline
        return self._timeout if deadline is None else max(0.05, min(self._timeout, deadline - time.monotonic()))
