"""E-mail: what a mail looks like, how it gets encrypted, and which refusals are final."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from modelwatch.alerting.channels.email import EmailChannel
from modelwatch.alerting.channels.email_message import compose
from modelwatch.alerting.notification import Notification, Trend
from modelwatch.config.addresses import parse_mail_server
from tests.support.alerts.notifications import FINDING, NOTIFICATION, notification
from tests.support.events import NOON, Clock
from tests.support.servers.doubles import MailReceiver, mail_server
from tests.support.servers.live_service import free_port
from tests.support.servers.tls import Certificate

TO = ("ml@example.org", "risk@example.org")


@pytest.fixture
def receiver() -> MailReceiver:
    return MailReceiver()


@pytest.fixture
def port(receiver: MailReceiver) -> Iterator[int]:
    with mail_server(receiver) as port:
        yield port


def channel(url: str, **options: Any) -> EmailChannel:
    sender = options.pop("sender", "Alerts <alerts@example.org>")
    return EmailChannel("email", parse_mail_server(url), sender=sender, to=TO, clock=Clock(), **options)


def composed(told: Notification = NOTIFICATION, key: str | None = None) -> Any:
    key = key or f"{told.alert_id}:{told.sequence}:email"
    return compose(told, key, channel="email", sender="alerts@example.org", to=TO, now=NOON)


def test_a_mail_reaches_every_recipient(receiver: MailReceiver, port: int) -> None:
    assert channel(f"smtp://127.0.0.1:{port}").send(NOTIFICATION, "a1:1:email").status == "delivered"
    [mail] = receiver.mails
    assert (mail.sender, mail.recipients) == ("alerts@example.org", list(TO))
    message = mail.message
    assert message["Subject"] == "[alert] Firing: fraud (production): amount has drifted"
    assert (message["From"], message["To"]) == ("Alerts <alerts@example.org>", ", ".join(TO))
    assert message["Date"] == "Sun, 15 Jun 2025 15:05:00 +0000"
    assert message["Auto-Submitted"] == "auto-generated"
    assert {name: value for name, value in message.items() if name.startswith("X-Modelwatch")} == {
        "X-Modelwatch-Key": "a1:1:email",
        "X-Modelwatch-Alert": "a1",
        "X-Modelwatch-Event": "firing",
        "X-Modelwatch-Severity": "alert",
        "X-Modelwatch-Model": "fraud",
        "X-Modelwatch-Environment": "production",
        "X-Modelwatch-Kind": "feature_drift",
    }
    plain, html = message.iter_parts()
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")
    for part in (plain, html):
        text = part.get_content()
        for fact in (
            NOTIFICATION.summary,
            FINDING.detail,
            NOTIFICATION.page_url,
            NOTIFICATION.evidence_url,
            "2025-06-15 15:05 UTC",
        ):
            assert fact in text


def test_mails_of_an_alert_belong_together() -> None:
    first, second, third = (composed(notification(sequence=sequence)) for sequence in (1, 2, 7))
    assert first["In-Reply-To"] is None
    assert second["In-Reply-To"] == second["References"] == third["References"] == first["Message-ID"]
    assert len({each["Message-ID"] for each in (first, second, third)}) == 3
    other = composed(notification(alert_id="a2", sequence=2))
    assert other["References"] != second["References"]
    assert composed(notification(event="test", sequence=2))["References"] is None


def test_a_repeat_has_the_same_message_id() -> None:
    assert composed()["Message-ID"] == composed()["Message-ID"]
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", composed()["Message-ID"])


def test_no_header_gets_a_line_from_what_a_model_is_called() -> None:
    evil = "x\r\nBcc: eve@example.org\r\n\r\nbody"
    told = notification(
        model=evil, environment=evil, title=evil, actor=evil, note=evil, alert_id=evil, labels={evil: evil}
    )
    raw = composed(told, key=evil).as_bytes()
    head = raw.split(b"\r\n\r\n")[0]
    assert b"\nBcc" not in head
    assert composed(told, key=evil)["Bcc"] is None


def test_markup_in_a_name_stays_text_and_long_names_are_cut() -> None:
    told = notification(title="<script>alert(1)</script>" + "x" * 5_000, summary="a < b & c")
    message = composed(told)
    assert len(message["Subject"]) == 200
    html = message.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "a &lt; b &amp; c" in html


def test_what_is_not_there_is_not_shown() -> None:
    told = notification(
        members=NOTIFICATION.members * 130, page_url="", evidence_url="", ended_at=NOON, recovered=("country",)
    )
    text = composed(told).get_body(("plain",)).get_content()
    assert "… and 30 more" in text
    assert "Ended: 2025-06-15 15:05 UTC" in text
    assert "Recovered: country" in text
    assert "Data until" not in text
    bare = composed(notification(members=(), page_url="", evidence_url="", actor="ann", note="mine"))
    assert "<ul>" not in bare.get_body(("html",)).get_content()
    assert "By ann: mine" in bare.get_body(("html",)).get_content()
    assert "http" not in bare.get_body(("plain",)).get_content()


class TestEncryption:
    def test_starttls_is_used_when_it_is_offered(
        self, receiver: MailReceiver, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
        with mail_server(
            receiver, tls_context=certificate.server_side(), authenticator=receiver.authenticate, auth_required=True
        ) as port:
            url = f"smtp://us%40er:pass%3Aword@127.0.0.1:{port}?starttls=required"
            assert channel(url).send(NOTIFICATION, "k").status == "delivered"
        assert [(mail.encrypted, mail.user) for mail in receiver.mails] == [(True, "us@er")]

    def test_starttls_can_be_declined(self, receiver: MailReceiver, certificate: Certificate) -> None:
        with mail_server(receiver, tls_context=certificate.server_side()) as port:
            assert channel(f"smtp://127.0.0.1:{port}?starttls=never").send(NOTIFICATION, "k").status == "delivered"
        assert [mail.encrypted for mail in receiver.mails] == [False]

    def test_a_server_that_does_not_offer_it_gets_nothing_when_it_is_required(
        self, receiver: MailReceiver, port: int
    ) -> None:
        outcome = channel(f"smtp://127.0.0.1:{port}?starttls=required").send(NOTIFICATION, "k")
        assert (outcome.status, receiver.mails) == ("retry", [])
        assert outcome.reason == "the mail server does not offer STARTTLS, which is required"

    def test_a_password_is_not_sent_unencrypted_to_another_machine(
        self, port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda address, *more: connect(("127.0.0.1", port), *more))
        outcome = channel("smtp://user:canary@mail.example.org").send(NOTIFICATION, "k")
        assert outcome.status == "retry"
        assert outcome.reason == "the mail server does not offer STARTTLS, and the password is not sent unencrypted"

    def test_smtps_is_encrypted_from_the_start(
        self, receiver: MailReceiver, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
        with mail_server(receiver, ssl_context=certificate.server_side()) as port:
            assert channel(f"smtps://127.0.0.1:{port}").send(NOTIFICATION, "k").status == "delivered"
        assert len(receiver.mails) == 1

    @pytest.mark.parametrize(("scheme", "option"), [("smtp", "tls_context"), ("smtps", "ssl_context")])
    def test_a_certificate_that_is_not_known_is_not_accepted(
        self,
        receiver: MailReceiver,
        certificate: Certificate,
        scheme: str,
        option: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("asyncio.sslproto.logger.error", lambda *more, **others: None)
        with mail_server(receiver, ready_timeout=5, **{option: certificate.server_side()}) as port:
            outcome = channel(f"{scheme}://127.0.0.1:{port}").send(NOTIFICATION, "k")
        assert (outcome.status, receiver.mails) == ("retry", [])
        assert outcome.reason == "the mail server's certificate is not valid (OpenSSL error 18)"


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "status", "reason"),
        [
            ("451 4.3.0 canary", "retry", "the mail server refused: SMTP 451 4.3.0"),
            ("452 canary", "retry", "the mail server refused: SMTP 452"),
            ("554 5.6.0 canary", "permanent", "the mail server refused: SMTP 554 5.6.0"),
        ],
    )
    def test_a_refused_mail(self, receiver: MailReceiver, port: int, answer: str, status: str, reason: str) -> None:
        receiver.refuse["DATA"] = answer
        outcome = channel(f"smtp://127.0.0.1:{port}").send(NOTIFICATION, "k")
        assert (outcome.status, outcome.reason) == (status, reason)

    def test_one_refused_recipient_keeps_nothing_from_the_others(
        self, receiver: MailReceiver, port: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        receiver.refuse[TO[0]] = "550 5.1.1 canary"
        assert channel(f"smtp://127.0.0.1:{port}").send(NOTIFICATION, "k").status == "delivered"
        assert receiver.mails[0].recipients == [TO[1]]
        assert "email: the mail server refused 1 of 2 recipients" in caplog.text
        assert "canary" not in caplog.text

    @pytest.mark.parametrize(("code", "status"), [("450 4.2.0", "retry"), ("550 5.1.1", "permanent")])
    def test_when_every_recipient_is_refused_the_mildest_answer_counts(
        self, receiver: MailReceiver, port: int, code: str, status: str
    ) -> None:
        receiver.refuse |= {TO[0]: "550 5.1.1 canary", TO[1]: f"{code} canary"}
        outcome = channel(f"smtp://127.0.0.1:{port}").send(NOTIFICATION, "k")
        assert (outcome.status, outcome.reason) == (status, f"every recipient was refused: SMTP {code[:3]}")

    @pytest.mark.parametrize(("answer", "status"), [("535 5.7.8 canary", "permanent"), ("454 4.7.0 canary", "retry")])
    def test_a_refused_login(self, receiver: MailReceiver, answer: str, status: str) -> None:
        receiver.refuse["AUTH"] = answer
        with mail_server(receiver, authenticator=receiver.authenticate, auth_require_tls=False) as port:
            outcome = channel(f"smtp://user:canary@127.0.0.1:{port}").send(NOTIFICATION, "k")
        assert (outcome.status, outcome.reason) == (status, f"the mail server refused: SMTP {answer[:9]}")

    def test_a_server_without_logins_can_not_take_one(self, port: int) -> None:
        outcome = channel(f"smtp://user:canary@127.0.0.1:{port}").send(NOTIFICATION, "k")
        assert outcome.status == "permanent"
        assert outcome.reason == "the mail server lacks a required feature (SMTPNotSupportedError)"

    def test_nobody_listening_is_tried_again(self) -> None:
        outcome = channel(f"smtp://127.0.0.1:{free_port()}").send(NOTIFICATION, "k")
        assert (outcome.status, outcome.reason) == ("retry", "no connection (ConnectionRefusedError)")


def silent_server(closing: threading.Event, server: socket.socket, greeting: bytes) -> threading.Thread:
    """Takes one connection and greets as slowly as it can, until it is closed."""

    def greet() -> None:
        peer, _ = server.accept()
        with peer:
            while not closing.wait(0.05):
                try:
                    peer.sendall(greeting)
                except OSError:
                    return

    thread = threading.Thread(target=greet)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("greeting", "step_seconds", "total_seconds"), [(b"", 10.0, 0.3), (b"2", 10.0, 0.3), (b"", 0.2, 30.0)]
)
def test_a_server_that_is_slow_in_any_way_is_left_in_time(
    greeting: bytes, step_seconds: float, total_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelwatch.alerting.channels.email.STEP_SECONDS", step_seconds)
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = silent_server(closing, server, greeting)
        began = time.monotonic()
        url = f"smtp://127.0.0.1:{server.getsockname()[1]}"
        outcome = channel(url, total_seconds=total_seconds).send(NOTIFICATION, "k")
        assert time.monotonic() - began < 5
        closing.set()
        thread.join()
    assert (outcome.status, outcome.reason) == ("retry", "no answer in time")


def test_a_trend_is_blocks_in_plain_text_and_a_chart_that_mail_programs_show() -> None:
    trend = Trend("Largest PSI", (0.01, 0.15, 0.6), warning=0.1, alert=0.25)
    mail = composed(replace(NOTIFICATION, trend=trend))
    plain, html = (part.get_content() for part in mail.iter_parts())
    assert "Largest PSI, last 3 evaluations: ▁▃█ 0.6" in plain
    assert "Largest PSI, last 3 evaluations: 0.01 → 0.6; warning from 0.1; alert from 0.25" in html
    bars = re.findall(r'height="(\d+)" bgcolor="(#\w+)"', html)
    assert bars == [("3", "#175c92"), ("16", "#d39c20"), ("60", "#b3261e")]
    assert "<svg" not in html


def test_a_trend_of_shares_is_written_as_per_cent() -> None:
    mail = composed(replace(NOTIFICATION, trend=Trend("Accuracy", (0.8952, 0.76768, 0.5561), form="percent")))
    plain, html = (part.get_content() for part in mail.iter_parts())
    assert "Accuracy, last 3 evaluations: █▅▁ 55.6 %" in plain
    assert "Accuracy, last 3 evaluations: 89.5 % → 55.6 %" in html


def test_a_trend_that_does_not_change_and_one_without_thresholds_are_drawn_too() -> None:
    for values in ((0.5, 0.5), (0.0, 0.0), (0.9, 0.84)):
        mail = composed(replace(NOTIFICATION, trend=Trend("Main metric", values)))
        _, html = (part.get_content() for part in mail.iter_parts())
        assert html.count('bgcolor="#175c92"') == 2
