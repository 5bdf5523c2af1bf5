"""Silences over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.support.alerts.assessments import assessment
from tests.support.app import App, pointers

MATCHERS = [{"name": "model", "value": "fraud"}]
SOME_DAY = "2098-01-01T00:00:00Z"


def test_a_silence_silences_until_it_is_ended(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "warning"}))
    silence = app.post(
        "silences", {"matchers": MATCHERS, "duration": "8h", "comment": "load test", "actor": "ann"}, 201
    )
    assert (silence["state"], silence["created_by"], silence["comment"]) == ("active", "ann", "load test")
    began, ends = (datetime.fromisoformat(silence[name]) for name in ("starts_at", "ends_at"))
    assert 8 * 3_600 - 1 <= (ends - began).total_seconds() <= 8 * 3_600 + 1
    [alert] = app.get("alerts", state="silenced")["alerts"]
    assert alert["silenced_by"] == [silence["silence_id"]]
    assert app.get(f"silences/{silence['silence_id']}") == silence

    ended = app.request("DELETE", f"/api/v1/silences/{silence['silence_id']}", params={"actor": "bob"})
    assert (ended.status_code, ended.json()["state"]) == (200, "expired")
    assert app.request("DELETE", f"/api/v1/silences/{silence['silence_id']}").json() == ended.json()
    assert app.get("alerts", state="silenced")["alerts"] == []
    actions = [(each["actor"], each["action"]) for each in app.get("audit")["entries"]]
    assert actions == [("bob", "silence.end"), ("ann", "silence.create")]


def test_a_silence_may_begin_later(app: App) -> None:
    body = {"matchers": MATCHERS, "starts_at": "2097-12-31T00:00:00", "duration": "1d", "comment": "moving"}
    silence = app.post("silences", body, 201)
    assert (silence["state"], silence["ends_at"], silence["created_by"]) == ("pending", SOME_DAY, "api")
    assert app.get("silences", state="active")["silences"] == []
    assert app.get("silences", state="pending")["silences"] == [silence]


def test_silences_are_paged(app: App) -> None:
    for hours in (1, 2, 3):
        app.post("silences", {"matchers": MATCHERS, "duration": f"{hours}h", "comment": str(hours)}, 201)
    first = app.get("silences", limit=2)
    second = app.get("silences", limit=2, cursor=first["next_cursor"])
    assert [each["comment"] for each in first["silences"] + second["silences"]] == ["3", "2", "1"]


GOOD: dict[str, Any] = {"matchers": MATCHERS, "duration": "1h", "comment": "x"}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"matchers": None}, ["/matchers"]),
        ({"matchers": []}, ["/matchers"]),
        ({"matchers": [{"name": "model", "value": ".*", "is_regex": True}]}, ["/matchers"]),
        ({"matchers": [{"name": "model", "value": "(", "is_regex": True}]}, ["/matchers/0/value"]),
        ({"matchers": [{"name": "model"}]}, ["/matchers/0/value"]),
        ({"matchers": [{"name": "a", "value": "b", "regex": True}]}, ["/matchers/0/regex"]),
        ({"duration": "soon"}, ["/duration"]),
        ({"duration": "0s"}, ["/ends_at"]),
        ({"duration": "999d"}, ["/ends_at"]),
        ({"duration": None}, ["/ends_at"]),
        ({"ends_at": SOME_DAY}, ["/ends_at"]),
        ({"duration": None, "ends_at": "2001-01-01T00:00:00Z"}, ["/ends_at"]),
        ({"duration": None, "ends_at": "0001-01-01T00:00:00+14:00"}, ["/ends_at"]),
        ({"starts_at": "9999-12-31T23:59:59-14:00"}, ["/ends_at"]),
        ({"comment": " "}, ["/comment"]),
        ({"actor": ""}, ["/actor"]),
        ({"until": "tomorrow"}, ["/until"]),
    ],
)
def test_every_wrong_field_of_a_silence_is_named(app: App, change: dict[str, Any], wrong: list[str]) -> None:
    problem = app.problem("POST", "silences", 422, json=GOOD | change)
    assert pointers(problem) == wrong
    assert app.get("silences")["silences"] == []


def test_a_silence_needs_a_body(app: App) -> None:
    assert set(pointers(app.problem("POST", "silences", 422))) == {"/matchers", "/comment"}
