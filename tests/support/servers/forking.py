"""Processes forked from one that has loaded the code of the service: there in a tenth of a new interpreter's time."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from modelwatch.storage.engine.drivers import sqlite

REPOSITORY = Path(__file__).resolve().parents[3]
# Of prctl(2): which signal a process gets when its parent dies.
PARENT_DEATH_SIGNAL = 1
COMMAND_SECONDS = 100
# Without prometheus_client, which looks at the environment when it is loaded.
LOADED = [
    "modelwatch.api.app",
    "modelwatch.cli.app",
    "modelwatch.server.connections",
    "modelwatch.server.serving",
    "modelwatch.server.workers",
    "modelwatch.web",
    "tests.support.stores.deleting",
    "tests.support.alerts.delivering",
    "tests.support.servers.warmth",
]
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(LOADED)


def forked(target: Callable[..., object], *given: Any) -> multiprocessing.process.BaseProcess:
    """A process that runs this, until the tests end at the latest; the first one waits until the code is loaded."""
    process = _PROCESSES.Process(target=_started, args=(sqlite.PRAGMAS, target, *given), daemon=True)
    # The process that is forked from imports by the environment, not by this process's path.
    path = f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"
    with mock.patch.dict(os.environ, PYTHONPATH=path), _without_main():
        forkserver.ensure_running()
        process.start()
    return process


def _started(pragmas: tuple[str, ...], target: Callable[..., object], *given: Any) -> None:
    """Runs it with SQLite used as in the process that has started this one."""
    sqlite.PRAGMAS = pragmas
    target(*given)


@contextmanager
def _without_main() -> Iterator[None]:
    """Without it each process would load the program that this one runs, be it pytest or a benchmark."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


class Forked:
    """`modelwatch` with some words in such a process; what it offers is as of `subprocess.Popen`.

    output, errors: files that it appends to, or one for both.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        output: Path,
        errors: Path | None = None,
    ) -> None:
        self._words = list(words)
        self._process = forked(_run, self._words, str(folder), dict(environment), str(output), str(errors or output))
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended. Raises subprocess.TimeoutExpired when it does not in so many seconds."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(["modelwatch", *self._words], timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it has not ended."""
        with suppress(ProcessLookupError):
            if self._process.exitcode is None:
                os.kill(self.pid, number)


def run_command(
    words: Sequence[object], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """`modelwatch` with these words, until it has ended; as `subprocess.run`, with its output as text."""
    given = [str(word) for word in words]
    with tempfile.TemporaryDirectory() as streams:
        output, errors = Path(streams) / "output", Path(streams) / "errors"
        process = Forked(given, folder, environment, output, errors)
        try:
            code = process.wait(COMMAND_SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(given, code, output.read_text(), errors.read_text())


def _run(words: list[str], folder: str, environment: dict[str, str], output: str, errors: str) -> None:
    """Runs `python -m modelwatch` in a session, a folder and an environment of its own."""
    # A process that ends with another one may have no children, and a service has workers.
    multiprocessing.current_process().daemon = False
    if sys.platform == "linux":
        # It ends with the tests, also when they are killed: with the process that it is forked from, which ends when
        # nobody holds this any more.
        os.close(forkserver._forkserver._forkserver_alive_fd)
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for path, flags, number in (
        (os.devnull, os.O_RDONLY, 0),
        (output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 1),
        (errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 2),
    ):
        there = os.open(path, flags)
        os.dup2(there, number)
        os.close(there)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    from modelwatch.cli import main

    sys.exit(main(words))
