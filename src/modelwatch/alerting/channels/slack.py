"""Slack, by an incoming webhook. The address is the secret; what was sent can't be edited, so each change is a message.

Limits: header 150, section text 3,000, ten fields of 2,000 characters, and about 13,200 in a message altogether
(docs.slack.dev, Block Kit reference; the last one is not documented, see bolt-js issue 2509). `&`, `<` and `>` are
escaped, or a name such as `<!channel>` would call everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from modelwatch.alerting.channels.posting import Poster, judge
from modelwatch.alerting.channels.presentation import (
    cut,
    heading,
    links,
    member_line,
    one_line,
    plain_time,
    said_by,
    times_of,
)
from modelwatch.alerting.channels.protocol import Outcome
from modelwatch.alerting.notices import Notice

HEADER, SECTION, FIELD, CONTEXT, ADDRESS = 150, 2_800, 250, 600, 500
MEMBERS_SHOWN = 10
COLOURS = {"alert": "🔴", "warning": "🟠"}
# What Slack answers when the webhook or the message can never work; anything else that it says is not repeated.
FINAL_WORDS = frozenset(
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

    def send(self, notice: Notice, key: str) -> Outcome:
        answer = self._poster.post(self._url, msgspec.json.encode(message(notice)), {})
        if isinstance(answer, Outcome):
            return answer
        word = answer.body.decode("ascii", "replace").strip()
        if word in FINAL_WORDS and answer.status != 429:
            return Outcome("permanent", f"HTTP {answer.status}: {word}")
        return judge(answer)


def message(notice: Notice) -> dict[str, Any]:
    """The message: `text` for notifications and screen readers, `blocks` for everybody else."""
    mark = "🟢" if notice.event == "resolved" else COLOURS[notice.severity]
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": _fit(f"{mark} {heading(notice)}", HEADER)}},
        {"type": "section", "text": _mrkdwn(_fit(notice.summary or notice.title, SECTION)), "fields": _fields(notice)},
    ]
    if notice.members:
        lines = [f"• {member_line(member)}" for member in notice.members[:MEMBERS_SHOWN]]
        if len(notice.members) > MEMBERS_SHOWN:
            lines.append(f"… and {len(notice.members) - MEMBERS_SHOWN} more")
        blocks.append({"type": "section", "text": _mrkdwn(_fit("\n".join(lines), SECTION))})
    said = [said_by(notice), f"modelwatch, {plain_time(notice.occurred_at)}, {notice.alert_id}"]
    blocks.append(
        {"type": "context", "elements": [_mrkdwn(_fit(text, CONTEXT)) for text in said if text]},
    )
    buttons = [
        {"type": "button", "text": {"type": "plain_text", "text": text}, "url": address}
        for address, text in links(notice)
        if len(address) <= ADDRESS
    ]
    if buttons:
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": _fit(f"{mark} {heading(notice)}", SECTION // 4), "blocks": blocks}


def _fields(notice: Notice) -> list[dict[str, Any]]:
    own = [f"{name}={value}" for name, value in notice.labels.items() if name not in STANDARD_LABELS]
    fields = {
        "Model": notice.model,
        "Environment": notice.environment,
        "Severity": notice.severity,
        "State": notice.state,
        **times_of(notice),
        "Recovered": ", ".join(notice.recovered),
        "Labels": ", ".join(own),
    }
    return [_mrkdwn(f"*{name}*\n{_fit(one_line(text), FIELD)}") for name, text in fields.items() if text]


STANDARD_LABELS = frozenset({"model", "environment", "kind", "severity"})


def _mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _fit(text: str, limit: int) -> str:
    """Escaped, and cut where no escape is broken."""
    return escape(cut(text, limit, lambda part: len(escape(part))))


def escape(text: str) -> str:
    """As Slack wants it.

    >>> escape("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
