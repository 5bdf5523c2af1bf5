"""What can go wrong, one thing at a time and at random moments, and how it is put right again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support.servers.live_service import LiveService
from tests.support.servers.postgres import Cluster

LONGEST_PAUSE_SECONDS = 4.0
"""Longer than the leases of the services under test."""


class Faults:
    """Does harm to services, and to the server of their store where they have one; counts what it has done."""

    def __init__(self, services: Sequence[LiveService], server: Cluster | None, database: str, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._services = services
        self._server = server
        self._database = database
        self._rng = random.Random(seed)

    def run(self, seconds: float) -> None:
        """Goes on for so long; afterwards everything runs. Each kind of fault comes once before any comes again."""
        kinds = ["kill a service", "pause a service", "kill a worker", "pause a worker"]
        if self._server is not None:
            kinds += ["cut connections", "restart the server", "kill the server"]
        end = time.monotonic() + seconds
        waiting: list[str] = []
        while time.monotonic() < end:
            time.sleep(self._rng.uniform(0.2, 1.0))
            waiting = waiting or self._rng.sample(kinds, len(kinds))
            self._do(waiting.pop())
        for service in self._services:
            service.wait_until_ready()

    def _do(self, kind: str) -> None:
        service = self._rng.choice(self._services)
        self.done[kind] += 1
        match kind:
            case "kill a service":
                service.kill()
                service.start(wait=False)
            case "pause a service":
                service.signal_all(signal.SIGSTOP)
                time.sleep(self._rng.uniform(0.5, LONGEST_PAUSE_SECONDS))
                service.signal_all(signal.SIGCONT)
            case "kill a worker":
                self._worker(service, signal.SIGKILL)
            case "pause a worker":
                worker = self._worker(service, signal.SIGSTOP)
                time.sleep(self._rng.uniform(0.5, LONGEST_PAUSE_SECONDS))
                with contextlib.suppress(ProcessLookupError):
                    if worker is not None:
                        os.kill(worker, signal.SIGCONT)
            case "cut connections":
                assert self._server is not None
                self._server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    f" WHERE pid <> pg_backend_pid() AND datname = '{self._database}'"
                )
            case "restart the server" | "kill the server":
                assert self._server is not None
                self._server.stop(signal.SIGINT if kind == "restart the server" else signal.SIGKILL)
                time.sleep(self._rng.uniform(0.0, 1.0))
                self._server.start()

    def _worker(self, service: LiveService, number: signal.Signals) -> int | None:
        workers = _workers(service.pid)
        if not workers:
            return None
        worker = self._rng.choice(workers)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, number)
        return worker


def _workers(parent: int | None) -> list[int]:
    """The worker processes of a service; none while it starts."""
    try:
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except FileNotFoundError:
        return []
