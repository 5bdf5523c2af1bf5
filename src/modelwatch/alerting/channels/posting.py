"""HTTP POST, bounded in time and in size, whose failures are described without a word of its address."""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from modelwatch.alerting.channels.channel import DELIVERED, Deadline, Outcome
from modelwatch.times import MICROS_PER_SECOND

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
ANSWER_BYTES = 16_384
# Statuses for which a later attempt may succeed; every 5xx is one, too.
PASSING = frozenset({408, 425, 429})

# At DEBUG it writes down the headers of answers, in which a receiver may repeat what it was sent.
logging.getLogger("httpcore").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of the receiver; `body` is cut at ANSWER_BYTES. retry_after: seconds."""

    status: int
    body: bytes
    retry_after: float | None


class Poster:
    """Client that posts to the addresses of one channel.

    Takes no proxy and no password file from the environment, follows no redirect, keeps no connection and no cookie;
    certificates are verified against those of SSL_CERT_FILE or SSL_CERT_DIR where set. clock: microseconds, for a
    Retry-After that is a date.
    """

    def __init__(self, clock: Callable[[], int], *, total_seconds: float = TOTAL_SECONDS) -> None:
        self._clock = clock
        self._total = total_seconds
        self._tls: ssl.SSLContext | None = None

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer | Outcome:
        """Posts once. Returns the answer, or an Outcome to retry when there was none."""
        with Deadline(self._total) as deadline:
            try:
                return self._exchange(url, body, headers, deadline)
            except httpx.HTTPError as error:
                # From here on only words of our own: the error's text may quote the address.
                late = deadline.expired or isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout)
                reason = f"no answer within {self._total:g} s" if late else _why(error)
            except ssl.SSLError:
                reason = "the certificates on this machine can't be read"
        return Outcome("retry", reason)

    def _exchange(self, url: str, body: bytes, headers: Mapping[str, str], deadline: Deadline) -> Answer:
        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
                deadline.watch(info["return_value"].get_extra_info("socket"))

        timeout = httpx.Timeout(self._total, connect=min(CONNECT_SECONDS, self._total)).as_dict()
        request = httpx.Request(
            "POST",
            _without_user(url),
            content=body,
            headers={
                "User-Agent": "modelwatch",
                "Accept-Encoding": "identity",
                "Connection": "close",
                "Content-Type": "application/json",
                **_authorization(url),
                **headers,
            },
            extensions={"timeout": timeout, "trace": trace},
        )
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        # The transport and not a client: a client logs the address of every request.
        with httpx.HTTPTransport(verify=self._tls, trust_env=False) as transport:
            response = transport.handle_request(request)
            try:
                read = bytearray()
                for chunk in response.iter_raw():
                    read += chunk
                    if len(read) >= ANSWER_BYTES:
                        break
            finally:
                response.close()
        return Answer(response.status_code, bytes(read[:ANSWER_BYTES]), self._retry_after(response.headers))

    def _retry_after(self, headers: httpx.Headers) -> float | None:
        text = headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text[:9])
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._clock() / MICROS_PER_SECOND)
        except (ValueError, OverflowError):
            return None


def judge(answer: Answer | Outcome) -> Outcome:
    """Outcome by the HTTP status: 2xx is delivered; 408, 425, 429 and 5xx may pass; anything else is permanent."""
    if isinstance(answer, Outcome):
        return answer
    if 200 <= answer.status < 300:
        return DELIVERED
    reason = f"HTTP {answer.status}"
    if answer.status in PASSING or answer.status >= 500:
        return Outcome("retry", reason, answer.retry_after)
    if 300 <= answer.status < 400:
        reason += ": redirects are not followed, configure the final address"
    return Outcome("permanent", reason)


def _why(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the receiver's certificate is not valid (OpenSSL error {cause.verify_code})"
        cause = cause.__cause__ or cause.__context__
    match error:
        case httpx.ConnectTimeout():
            return "no connection in time"
        case httpx.ConnectError():
            return "no connection"
        case _:
            return f"the connection broke ({type(error).__name__})"


def _authorization(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
