"""A POST is bounded, verified and quiet about its address."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelwatch.alerting.channels.channel import Outcome
from modelwatch.alerting.channels.posting import ANSWER_BYTES, Answer, Poster, judge
from tests.support.events import Clock
from tests.support.servers.doubles import Receiver, Reply
from tests.support.servers.live_service import free_port
from tests.support.servers.tls import Certificate


def posted(reply: Reply, *, total_seconds: float = 10.0) -> Answer | Outcome:
    with Receiver(reply) as receiver:
        return Poster(Clock(), total_seconds=total_seconds).post(receiver.url, b"{}", {})


@pytest.mark.parametrize("act", ["hang", "drip"])
def test_a_receiver_that_is_slow_in_any_way_is_left_after_the_total_time(act: str) -> None:
    began = time.monotonic()
    outcome = posted(Reply(act=act), total_seconds=0.3)  # type: ignore[arg-type]
    assert time.monotonic() - began < 5
    assert outcome == Outcome("retry", "no answer within 0.3 s")


def test_a_reset_connection_is_tried_again() -> None:
    outcome = posted(Reply(act="reset"))
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.reason) == ("retry", "the connection broke (ReadError)")


def test_nobody_listening_is_tried_again() -> None:
    outcome = Poster(Clock()).post(f"http://127.0.0.1:{free_port()}/canary", b"", {})
    assert outcome == Outcome("retry", "no connection")


def test_a_host_that_does_not_accept_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelwatch.alerting.channels.posting.CONNECT_SECONDS", 0.2)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        outcome = Poster(Clock()).post(f"http://127.0.0.1:{full.getsockname()[1]}", b"", {})
    assert outcome == Outcome("retry", "no connection in time")


def test_redirects_are_not_followed() -> None:
    with Receiver() as other, Receiver(Reply(307, {"Location": other.url + "/canary"})) as receiver:
        answer = Poster(Clock()).post(receiver.url, b"{}", {})
    outcome = judge(answer)
    assert (outcome.status, other.requests) == ("permanent", [])
    assert outcome.reason == "HTTP 307: redirects are not followed, configure the final address"


def test_no_more_of_an_answer_is_read_than_is_needed() -> None:
    answer = posted(Reply(200, body=b"x" * 5_000_000))
    assert isinstance(answer, Answer)
    assert len(answer.body) == ANSWER_BYTES


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Sun, 15 Jun 2025 15:05:30 GMT", 30.0),
        ("Sun, 15 Jun 2025 15:04:30 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    answer = posted(Reply(429, {"Retry-After": text}))
    assert isinstance(answer, Answer)
    assert answer.retry_after == seconds


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_is_a_delivery(status: int) -> None:
    assert judge(Answer(status, b"", None)).status == "delivered"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_pass_is_tried_again(status: int) -> None:
    assert judge(Answer(status, b"", 3.0)) == Outcome("retry", f"HTTP {status}", 3.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_what_will_not_pass_is_permanent(status: int) -> None:
    assert judge(Answer(status, b"canary", 3.0)) == Outcome("permanent", f"HTTP {status}")


def test_user_and_password_of_an_address_become_a_header() -> None:
    with Receiver() as receiver:
        Poster(Clock()).post(receiver.url.replace("//", "//us%40er:pass%3Aword@") + "/x?y=z", b"{}", {})
    [request] = receiver.requests
    assert request.path == "/x?y=z"
    assert request.headers["Authorization"] == "Basic dXNAZXI6cGFzczp3b3Jk"
    assert request.headers["Host"] == receiver.url.removeprefix("http://")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert isinstance(Poster(Clock()).post(receiver.url, b"{}", {}), Answer)
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


@pytest.fixture
def encrypted(certificate: Certificate) -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.encrypt(certificate.server_side())
    with receiver:
        yield receiver


def test_a_certificate_that_is_not_known_is_not_accepted(encrypted: Receiver) -> None:
    outcome = Poster(Clock()).post(encrypted.url, b"{}", {})
    assert outcome == Outcome("retry", "the receiver's certificate is not valid (OpenSSL error 18)")
    assert encrypted.requests == []


def test_a_certificate_can_be_made_known(
    encrypted: Receiver, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    assert isinstance(Poster(Clock()).post(encrypted.url, b"{}", {}), Answer)


def test_an_encrypted_drip_is_left_after_the_total_time(
    encrypted: Receiver, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    encrypted.script = [Reply(act="drip")]
    outcome = Poster(Clock(), total_seconds=0.5).post(encrypted.url, b"{}", {})
    assert outcome == Outcome("retry", "no answer within 0.5 s")


def test_certificates_that_can_not_be_read_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "canary.pem"
    broken.write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(broken))
    outcome = Poster(Clock()).post("https://127.0.0.1:1", b"", {})
    assert outcome == Outcome("retry", "the certificates on this machine can't be read")
