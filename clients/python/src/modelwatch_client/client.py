"""`Client`: what a model service, a job or a notebook uses."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, TypeVar
from urllib.parse import quote

from modelwatch_client.rows import Outcome, Prediction, Row, feature_map, new_id
from modelwatch_client.sending.counts import Stats, Warnings
from modelwatch_client.sending.http import (
    ApiError,
    Connection,
    Unreachable,
    check_key,
    check_names,
    is_passing,
    service_url,
)
from modelwatch_client.sending.memory_queue import WHEN_FULL, Limits, MemoryQueue, QueueState
from modelwatch_client.sending.sender import Sender
from modelwatch_client.sending.spool import FSYNC, MOST_BYTES, SpoolQueue

MOST_ROWS_A_BATCH = 10_000
# Seconds for the thread to count what is left once its time is over.
GRACE = 0.2
# Seconds between two attempts to send a profile.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
MOST_BATCH_BYTES = 16 * 1024 * 1024

Function = TypeVar("Function", bound=Callable[..., Any])


class Client:
    """Sends the predictions and outcomes of one model to modelwatch, in the background.

    `log`, `log_ground_truth` and what is built on them never raise, never wait (unless asked to by when_full="block"),
    and never count twice: each row has an id, with which it is sent again until the service has it. A thread sends
    them; it starts with the first row. The methods that ask the service something (`check_drift`, `performance`, …)
    wait for the answer, and raise `Unreachable` or `ApiError`.

    url: of the service; else MODELWATCH_URL, else HOST and PORT. api_key: else MODELWATCH_API_KEY.
    max_queue: rows that wait at most. when_full: "drop_oldest", "drop_newest", or "block" for block_seconds, then drop
    the newest. batch_rows, batch_bytes, flush_interval (seconds): a request is sent when it is full, or due.
    spool_dir: a folder in which rows wait instead, at most spool_bytes of them, so that they survive the process.
    fsync: "never" (they survive the process), "batch" (the machine too, but for those of the last flush_interval), or
    "always" (the machine too: logging waits for the disk).
    timeout: seconds for one request. exit_seconds: how long the end of the interpreter waits for what is queued.
    verify: False, or a file or an ssl.SSLContext with the certificates to trust, as httpx takes it.

    Raises ValueError for a setting that can't be, naming it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        model_name: str,
        model_version: str | None = None,
        environment: str | None = None,
        api_key: str | None = None,
        max_queue: int = 10_000,
        when_full: str = "drop_oldest",
        block_seconds: float = 0.1,
        batch_rows: int = 1_000,
        batch_bytes: int = 4 * 1024 * 1024,
        flush_interval: float = 1.0,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = MOST_BYTES,
        fsync: str = "never",
        timeout: float = 10.0,
        exit_seconds: float = 2.0,
        verify: Any = True,
    ) -> None:
        if not isinstance(model_name, str) or not model_name:
            raise ValueError(f"model_name is {model_name!r}: expected the name of a model")
        _one_of("when_full", when_full, WHEN_FULL)
        _one_of("fsync", fsync, FSYNC)
        _between("max_queue", max_queue, 1, None)
        _between("batch_rows", batch_rows, 1, MOST_ROWS_A_BATCH)
        _between("batch_bytes", batch_bytes, 1, MOST_BATCH_BYTES)
        _between("spool_bytes", spool_bytes, 65_536, None)
        _between("block_seconds", block_seconds, 0, None)
        _between("flush_interval", flush_interval, 0, None)
        _between("timeout", timeout, 0.01, None)
        _between("exit_seconds", exit_seconds, 0, None)
        self.url = service_url(url)
        self.model_name = model_name
        self.model_version = model_version
        self.environment = environment
        self._api_key = api_key if api_key is not None else os.environ.get("MODELWATCH_API_KEY")
        check_key(self._api_key)
        self._timeout, self._verify, self._exit_seconds = timeout, verify, exit_seconds
        named = {"model_name": model_name, "model_version": model_version, "environment": environment}
        self._query = {name: text for name, text in named.items() if text is not None}
        check_names(self._query)
        limits = Limits(max_queue, when_full, block_seconds, batch_rows, batch_bytes, flush_interval)
        self._state = QueueState(limits, Warnings())
        self._queue: MemoryQueue | SpoolQueue = (
            MemoryQueue(self._state, self._query)
            if spool_dir is None
            else SpoolQueue(self._state, Path(spool_dir), self._query, most_bytes=spool_bytes, fsync=fsync)
        )
        self._thread: threading.Thread | None = None
        self._asking: Connection | None = None
        _clients.add(self)
        if spool_dir is not None:
            self._start()

    # What never hurts

    def log(
        self,
        features: Any,
        prediction: Any,
        *,
        prediction_probability: Any = None,
        prediction_id: str | None = None,
        timestamp: Any = None,
        latency_ms: float | None = None,
        ground_truth: Any = None,
        model_version: str | None = None,
    ) -> str:
        """Logs one prediction. Returns its id: the one given, or a new one.

        features: a mapping from name to value; also a dataclass, a named tuple, a pydantic model, a series.
        prediction_probability: a number from 0 to 1, or a mapping from class to such numbers. timestamp: a datetime
        (without a zone it is UTC), ISO 8601 text, or seconds since 1970; else now. ground_truth: what was true, where
        that is known already.
        """
        identity = new_id() if prediction_id is None else str(prediction_id)
        try:
            at = time.time_ns() // 1000 if timestamp is None else timestamp
            # A copy: the caller may change the mapping before it is sent.
            known = features.copy() if type(features) is dict else feature_map(features)
            row = (identity, at, known, prediction, prediction_probability, latency_ms, ground_truth, model_version)
            self._put(Prediction(*row))
        except Exception as problem:  # noqa: BLE001 (the model goes on, even when its monitoring fails)
            self._failed(problem)
        return identity

    def log_ground_truth(self, prediction_id: str, ground_truth: Any, *, timestamp: Any = None) -> None:
        """Logs what was true of a prediction: before it or after it, repeated or corrected."""
        try:
            self._put(Outcome(str(prediction_id), timestamp, ground_truth))
        except Exception as problem:  # noqa: BLE001
            self._failed(problem)

    def log_batch(
        self,
        frame: Any,
        *,
        prediction: str = "prediction",
        score: str = "prediction_probability",
        ground_truth: str = "ground_truth",
        timestamp: str = "timestamp",
        prediction_id: str = "prediction_id",
        latency_ms: str = "latency_ms",
        features: Sequence[str] | None = None,
        wait: float = 60.0,
    ) -> List[str]:
        """Logs each row of a frame (pandas, polars, pyarrow, or a mapping from name to values). Returns their ids.

        The parameters name the columns that are not features; `features` the columns that are, else all others.
        A frame may be larger than the queue: then this waits, up to `wait` seconds, while it is being sent, and drops
        (and counts) what has no room after that.
        """
        named = (prediction_id, timestamp, prediction, score, latency_ms, ground_truth)
        return self._log_rows(frame, named, features, wait)

    def watch(
        self,
        function: Function | None = None,
        *,
        features: Callable[..., Any] | None = None,
        result: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Decorator of a predict function: logs its features, what it returns, and how long it took.

        features: from the function's arguments to the features, else its first argument (a mapping, dataclass, model,
        series; a frame is logged row by row). result: from what it returns to the prediction, to (prediction,
        probability), or to a mapping with "prediction" and "prediction_probability"; else what it returns.
        Works on `async` functions. What the function raises is raised, and nothing is logged.
        """
        from modelwatch_client.watch import watched

        if function is None:
            return lambda each: watched(self, each, features, result)
        return watched(self, function, features, result)

    @property
    def stats(self) -> Stats:
        """Counts of logged rows by their outcome."""
        return self._state.stats()

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Waits until all that was logged before is acknowledged or refused. False when it is not in `timeout` seconds.

        None waits for as long as it takes."""
        return self._thread is None or self._state.flush(timeout)

    def close(self, timeout: float | None = None) -> None:
        """Sends what is queued, for `timeout` seconds at most (default: exit_seconds), and ends the thread.

        What is left then is dropped and counted, or stays in the spool directory. What is logged later is dropped.
        """
        seconds = self._exit_seconds if timeout is None else timeout
        self._state.close(seconds)
        self._wait_for_the_end(seconds + GRACE)

    def _wait_for_the_end(self, seconds: float) -> None:
        thread = self._thread
        if thread is not None and thread.ident is not None and thread is not threading.current_thread():
            thread.join(seconds)
        _running.discard(self)
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self.close()

    # What asks the service, and waits

    def set_reference(
        self,
        frame: Any,
        *,
        prediction: str = "prediction",
        score: str = "prediction_probability",
        ground_truth: str = "ground_truth",
        timestamp: str = "timestamp",
        features: Sequence[str] | None = None,
        task: str | None = None,
        positive_class: str | None = None,
        for_version: bool = False,
    ) -> Dict[str, Any]:
        """Makes a frame (such as the training data) the model's reference. Returns the service's answer.

        The parameters name the columns that are not features, as in `log_batch`. task: "binary", "multiclass" or
        "regression". for_version: for this client's model_version alone. Raises Unreachable, ApiError.
        """
        from modelwatch_client.frames import reference_body

        columns = {
            "prediction": prediction,
            "prediction_probability": score,
            "ground_truth": ground_truth,
            "timestamp": timestamp,
        }
        named = {
            "model_name": self.model_name,
            "model_version": self.model_version if for_version else None,
            "task": task,
            "positive_class": positive_class,
        }
        body = reference_body(frame, columns, features, named)
        return self._ask("POST", "/api/v1/reference", **body)  # type: ignore[no-any-return]

    def reference_binnings(self) -> Dict[str, Any]:
        """The cells of the reference in force, for `modelwatch.profile(frame, like=...)`.

        Raises Unreachable, ApiError.
        """
        query = {"model_name": self.model_name, "model_version": self.model_version}
        return self._ask("GET", "/api/v1/reference/binnings", params=query)  # type: ignore[no-any-return]

    def send_profile(self, profile: Any, *, timestamp: Any = None, seconds: float = 60.0) -> List[Dict[str, Any]]:
        """Sends the counts of a `modelwatch.Profile`, and none of its values. Returns the service's answers.

        timestamp: a datetime for rows without a time; default: now. What fails for the moment is tried again for so
        many seconds; the profile counts once, by its id, however often it is sent. Raises Unreachable, ApiError.
        """
        until = time.monotonic() + seconds
        bodies = profile.requests(timestamp)
        return [self._insist("/api/v1/profiles", {**self._query, **body}, until) for body in bodies]

    def _insist(self, path: str, body: Dict[str, Any], until: float) -> Any:
        """Posts until it is answered. Raises Unreachable and ApiError when the time is over, or it is refused."""
        pause = FIRST_PAUSE
        while True:
            try:
                return self._ask("POST", path, json=body)
            except (Unreachable, ApiError) as problem:
                passing = isinstance(problem, Unreachable) or is_passing(problem.status)
                if not passing or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def check_drift(self, **options: Any) -> Dict[str, Any]:
        """Compares what was received with the reference, now. options: of `POST /api/v1/drift/check`, such as
        features, lookback, start, end. Returns its answer. Raises Unreachable, ApiError."""
        return self._ask("POST", "/api/v1/drift/check", json={**self._query, **options})  # type: ignore[no-any-return]

    def performance(self, **options: Any) -> Dict[str, Any]:
        """Metrics with their intervals. options: start, end, step. Raises Unreachable, ApiError."""
        return self._of_model("performance", options)

    def quality(self, **options: Any) -> Dict[str, Any]:
        """Data quality. options: start, end, step. Raises Unreachable, ApiError."""
        return self._of_model("quality", options)

    def drift_history(self, **options: Any) -> Dict[str, Any]:
        """Verdicts, the newest and those before. options: start, end, limit, cursor. Raises Unreachable, ApiError."""
        return self._of_model("drift", options)

    def alerts(self, **options: Any) -> List[Dict[str, Any]]:
        """Alerts of the model, the newest first. options: of `GET /api/v1/alerts`, such as state.

        Raises Unreachable, ApiError.
        """
        found = self._ask("GET", "/api/v1/alerts", params={"model": self.model_name, **options})
        return found["alerts"]  # type: ignore[no-any-return]

    def request(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of any route of the HTTP API. options: of httpx, such as json and params.

        Raises Unreachable, ApiError.
        """
        return self._ask(method, path, **options)

    # How it works

    def _of_model(self, what: str, options: Mapping[str, Any]) -> Dict[str, Any]:
        own = {"version": self.model_version, "environment": self.environment}
        path = f"/api/v1/models/{quote(self.model_name, safe='')}/{what}"
        return self._ask("GET", path, params={**own, **options})  # type: ignore[no-any-return]

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        if self._asking is None:
            self._asking = self._connect()
        return self._asking.request(method, path, **options)

    def _connect(self) -> Connection:
        return Connection(self.url, self._api_key, self._timeout, self._verify)

    def _put(self, row: Row) -> None:
        if self._thread is None:
            self._start()
        self._queue.put(row)

    def _start(self) -> None:
        with _starting:
            if self._thread is not None or self._state.is_closed:
                return
            _at_exit()
            sender = Sender(self._queue, self._connect, self._timeout)
            self._thread = threading.Thread(target=sender.run, name="modelwatch-client", daemon=True)
            _running.add(self)
        # Not under the lock: under gevent others run while a thread starts, and a lock that is older than gevent's
        # patches would stop them all.
        self._thread.start()

    def _log_rows(self, frame: Any, named: Sequence[str], features: Sequence[str] | None, wait: float) -> List[str]:
        """See `log_batch`. named: the columns that are not features, as `rows_of` takes them."""
        ids: List[str] = []
        try:
            from modelwatch_client.frames import rows_of

            deadline = time.monotonic() + wait
            for row in rows_of(frame, named, features):
                ids.append(row.prediction_id)
                self._wait_for_room(deadline)
                self._put(row)
        except Exception as problem:  # noqa: BLE001
            self._failed(problem)
        return ids

    def _wait_for_room(self, deadline: float) -> None:
        state = self._state
        if isinstance(self._queue, MemoryQueue):
            with state.lock:
                while state.counts.pending >= state.limits.rows and not state.is_closed:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return
                    state.settled.wait(left)

    def _failed(self, problem: Exception) -> None:
        with self._state.lock:
            self._state.counts.logged += 1
            self._state.counts.rejected += 1
            self._state.counts.last_error = f"{type(problem).__name__}: {problem}"
        self._state.warnings.rows("rejected", 1, f"{type(problem).__name__}: {problem}")

    def _after_fork(self) -> None:
        """In the child: the parent sends what was queued; the child has a queue, counts and connections of its own."""
        self._thread = self._asking = None
        self._queue.start_anew()


# Every client of this process, those whose thread runs, and the lock under which threads start.
_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_running: set[Client] = set()
_starting = threading.Lock()
_at_exit_in: List[int] = []


def _close_all() -> None:
    """At the end of the interpreter: all clients end together, in the time of the one that takes the longest."""
    clients = list(_running)
    for client in clients:
        client._state.close(client._exit_seconds)
    end = time.monotonic() + max((client._exit_seconds for client in clients), default=0.0) + GRACE
    for client in clients:
        client._wait_for_the_end(max(0.0, end - time.monotonic()))


def _at_exit() -> None:
    """Has _close_all called at the end of this process, and of a child of multiprocessing, which skips atexit."""
    if os.getpid() in _at_exit_in:
        return
    if not _at_exit_in:
        atexit.register(_close_all)
    _at_exit_in.append(os.getpid())
    util = sys.modules.get("multiprocessing.util")
    process = sys.modules.get("multiprocessing.process")
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _close_all, exitpriority=100)


def _after_fork_in_child() -> None:
    global _starting
    _starting = threading.Lock()
    _running.clear()
    for client in list(_clients):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _one_of(name: str, value: object, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}: expected one of {', '.join(known)}")


def _between(name: str, value: float, least: float, most: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= least:
        raise ValueError(f"{name} is {value!r}: expected at least {least:g}")
    if most is not None and value > most:
        raise ValueError(f"{name} is {value!r}: expected at most {most:,}")
