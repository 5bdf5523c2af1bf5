"""Alerts over HTTP: lists, one with its life, and what people do to it."""

from __future__ import annotations

from typing import Any

import pytest

from modelwatch.config.monitors.monitor import parse_monitor
from modelwatch.storage.references.monitors import put_monitor
from tests.exposition.scraping import RULES, set_reference, traffic
from tests.support.app import App, pointers
from tests.support.background import background, run_out
from tests.support.events import NOON, numbered, open_ledger


@pytest.fixture
def alerts(app: App) -> list[str]:
    """The ids of four alerts: m0 … m3; m1 in staging, m2 severe, m3 resolved."""
    app.desk.four_alerts()
    return [alert.id for alert in app.desk.alerts()]


def audit(app: App) -> list[tuple[str, str, str]]:
    return [(each["actor"], each["action"], each["target"]) for each in app.get("audit")["entries"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["m3", "m2", "m1", "m0"]),
        ({"state": "firing"}, ["m2", "m1", "m0"]),
        ({"state": "resolved"}, ["m3"]),
        ({"state": "silenced"}, []),
        ({"model": "m1"}, ["m1"]),
        ({"environment": "staging"}, ["m1"]),
        ({"kind": "feature_drift", "severity": "alert"}, ["m2"]),
        ({"kind": "latency_drift"}, []),
        ({"limit": 2}, ["m3", "m2"]),
    ],
)
def test_alerts_are_listed_and_filtered(
    app: App, alerts: list[str], query: dict[str, Any], expected: list[str]
) -> None:
    assert [alert["model_name"] for alert in app.get("alerts", **query)["alerts"]] == expected


def test_pages_follow_one_another(app: App, alerts: list[str]) -> None:
    seen, query = [], {"limit": 3}
    while True:
        page = app.get("alerts", **query)
        seen += [alert["model_name"] for alert in page["alerts"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ["m3", "m2", "m1", "m0"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"state": "open"}, "/state"),
        ({"severity": "critical"}, "/severity"),
        ({"kind": "drift"}, "/kind"),
        ({"limit": "0"}, "/limit"),
        ({"model": "a\0b"}, "/model"),
        ({"cursor": "nonsense"}, "/cursor"),
        ({"cursor": "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwLCJhIl0"}, "/cursor"),
        ({"cursor": "WzEsIlx1MDAwMCJd"}, "/cursor"),
    ],
)
def test_a_wrong_parameter_is_named(app: App, query: dict[str, str], pointer: str) -> None:
    assert pointers(app.problem("GET", "alerts", 422, params=query)) == [pointer]


def test_an_alert_has_its_numbers_its_life_and_its_deliveries(app: App, alerts: list[str]) -> None:
    app.post(f"alerts/{alerts[0]}/acknowledge", {"actor": "ann", "note": "on it"})
    found = app.get(f"alerts/{alerts[0]}")
    assert found["alert"]["state"] == "acknowledged"
    assert found["summary"].startswith("amount (version 1): 28 % of values are above 310.5")
    [member] = found["members"]
    assert {name: member[name] for name in ("subject", "severity", "score", "threshold", "p_value", "alpha")} == {
        "subject": "amount",
        "severity": "warning",
        "score": 0.12,
        "threshold": 0.1,
        "p_value": 1e-9,
        "alpha": 1e-5,
    }
    assert (member["sample_size"], member["reference_size"], member["lookback"]) == (1_200, 10_000, "1h")
    assert member["window_end"] == member["since"] == "2025-06-15T15:05:00Z"
    assert member["verdict"] == "/api/v1/verdicts/1%400"
    assert [(step["event"], step["actor"], step["note"]) for step in found["events"]] == [
        ("firing", None, None),
        ("acknowledged", "ann", "on it"),
    ]
    assert [(each["key"], each["state"], each["attempts"]) for each in found["deliveries"]] == [
        (f"{alerts[0]}:1:slack", "pending", 0),
        (f"{alerts[0]}:2:slack", "pending", 0),
    ]
    assert found["links"] == {
        "alert": f"/api/v1/alerts/{alerts[0]}",
        "page": f"/ui/alerts/{alerts[0]}",
        "verdicts": "/api/v1/models/m0/drift",
    }


def test_the_links_of_an_alert_lead_to_the_verdicts_that_it_stands_on(app: App) -> None:
    set_reference(app.store)
    open_ledger(app.store).commit(traffic(400, shift={"amount": 1.0}))
    app.desk.clock.now = NOON + 400_000_000
    run_out(background(app.store, RULES, app.desk.clock, sink=app.desk.book, provisional_size=10**9))
    [alert] = app.get("alerts", kind="feature_drift")["alerts"]
    found = app.get(f"alerts/{alert['alert_id']}")
    [member] = found["members"]
    verdict = app.request("GET", member["verdict"]).json()
    reports = {report["feature_name"]: report for report in verdict["report"]["drift_results"]}
    assert reports["amount"]["psi"]["score"] == member["score"]
    assert app.request("GET", member["verification"]).json()["verdict_id"] == member["verdict_id"]
    for link in found["links"].values():
        assert app.request("GET", link).status_code == 200


