"""Servers for the client's tests: one that answers as it is told, and the real service."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[1]
REPOSITORY = CLIENT.parents[1]
SOURCE = CLIENT / "src"
# The interpreter that has the service; the client's may be an older one.
SERVICE_PYTHON = os.environ.get("MODELWATCH_PYTHON", sys.executable)


class Told:
    """A server that keeps what it gets, and answers what it is told.

    answers: what is answered next, each a status, headers, and a body (bytes), or None to take the row as the service
    does; when there are no more, rows are taken. rows, requests: what came, decoded, and (path, query) of each request.
    """

    def __init__(self, port: int = 0) -> None:
        self.answers = []
        self.rows = []
        self.outcomes = []
        self.requests = []
        self.known = set()
        self.hang = threading.Event()
        self.always = None
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if told.hang.is_set():
                    time.sleep(30)
                told.answer(self, body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Nothing: clients that are killed leave their connections."""

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answer(self, handler, body) -> None:
        path, _, query = handler.path.partition("?")
        lines = [json.loads(line) for line in body.split(b"\n")]
        self.requests.append((path, query, dict(handler.headers)))
        told = self.answers.pop(0) if self.answers else self.always
        told = told(lines) if callable(told) else told
        if told is None:
            ids = [line["prediction_id"] for line in lines]
            duplicates = sum(identity in self.known for identity in ids) if "predictions" in path else 0
            (self.rows if "predictions" in path else self.outcomes).extend(lines)
            self.known.update(ids if "predictions" in path else ())
            text = json.dumps({"accepted": len(lines) - duplicates, "duplicates": duplicates, "rejected": []}).encode()
            told = (202, {}, text)
        status, headers, text = told
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(text))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """The real service, on a store of its own; it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process = None

    def start(self) -> None:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COV_", "MODELWATCH_"))},
            "PYTHONPATH": str(REPOSITORY / "src"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.folder),
            "SHUTDOWN_DRAIN_SECONDS": "0",
        }
        with (self.folder / "service.log").open("ab") as log:
            self._process = subprocess.Popen(
                [SERVICE_PYTHON, "-m", "modelwatch"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "service.log").read_text())

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def get(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def count(self, model: str) -> int:
        """Predictions of a model that count."""
        return self.get(f"/api/v1/models/{model}")["predictions"]


def run_script(text: str, *arguments: str, timeout: float = 60, expect: int | None = 0, **environment: str) -> str:
    """Runs a script in a process of its own, with the client. Returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if expect is not None:
        assert done.returncode == expect, done.stderr
    return done.stdout


def until(condition, seconds: float = 30):
    """Waits for a condition, and returns what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come true in time")
