"""Events of a model, and what of it is not watched."""

from __future__ import annotations

import pytest

from tests.support.app import App, pointers
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock
from tests.support.rules import HOURLY_RULES


@pytest.fixture
def watched(app: App) -> App:
    """A model with twelve hours of a version, and one of another in another environment."""
    set_reference(app.store, normal(5_000, seed=99))
    clock = Clock(NOON + 100 * HOUR)
    send_hours(app.store, clock, 12, shift_from=8)
    send(app.store, clock, normal(50), at=NOON + 3 * HOUR, version="2", environment="staging")
    finish(clock)
    run_out(
        background(app.store, HOURLY_RULES, clock, sink=app.asgi.app.state.service.alerts, provisional_size=1_000_000)
    )
    return app


def kinds(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [each["kind"] for each in answer["events"]]


def test_versions_references_changes_and_alerts_are_one_list(watched: App) -> None:
    watched.request("PUT", "/api/v1/models/m/monitor", json={"drift": {"psi_alert": 0.3}})
    [alert] = watched.get("alerts")["alerts"]
    watched.post(f"alerts/{alert['alert_id']}/resolve", {"actor": "ann"})
    found = watched.get("models/m/events")
    assert sorted(kinds(found)) == [
        "alert_opened",
        "alert_resolved",
        "monitor_changed",
        "reference_set",
        "version_first_seen",
        "version_first_seen",
    ]
    times = [each["at"] for each in found["events"]]
    assert times == sorted(times, reverse=True)
    by_kind = {each["kind"]: each for each in found["events"]}
    assert by_kind["monitor_changed"]["actor"] == "api"
    assert by_kind["reference_set"]["title"] == "Reference of 1 subject set"
    opened = by_kind["alert_opened"]
    assert (opened["alert_id"], opened["severity"], opened["model_version"]) == (alert["alert_id"], "alert", "1")
    assert opened["at"] == alert["began"]
    assert by_kind["alert_resolved"]["actor"] == "ann"


def test_a_range_an_environment_or_a_version_narrows_it(watched: App) -> None:
    everything = watched.get("models/m/events")["events"]
    [opened] = [each for each in everything if each["kind"] == "alert_opened"]
    found = watched.get("models/m/events", start=opened["at"], end="2025-06-16T15:05:00Z")
    assert kinds(found) == ["alert_opened"]
    in_staging = watched.get("models/m/events", environment="staging", version="2")
    assert kinds(in_staging) == ["version_first_seen", "reference_set"]


def test_pages_follow_each_other_and_have_each_event_once(watched: App) -> None:
    everything = watched.get("models/m/events")["events"]
    collected, cursor = [], None
    while True:
        page = watched.get("models/m/events", limit=1, **({} if cursor is None else {"cursor": cursor}))
        collected += page["events"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert collected == everything
    assert len(everything) >= 4


def test_what_can_not_be_asked_is_said(watched: App) -> None:
    watched.problem("GET", "models/nobody/events", 404)
    watched.problem("GET", "models/nobody/unwatched", 404)
    assert pointers(watched.problem("GET", "models/m/events?start=soon", 422)) == ["/start"]
    assert pointers(watched.problem("GET", "models/m/events?cursor=x", 422)) == ["/cursor"]


def test_what_is_not_watched_has_its_reason(watched: App) -> None:
    watched.request(
        "PUT", "/api/v1/models/m/monitor", json={"drift": {"leave_out": ["x"]}, "quality": {"freshness": False}}
    )
    found = {
        (stream["model_version"], each["check"], each["subject"]): each
        for stream in watched.get("models/m/unwatched")["streams"]
        for each in stream["unwatched"]
    }
    assert found["1", "drift", "x"]["state"] == "left_out"
    assert found["1", "freshness", "silence"]["state"] == "left_out"
    # Fifty values are no verdict.
    assert found["2", "drift", "x"]["state"] in ("insufficient_data", "left_out")
    narrowed = watched.get("models/m/unwatched", version="2", environment="staging")
    assert [each["model_version"] for each in narrowed["streams"]] == ["2"]


def test_a_feature_without_a_reference_is_not_watched(app: App) -> None:
    send(app.store, Clock(NOON + HOUR), normal(5), at=NOON)
    [stream] = app.get("models/m/unwatched")["streams"]
    states = {(each["check"], each["subject"]): each["state"] for each in stream["unwatched"]}
    assert states["drift", "x"] == "no_reference"
    assert states["drift", "all"] == "not_evaluated"
    assert states["freshness", "silence"] == "unknown"
    assert all(each["reason"] for each in stream["unwatched"])