def test_an_alert_has_the_labels_of_its_monitor(app: App, alerts: list[str]) -> None:
    config = parse_monitor({"labels": {"team": "risk"}})
    put_monitor(app.store, "m0", config, source="api", actor="a", now=NOON, new_id=numbered("audit"))
    assert app.get(f"alerts/{alerts[0]}")["labels"]["team"] == "risk"


def test_what_is_not_there_is_unknown(app: App) -> None:
    for method, path in (
        ("GET", "alerts/nothing"),
        ("POST", "alerts/nothing/acknowledge"),
        ("POST", "alerts/nothing/resolve"),
        ("GET", "silences/nothing"),
        ("DELETE", "silences/nothing"),
    ):
        assert "'nothing'" in app.problem(method, path, 404)["detail"]
    assert pointers(app.problem("GET", "alerts/a%00b", 422)) == ["/alert_id"]


def test_an_alert_is_acknowledged_without_a_body_by_the_api(app: App, alerts: list[str]) -> None:
    answer = app.post(f"alerts/{alerts[0]}/acknowledge")
    assert (answer["state"], answer["acknowledgement"]["actor"], answer["acknowledgement"]["note"]) == (
        "acknowledged",
        "api",
        None,
    )
    assert audit(app) == [("api", "alert.acknowledge", f"alert/{alerts[0]}")]


def test_an_alert_is_resolved_once(app: App, alerts: list[str]) -> None:
    answer = app.post(f"alerts/{alerts[0]}/resolve", {"actor": "ann", "note": "season"})
    assert (answer["state"], answer["resolved_by"]) == ("resolved", "ann")
    for action in ("resolve", "acknowledge"):
        problem = app.problem("POST", f"alerts/{alerts[0]}/{action}", 409)
        assert problem["type"] == "/problems/conflict"
    assert [found["subject"] for found in app.get(f"alerts/{alerts[0]}")["still_found"]] == ["amount"]
    assert audit(app) == [("ann", "alert.resolve", f"alert/{alerts[0]}")]


@pytest.mark.parametrize(
    ("body", "status", "wrong"),
    [
        (b'{"who": "ann"}', 422, ["/who"]),
        (b'{"actor": 1, "note": []}', 422, ["/actor", "/note"]),
        (b'{"actor": ""}', 422, ["/actor"]),
        (b'{"actor": "%s"}' % (b"x" * 300), 422, ["/actor"]),
        (b'{"note": "%s"}' % (b"x" * 3_000), 422, ["/note"]),
        (b"[]", 422, [""]),
        (b"{", 400, None),
        (b"\xff", 400, None),
    ],
)
def test_a_body_that_is_wrong_is_refused_and_changes_nothing(
    app: App, alerts: list[str], body: bytes, status: int, wrong: list[str] | None
) -> None:
    problem = app.problem("POST", f"alerts/{alerts[0]}/acknowledge", status, content=body)
    assert (pointers(problem) if "errors" in problem else None) == wrong
    assert app.desk.alerts()[0].state == "firing"


def test_the_nearest_key_is_named(app: App, alerts: list[str]) -> None:
    problem = app.problem("POST", f"alerts/{alerts[0]}/resolve", 422, json={"acter": "ann"})
    assert problem["errors"][0]["message"] == "Unknown field; did you mean actor?"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[broken"},
    ],
)
def test_what_a_browser_sends_for_another_site_is_refused(app: App, alerts: list[str], headers: dict[str, str]) -> None:
    for path in (f"alerts/{alerts[0]}/acknowledge", "channels/slack/test", "silences"):
        problem = app.problem("POST", path, 403, headers=headers)
        assert problem["type"] == "/problems/cross-site"
    assert app.desk.alerts()[0].state == "firing"
    assert audit(app) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://watch:8000"},
    ],
)
def test_programs_and_the_services_own_pages_may_act(app: App, alerts: list[str], headers: dict[str, str]) -> None:
    answer = app.request("POST", f"/api/v1/alerts/{alerts[0]}/acknowledge", headers=headers)
    assert answer.status_code == 200


def test_the_audit_trail_is_filtered_and_paged(app: App, alerts: list[str]) -> None:
    for index, actor in enumerate(("ann", "bob", "ann")):
        app.post(f"alerts/{alerts[index]}/acknowledge", {"actor": actor})
    assert len(app.get("audit", actor="ann")["entries"]) == 2
    assert [each["actor"] for each in app.get("audit", target=f"alert/{alerts[1]}")["entries"]] == ["bob"]
    assert app.get("audit", action="alert.resolve")["entries"] == []
    first = app.get("audit", limit=2)
    second = app.get("audit", limit=2, cursor=first["next_cursor"])
    assert [each["actor"] for each in first["entries"] + second["entries"]] == ["ann", "bob", "ann"]
    assert second["next_cursor"] is None
