"""Channels from the settings and from CHANNELS_FILE: what is taken, what is refused, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwatch.config import Settings, load_settings
from modelwatch.config.addresses import MailServer, parse_mail_server
from modelwatch.config.channels import (
    AlertmanagerConfig,
    ChannelConfig,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
    channel_configs,
)
from modelwatch.errors import SettingsError

ALL = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/canary",
    "PAGERDUTY_INTEGRATION_KEY": "canary0123",
    "PAGERDUTY_URL": "https://events.eu.pagerduty.com",
    "ALERT_EMAIL": "a@example.org, b@example.org",
    "ALERT_EMAIL_FROM": "Alerts <alerts@example.org>",
    "SMTP_URL": "smtp://user:canary@mail.example.org:587?starttls=required",
    "ALERT_WEBHOOK_URL": "https://user:canary@example.org/hook",
    "ALERT_WEBHOOK_SECRET": "canary",
    "ALERTMANAGER_URL": "http://am-0:9093,http://user:canary@am-1:9093",
}


def configs(text: str, environ: dict[str, str] | None = None, **settings: str) -> dict[str, ChannelConfig]:
    path = Path("channels.yaml")
    path.write_text(text)
    return channel_configs(Settings(channels_file=str(path), **settings), environ or {})  # type: ignore[arg-type]


def problems(text: str, environ: dict[str, str] | None = None, **settings: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        configs(text, environ, **settings)
    title, *lines = str(raised.value).splitlines()
    assert title == ("1 problem" if len(lines) == 1 else f"{len(lines)} problems") + " in channels.yaml:"
    assert "canary" not in str(raised.value)
    return [line.removeprefix("  - ") for line in lines]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestSettings:
    def test_without_any_there_is_no_channel(self) -> None:
        assert channel_configs(Settings(), {}) == {}

    def test_each_setting_makes_its_channel(self) -> None:
        found = channel_configs(load_settings(ALL), {})
        assert found == {
            "slack": SlackConfig(url=ALL["SLACK_WEBHOOK_URL"]),
            "pagerduty": PagerDutyConfig(integration_key="canary0123", url="https://events.eu.pagerduty.com"),
            "email": EmailConfig.model_validate(
                {
                    "to": ["a@example.org", "b@example.org"],
                    "from": "Alerts <alerts@example.org>",
                    "smtp_url": ALL["SMTP_URL"],
                }
            ),
            "webhook": WebhookConfig(url=ALL["ALERT_WEBHOOK_URL"], secret="canary"),
            "alertmanager": AlertmanagerConfig(url=("http://am-0:9093", "http://user:canary@am-1:9093")),
        }

    def test_mails_come_from_the_recipients_domain_if_nothing_is_said(self) -> None:
        settings = load_settings({"ALERT_EMAIL": "a@example.org", "SMTP_URL": "smtp://mail"})
        email = channel_configs(settings, {})["email"]
        assert isinstance(email, EmailConfig)
        assert email.sent_from == "modelwatch@example.org"

    def test_no_secret_is_shown(self) -> None:
        settings = load_settings(ALL)
        shown = [repr(settings), str(settings), *map(repr, channel_configs(settings, {}).values())]
        shown += [str(each) for each in channel_configs(settings, {}).values()]
        shown.append(repr(parse_mail_server(ALL["SMTP_URL"])))
        assert not [text for text in shown if "canary" in text]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *((name, value) for name in ("SLACK_WEBHOOK_URL", "PAGERDUTY_URL", "ALERT_WEBHOOK_URL", "ALERTMANAGER_URL")
              for value in ("canary", "ftp://canary", "https://", "https://host:canary/", "https://can ary/",
                            "https://host/can\nary", "https://hóst/canary", "https://host/#canary")),
            ("ALERTMANAGER_URL", "http://am,http://am"),
            ("ALERTMANAGER_URL", ",".join(f"http://am-{index}" for index in range(6))),
            ("PAGERDUTY_INTEGRATION_KEY", "can ary"),
            ("ALERT_WEBHOOK_SECRET", "can\nary"),
            ("ALERT_EMAIL", "a@example.org\nBcc: canary@example.org"),
            ("ALERT_EMAIL", "nobody"),
            ("ALERT_EMAIL", "a@example.org,,b@example.org"),
            ("ALERT_EMAIL", ",".join(f"a{index}@example.org" for index in range(51))),
            ("ALERT_EMAIL_FROM", "a@example.org\r\nBcc: b@example.org"),
            ("ALERT_EMAIL_FROM", "a@example.org, b@example.org"),
            ("SMTP_URL", "mail.example.org"),
            ("SMTP_URL", "smtp://"),
            ("SMTP_URL", "smtp://mail/canary"),
            ("SMTP_URL", "smtp://mail:canary"),
            ("SMTP_URL", "smtp://ma il"),
            ("SMTP_URL", "smtp://mail?starttls=canary"),
            ("SMTP_URL", "smtp://mail?tls=canary"),
            ("SMTP_URL", "smtps://mail?starttls=required"),
        ],
    )  # fmt: skip
    def test_an_address_that_can_not_be_meant_is_refused(self, name: str, value: str) -> None:
        with pytest.raises(SettingsError) as raised:
            load_settings({**ALL, name: value})
        assert f"{name} in the environment: expected" in str(raised.value)
        if name != "ALERT_EMAIL":
            assert "canary" not in str(raised.value)

    def test_what_needs_another_setting_says_so_and_shows_nothing(self) -> None:
        with pytest.raises(SettingsError) as raised:
            load_settings({"ALERT_EMAIL": "a@example.org", "ALERT_WEBHOOK_SECRET": "canary"})
        assert str(raised.value).splitlines()[1:] == [
            "  - ALERT_EMAIL needs a mail server in SMTP_URL"
            " (ALERT_EMAIL is a@example.org in the environment, SMTP_URL is not set)",
            "  - ALERT_WEBHOOK_SECRET needs ALERT_WEBHOOK_URL"
            " (ALERT_WEBHOOK_SECRET is set in the environment, ALERT_WEBHOOK_URL is not set)",
        ]

    def test_lists_may_be_lists_in_yaml(self, folder: Path) -> None:
        (folder / "modelwatch.yaml").write_text(
            "alertmanager_url: ['http://a', 'http://b']\nalert_email: [a@b.org]\nsmtp_url: smtps://mail\n"
        )
        settings = load_settings({})
        assert (settings.alertmanager_url, settings.alert_email) == (("http://a", "http://b"), ("a@b.org",))

    @pytest.mark.parametrize("text", ["alert_email: 5", "alert_email: [5]", "smtp_url: 5", "slack_webhook_url: [a]"])
    def test_what_is_no_text_is_refused(self, folder: Path, text: str) -> None:
        (folder / "modelwatch.yaml").write_text(text)
        with pytest.raises(SettingsError, match="xpected"):
            load_settings({})


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail", MailServer("mail", 25, False, "offered")),
        ("smtps://mail", MailServer("mail", 465, True, "offered")),
        ("smtp://mail:587/?starttls=never", MailServer("mail", 587, False, "never")),
        ("smtp://u%40x:p%3A%2F@mail", MailServer("mail", 25, False, "offered", "u@x", "p:/")),
    ],
)
def test_a_mail_server_is_read_from_its_address(url: str, server: MailServer) -> None:
    assert parse_mail_server(url) == server


class TestFile:
    def test_any_number_of_channels_with_secrets_from_the_environment(self) -> None:
        found = configs(
            """
            channels:
              ml-team: {type: slack, url: "${SLACK_ML_URL}"}
              risk-team: {type: slack, url: "https://hooks.slack.com/services/${RISK}/x"}
              on-call: {type: pagerduty, integration_key: "${PD}"}
              managers: {type: email, to: [a@example.org, "${WHO}"], from: x@example.org}
              audit: {type: webhook, url: https://example.org, secret: "${PD}"}
              am: {type: alertmanager, url: "http://am-0:9093,http://am-1:9093"}
            """,
            {"SLACK_ML_URL": "https://hooks.slack.com/ml", "RISK": "T0", "PD": "canary", "WHO": "b@example.org"},
            smtp_url="smtp://mail",
            alert_email_from="y@example.org",
        )
        assert list(found) == ["ml-team", "risk-team", "on-call", "managers", "audit", "am"]
        assert found["ml-team"] == SlackConfig(url="https://hooks.slack.com/ml")
        assert found["risk-team"] == SlackConfig(url="https://hooks.slack.com/services/T0/x")
        assert found["on-call"] == PagerDutyConfig(integration_key="canary")
        managers = found["managers"]
        assert isinstance(managers, EmailConfig)
        assert (managers.to, managers.sent_from) == (("a@example.org", "b@example.org"), "x@example.org")
        assert managers.smtp_url == "smtp://mail"
        assert found["am"] == AlertmanagerConfig(url=("http://am-0:9093", "http://am-1:9093"))

    def test_the_channels_of_the_settings_stay(self) -> None:
        found = configs("channels: {more: {type: slack, url: 'https://x'}}", slack_webhook_url="https://y")
        assert list(found) == ["slack", "more"]

    def test_a_name_is_given_once(self) -> None:
        assert problems("channels: {slack: {type: slack, url: 'https://x'}}", slack_webhook_url="https://y") == [
            "slack: this name is taken by the channel that the settings configure"
        ]

    def test_every_problem_is_told_at_once_with_the_nearest_name(self) -> None:
        assert problems(
            """
            channels:
              Bad_Name: {type: slack, url: https://canary}
              7: {type: slack, url: https://canary}
              a: {type: slak, url: https://canary}
              b: {url: https://canary}
              c: canary
              d: {type: slack, urll: https://canary}
              e: {type: slack, url: "${NOT_SET}/canary"}
              f: {type: slack, url: "${not a name}"}
              g: {type: webhook, url: canary}
              h: {type: email, to: a@example.org}
              i: {type: slack, url: 5}
              j: {type: email, to: a@example.org, sender: canary, smtp_url: smtp://mail}
            """
        ) == [
            "Bad_Name: expected a name of lower-case letters, digits and hyphens, at most 63",
            "7: expected a name of lower-case letters, digits and hyphens, at most 63",
            "a: expected one of the types slack, pagerduty, email, webhook, alertmanager: did you mean slack?",
            "b: expected one of the types slack, pagerduty, email, webhook, alertmanager",
            "c: expected `type` and the keys of that type",
            "d: unknown key 'urll': did you mean url?",
            "d.url: field required",
            "e.url: NOT_SET is not set in the environment",
            "f.url: expected the name of a variable between ${ and }",
            "g.url: expected an address such as https://host.example.org/path",
            "h.smtp_url: field required",
            "i.url: expected an http:// or https:// address without spaces and line ends",
            "j: unknown key 'sender'",
        ]

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "expected one key, `channels`, with the channels by name"),
            ("channels: []", "expected one key, `channels`, with the channels by name"),
            ("chanels: {canary: {}}", "expected one key, `channels`, with the channels by name"),
            ("channels: {a: canary", "it is not YAML, line 1"),
        ],
    )
    def test_a_file_of_another_shape_is_refused(self, text: str, problem: str) -> None:
        assert problems(text) == [problem]

    def test_a_file_that_is_not_there_is_a_problem(self) -> None:
        with pytest.raises(SettingsError, match=r"it can't be read: No such file or directory"):
            channel_configs(Settings(channels_file="gone.yaml"), {})

    def test_a_file_that_is_no_text_is_a_problem(self, folder: Path) -> None:
        (folder / "channels.yaml").write_bytes(b"\xff\xfe\x00canary")
        with pytest.raises(SettingsError, match="it is not YAML"):
            channel_configs(Settings(channels_file="channels.yaml"), {})
