"""Several processes that serve one port: forked from the one that has loaded everything, so they start at once."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from socket import socket
from typing import TYPE_CHECKING, Any

from uvicorn.supervisors import Multiprocess, multiprocess

from modelwatch.server.ending import EndingServer

if TYPE_CHECKING:
    import uvicorn

# Elsewhere than on Linux the libraries of the system may not survive a fork.
FORKS = sys.platform == "linux"
# Of prctl(2): which signal a process gets when its parent dies.
PARENT_DEATH_SIGNAL = 1


def supervise(config: uvicorn.Config) -> bool:
    """Runs the workers until they are stopped. Returns whether all of them could start."""
    if FORKS:
        multiprocess.get_subprocess = _forked  # type: ignore[attr-defined, assignment]
    multiprocess.Server = EndingServer  # type: ignore[attr-defined]
    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    # Those that were told to stop end by the signal, which is a negative code.
    return not any((process.exitcode or 0) > 0 for process in supervisor.processes)


def _forked(config: uvicorn.Config, target: Callable[..., None], sockets: list[socket]) -> ForkProcess:
    """A worker, forked, where uvicorn would start a new interpreter. The calling process has no other threads."""
    return _Fork(target=_serve, args=(config, target, sockets))


class _Fork(ForkProcess):
    """Signals that come while it is born wait until its handlers are no longer those of the supervisor."""

    def start(self) -> None:
        with _blocked_signals():
            super().start()

    def run(self) -> None:
        # An interrupt ends it as well, without a traceback: the supervisor is interrupted too, and says so.
        for number in multiprocess.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _stop_with_the_supervisor()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, multiprocess.SIGNALS)
        super().run()


def _stop_with_the_supervisor() -> None:
    """Stops this worker when the supervisor is killed: nothing else would, and it would keep the port."""
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)
    supervisor = multiprocessing.parent_process()
    if supervisor is None or os.getppid() != supervisor.pid:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _blocked_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, multiprocess.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(config: uvicorn.Config, target: Callable[..., Any], sockets: list[socket]) -> None:
    config.configure_logging()
    target(sockets=sockets)
