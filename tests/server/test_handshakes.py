"""TLS handshakes that never end: bounded in time and number, on every loop, while good clients are served."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from modelwatch.server import connections
from modelwatch.server.connections import BoundedConfig
from modelwatch.server.limits import HARD_FACTOR
from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.tls import Certificate, make_certificate

MOST = 10
SECONDS = 2.0


class Listening:
    """uvicorn with the bounds of the service, in a thread of its own."""

    def __init__(self, loop: str, certificate: Certificate, most: int) -> None:
        self.port = free_port()
        self.trusting = ssl.create_default_context(cafile=str(certificate.path))
        path = str(certificate.path)
        config = BoundedConfig(
            _answer,
            host="127.0.0.1",
            port=self.port,
            loop=loop,
            lifespan="off",
            limit_concurrency=most,
            ssl_certfile=path,
            ssl_keyfile=path,
            log_level="error",
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> Listening:
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self.server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=self.trusting, timeout=20)


async def _answer(scope: Scope, _receive: Receive, send: Send) -> None:
    content = scope["scheme"].encode()
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(params=["asyncio", "uvloop"])
def listening(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", SECONDS)
    with Listening(request.param, make_certificate(tmp_path), MOST) as server:
        yield server


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has ended it; what it said before, such as an alert of TLS, is read."""
    try:
        while select.select([connection], [], [], 0)[0]:
            if not connection.recv(65_536):
                return True
    except ConnectionError:
        return True
    return False


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until_closed(connections: list[socket.socket], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for connection in connections:
        while not is_closed(connection):
            assert time.monotonic() < deadline, "it is still connected"
            time.sleep(0.02)


def test_a_handshake_that_does_not_end_is_given_up_and_others_are_served_meanwhile(listening: Listening) -> None:
    """One says nothing, one sends its first message byte by byte, one speaks HTTP, one stops half-way."""
    before = open_files()
    hello = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        listening.trusting.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
    first_message = hello.read()
    with contextlib.ExitStack() as stack:
        silent, slow, wrong, half = (stack.enter_context(listening.connect()) for _ in range(4))
        began = time.monotonic()
        wrong.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        half.sendall(first_message)
        sent = 0
        with listening.client() as client:
            while time.monotonic() < began + SECONDS - 0.5:
                slow.sendall(first_message[sent : sent + 1])
                sent += 1
                assert client.get("/").text == "https"
                time.sleep(0.05)
            assert not is_closed(silent)
            assert not is_closed(slow)
            wait_until_closed([silent, slow, wrong, half], 20)
            assert SECONDS - 0.5 < time.monotonic() - began < SECONDS + 10
            assert client.get("/").text == "https"
    deadline = time.monotonic() + 10
    while open_files() > before:
        assert time.monotonic() < deadline, "sockets stay open"
        time.sleep(0.05)


def test_handshakes_under_way_are_bounded_and_the_oldest_makes_room(listening: Listening) -> None:
    with contextlib.ExitStack() as stack:
        good = stack.enter_context(listening.client())
        assert good.get("/").text == "https"
        silent = [stack.enter_context(listening.connect()) for _ in range(3 * HARD_FACTOR * MOST)]
        # All but those that there is room for, beside the one that is served.
        wait_until_closed(silent[: -(HARD_FACTOR * MOST - 1)], SECONDS)
        assert good.get("/").text == "https"
        # They take nobody's place: as many as are served can come now.
        for _ in range(MOST - 1):
            client = stack.enter_context(listening.client())
            assert client.get("/").text == "https"
        refused = stack.enter_context(listening.client()).get("/")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_request_that_comes_right_behind_the_handshake_is_answered(listening: Listening) -> None:
    """And so is one whose client says that it will send nothing more."""
    for _ in range(20):
        with listening.trusting.wrap_socket(listening.connect(), server_hostname="127.0.0.1") as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            said = b""
            while part := connection.recv(65_536):
                said += part
        assert said.startswith(b"HTTP/1.1 200 ")
        assert said.endswith(b"\r\n\r\nhttps")


def test_a_service_with_open_handshakes_stops_at_once(listening: Listening) -> None:
    with listening.connect(), listening.connect():
        began = time.monotonic()
        listening.server.should_exit = True
        while listening.server.started and listening.server.server_state.connections:
            assert time.monotonic() < began + SECONDS, "it waits for handshakes"
            time.sleep(0.02)


def test_every_worker_of_a_service_bounds_its_handshakes(tmp_path: Path) -> None:
    path = str(make_certificate(tmp_path).path)
    live = LiveService(tmp_path / "data", TLS_CERTFILE=path, TLS_KEYFILE=path, WORKERS="2", MAX_CONNECTIONS="5")
    live.start(wait=False)
    try:
        trusting = ssl.create_default_context(cafile=path)
        url = f"https://127.0.0.1:{live.port}"
        deadline = time.monotonic() + 50
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/readyz", verify=trusting).status_code == 200:
                    break
            assert time.monotonic() < deadline, live.output()
            time.sleep(0.1)
        with contextlib.ExitStack() as stack:
            silent = [
                stack.enter_context(socket.create_connection(("127.0.0.1", live.port), timeout=20)) for _ in range(60)
            ]
            assert httpx.get(f"{url}/version", verify=trusting).status_code == 200
            wait_until_closed(silent, connections.HANDSHAKE_SECONDS + 10)
    finally:
        live.stop()
