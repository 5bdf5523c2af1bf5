"""The channels that a service is configured with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modelwatch.alerting.channels.protocol import Channel
from modelwatch.config import Settings
from modelwatch.config.addresses import parse_mail_server
from modelwatch.config.channels import (
    AlertmanagerConfig,
    ChannelConfig,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
    channel_configs,
)


def build_channels(settings: Settings, *, clock: Callable[[], int], environ: Mapping[str, str]) -> dict[str, Channel]:
    """Every configured channel by its name. environ: for ${NAME} in CHANNELS_FILE. clock: microseconds.

    Raises SettingsError when CHANNELS_FILE can't be used.
    """
    return {name: _built(name, config, clock) for name, config in channel_configs(settings, environ).items()}


def _built(name: str, config: ChannelConfig, clock: Callable[[], int]) -> Channel:
    # Kinds are loaded when they are configured: with their client of HTTP, a service without channels starts later.
    match config:
        case SlackConfig():
            from modelwatch.alerting.channels.slack import SlackChannel

            return SlackChannel(name, config.url, clock=clock)
        case PagerDutyConfig():
            from modelwatch.alerting.channels.pagerduty import PagerDutyChannel

            return PagerDutyChannel(name, config.integration_key, config.url, clock=clock)
        case EmailConfig():
            from modelwatch.alerting.channels.email import EmailChannel

            server = parse_mail_server(config.smtp_url)
            return EmailChannel(name, server, sender=config.sent_from, to=config.to, clock=clock)
        case WebhookConfig():
            from modelwatch.alerting.channels.webhook import WebhookChannel

            return WebhookChannel(name, config.url, config.secret, clock=clock)
        case AlertmanagerConfig():
            from modelwatch.alerting.channels.alertmanager import AlertmanagerChannel

            return AlertmanagerChannel(name, config.url, clock=clock)
