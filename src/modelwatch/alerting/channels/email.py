"""E-mail channel, over SMTP: encrypted from the start (smtps), or by STARTTLS when the server offers it, or always."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from email.utils import parseaddr
from typing import Any

from modelwatch.alerting.channels.channel import DELIVERED, Deadline, Outcome
from modelwatch.alerting.channels.email_message import compose
from modelwatch.alerting.notification import Notification
from modelwatch.config.addresses import MailServer

STEP_SECONDS = 10.0
TOTAL_SECONDS = 30.0
ENHANCED = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")

log = logging.getLogger(__name__)


class EmailChannel:
    """Sends each change as one mail to all recipients. It is delivered when the server took it for at least one."""

    kind = "email"

    def __init__(
        self,
        name: str,
        server: MailServer,
        *,
        sender: str,
        to: Sequence[str],
        clock: Callable[[], int],
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self.name = name
        self._server = server
        self._sender = sender
        self._to = tuple(to)
        self._clock = clock
        self._total = total_seconds

    def __repr__(self) -> str:
        return f"EmailChannel({self.name!r})"

    def send(self, notification: Notification, key: str) -> Outcome:
        message = compose(notification, key, channel=self.name, sender=self._sender, to=self._to, now=self._clock())
        recipients = [parseaddr(address)[1] for address in self._to]
        with Deadline(self._total) as deadline:
            try:
                with contextlib.closing(self._connected(deadline)) as smtp:
                    refused = smtp.send_message(message, parseaddr(self._sender)[1], recipients)
                    with contextlib.suppress(smtplib.SMTPException, OSError):
                        smtp.quit()
            except (smtplib.SMTPException, OSError, _NotPrivate) as error:
                return Outcome("retry", "no answer in time") if deadline.expired else _outcome(error)
        if refused:
            log.warning("%s: the mail server refused %d of %d recipients", self.name, len(refused), len(recipients))
        return DELIVERED

    def _connected(self, deadline: Deadline) -> smtplib.SMTP:
        server = self._server
        tls = ssl.create_default_context()
        smtp = _WatchedTls(server, deadline, tls) if server.implicit_tls else _Watched(server, deadline)
        try:
            smtp.ehlo_or_helo_if_needed()
            private = server.implicit_tls
            if not private and server.starttls != "never" and smtp.has_extn("starttls"):
                smtp.starttls(context=tls)
                assert smtp.sock is not None
                deadline.watch(smtp.sock)
                smtp.ehlo()
                private = True
            if not private and server.starttls == "required":
                raise _NotPrivate("the mail server does not offer STARTTLS, which is required")
            if server.user is not None:
                if not private and server.starttls != "never" and not _is_here(server.host):
                    raise _NotPrivate(
                        "the mail server does not offer STARTTLS, and the password is not sent unencrypted"
                    )
                smtp.login(server.user, server.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp


class _NotPrivate(Exception):
    """Connection that is not encrypted and must be. It may be next time: someone may be in between just now."""


class _Watched(smtplib.SMTP):
    """A client whose socket a deadline watches from before the server's greeting."""

    def __init__(self, server: MailServer, deadline: Deadline) -> None:
        self._deadline = deadline
        super().__init__(server.host, server.port, timeout=STEP_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = socket.create_connection((host, port), timeout)
        self._deadline.watch(connected)
        return connected


class _WatchedTls(smtplib.SMTP_SSL):
    """The same, encrypted from the start."""

    def __init__(self, server: MailServer, deadline: Deadline, tls: ssl.SSLContext) -> None:
        self._deadline = deadline
        super().__init__(server.host, server.port, timeout=STEP_SECONDS, context=tls)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        connected = socket.create_connection((host, port), timeout)
        encrypted = self.context.wrap_socket(connected, server_hostname=host)
        self._deadline.watch(encrypted)
        return encrypted


def _outcome(error: Exception) -> Outcome:
    """Outcome in words of our own: the error's text may quote what was sent or what the server wrote."""
    match error:
        case _NotPrivate():
            return Outcome("retry", str(error))
        case smtplib.SMTPRecipientsRefused():
            return _refusal("every recipient was refused", min(code for code, _ in error.recipients.values()))
        case smtplib.SMTPResponseException():
            return _refusal("the mail server refused", error.smtp_code, error.smtp_error)
        case ssl.SSLCertVerificationError():
            return Outcome("retry", f"the mail server's certificate is not valid (OpenSSL error {error.verify_code})")
        case _ if isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
            return Outcome("retry", "no answer in time")
        case smtplib.SMTPException() if not isinstance(error, smtplib.SMTPServerDisconnected):
            return Outcome("permanent", f"the mail server lacks a required feature ({type(error).__name__})")
        case _:
            return Outcome("retry", f"no connection ({type(error).__name__})")


def _refusal(what: str, code: int, answer: bytes | str = b"") -> Outcome:
    """Outcome of a refusal: 4xx may pass, 5xx will not. Of the answer only the enhanced status code is repeated."""
    raw = answer.encode() if isinstance(answer, str) else answer
    found = ENHANCED.match(raw)
    reason = f"{what}: SMTP {code}" + (f" {found[0].decode()}" if found else "")
    return Outcome("permanent" if code >= 500 else "retry", reason)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
