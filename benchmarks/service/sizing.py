"""Needs of one process at a steady rate: CPU, memory, disk.

`python -m benchmarks.service.sizing [--database-url URL] [--seconds N]`, for docs/deployment.md. Not part of `make
bench`, for each rate is held for a while. The sender paces itself and tells the rate that it reached; what counts is
the time of CPU of the service itself, which a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.servers.live_service import REPOSITORY, free_port

NUMBERS, CATEGORIES = 15, 5
SENDERS = 16
REFERENCE_SIZE = 2_000
# Predictions a second, and how many of them go into one request.
STEPS = ((0, 1), (10, 1), (100, 1), (300, 1), (1_000, 100), (5_000, 500))
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Usage of a process: seconds of CPU, bytes of memory now and at most."""

    cpu: float
    memory: int
    peak: int

    @classmethod
    def of(cls, process: int) -> Load:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines() if ":" in line
        )
        kilobytes = [int(status[name].split()[0]) for name in ("VmRSS", "VmHWM")]
        return cls((int(fields[11]) + int(fields[12])) / TICKS, kilobytes[0] * 1024, kilobytes[1] * 1024)


@contextmanager
def service(folder: Path, database_url: str | None) -> Iterator[tuple[str, int]]:
    """The address and the process id of a service with one worker, until the block ends."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "PORT": str(port), "DATA_DIR": str(folder)}
    if database_url:
        environment["DATABASE_URL"] = database_url
    with (folder / "service.log").open("wb") as log:
        command = [sys.executable, "-m", "modelwatch", "serve"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((folder / "service.log").read_text())
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False


def features(rng: random.Random) -> dict[str, object]:
    numbers: dict[str, object] = {f"number_{index}": rng.gauss(100, 25) for index in range(NUMBERS)}
    return numbers | {f"category_{index}": rng.choice(["a", "b", "c", "d"]) for index in range(CATEGORIES)}


def set_reference(url: str, model: str, rng: random.Random) -> None:
    rows = [features(rng) for _ in range(REFERENCE_SIZE)]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    httpx.post(
        f"{url}/api/v1/reference", json={"model_name": model, "features": columns}, timeout=60
    ).raise_for_status()


def send(url: str, model: str, rate: int, size: int, seconds: float, rng: random.Random) -> int:
    """Sends for so long, at most at this rate, and returns how many predictions were accepted."""
    if not rate:
        time.sleep(seconds)
        return 0
    period = size / rate
    began = time.monotonic()

    def one(number: int) -> int:
        time.sleep(max(0.0, began + number * period - time.monotonic()))
        rows = [
            {
                "model_name": model,
                "prediction_id": f"{rate}-{number}-{row}",
                "features": features(rng),
                "prediction": rng.choice(["yes", "no"]),
                "prediction_probability": rng.random(),
                "latency_ms": rng.expovariate(0.02),
            }
            for row in range(size)
        ]
        if size == 1:
            client.post(f"{url}/api/v1/predictions", content=json.dumps(rows[0])).raise_for_status()
            return 1
        answer = client.post(f"{url}/api/v1/predictions/batch", content=json.dumps(rows))
        answer.raise_for_status()
        return int(answer.json()["accepted"])

    headers = {"content-type": "application/json"}
    with httpx.Client(timeout=60, headers=headers) as client, ThreadPoolExecutor(SENDERS) as pool:
        return sum(pool.map(one, range(int(seconds / period))))


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database-url")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    rng = random.Random(7)
    model = f"sizing-{os.getpid()}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as place, service(Path(place), options.database_url) as (url, process):
        set_reference(url, model, rng)
        print("| predictions/s | in one request | reached | CPU (cores) | memory (MB) | at most (MB) |")
        print("|---|---|---|---|---|---|")
        total = 0
        for rate, size in STEPS:
            before, began = Load.of(process), time.monotonic()
            accepted = send(url, model, rate, size, options.seconds, rng)
            elapsed = time.monotonic() - began
            total += accepted
            after = Load.of(process)
            cores = (after.cpu - before.cpu) / elapsed
            megabytes = f"{after.memory / 1e6:.0f} | {after.peak / 1e6:.0f}"
            print(f"| {rate:,} | {size} | {accepted / elapsed:,.0f} | {cores:.2f} | {megabytes} |", flush=True)
        disk = sum(path.stat().st_size for path in Path(place).glob("modelwatch.db*"))
        if total and disk:
            print(f"\n{disk / total:.0f} bytes of disk for each of {total:,} predictions")


if __name__ == "__main__":
    main()
