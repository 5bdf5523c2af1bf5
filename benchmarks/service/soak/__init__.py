"""Soak test: a service's memory must stay flat. `make bench ARGS=soak`, by default for ten minutes.

A real service under the steady mixture of mixture.py, on SQLite or (`--engine postgresql`) PostgreSQL. What each of its
processes holds is read all the time. Some of that is for a moment: while a reference is set, or until a writer rotates.
So a line through the least of each 20 seconds of the second half says by how much it grows. What has a bound may fill
in the first half.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.report import Row
from benchmarks.service.soak.memory import MIB, Memory, Trend, trend, workers_of
from benchmarks.service.soak.mixture import Mixture
from tests.support.servers.live_service import REPOSITORY, LiveService
from tests.support.servers.postgres import cluster

SECONDS, QUICK_SECONDS = 600.0, 60.0
LINES = 20
# At most, of a long run; a short one is looked at so often, and its second half has so many floors.
EVERY_SECONDS, FLOOR_SECONDS = 2.0, 20.0
LOOKS, FLOORS = 100, 10
# A slope that is not known to so many MiB an hour says nothing.
FINE = 60.0


@dataclass
class Series:
    """Memory of one process over time: seconds since the start, and bytes."""

    seconds: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)

    def second_half(self) -> Trend:
        """Of the least that was resident in each stretch."""
        middle = self.seconds[-1] / 2
        length = min(FLOOR_SECONDS, middle / FLOORS)
        floors: dict[int, tuple[int, float]] = {}
        for at, each in zip(self.seconds, self.memory, strict=True):
            if at >= middle:
                stretch = int((at - middle) / length)
                floors[stretch] = min(floors.get(stretch, (each.rss, at)), (each.rss, at))
        return trend([at for _, at in floors.values()], [size for size, _ in floors.values()])


def run(*, quick: bool = False, seconds: float | None = None, engine: str = "sqlite", workers: int = 1) -> list[Row]:
    """A row for each process; the table over time goes to standard error."""
    length = seconds or (QUICK_SECONDS if quick else SECONDS)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        store = {}
        if engine == "postgresql":
            store["DATABASE_URL"] = stack.enter_context(stack.enter_context(cluster()).database(migrated=False))
        channel = stack.enter_context(_channel())
        place = Path(folder)
        service = LiveService(
            place,
            WORKERS=str(workers),
            API_KEYS_REQUIRED="true",
            DRIFT_CHECK_INTERVAL="300",
            # So often that what is kept from one to the next fills and empties many times.
            WRITER_ROTATION_SECONDS="20",
            ALERT_WEBHOOK_URL=channel,
            ALERT_REPEAT_SECONDS="60",
            **store,
        )
        stack.enter_context(service)
        key = _key(place, store)
        mixture = Mixture(service.url, {"authorization": f"Bearer {key}"})
        mixture.start()
        try:
            found = _watched(service, mixture, length)
        finally:
            mixture.stop()
        problems = mixture.problems()
        if problems:
            print("Not as it should be: " + "; ".join(problems), file=sys.stderr)
        log = service.output()
        if "Traceback" in log:
            print(f"The service's log:\n{log}", file=sys.stderr)
        print(f"answers: {_in_words(mixture)}", file=sys.stderr)
    return [_row(engine, name, series, length) for name, series in found.items() if name != "supervisor"]


def _watched(service: LiveService, mixture: Mixture, length: float) -> dict[str, Series]:
    assert service.pid is not None
    processes = workers_of(service.pid)
    found = {name: Series() for name in processes}
    titles = "".join(f"{f'{name}: RSS':>18}{'PSS':>8}{'USS':>8}" for name in processes)
    print(f"{'seconds':>8}{'accepted':>10}{'streams':>9}{titles}   (MiB)", file=sys.stderr)
    every = min(EVERY_SECONDS, length / LOOKS)
    began = time.monotonic()
    told = 0
    while (elapsed := time.monotonic() - began) < length:
        for name, process in processes.items():
            found[name].seconds.append(elapsed)
            found[name].memory.append(Memory.of(process))
        if elapsed >= told * length / LINES:
            told += 1
            last = [found[name].memory[-1] for name in processes]
            sizes = "".join(f"{m.rss / MIB:>18.1f}{m.pss / MIB:>8.1f}{m.uss / MIB:>8.1f}" for m in last)
            print(f"{elapsed:>8.0f}{mixture.accepted:>10,}{mixture.streams:>9}{sizes}", file=sys.stderr, flush=True)
        time.sleep(max(0.0, began + len(found[name].seconds) * every - time.monotonic()))
    return found


def _row(engine: str, name: str, series: Series, length: float) -> Row:
    line = series.second_half()
    half = [each for at, each in zip(series.seconds, series.memory, strict=True) if at >= series.seconds[-1] / 2]
    middle = {kind: statistics.median(getattr(each, kind) for each in half) / MIB for kind in ("rss", "pss", "uss")}
    peak = max(each.rss for each in series.memory) / MIB
    return Row(
        name=f"memory of a {name} over {length:.0f} s on {engine}",
        value=line.slope,
        unit="MiB/h",
        baseline=None,
        ratio=None,
        note=(
            f"{verdict(line)}: slope of the second half, 95 % within {line.within:.1f}, noise {line.residual:.1f} MiB;"
            f" median RSS {middle['rss']:.0f}, PSS {middle['pss']:.0f}, USS {middle['uss']:.0f}, RSS at most {peak:.0f}"
        ),
    )


def verdict(line: Trend) -> str:
    """Verdict on the growth of memory.

    >>> verdict(Trend(2.0, 5.0, 1.0)), verdict(Trend(20.0, 5.0, 1.0)), verdict(Trend(20.0, 50.0, 9.0))
    ('flat', 'GROWS', 'too noisy to say, let it run longer')
    """
    if line.slope > line.within:
        return "GROWS"
    return "flat" if line.within <= FINE else "too noisy to say, let it run longer"


def _in_words(mixture: Mixture) -> str:
    kinds = [f"{what} {status}: {count:,}" for (what, status), count in sorted(mixture.answers.items())]
    return f"{', '.join(kinds)}; {mixture.late} times a part could not keep up"


def _key(folder: Path, store: dict[str, str]) -> str:
    """A key that may do everything."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "DATA_DIR": str(folder), **store}
    command = [sys.executable, "-m", "modelwatch", "keys", "create", "soak", "--scope", "admin", "--json"]
    said = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    return str(json.loads(said.stdout)["key"])


class _Taker(BaseHTTPRequestHandler):
    """Takes every notification."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        return


@contextlib.contextmanager
def _channel() -> Iterator[str]:
    """The address of a web service that is told of alerts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/alerts"
        finally:
            server.shutdown()
