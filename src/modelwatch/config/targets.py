"""Where a channel leads, as far as it may be shown: hosts and people, never what makes an address a secret."""

from __future__ import annotations

from urllib.parse import urlsplit

from modelwatch.config.addresses import parse_mail_server
from modelwatch.config.channels import (
    AlertmanagerConfig,
    ChannelConfig,
    EmailConfig,
    PagerDutyConfig,
    SlackConfig,
    WebhookConfig,
)

MOST_NAMED = 3


def channel_target(config: ChannelConfig) -> str:
    """One line without secrets; of a web address nothing but its host, for the path of a webhook is a key.

    >>> channel_target(SlackConfig(url="https://hooks.slack.com/services/T0/B0/key"))
    'https://hooks.slack.com/…'
    """
    match config:
        case SlackConfig() | WebhookConfig() | PagerDutyConfig():
            return _host(config.url)
        case AlertmanagerConfig():
            return ", ".join(map(_host, config.url))
        case EmailConfig():
            more = len(config.to) - MOST_NAMED
            people = ", ".join(config.to[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
            server = parse_mail_server(config.smtp_url)
            return f"{people} via {server.host}:{server.port}"


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}" + ("/…" if parts.path.strip("/") or parts.query else "")
