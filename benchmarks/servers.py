"""Servers that are measured: on core 0, in a process of their own, of this checkout or of an earlier commit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.servers.live_service import REPOSITORY, START_SECONDS, STOP_SECONDS, free_port

HOST = "127.0.0.1"
CLOCK_OF_PROCESS = 2


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. process: its id."""

    port: int
    process: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def are_possible(name: str, *programs: str) -> bool:
    """Whether servers can be measured here, with these programs; what is missing for the benchmark is told."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing or (os.cpu_count() or 1) < 2:
        print(f"{name}: skipped, it needs two cores {' '.join(f'and {each}' for each in programs)}", file=sys.stderr)
        return False
    return True


@contextmanager
def _server(
    command: list[str], port: int, ready: str, environment: Mapping[str, str], folder: Path, root: Path = REPOSITORY
) -> Iterator[Server]:
    """Runs Python with these arguments on core 0 until the block ends.

    ready: what answers once it is ready. folder: that it runs in. root: of the checkout whose code it runs.
    """
    paths = [root / "src", root / "clients/python/src", root]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), **environment},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(f"http://{HOST}:{port}{ready}", timeout=1).raise_for_status()
                break
            except httpx.HTTPError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError((folder / "server.log").read_text()) from error
                time.sleep(0.05)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@contextmanager
def service(folder: Path, environment: Mapping[str, str] | None = None, root: Path = REPOSITORY) -> Iterator[Server]:
    """modelwatch with one worker and a store in this folder."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    settings = {"HOST": HOST, "PORT": str(port), "DATA_DIR": str(folder), **(environment or {})}
    with _server(["-m", "modelwatch"], port, "/readyz", settings, folder, root) as running:
        yield running


@contextmanager
def plain_service(folder: Path) -> Iterator[Server]:
    """The endpoints of plain_endpoint.py, whose log is in this folder."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    with _server(["-m", "benchmarks.plain_endpoint", str(port)], port, "/health", {}, folder) as running:
        yield running


@contextmanager
def earlier(commit: str) -> Iterator[Path]:
    """A folder with the source of a commit of this repository. Raises CalledProcessError for one that there is not."""
    with tempfile.TemporaryDirectory(prefix="modelwatch-before-") as name:
        file = Path(name) / "source.tar"
        subprocess.run(["git", "archive", "-o", str(file), commit], cwd=REPOSITORY, check=True)
        with tarfile.open(file) as archive:
            archive.extractall(name, filter="data")
        yield Path(name)


def processor_seconds(pid: int) -> float:
    """Processor time that a process has taken, with all its threads, in seconds. Raises OSError when it has ended."""
    # The clock of another process, as clock_getcpuclockid has it: /proc counts in hundredths of a second.
    return time.clock_gettime(~pid << 3 | CLOCK_OF_PROCESS)


def processor_seconds_of_all(pid: int) -> float:
    """Processor time of a process and of its children, also of those that have ended, in seconds."""
    total, children = 0, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    # Its own, that of children that have ended, and that of each that has not.
    for process, fields in [(str(pid), 4), *((child, 2) for child in children)]:
        try:
            times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:]
        except OSError:
            continue  # It has just ended; its parent has its time.
        total += sum(map(int, times[:fields]))
    return total / os.sysconf("SC_CLK_TCK")
