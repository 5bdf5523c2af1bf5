"""A service in a process of its own, with nothing but the demo's settings."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import modelwatch
from modelwatch.config import Settings
from modelwatch.errors import ModelwatchError

USUAL_PORT = 8000
STOP_SECONDS = 12.0
LOG_LINES = 15


class DemoFailed(ModelwatchError):
    """The demo can't be shown; the message says why."""


def choose_port(host: str, wanted: int | None) -> int:
    """The wanted port; without one the usual port if it is free, else any. Raises DemoFailed when it is taken."""
    problem = ""
    for port in (USUAL_PORT, 0) if wanted is None else (wanted,):
        try:
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
                return int(probe.getsockname()[1])
        except OSError as error:
            problem = error.strerror or str(error)
    raise DemoFailed(f"Can't listen on {host}{'' if wanted is None else f', port {wanted}'}: {problem}.")


def address(host: str, port: int) -> str:
    """The address by which this machine reaches a service that listens there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://{f'[{reachable}]' if ':' in reachable else reachable}:{port}"


class ServiceProcess:
    """`modelwatch serve`, from entering the block to leaving it, however it is left."""

    def __init__(self, host: str, port: int, data_dir: Path) -> None:
        self.host = host
        self.port = port
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServiceProcess:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelwatch", "serve"],
                # No .env and no modelwatch.yaml of the place where the demo was called.
                cwd=self.data_dir,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the demo, which then stops the service.
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        try:
            process.terminate()
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None, "entered"
        return self._process.pid

    def check_alive(self) -> None:
        """Returns when the process runs. Raises DemoFailed with the end of its log when it has ended."""
        if self._process is not None and self._process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
            raise DemoFailed("The service has ended. The end of its log:\n" + "\n".join(f"  {line}" for line in lines))

    def _environment(self) -> dict[str, str]:
        settings = {name.upper() for name in Settings.model_fields}
        foreign = settings | {"MODELWATCH_CONFIG", "PROMETHEUS_MULTIPROC_DIR"}
        inherited = {name: value for name, value in os.environ.items() if name not in foreign}
        package = str(Path(modelwatch.__file__).parents[1])
        return {
            **inherited,
            "PYTHONPATH": os.pathsep.join(filter(None, (package, inherited.get("PYTHONPATH")))),
            "HOST": self.host,
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
        }
