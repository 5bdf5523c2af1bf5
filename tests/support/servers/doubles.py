"""Receivers on 127.0.0.1 that answer by a script and take down what they get: a web service, and a mail server."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.support.servers.live_service import free_port

WAIT_SECONDS = 60


def eventually(holds: Callable[[], object], what: str = "what was waited for", seconds: float = WAIT_SECONDS) -> None:
    """Returns once it holds; fails when it does not within the deadline. Looks the more seldom the longer it takes."""
    began = time.monotonic()
    while not holds():
        waited = time.monotonic() - began
        assert waited < seconds, f"{what} did not happen within {seconds} s"
        time.sleep(min(0.2, max(0.01, (waited - 0.5) / 10)))


@dataclass(frozen=True)
class Reply:
    """Reply of a receiver to one request.

    act: `answer`; `reset` the connection; `hang` until the receiver is closed; `drip` the answer's head byte by byte.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    act: Literal["answer", "reset", "hang", "drip"] = "answer"


@dataclass(frozen=True)
class Request:
    """One request as it came in; `at` in seconds of the monotonic clock."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A web service that answers with the replies of its script, one a request, and then with the last one for ever."""

    def __init__(self, *script: Reply) -> None:
        self.script = list(script) or [Reply()]
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # whoever sent this died in the middle of it
                reply = receiver.take(Request(self.path, dict(self.headers.items()), body, time.monotonic()))
                with contextlib.suppress(ConnectionError):
                    receiver.act(self, reply)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def encrypt(self, tls: ssl.SSLContext) -> None:
        """Speaks TLS from now on; to be called before it is entered."""
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"

    def take(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def act(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        match reply.act:
            case "reset":
                # Closed with data unsent and a linger of zero: the peer sees a reset.
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                handler.connection.close()
                handler.close_connection = True
            case "hang":
                self.closing.wait()
            case "drip":
                while not self.closing.wait(0.05):
                    try:
                        handler.connection.sendall(b"H")
                    except OSError:
                        return
            case "answer":
                handler.send_response(reply.status)
                for name, value in reply.headers.items():
                    handler.send_header(name, value)
                handler.send_header("Content-Length", str(len(reply.body)))
                handler.end_headers()
                handler.wfile.write(reply.body)

    @property
    def keys(self) -> list[str]:
        """The Idempotency-Key of each request, in the order of their arrival."""
        return [request.headers["Idempotency-Key"] for request in self.requests]

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Mail:
    """One mail as it came in, and whether the connection was encrypted and by whom it was authenticated."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    user: str | None


class MailReceiver:
    """Handler that aiosmtpd calls. `refuse` maps a recipient, `DATA` or `AUTH` to the answer that refuses it."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.refuse: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802  aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.refuse:
            return self.refuse["DATA"]
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        user = session.auth_data.decode() if isinstance(session.auth_data, bytes) else None
        self.mails.append(
            Mail(str(envelope.mail_from), list(envelope.rcpt_tos), message, session.ssl is not None, user)
        )
        return "250 OK"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if "AUTH" in self.refuse:
            return AuthResult(success=False, handled=False, message=self.refuse["AUTH"])
        return AuthResult(success=True, auth_data=data.login)


@contextmanager
def mail_server(receiver: MailReceiver, **options: Any) -> Iterator[int]:
    """A mail server with these options of aiosmtpd's Controller; gives its port."""
    controller = Controller(receiver, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
