"""From predictions over HTTP to the people who are told: an incident is told once when it begins, and when it ends."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.doubles import Receiver, Reply, Request, eventually
from tests.support.servers.live_service import LiveService

SECRET = "a-secret-for-this-test"
HOURS, SHIFT = 24, range(8, 12)


def send_history(client: httpx.Client, begin: datetime, hours: range) -> None:
    """Two hundred predictions at the beginning of each hour; in the middle the amounts are shifted."""
    for hour in hours:
        moment = (begin + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
        shift = 2.0 if hour in SHIFT else 0.0
        body = predictions(200, prefix=f"h{hour}", shift=shift, start=moment)
        client.post("/predictions/batch", json=body).raise_for_status()


def alerts(client: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/alerts").raise_for_status().json()["alerts"]
    return found


@pytest.mark.timeout(120)
def test_a_shift_is_told_once_and_its_end_too(tmp_path: Path) -> None:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS + 2)
    with (
        Receiver(Reply(503), Reply(200)) as receiver,
        LiveService(
            tmp_path,
            LOOKBACKS="1h,6h",
            ALERT_WEBHOOK_URL=receiver.url,
            ALERT_WEBHOOK_SECRET=SECRET,
            PUBLIC_URL="https://watch.example.org",
        ) as service,
        httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client,
    ):
        client.post("/reference", json={"model_name": "fraud", "features": reference_values()}).raise_for_status()
        # Few frauds in six hours can't show that their odds are back.
        client.put("/models/fraud/monitor", json={"drift": {"odds_ratio": "never"}}).raise_for_status()
        send_history(client, begin, range(SHIFT.stop))
        eventually(lambda: told_of(receiver, "feature_drift"), "the alert", 40)
        firing = told_of(receiver, "feature_drift")[0]
        assert firing.json["status"] == "firing"
        assert {each["labels"]["subject"] for each in firing.json["alerts"]} >= {"amount"}
        assert firing.json["modelwatch"]["page_url"].startswith("https://watch.example.org/ui/alerts/")
        check_signature(firing.headers, firing.body)
        [drift] = [each for each in alerts(client) if each["kind"] == "feature_drift"]
        assert drift["state"] == "firing"

        send_history(client, begin, range(SHIFT.stop, HOURS))
        eventually(
            lambda: alerts(client) and all(each["state"] == "resolved" for each in alerts(client)), "the end", 40
        )
        kinds = {each["kind"] for each in alerts(client)}
        eventually(lambda: all("resolved" in events_of(receiver, kind) for kind in kinds), "the last notification", 30)
        detail = client.get(f"/alerts/{drift['alert_id']}").json()

    keys = [request.headers["Idempotency-Key"] for request in receiver.requests[1:]]
    for kind in kinds:
        # What is found as a warning minutes after it began is an alert some minutes later.
        assert events_of(receiver, kind) in (["firing", "resolved"], ["firing", "escalated", "resolved"])
    assert len(set(keys)) == len(keys)
    assert receiver.requests[0].headers["Idempotency-Key"] in keys
    assert all(delivery["state"] == "delivered" for delivery in detail["deliveries"])


def told_of(receiver: Receiver, kind: str) -> list[Request]:
    """What was taken about alerts of this kind; the first request was turned away."""
    return [request for request in receiver.requests[1:] if request.json["modelwatch"]["kind"] == kind]


def events_of(receiver: Receiver, kind: str) -> list[str]:
    """The events of alerts of this kind that were taken, in their order."""
    return [request.json["modelwatch"]["event"] for request in told_of(receiver, kind)]


def check_signature(headers: Any, body: bytes) -> None:
    """As docs/channels.md tells receivers to do."""
    signed = headers["X-Modelwatch-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Modelwatch-Signature"] == f"v1={expected}"
