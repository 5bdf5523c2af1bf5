"""A real service in processes of its own, on a free port of 127.0.0.1."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

from tests.support.servers.forking import Forked

REPOSITORY = Path(__file__).resolve().parents[3]
START_SECONDS = 60
STOP_SECONDS = 20
# Above those of well-known servers, below those that Linux and macOS give to connections.
SERVICE_PORTS = range(15_000, 32_768)
FREE_PORT_TRIES = 100


def free_port() -> int:
    """A port that was free a moment ago.

    Of those that no connection is given by the system: a client that tries again and again while the service is down
    would one day get the service's port for its own end, be connected with itself, and keep the service out.
    """
    for _ in range(FREE_PORT_TRIES):
        if is_free(port := secrets.choice(SERVICE_PORTS)):
            return port
    raise AssertionError(f"No port of {SERVICE_PORTS} is free.")


def is_free(port: int) -> bool:
    """Whether a service could listen at a port of 127.0.0.1."""
    with socket.socket() as probe:
        # As servers do: connections that have ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class LiveService:
    """Starts `modelwatch serve` when entered, and stops its whole process group when left.

    It is forked from a process that has loaded its code. interpreter: whether it is started as users do instead, for
    tests that are about its start, and with another path of Python.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, interpreter: bool = False, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port() if port is None else port
        self.settings = settings
        self.log = data_dir / "service.log"
        self._interpreter = interpreter
        self._process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LiveService:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, *, wait: bool = True) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("COV_")},
            "PYTHONPATH": str(REPOSITORY / "src"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "SHUTDOWN_DRAIN_SECONDS": "0",
            **self.settings,
        }
        started = self._interpreted if self._interpreter else self._forked
        self._process = started(environment)
        if wait:
            self.wait_until_ready()

    def _forked(self, environment: dict[str, str]) -> Forked:
        return Forked(["serve"], self.data_dir, environment, self.log)

    def _interpreted(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "modelwatch"],
                cwd=self.data_dir,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"The service ended at its start:\n{self.output()}")
            try:
                if httpx.get(f"{self.url}/readyz", timeout=1.0).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"The service was not ready within {START_SECONDS} s:\n{self.output()}")

    def kill(self) -> None:
        """SIGKILL to every process of the service at once; returns when none of them holds the port any more."""
        if self._process is not None:
            self.signal_all(signal.SIGKILL)
            self._process.wait()
            self._process = None
            # One that is writing to the disk ends when that is done.
            deadline = time.monotonic() + STOP_SECONDS
            while not is_free(self.port) and time.monotonic() < deadline:
                time.sleep(0.005)

    def stop(self) -> int | None:
        """SIGTERM, then SIGKILL to what is left. Returns the exit code, None when it had to be killed."""
        if self._process is None:
            return None
        process = self._process
        process.send_signal(signal.SIGTERM)
        try:
            code: int | None = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        return code

    def wait(self) -> int | None:
        """The exit code of a service that ends by itself, None when it does not in time."""
        assert self._process is not None
        try:
            return self._process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.kill()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the service's (first) process."""
        assert self._process is not None
        self._process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to every process of the service."""
        assert self._process is not None
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            # It has ended, or has no group of its own yet.
            self._process.send_signal(number)

    @property
    def pid(self) -> int | None:
        """The service's (first) process, None while it is stopped."""
        return None if self._process is None else self._process.pid

    def peak_memory(self) -> int:
        """The largest resident size that the service's (first) process has had, in bytes."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def output(self) -> str:
        """Output of the service."""
        return self.log.read_text(errors="replace")
