"""Slack: what a message looks like, and which answers end an attempt for good."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelwatch.alerting.channels.slack import SlackChannel, message
from modelwatch.alerting.notification import NotificationMember, Trend
from tests.support.alerts.notifications import FINDING, NOTIFICATION, notification
from tests.support.events import NOON, Clock
from tests.support.servers.doubles import Receiver, Reply

PATH = "/services/T0/B0/canary"


def sent(reply: Reply) -> Any:
    with Receiver(reply) as receiver:
        outcome = SlackChannel("slack", receiver.url + PATH, clock=Clock()).send(NOTIFICATION, "a1:1:slack")
    [request] = receiver.requests
    assert request.path == PATH
    return outcome


def blocks(kind: str, **changes: Any) -> list[Any]:
    return [block for block in message(notification(**changes))["blocks"] if block["type"] == kind]


def test_a_message_has_header_section_context_and_a_button() -> None:
    told = message(NOTIFICATION)
    assert [block["type"] for block in told["blocks"]] == ["header", "section", "section", "context", "actions"]
    assert told["text"] == told["blocks"][0]["text"]["text"] == "🔴 Firing: fraud (production): amount has drifted"
    [section, members] = blocks("section")
    assert section["text"]["text"] == NOTIFICATION.summary
    assert [field["text"].splitlines() for field in section["fields"]] == [
        ["*Model*", "fraud"],
        ["*Environment*", "production"],
        ["*Severity*", "alert"],
        ["*State*", "firing"],
        ["*Bad data*", "2025-06-15 14:05 UTC to 2025-06-15 15:05 UTC"],
        ["*Detected at*", "2025-06-15 15:05 UTC"],
        ["*Data evaluated up to*", "2025-06-15 15:05 UTC"],
        ["*Labels*", "team=risk"],
    ]
    assert members["text"]["text"] == f"• amount (version 2.1.0, alert): {FINDING.detail}"
    assert [(each["text"]["text"], each["url"]) for each in told["blocks"][-1]["elements"]] == [
        ("Open the alert", NOTIFICATION.page_url),
        ("Evidence as JSON", NOTIFICATION.evidence_url),
    ]


def test_each_change_has_its_own_heading() -> None:
    heads = [blocks("header", event=each)[0]["text"]["text"].split(":")[0] for each in ("updated", "reminder")]
    assert heads == ["🔴 Updated", "🔴 Still firing"]
    [header] = blocks("header", event="resolved", state="resolved")
    assert header["text"]["text"].startswith("🟢 Resolved: ")
    [section, _] = blocks("section", event="resolved", ended_at=NOON + 60_000_000)
    assert "*Ended*\n2025-06-15 15:06 UTC" in [field["text"] for field in section["fields"]]
    [context] = blocks("context", event="acknowledged", actor="ann", note="on <it>")
    assert context["elements"][0]["text"] == "By ann: on &lt;it&gt;"


def test_without_links_there_is_no_button_and_without_members_no_list() -> None:
    told = message(notification(page_url="", evidence_url="", members=(), summary=""))
    assert [block["type"] for block in told["blocks"]] == ["header", "section", "context"]
    assert told["blocks"][1]["text"]["text"] == NOTIFICATION.title


def test_what_a_model_is_called_can_not_call_the_whole_channel() -> None:
    text = json.dumps(message(notification(model="<!channel> & co", summary="<https://evil|click>", title="<!here>")))
    assert "&lt;!channel&gt; &amp; co" in text
    assert "<" not in text
    assert ">" not in text


@pytest.mark.parametrize("letter", ["x", "&", "🔴", "\n"])
def test_the_largest_message_stays_within_every_limit(letter: str) -> None:
    long = letter * 5_000
    member = NotificationMember(long, "v", FINDING.__class__(**{**_fields(FINDING), "subject": long, "detail": long}))
    told = message(
        notification(
            title=long,
            summary=long,
            model=long,
            environment=long,
            state="x" * 100,
            labels={f"{long}{index}": long for index in range(50)},
            members=(member,) * 500,
            recovered=(long,) * 100,
            actor=long,
            note=long,
            page_url="https://x/" + "y" * 5_000,
            evidence_url="https://x/" + "y" * 480,
        )
    )
    assert len(told["blocks"]) <= 50
    for block in told["blocks"]:
        match block["type"]:
            case "header":
                assert 1 <= len(block["text"]["text"]) <= 150
            case "section":
                assert 1 <= len(block["text"]["text"]) <= 3_000
                assert len(block.get("fields", [])) <= 10
                assert all(len(field["text"]) <= 2_000 for field in block.get("fields", []))
            case "actions":
                assert all(len(element["url"]) <= 3_000 for element in block["elements"])
    texts = json.dumps(told, ensure_ascii=False)
    assert len(texts) < 13_200
    assert "&am…" not in texts


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


@pytest.mark.parametrize(
    ("reply", "status", "reason"),
    [
        (Reply(200), "delivered", ""),
        (Reply(429, {"Retry-After": "30"}, b"rate_limited"), "retry", "HTTP 429"),
        (Reply(500, body=b"rollup_error"), "retry", "HTTP 500"),
        (Reply(503, body=b"no_service"), "permanent", "HTTP 503: no_service"),
        (Reply(404, body=b"no_service\n"), "permanent", "HTTP 404: no_service"),
        (Reply(404, body=b"<html>"), "permanent", "HTTP 404"),
        (Reply(410, body=b"channel_is_archived"), "permanent", "HTTP 410: channel_is_archived"),
        (Reply(400, body=b"invalid_blocks"), "permanent", "HTTP 400: invalid_blocks"),
        (Reply(403, body=b"canary"), "permanent", "HTTP 403"),
    ],
)
def test_answers_are_judged_as_slack_means_them(reply: Reply, status: str, reason: str) -> None:
    outcome = sent(reply)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert outcome.retry_after == (30.0 if reply.status == 429 else None)


def test_a_trend_is_told_as_blocks() -> None:
    trend = Trend("Largest PSI", (0.01, 0.02, 0.3, 0.6), warning=0.1, alert=0.25)
    *_, told = blocks("section", trend=trend)
    assert told["text"]["text"] == "*Largest PSI, last 4 evaluations*\n`▁▁▅█ 0.6`"
