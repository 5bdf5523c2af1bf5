"""Slack channel, by an incoming webhook. Its address is the secret; each change is a message, as none can be edited.

Limits: header 150, section text 3,000, ten fields of 2,000 characters, and about 13,200 in a message altogether
(docs.slack.dev, Block Kit reference; the last one is not documented, see bolt-js issue 2509). `&`, `<` and `>` are
escaped, or a name such as `<!channel>` would call everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from modelwatch.alerting.channels.channel import Outcome
from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import (
    actor_line,
    cut,
    heading,
    links,
    member_line,
    named_times,
    one_line,
    trend_text,
)
from modelwatch.alerting.notification import Notification
from modelwatch.times import minute_of_micros

HEADER, SECTION, FIELD, CONTEXT, ADDRESS = 150, 2_800, 250, 600, 500
MEMBERS_SHOWN = 10
COLOURS = {"alert": "🔴", "warning": "🟠"}
# Answers of Slack when the webhook or the message can never work; any other answer is not repeated in reasons.
FINAL_ERRORS = frozenset(
    """no_service no_service_id no_team team_disabled invalid_token action_prohibited channel_not_found
    channel_is_archived posting_to_general_channel_denied user_not_found invalid_payload invalid_blocks no_text
    too_many_attachments""".split()
)


class SlackChannel:
    """Posts each change to one incoming webhook."""

    kind = "slack"

    def __init__(self, name: str, url: str, *, clock: Callable[[], int]) -> None:
        self.name = name
        self._url = url
        self._poster = Poster(clock)

    def __repr__(self) -> str:
        return f"SlackChannel({self.name!r})"

    def send(self, notification: Notification, key: str) -> Outcome:
        answer = self._poster.post(self._url, msgspec.json.encode(message(notification)), {})
        if isinstance(answer, Outcome):
            return answer
        error = answer.body.decode("ascii", "replace").strip()
        if error in FINAL_ERRORS and answer.status != 429:
            return Outcome("permanent", f"HTTP {answer.status}: {error}")
        return judge(answer)


def message(notification: Notification) -> dict[str, Any]:
    """Message: `text` for notifications and screen readers, `blocks` for everybody else."""
    mark = "🟢" if notification.event == "resolved" else COLOURS[notification.severity]
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _fit(f"{mark} {heading(notification)}", HEADER)}},
        {
            "type": "section",
            "text": _mrkdwn(_fit(notification.summary or notification.title, SECTION)),
            "fields": _fields(notification),
        },
    ]
    if notification.members:
        lines = [f"• {member_line(member)}" for member in notification.members[:MEMBERS_SHOWN]]
        if len(notification.members) > MEMBERS_SHOWN:
            lines.append(f"… and {len(notification.members) - MEMBERS_SHOWN} more")
        blocks.append({"type": "section", "text": _mrkdwn(_fit("\n".join(lines), SECTION))})
    trend = trend_text(notification)
    if trend is not None:
        blocks.append({"type": "section", "text": _mrkdwn(f"*{_fit(trend[0], FIELD)}*\n`{_fit(trend[1], FIELD)}`")})
    context = [
        actor_line(notification),
        f"modelwatch, {minute_of_micros(notification.occurred_at)}, {notification.alert_id}",
    ]
    blocks.append(
        {"type": "context", "elements": [_mrkdwn(_fit(text, CONTEXT)) for text in context if text]},
    )
    buttons = [
        {"type": "button", "text": {"type": "plain_text", "text": text}, "url": address}
        for address, text in links(notification)
        if len(address) <= ADDRESS
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": _fit(f"{mark} {heading(notification)}", SECTION // 4), "blocks": blocks}


def _fields(notification: Notification) -> list[dict[str, Any]]:
    monitor_labels = [f"{name}={value}" for name, value in notification.labels.items() if name not in STANDARD_LABELS]
    fields = {
        "Model": notification.model,
        "Environment": notification.environment,
        "Severity": notification.severity,
        "State": notification.state,
        **named_times(notification),
        "Recovered": ", ".join(notification.recovered),
        "Labels": ", ".join(monitor_labels),
    }
    return [_mrkdwn(f"*{name}*\n{_fit(one_line(text), FIELD)}") for name, text in fields.items() if text]


STANDARD_LABELS = frozenset({"model", "environment", "kind", "severity"})


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _fit(text: str, limit: int) -> str:
    """Text escaped, and cut where no escape is broken."""
    return escape(cut(text, limit, lambda part: len(escape(part))))


def escape(text: str) -> str:
    """Text with the three characters that Slack interprets escaped.

    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
