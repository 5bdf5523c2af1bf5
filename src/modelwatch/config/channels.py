"""Channels of notifications: those that the settings name, and any number of others from CHANNELS_FILE.

Of a target only hosts and people are shown, never what makes an address a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelwatch.config.addresses import HttpUrl, HttpUrls, Key, Recipients, Sender, SmtpUrl, parse_mail_server
from modelwatch.config.settings import PAGERDUTY_URL, Settings
from modelwatch.errors import SettingsError, excerpt

# What a service listens on that others reach, and nobody can open.
ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104

NAME = re.compile(r"[a-z0-9-]{1,63}")
MOST_NAMED = 3
# Words of examples, and reserved hosts (RFC 2606).
_PLACEHOLDER = re.compile(
    r"(?i)(?<![a-z])(your|change[-_]?me|placeholder|xxx+|todo|secret[-_]?here)(?![a-z])|<[^>]*>"
    r"|(^|[@/.])example\.(com|org|net)(?![a-z.])|\.(example|invalid)(?![a-z.])"
)
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Channel(BaseModel):
    """Base of all channels: unknown keys are refused, and its text shows nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True)
    kind: ClassVar[str]


class SlackConfig(_Channel):
    """An incoming webhook of Slack."""

    kind = "slack"
    type: Literal["slack"] = "slack"
    url: HttpUrl = Field(repr=False)


class PagerDutyConfig(_Channel):
    """An Events API v2 integration of PagerDuty."""

    kind = "pagerduty"
    type: Literal["pagerduty"] = "pagerduty"
    integration_key: Key = Field(repr=False)
    url: HttpUrl = Field(PAGERDUTY_URL, repr=False)


class EmailConfig(_Channel):
    """Recipients, and the mail server that takes mail for them."""

    kind = "email"
    type: Literal["email"] = "email"
    to: Recipients
    sender: Sender | None = Field(None, alias="from")
    smtp_url: SmtpUrl = Field(repr=False)

    @property
    def sent_from(self) -> str:
        """The sender; if none is given, modelwatch at the first recipient's domain."""
        return self.sender or "modelwatch@" + self.to[0].rpartition("@")[2]


class WebhookConfig(_Channel):
    """A web service of your own; signed when there is a secret."""

    kind = "webhook"
    type: Literal["webhook"] = "webhook"
    url: HttpUrl = Field(repr=False)
    secret: Key | None = Field(None, repr=False)


class AlertmanagerConfig(_Channel):
    """Every replica of an Alertmanager cluster."""

    kind = "alertmanager"
    type: Literal["alertmanager"] = "alertmanager"
    url: HttpUrls = Field(repr=False)


ChannelConfig = SlackConfig | PagerDutyConfig | EmailConfig | WebhookConfig | AlertmanagerConfig
TYPES: dict[str, type[ChannelConfig]] = {
    each.kind: each for each in (SlackConfig, PagerDutyConfig, EmailConfig, WebhookConfig, AlertmanagerConfig)
}


def channel_configs(settings: Settings, environ: Mapping[str, str]) -> dict[str, ChannelConfig]:
    """Every channel by its name. Raises SettingsError that lists every problem of CHANNELS_FILE and shows no secret."""
    configs = _from_settings(settings)
    if settings.channels_file:
        path = Path(settings.channels_file)
        problems: list[str] = []
        for name, config in _from_file(path, settings, environ, problems).items():
            if name in configs:
                problems.append(f"{name}: this name is taken by the channel that the settings configure")
            configs[name] = config
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise SettingsError(f"{count} in {path}:\n" + "\n".join(f"  - {text}" for text in problems))
    return configs


def placeholders_of(config: ChannelConfig) -> list[str]:
    """The keys of a channel whose values look as if they were never filled in, such as `your-key`.

    >>> placeholders_of(PagerDutyConfig(integration_key="your-integration-key"))
    ['integration_key']
    >>> placeholders_of(SlackConfig(url="https://hooks.slack.com/services/T024BE7LD/B0G9QF9C6/Xq2p"))
    []
    """
    values = config.model_dump()
    texts = {name: value if isinstance(value, tuple | list) else (value,) for name, value in values.items()}
    return [name for name, given in texts.items() if any(_PLACEHOLDER.search(str(text)) for text in given)]


