"""Where a channel leads, without its secrets."""

from __future__ import annotations

import pytest

from modelwatch.config.channels import (
    AlertmanagerConfig,
    ChannelConfig,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
    channel_target,
)

PEOPLE = tuple(f"{name}@example.org" for name in "abcde")
SMTP = "smtps://user:secret@mail.example.org"


@pytest.mark.parametrize(
    ("config", "target"),
    [
        (SlackConfig(url="https://hooks.slack.com/services/secret"), "https://hooks.slack.com/…"),
        (PagerDutyConfig(integration_key="secret"), "https://events.pagerduty.com"),
        (WebhookConfig(url="http://user:secret@[::1]:81/?key=secret"), "http://[::1]:81/…"),
        (WebhookConfig(url="http://example.org/"), "http://example.org"),
        (AlertmanagerConfig(url="http://u:secret@am-0:9093,http://am-1/secret"), "http://am-0:9093, http://am-1/…"),
        (EmailConfig(to=PEOPLE[:1], smtp_url=SMTP), "a@example.org via mail.example.org:465"),
        (
            EmailConfig(to=PEOPLE, smtp_url=SMTP),
            "a@example.org, b@example.org, c@example.org and 2 more via mail.example.org:465",
        ),
    ],
)
def test_hosts_and_people_are_shown_and_nothing_else(config: ChannelConfig, target: str) -> None:
    assert channel_target(config) == target
