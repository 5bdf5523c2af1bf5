"""A notice as a mail: plain text and simple HTML, and headers by which mail programs keep an alert's mails together.

Every mail of an alert refers to the first one. The Message-ID is made from the delivery's key: a repeat has the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from html import escape

from modelwatch.alerting.channels.posting import MICROSECONDS
from modelwatch.alerting.channels.presentation import (
    cut,
    heading,
    links,
    member_line,
    one_line,
    said_by,
    times_of,
)
from modelwatch.alerting.notices import Notice

SUBJECT = 200
HEADER = 300
MEMBERS_SHOWN = 100
# The opening of an alert is the first thing that is told of it.
FIRST_SEQUENCE = 1


def compose(notice: Notice, key: str, *, channel: str, sender: str, to: Sequence[str], now: int) -> EmailMessage:
    """The mail. now: microseconds. Whatever the notice holds, no header gets a line of its own from it."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = cut(f"[{notice.severity}] {heading(notice)}", SUBJECT)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(datetime.fromtimestamp(now // MICROSECONDS, UTC))
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = _message_id(key, domain)
    first = f"{notice.alert_id}:{FIRST_SEQUENCE}:{channel}"
    if key != first and notice.event != "test":
        message["In-Reply-To"] = _message_id(first, domain)
        message["References"] = _message_id(first, domain)
    message["Auto-Submitted"] = "auto-generated"
    facts = {
        "Key": key,
        "Alert": notice.alert_id,
        "Event": notice.event,
        "Severity": notice.severity,
        "Model": notice.model,
        "Environment": notice.environment,
        "Kind": notice.kind,
    }
    for name, value in facts.items():
        message[f"X-Modelwatch-{name}"] = cut(one_line(value), HEADER)
    message.set_content(_plain(notice))
    message.add_alternative(_html(notice), subtype="html")
    return message


def _message_id(key: str, domain: str) -> str:
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def _facts(notice: Notice) -> dict[str, str]:
    facts = {
        "Model": notice.model,
        "Environment": notice.environment,
        "Severity": notice.severity,
        "State": notice.state,
        **times_of(notice),
        "Recovered": ", ".join(notice.recovered),
        "Labels": ", ".join(f"{name}={value}" for name, value in notice.labels.items()),
        "Alert": notice.alert_id,
    }
    return {name: one_line(value) for name, value in facts.items() if value}


def _members(notice: Notice) -> list[str]:
    lines = [member_line(member) for member in notice.members[:MEMBERS_SHOWN]]
    hidden = len(notice.members) - len(lines)
    return [*lines, f"… and {hidden} more"] if hidden else lines


def _plain(notice: Notice) -> str:
    parts = [
        heading(notice),
        notice.summary,
        "\n".join(f"- {line}" for line in _members(notice)),
        said_by(notice),
        "\n".join(f"{name}: {value}" for name, value in _facts(notice).items()),
        "\n".join(f"{text}: {address}" for address, text in links(notice)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(notice: Notice) -> str:
    members = "".join(f"<li>{escape(line)}</li>" for line in _members(notice))
    rows = "".join(
        f'<tr><th align="left">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _facts(notice).items()
    )
    pages = " · ".join(f'<a href="{escape(address)}">{escape(text)}</a>' for address, text in links(notice))
    said = said_by(notice)
    return "".join(
        (
            '<!DOCTYPE html><html><body style="font-family: sans-serif">',
            f"<h2>{escape(heading(notice))}</h2><p>{escape(notice.summary)}</p>",
            f"<ul>{members}</ul>" if members else "",
            f"<p>{escape(said)}</p>" if said else "",
            f"<table>{rows}</table>",
            f"<p>{pages}</p>" if pages else "",
            "</body></html>\n",
        )
    )
