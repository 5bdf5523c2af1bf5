"""The verdicts of a model over HTTP: now, before, one by one, and computed again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from modelwatch.monitoring.checks.rules import DriftRules
from modelwatch.storage.engine import tables
from tests.support.app import App, pointers
from tests.support.background import background, run_out
from tests.support.data.streams import HOUR, finish, normal, send, send_hours, set_reference
from tests.support.events import NOON, Clock

RULES = DriftRules(0.1, 0.25, 0.05, 100, 1.0, ("1h", "6h"), 3_600, on_new_data=False)


def at(hour: float) -> str:
    return datetime.fromtimestamp((NOON + hour * HOUR) / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def watched(app: App) -> App:
    """Twelve hours of version 1, shifted from hour 8 on, and two of version 2."""
    clock = Clock(NOON + 100 * HOUR)
    set_reference(app.store, normal(5_000, seed=99))
    send_hours(app.store, clock, 12, shift_from=8)
    for hour in range(2):
        send(app.store, clock, normal(150, seed=hour), at=NOON + hour * HOUR, version="2")
    finish(clock)
    run_out(background(app.store, RULES, clock))
    return app


def test_the_current_verdicts_and_those_before(watched: App) -> None:
    found = watched.get("models/m/drift")
    assert [(line["model_version"], line["severity"]) for line in found["current"]] == [("1", "alert"), ("2", "stable")]
    assert len(found["history"]) == 14
    ends = [line["window_end"] for line in found["history"]]
    assert ends == sorted(ends, reverse=True)
    newest = found["history"][0]
    assert newest["drifted"] == ["x"]
    [subject] = [each for each in newest["subjects"] if each["feature_name"] == "x"]
    assert subject["psi"] > 0.25
    assert subject["p_value"] < newest["alpha"]


def test_a_page_at_a_time(watched: App) -> None:
    ids, cursor = [], None
    while True:
        page = watched.get("models/m/drift", limit=4, **({} if cursor is None else {"cursor": cursor}))
        ids += [line["verdict_id"] for line in page["history"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == 14


def test_a_part_of_them(watched: App) -> None:
    assert len(watched.get("models/m/drift", version="2")["history"]) == 2
    assert watched.get("models/m/drift", environment="staging")["history"] == []
    some = watched.get("models/m/drift", version="1", start=at(3), end=at(6))["history"]
    assert [line["window_end"] for line in some] == [at(5 + 1 / 12), at(4 + 1 / 12), at(3 + 1 / 12)]
    thin = watched.get("models/m/drift", version="1", step="6h")["history"]
    assert 2 <= len(thin) <= 3
    assert thin[0]["window_end"] == at(11 + 1 / 12)


def test_one_verdict_with_its_evidence_and_its_verification(watched: App) -> None:
    newest = watched.get("models/m/drift")["history"][0]
    verdict = watched.get(f"verdicts/{newest['verdict_id']}")
    assert (verdict["model_name"], verdict["check"], verdict["severity"]) == ("m", "drift", "alert")
    assert verdict["report"]["summary"]["alpha_from"] == {
        "false_alarm_budget": 1.0,
        "share": 0.5,
        "subjects": 2,
        "streams": 1,
        "lookbacks": 2,
        "seconds": 3600,
        "capped": False,
    }
    assert len(verdict["report"]["drift_results"][0]["counts"]["current"]) == 10
    verified = watched.get(f"verdicts/{newest['verdict_id']}/verification")
    assert (verified["reproduced"], verified["inputs_hash"]) == (True, verdict["inputs_hash"])


def test_what_can_not_be_asked_is_named(watched: App) -> None:
    assert watched.problem("GET", "models/nobody/drift", 404)["detail"].startswith("No model named 'nobody'")
    assert watched.problem("GET", "verdicts/nothing", 404)
    assert watched.problem("GET", "verdicts/nothing/verification", 404)
    for query, pointer in (
        ({"step": "7m"}, "/step"),
        ({"cursor": "?"}, "/cursor"),
        ({"limit": "0"}, "/limit"),
        ({"start": "yesterday"}, "/start"),
        ({"version": "a\0b"}, "/version"),
    ):
        assert pointers(watched.problem("GET", "models/m/drift", 422, params=query)) == [pointer]
    assert watched.problem("GET", "models/a%00b/drift", 422)
    assert pointers(watched.problem("GET", "reference?model_name=a%00b", 422)) == ["/model_name"]


def test_a_damaged_verdict_answers_for_itself_alone_and_the_watch_goes_on(watched: App) -> None:
    newest = watched.get("models/m/drift", version="1")["current"][0]
    with watched.store.write() as connection:
        this = tables.verdict.c.id == newest["verdict_id"]
        result = connection.execute(select(tables.verdict.c.result).where(this)).scalar_one()
        damaged = result[:-1] + bytes([result[-1] ^ 1])
        connection.execute(update(tables.verdict).where(this).values(result=damaged))
    for version, severity in (("1", "alert"), ("2", "stable")):
        [line] = watched.get("models/m/drift", version=version)["current"]
        assert (line["severity"], line["verdict_id"] != newest["verdict_id"]) == (severity, True)
    assert len(watched.get("models/m/drift")["history"]) == 13
    assert [each["severity"] for each in watched.get("models")["models"][0]["streams"]] == ["alert", "stable"]
    for page in ("/ui/models", "/ui/models/m", "/ui/models/m/drift", "/ui/alerts", "/metrics"):
        assert watched.request("GET", page).status_code == 200, page
    problem = watched.problem("GET", f"verdicts/{newest['verdict_id']}", 500)
    assert problem["title"] == "What is stored can't be read"
    assert f"The report of the verdict {newest['verdict_id']} can't be read" in problem["detail"]
    clock = Clock(NOON + 200 * HOUR)
    send(watched.store, clock, normal(150, 4.0, seed=50), at=NOON + 12 * HOUR)
    finish(clock)
    run_out(background(watched.store, RULES, clock))
    [after] = watched.get("models/m/drift", version="1")["current"]
    assert after["window_end"] > newest["window_end"]