def unreachable_links(settings: Settings) -> str | None:
    """Sentence on links that lead nowhere; None where PUBLIC_URL is set, or HOST is an address.

    >>> unreachable_links(Settings(host="0.0.0.0"))
    'PUBLIC_URL is not set: the links in notifications lead to http://0.0.0.0:8000'
    """
    if settings.public_url or settings.host not in ALL_ADDRESSES:
        return None
    return f"PUBLIC_URL is not set: the links in notifications lead to {settings.reached_at}"


def _from_settings(settings: Settings) -> dict[str, ChannelConfig]:
    configs: dict[str, ChannelConfig] = {}
    if settings.slack_webhook_url:
        configs["slack"] = SlackConfig(url=settings.slack_webhook_url)
    if settings.pagerduty_integration_key:
        configs["pagerduty"] = PagerDutyConfig(
            integration_key=settings.pagerduty_integration_key, url=settings.pagerduty_url
        )
    if settings.alert_email:
        sender = settings.alert_email_from or None
        configs["email"] = EmailConfig.model_validate(
            {"to": settings.alert_email, "from": sender, "smtp_url": settings.smtp_url}
        )
    if settings.alert_webhook_url:
        configs["webhook"] = WebhookConfig(url=settings.alert_webhook_url, secret=settings.alert_webhook_secret or None)
    if settings.alertmanager_url:
        configs["alertmanager"] = AlertmanagerConfig(url=settings.alertmanager_url)
    return configs


def _from_file(
    path: Path, settings: Settings, environ: Mapping[str, str], problems: list[str]
) -> dict[str, ChannelConfig]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        problems.append(f"it can't be read: {error.strerror}")
        return {}
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        # The error's own text quotes the file, which may hold secrets.
        mark = getattr(error, "problem_mark", None)
        problems.append("it is not YAML" + (f", line {mark.line + 1}" if mark is not None else ""))
        return {}
    given = content.get("channels") if isinstance(content, dict) else None
    if not isinstance(content, dict) or set(content) != {"channels"} or not isinstance(given, dict):
        problems.append("expected one key, `channels`, with the channels by name")
        return {}
    configs = {}
    for name, entry in given.items():
        config = _config(name, entry, settings, environ, problems)
        if config is not None:
            configs[name] = config
    return configs


def _config(
    name: object, entry: object, settings: Settings, environ: Mapping[str, str], problems: list[str]
) -> ChannelConfig | None:
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        problems.append(f"{excerpt(name)}: expected a name of lower-case letters, digits and hyphens, at most 63")
        return None
    if not isinstance(entry, dict):
        problems.append(f"{name}: expected `type` and the keys of that type")
        return None
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        known = ", ".join(TYPES)
        problems.append(f"{name}: expected one of the types {known}{_nearest(kind, TYPES)}")
        return None
    before = len(problems)
    values = {key: _substituted(value, f"{name}.{key}", environ, problems) for key, value in entry.items()}
    if kind == "email":
        inherited = {"smtp_url": settings.smtp_url, "from": settings.alert_email_from}
        values = {key: value for key, value in inherited.items() if value} | values
    if len(problems) > before:
        return None
    keys = {field.alias or key: field for key, field in TYPES[kind].model_fields.items()}
    unknown = [key for key in values if key not in keys]
    problems.extend(f"{name}: unknown key {excerpt(key)!r}{_nearest(key, keys)}" for key in unknown)
    try:
        return TYPES[kind].model_validate({key: value for key, value in values.items() if key in keys})
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            message = detail["msg"].removeprefix("Value error, ")
            problems.append(f"{name}.{'.'.join(map(str, detail['loc']))}: {message[0].lower()}{message[1:]}")
    return None


def _substituted(value: Any, where: str, environ: Mapping[str, str], problems: list[str]) -> Any:
    """The value with each ${NAME} replaced by that variable of the environment."""
    if isinstance(value, list):
        return [_substituted(part, where, environ, problems) for part in value]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if _VARIABLE_NAME.fullmatch(name) is None:
            problems.append(f"{where}: expected the name of a variable between ${{ and }}")
        elif not environ.get(name):
            problems.append(f"{where}: {name} is not set in the environment")
    return _VARIABLE.sub(lambda match: environ.get(match[1], ""), value)


def _nearest(given: object, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(str(given).lower(), sorted(known), n=1, cutoff=0.6)
    return f": did you mean {nearest[0]}?" if nearest else ""


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
