"""Mail of a notification: plain text and simple HTML, with headers that keep the mails of an alert together.

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
from modelwatch.alerting.notification import Notification, Trend
from modelwatch.text import lowest_shown
from modelwatch.times import MICROS_PER_SECOND

SUBJECT = 200
HEADER = 300
MEMBERS_SHOWN = 100
# Pixels of the bars of the chart, and their colours.
LOWEST_BAR, HIGHEST_BAR = 2, 60
BAD, POOR, PLAIN = "#b3261e", "#d39c20", "#175c92"
# The first notification of an alert is that of its first step.
FIRST_SEQUENCE = 1


def compose(
    notification: Notification, key: str, *, channel: str, sender: str, to: Sequence[str], now: int
) -> EmailMessage:
    """The mail. now: microseconds. No text of the notification can add a header."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = cut(f"[{notification.severity}] {heading(notification)}", SUBJECT)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(datetime.fromtimestamp(now // MICROS_PER_SECOND, UTC))
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = _message_id(key, domain)
    first = f"{notification.alert_id}:{FIRST_SEQUENCE}:{channel}"
    if key != first and notification.event != "test":
        message["In-Reply-To"] = _message_id(first, domain)
        message["References"] = _message_id(first, domain)
    message["Auto-Submitted"] = "auto-generated"
    facts = {
        "Key": key,
        "Alert": notification.alert_id,
        "Event": notification.event,
        "Severity": notification.severity,
        "Model": notification.model,
        "Environment": notification.environment,
        "Kind": notification.kind,
    }
    for name, value in facts.items():
        message[f"X-Modelwatch-{name}"] = cut(one_line(value), HEADER)
    message.set_content(_plain(notification))
    message.add_alternative(_html(notification), subtype="html")
    return message


def _message_id(key: str, domain: str) -> str:
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def _facts(notification: Notification) -> dict[str, str]:
    facts = {
        "Model": notification.model,
        "Environment": notification.environment,
        "Severity": notification.severity,
        "State": notification.state,
        **named_times(notification),
        "Recovered": ", ".join(notification.recovered),
        "Labels": ", ".join(f"{name}={value}" for name, value in notification.labels.items()),
        "Alert": notification.alert_id,
    }
    return {name: one_line(value) for name, value in facts.items() if value}


def _members(notification: Notification) -> list[str]:
    lines = [member_line(member) for member in notification.members[:MEMBERS_SHOWN]]
    hidden = len(notification.members) - len(lines)
    return [*lines, f"… and {hidden} more"] if hidden else lines


def _plain(notification: Notification) -> str:
    parts = [
        heading(notification),
        notification.summary,
        "\n".join(f"- {line}" for line in _members(notification)),
        ": ".join(trend_text(notification) or ()),
        actor_line(notification),
        "\n".join(f"{name}: {value}" for name, value in _facts(notification).items()),
        "\n".join(f"{text}: {address}" for address, text in links(notification)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(notification: Notification) -> str:
    members = "".join(f"<li>{escape(line)}</li>" for line in _members(notification))
    rows = "".join(
        f'<tr><th align="left">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _facts(notification).items()
    )
    pages = " · ".join(f'<a href="{escape(address)}">{escape(text)}</a>' for address, text in links(notification))
    actor = actor_line(notification)
    return "".join(
        (
            '<!DOCTYPE html><html><body style="font-family: sans-serif">',
            f"<h2>{escape(heading(notification))}</h2><p>{escape(notification.summary)}</p>",
            f"<ul>{members}</ul>" if members else "",
            _chart(notification.trend),
            f"<p>{escape(actor)}</p>" if actor else "",
            f"<table>{rows}</table>",
            f"<p>{pages}</p>" if pages else "",
            "</body></html>\n",
        )
    )


def _chart(trend: Trend | None) -> str:
    """Columns of a table as the bars of a chart: mail programs drop SVG, and some of them CSS.

    Each is as high as its value, and named by its colour and the text below.
    """
    if trend is None:
        return ""
    low, high = lowest_shown(trend.values), max(trend.values)
    bars = []
    for value in trend.values:
        part = (value - low) / (high - low) if high > low else 0.0
        height = LOWEST_BAR + round((HIGHEST_BAR - LOWEST_BAR) * part)
        bar = f'<td width="10" height="{height}" bgcolor="{_colour(trend, value)}" style="font-size:1px">&nbsp;</td>'
        column = f'<table cellpadding="0" cellspacing="0"><tr>{bar}</tr></table>'
        bars.append(f'<td valign="bottom" height="{HIGHEST_BAR}">{column}</td>')
    limits = [
        f"{severity} from {trend.text(limit)}"
        for severity, limit in (("warning", trend.warning), ("alert", trend.alert))
        if limit is not None
    ]
    first, last = trend.text(trend.values[0]), trend.text(trend.values[-1])
    told = "; ".join([f"{trend.title}: {first} → {last}", *limits])
    chart = f'<table cellpadding="0" cellspacing="2" role="presentation"><tr>{"".join(bars)}</tr></table>'
    return f"<p>{escape(told)}</p>{chart}"


def _colour(trend: Trend, value: float) -> str:
    if trend.alert is not None and value >= trend.alert:
        return BAD
    return POOR if trend.warning is not None and value >= trend.warning else PLAIN
