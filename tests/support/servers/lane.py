"""Servers with the fast lane and without it, on real connections, and requests for them."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from modelwatch.api.fast_lane import FastLane
from modelwatch.config import load_settings
from modelwatch.server.build import create_app
from modelwatch.server.connections import BoundedConfig
from modelwatch.storage.engine.store import Store
from tests.support.keys import make_key
from tests.support.servers.live_service import free_port

DEADLINE = 30
PREDICTIONS, LABELS = "/api/v1/predictions", "/api/v1/ground-truth"


class Counting:
    """A service's application; with `lane` the server may use its fast lane. calls: of the ordinary way, by path."""

    def __init__(self, application: Any, *, lane: bool) -> None:
        self._application = application
        self._has_lane = lane
        self.calls: list[str] = []

    @property
    def lane(self) -> FastLane | None:
        return self._application.lane if self._has_lane else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.calls.append(scope["path"])
        await self._application(scope, receive, send)


class Served:
    """A server in this process. key_of: texts of API keys by the names that requests have for them."""

    def __init__(self, folder: Path, *, lane: bool, keep_alive: int = 75, **settings: str) -> None:
        self.settings = load_settings({"DATA_DIR": str(folder), **settings}, dotenv=None)
        self.application = Counting(create_app(self.settings), lane=lane)
        self.port = free_port()
        self.key_of: dict[bytes, bytes] = {}
        config = BoundedConfig(
            self.application,
            host="127.0.0.1",
            port=self.port,
            limit_concurrency=self.settings.max_connections,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            log_config=None,
            timeout_keep_alive=keep_alive,
            timeout_graceful_shutdown=5,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run)

    def __enter__(self) -> Served:
        self._thread.start()
        deadline = time.monotonic() + DEADLINE
        while not self.server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        assert self.server.started
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def make_keys(self) -> None:
        """Keys that may send, that may only read, that are for another model, and that may send one a minute."""
        store = Store(self.settings.database_url)
        for name, key in {
            b"{sender}": make_key(store, "ingest"),
            b"{reader}": make_key(store, "read"),
            b"{other}": make_key(store, "ingest", models=frozenset({"other"})),
            b"{slow}": make_key(store, "ingest", requests_per_second=0.01),
            b"{small}": make_key(store, "ingest", body_bytes=100),
        }.items():
            self.key_of[name] = key[1].encode()
        store.close()

    def talk(self, *pieces: bytes, answers: int) -> bytes:
        """What comes back for these pieces, dates left out. As many pieces as answers: each is sent after the answer
        to the one before."""
        one_by_one = len(pieces) == answers
        got = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE) as connection:
            for number, piece in enumerate(pieces):
                for name, text in self.key_of.items():
                    piece = piece.replace(name, text)
                if number and not one_by_one:
                    time.sleep(0.05)
                connection.sendall(piece)
                if one_by_one:
                    got += answers_of(connection, 1)
            if not one_by_one:
                got = answers_of(connection, answers)
            connection.settimeout(0.05)
            try:
                ended = connection.recv(1) == b""
            except TimeoutError:
                ended = False
        got = re.sub(rb"\r\ndate: [^\r]*", b"\r\ndate: now", got)
        return got + (b"<closed>" if ended else b"")


def answers_of(connection: socket.socket, count: int) -> bytes:
    """So many answers, or those that came until the connection was closed."""
    got = b""
    while got.count(b"HTTP/1.1 ") < count or not _is_whole(got):
        part = connection.recv(65_536)
        if not part:
            break
        got += part
    return got


def _is_whole(got: bytes) -> bool:
    head, _, content = got.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head)
    return found is not None and len(content) == int(found[1])


def post(
    body: object, path: str = PREDICTIONS, headers: str = "", host: str = "localhost", version: str = "1.1"
) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "" if "content-type" in headers.lower() else "Content-Type: application/json\r\n"
    length = "" if "transfer-encoding" in headers.lower() else f"Content-Length: {len(content)}\r\n"
    head = f"POST {path} HTTP/{version}\r\nHost: {host}\r\n{kind}{length}{headers}\r\n"
    return head.encode("latin-1") + content


def prediction(identity: str, **more: object) -> dict[str, object]:
    return {
        "model_name": "m",
        "prediction_id": identity,
        "features": {"x": 1.5, "y": "red"},
        "prediction": "yes",
        **more,
    }


def label(identity: str, truth: object = "yes", **more: object) -> dict[str, object]:
    return {"model_name": "m", "prediction_id": identity, "ground_truth": truth, **more}


@contextmanager
def both_ways(folder: Path, **settings: str) -> Iterator[tuple[Served, Served]]:
    """A server with the lane, and one without it."""
    with Served(folder / "lane", lane=True, **settings) as one, Served(folder / "plain", lane=False, **settings) as two:
        yield one, two
