"""The command line: its commands in this process, and in processes of their own, as in a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from modelwatch.cli import main
from tests.support.servers.forking import run_command
from tests.support.servers.live_service import LiveService

REPOSITORY = Path(__file__).resolve().parents[2]

PROCESSES = ("serve", "demo")

RunCli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service that the tests of a module share."""
    with LiveService(tmp_path_factory.mktemp("service")) as live:
        yield live


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Runs `modelwatch` with these words in an empty folder; keyword arguments are environment variables.

    It runs in this process: starting an interpreter takes longer than most commands do.
    """

    def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        given = [str(word) for word in words]
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for name in ("stdin", "stdout", "stderr")}
        assert given[0] not in PROCESSES, f"{given[0]} runs until it is stopped: take run_process"
        with mock.patch.dict(os.environ, environment), contextlib.chdir(tmp_path), contextlib.ExitStack() as stack:
            for name, stream in streams.items():
                stack.enter_context(mock.patch.object(sys, name, stream))
            code = main(given)
        shown = []
        for name in ("stdout", "stderr"):
            streams[name].seek(0)
            shown.append(streams[name].read())
        return subprocess.CompletedProcess(given, code, *shown)

    return run


@pytest.fixture
def run_process(tmp_path: Path) -> RunCli:
    """The same in a process of its own, for what is about processes: services, logs, what a terminal sends."""

    def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_command(words, tmp_path, {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), **environment})

    return run
