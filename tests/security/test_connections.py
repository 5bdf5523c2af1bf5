"""Connections that would hold a service up: slow, endless, half-open, too many, and clients that never read."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from modelwatch.server.connections import HEAD_SECONDS, MOST_HEAD_BYTES
from modelwatch.server.limits import HARD_FACTOR
from tests.support.servers.live_service import LiveService

MOST = 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    folder = tmp_path_factory.mktemp("connections")
    with LiveService(folder, MAX_CONNECTIONS=str(MOST), REQUEST_TIMEOUT_SECONDS="2") as live:
        yield live


@contextlib.contextmanager
def connected(service: LiveService) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", service.port), timeout=HEAD_SECONDS + 10) as connection:
        yield connection


def send_for_seconds(connection: socket.socket) -> None:
    for _ in range(200):
        connection.sendall(b"a" * 4_096)
        time.sleep(0.01)


def read_all(connection: socket.socket) -> bytes:
    """What is sent until the service closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_a_client_that_sends_its_head_drop_by_drop_is_given_up(service: LiveService) -> None:
    """And so is one that sends nothing at all; both at once, since each takes its time."""
    began = time.monotonic()
    with connected(service) as silent, connected(service) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\n")

        def drip() -> None:
            with contextlib.suppress(OSError):
                while time.monotonic() < began + HEAD_SECONDS + 5:
                    slow.sendall(b"x-a: b\r\n")
                    time.sleep(0.5)

        dripping = threading.Thread(target=drip, daemon=True)
        dripping.start()
        assert read_all(silent).startswith(b"HTTP/1.1 408 ")
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
        dripping.join(HEAD_SECONDS)
    assert HEAD_SECONDS - 1 < time.monotonic() - began < HEAD_SECONDS + 8


def test_a_head_without_end_is_refused(service: LiveService) -> None:
    for head in (b"GET /livez HTTP/1.1\r\nx-a: ", b"GET /", b"GET /livez HTTP/1.1\r\n" + b"x: y\r\n" * 5):
        with connected(service) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(head)
                for _ in range(4 * MOST_HEAD_BYTES // 4_096):
                    connection.sendall(b"a" * 4_096)
                    time.sleep(0.0005)
            # A reset may overtake the answer; either way nothing more is taken.
            assert read_all(connection)[:13] in (b"", b"HTTP/1.1 400 ")
            with pytest.raises(OSError):
                send_for_seconds(connection)
    assert httpx.get(f"{service.url}/livez").status_code == 200


def test_a_body_that_does_not_come_is_given_up(service: LiveService) -> None:
    form, json = b"application/x-www-form-urlencoded", b"application/json"
    paths = {
        b"/api/v1/predictions": json,
        b"/api/v1/predictions/batch": json,
        b"/api/v1/alerts/a/resolve": json,
        b"/ui/login": form,
        b"/ui/alerts/a/resolve": form,
    }
    with contextlib.ExitStack() as stack:
        waiting = []
        for path, kind in paths.items():
            for start in (b"content-length: 100", b"transfer-encoding: chunked"):
                connection = stack.enter_context(connected(service))
                head = b"POST " + path + b" HTTP/1.1\r\nhost: x\r\ncontent-type: " + kind + b"\r\n"
                connection.sendall(head + start + b"\r\nconnection: close\r\n\r\n")
                waiting.append((path, connection))
        for path, connection in waiting:
            assert read_all(connection).startswith(b"HTTP/1.1 408 "), path


def test_beyond_the_limit_clients_are_told_to_come_again_and_probes_are_answered(service: LiveService) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(base_url=service.url)) for _ in range(MOST)]
        for client in clients:
            assert client.get("/livez").status_code == 200
        refused = httpx.get(f"{service.url}/version")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["type"] == "/problems/too-many-connections"
        assert httpx.get(f"{service.url}/readyz").status_code == 200
        assert clients[0].get("/version").status_code == 200
        # What brought data is counted as rejected, as what any other reason rejects.
        assert httpx.post(f"{service.url}/api/v1/predictions?x=1", json={}).status_code == 503
        counted = 'ml_ingest_rejected_total{reason="too-many-connections"} 1.0'
        assert counted in clients[0].get("/metrics").text.splitlines()
    deadline = time.monotonic() + 60
    while httpx.get(f"{service.url}/version").status_code != 200:
        assert time.monotonic() < deadline, "those who leave make room"
        time.sleep(0.05)


def test_clients_that_say_nothing_take_nobodys_place(service: LiveService) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(service)) for _ in range(3 * HARD_FACTOR * MOST)]
        # Those that have been silent for longest made room.
        assert read_all(silent[0]) == b""
        clients = [stack.enter_context(httpx.Client(base_url=service.url)) for _ in range(MOST)]
        for client in clients:
            assert client.get("/version").status_code == 200
        assert read_all(silent[-1]).startswith(b"HTTP/1.1 408 ")
        assert clients[0].get("/version").status_code == 200


def test_an_upgrade_is_not_made_and_takes_no_place(service: LiveService) -> None:
    for protocol in (b"websocket", b"h2c"):
        with contextlib.ExitStack() as stack:
            for _ in range(3 * MOST):
                connection = stack.enter_context(connected(service))
                head = b"GET /version HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: " + protocol
                key = b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                connection.sendall(head + b"\r\n" + key + b"\r\n")
                assert connection.recv(65_536)[:13] in (b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")
        deadline = time.monotonic() + 60
        while httpx.get(f"{service.url}/version").status_code != 200:
            assert time.monotonic() < deadline, "those who leave make room"
            time.sleep(0.05)


def test_several_requests_on_one_connection_are_answered_in_their_order(service: LiveService) -> None:
    with connected(service) as connection:
        one = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
        last = b"GET /version HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        connection.sendall(one + one[:10])
        time.sleep(0.2)
        connection.sendall(one[10:] + last)
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"alive") < answer.index(b"schema_version")
