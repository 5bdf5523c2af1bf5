"""Durable batches over HTTP by the way they come, against endpoints that only parse them: 1,000 predictions of 50
features.

All servers have one process, on core 0; one client sends body after body from core 1 and waits for each answer. The
plain endpoints are FastAPI with pydantic models and an in-memory list, one for features as a list and one for a map;
they get the same JSON bodies. Ways that they do not know stand beside their endpoint for maps, the faster one.
modelwatch answers after all predictions and their counts are committed to SQLite with synchronous=FULL; a reference is
set, so that every value is counted in its cells.

Another commit stands beside it with `make bench ARGS="batches --before COMMIT"`.
"""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.report import Row, compared, less
from benchmarks.servers import HOST, Server, are_possible, earlier, plain_service, processor_seconds, service
from benchmarks.service.ways import JSON, ROWS, WAYS, batch_body, feature_columns

ROUNDS, QUICK_ROUNDS = 5, 1
# Bodies of a round. Plain endpoints take longer, and are not the point.
BODIES, BODIES_BESIDE = 12, 6
SPAN_SECONDS = 200
TIMEOUT_SECONDS = 120
MODEL = "m"
PATHS = {"lists": "/api/v1/predictions/batch", "maps": "/api/v1/predictions/maps"}


@dataclass(frozen=True, slots=True)
class Sent:
    """Result of a round. rate: predictions a second. cpu: the server's processor time a prediction, in us."""

    rate: float
    cpu: float


def run(*, quick: bool = False, before: str | None = None) -> list[Row]:
    """Rates and processor time in alternating rounds. before: a commit whose service is beside."""
    if not are_possible("batches"):
        return []
    found: dict[tuple[str, str], list[Sent]] = {}
    rng = np.random.default_rng(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_on_core_1())
        ours = _Client(stack.enter_context(service(folder / "ours")))
        plain = _Client(stack.enter_context(plain_service(folder / "plain")))
        earlier_one = None
        if before is not None:
            root = stack.enter_context(earlier(before))
            earlier_one = _Client(stack.enter_context(service(folder / "before", root=root)))
        for each in (ours, earlier_one):
            if each is not None:
                each.set_reference(_reference(rng))
        for number in range(-1, QUICK_ROUNDS if quick else ROUNDS):
            # The first round warms up.
            bodies = 2 if number < 0 or quick else BODIES
            for way in WAYS:
                made = [
                    batch_body(way, rng, f"p-{number}-{way}-{place}", int(time.time()), SPAN_SECONDS)
                    for place in range(bodies)
                ]
                some = made[:BODIES_BESIDE]
                results = {"ours": ours.send(PATHS["lists"], made)}
                if way in PATHS:
                    results["plain"] = plain.send(PATHS[way], some)
                if earlier_one is not None:
                    results["before"] = earlier_one.send(PATHS["lists"], some)
                if number >= 0:
                    for name, result in results.items():
                        found.setdefault((name, way), []).append(result)
    rows = []
    for way in WAYS:
        known = way if way in PATHS else "maps"
        rows += _rows(f"batch as {way}", f"plain endpoint, {known}", found["ours", way], found["plain", known])
        if before is not None:
            title, baseline = f"batch as {way}, beside {before}", f"the service of {before}"
            rows += _rows(title, baseline, found["ours", way], found["before", way])
    return rows


def _rows(title: str, baseline: str, ours: list[Sent], theirs: list[Sent]) -> list[Row]:
    note = f"baseline: {baseline}; {ROWS:,} predictions of 50 features a body, one client"
    return [
        compared(title, "predictions/s", [each.rate for each in ours], [each.rate for each in theirs], note),
        less(f"{title}: processor time", "us CPU", [each.cpu for each in ours], [each.cpu for each in theirs], note),
    ]


class _Client:
    """Sends to a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def set_reference(self, body: bytes) -> None:
        """Raises RuntimeError unless it is taken."""
        with self._connected() as connection:
            _post(connection, "/api/v1/reference", body, JSON)

    def send(self, path: str, bodies: list[tuple[bytes, str]]) -> Sent:
        """Sends one after the other. Raises RuntimeError unless every prediction is taken."""
        # Servers close connections that rest, as this one does between rounds.
        with self._connected() as connection:
            worked, began = processor_seconds(self._server.process), time.perf_counter()
            answers = [_post(connection, path, body, content_type) for body, content_type in bodies]
            seconds = time.perf_counter() - began
            worked = processor_seconds(self._server.process) - worked
        for answer in answers:
            if json.loads(answer)["accepted"] != ROWS:
                raise RuntimeError(f"{path}: not all {ROWS:,} predictions were accepted: {answer[:300].decode()}")
        predictions = len(bodies) * ROWS
        return Sent(predictions / seconds, worked / predictions * 1e6)

    def _connected(self) -> closing[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(HOST, self._server.port, timeout=TIMEOUT_SECONDS)
        connection.connect()
        return closing(connection)


def _post(connection: http.client.HTTPConnection, path: str, body: bytes, content_type: str) -> bytes:
    """The answer. Raises RuntimeError for one that is not 2xx."""
    connection.request("POST", path, body, {"content-type": content_type})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status // 100 != 2:
        raise RuntimeError(f"{path} was answered {answer.status}: {content[:300].decode(errors='replace')}")
    return content


def _reference(rng: np.random.Generator) -> bytes:
    return json.dumps({"model_name": MODEL, "features": feature_columns(rng)}).encode()


@contextmanager
def _on_core_1() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {1})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
