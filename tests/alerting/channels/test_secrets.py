"""What a channel knows and nobody else may: it is in no reason, log, row, error or repr, whatever goes wrong."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from modelwatch.alerting.channels import Channel, build_channels
from modelwatch.config import Settings, load_settings
from modelwatch.storage.engine.store import Store
from tests.support.alerts.delivering import delivery
from tests.support.alerts.notifications import outbox, put, row
from tests.support.events import Clock
from tests.support.servers.doubles import MailReceiver, Receiver, Reply, mail_server
from tests.support.servers.live_service import free_port

CANARY = "c4n4ry"
# Receivers that write back what they were sent, as some do in their errors.
ECHOES = [
    Reply(status, {"X-Echo": CANARY, "Location": f"http://{CANARY}"}, f"{{'error': '{CANARY}'}}".encode())
    for status in (200, 302, 400, 403, 404, 410, 429, 500)
]
FAILURES = [*ECHOES, Reply(act="reset"), Reply(status=200, headers={"Content-Encoding": CANARY})]


def settings(web: str, mail: str) -> Settings:
    host = web.removeprefix("http://")
    return load_settings(
        {
            "SLACK_WEBHOOK_URL": f"http://{host}/services/{CANARY}",
            "PAGERDUTY_INTEGRATION_KEY": CANARY,
            "PAGERDUTY_URL": f"http://user:{CANARY}@{host}",
            "ALERT_WEBHOOK_URL": f"http://user:{CANARY}@{host}/?token={CANARY}",
            "ALERT_WEBHOOK_SECRET": CANARY,
            "ALERTMANAGER_URL": f"http://user:{CANARY}@{host}/{CANARY}",
            "ALERT_EMAIL": "a@example.org",
            "SMTP_URL": f"smtp://user:{CANARY}@{mail}",
        },
        dotenv=None,
    )


def everything(store: Store, channels: dict[str, Channel], caplog: pytest.LogCaptureFixture) -> str:
    rows = "\n".join(f"{each.state} {each.last_error}" for each in outbox(store).values())
    # The mail server here is of the test, and so is its log.
    logs = "\n".join(f"{each.getMessage()} {each.exc_text}" for each in caplog.records if each.name != "mail.log")
    return "\n".join([rows, logs, *map(repr, channels.values()), *map(str, channels.values())])


def try_all(store: Store, channels: dict[str, Channel], caplog: pytest.LogCaptureFixture) -> str:
    """Everything that can be read after each channel has tried to deliver."""
    caplog.set_level(logging.DEBUG)
    put(store, *(row(name) for name in channels))
    clock = Clock()
    sender = delivery(store, clock, *channels.values())
    sender.once()
    reasons = [sender.send_test(name).reason for name in channels]
    return "\n".join([everything(store, channels, caplog), *reasons])


@pytest.mark.parametrize("reply", FAILURES, ids=lambda reply: f"{reply.act}-{reply.status}")
def test_nothing_leaks_when_receivers_fail(store: Store, reply: Reply, caplog: pytest.LogCaptureFixture) -> None:
    receiver = MailReceiver()
    receiver.refuse["AUTH"] = f"535 5.7.8 {CANARY}"
    with (
        Receiver(reply) as web,
        mail_server(receiver, authenticator=receiver.authenticate, auth_require_tls=False) as port,
    ):
        channels = build_channels(settings(web.url, f"127.0.0.1:{port}"), clock=Clock(), environ={})
        text = try_all(store, channels, caplog)
        assert len(web.requests) >= 4
    assert len(channels) == 5
    assert "Channel email fails" in text
    assert CANARY not in text


def test_nothing_leaks_when_nobody_is_there(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    channels = build_channels(
        settings(f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"), clock=Clock(), environ={}
    )
    text = try_all(store, channels, caplog)
    assert "no connection" in text
    assert CANARY not in text


def test_nothing_leaks_when_a_channel_has_a_bug(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = build_channels(settings("http://127.0.0.1:1", "127.0.0.1:1"), clock=Clock(), environ={})

    def failing(url: str, *_: object) -> None:
        raise RuntimeError(f"can't post to {url}")

    monkeypatch.setattr("modelwatch.alerting.channels.posting.Poster.post", failing)
    text = try_all(store, channels, caplog)
    assert "a bug in the channel (RuntimeError)" in text
    assert CANARY not in text


def test_a_channel_that_can_not_be_built_names_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "channels.yaml"
    path.write_text("channels: {a: {type: slack, url: '${URL}'}, b: {type: webhook, url: 'x:${URL}', secre: '${URL}'}}")
    with pytest.raises(Exception, match="problems") as raised:
        build_channels(Settings(channels_file=str(path)), clock=Clock(), environ={"URL": f"gopher://{CANARY}"})
    assert CANARY not in str(raised.value)
    assert CANARY not in repr(raised.value)
    assert sys.exc_info() == (None, None, None)
