"""API keys over HTTP."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelwatch.storage.secrets.api_keys import all_keys
from tests.support.app import App, pointers
from tests.support.keys import bearer, make_key

GOOD: dict[str, Any] = {"name": "trainer", "scopes": ["ingest"]}


def test_a_key_is_made_used_and_revoked(tmp_path: Path) -> None:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    admin_id, admin = make_key(app.store, "admin")
    body = {"name": "trainer", "scopes": ["read", "ingest"], "models": ["fraud"], "duration": "90d", "actor": "ann"}
    made = app.request("POST", "/api/v1/keys", json=body, headers=bearer(admin))
    assert made.status_code == 201, made.text
    key = made.json()
    assert (key["name"], key["scopes"], key["models"], key["state"]) == (
        "trainer",
        ["ingest", "read"],
        ["fraud"],
        "in_force",
    )
    ends, began = (datetime.fromisoformat(key[name]) for name in ("expires_at", "created_at"))
    assert ends - began == timedelta(days=90)

    answer = app.request("GET", "/api/v1/models", headers=bearer(key["key"]))
    deadline = time.monotonic() + 60
    while answer.status_code == 401 and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = app.request("GET", "/api/v1/models", headers=bearer(key["key"]))
    assert answer.status_code == 200

    listed = app.request("GET", "/api/v1/keys", headers=bearer(admin)).json()["keys"]
    assert [each["id"] for each in listed] == [admin_id, key["id"]]
    assert all("key" not in each and "hashed" not in each for each in listed)

    address = f"/api/v1/keys/{key['id']}"
    revoked = app.request("DELETE", address, params={"actor": "bob"}, headers=bearer(admin))
    assert (revoked.status_code, revoked.json()["state"]) == (200, "revoked")
    assert app.request("DELETE", address, headers=bearer(admin)).status_code == 409
    assert app.request("DELETE", "/api/v1/keys/nothing", headers=bearer(admin)).status_code == 404
    only = app.request("GET", "/api/v1/keys", params={"state": "revoked"}, headers=bearer(admin)).json()["keys"]
    assert only == [revoked.json()]
    trail = app.request("GET", "/api/v1/audit", headers=bearer(admin)).json()["entries"]
    assert [(each["action"], each["actor"]) for each in trail][:2] == [
        ("key.revoke", f"bob (key admin, {admin_id})"),
        ("key.create", f"ann (key admin, {admin_id})"),
    ]
    app.close()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": " "}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["write"]}, "/scopes/0"),
        # An empty list is not "all models".
        ({"models": []}, "/models"),
        ({"models": [""]}, "/models"),
        ({"duration": "soon"}, "/duration"),
        ({"duration": "0s"}, "/duration"),
        ({"duration": "9999999w"}, "/duration"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "9000-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2098-01-01T00:00:00Z", "duration": "1d"}, "/expires_at"),
        ({"requests_per_second": 0}, "/requests_per_second"),
        ({"body_bytes": 10}, "/body_bytes"),
        ({"body_bytes": 2**62}, "/body_bytes"),
        ({"actor": "x" * 201}, "/actor"),
        ({"actor": ""}, "/actor"),
        ({"nmae": "x"}, "/nmae"),
    ],
)
def test_a_key_that_can_not_be_is_refused(app: App, change: dict[str, Any], pointer: str) -> None:
    problem = app.problem("POST", "keys", 422, json={**GOOD, **change})
    assert pointers(problem) == [pointer]
    with app.store.read() as connection:
        assert all_keys(connection) == []


def test_every_wrong_field_is_named(app: App) -> None:
    problem = app.problem("POST", "keys", 422, json={"name": "", "scopes": [], "models": [], "duration": "x"})
    assert sorted(pointers(problem)) == ["/duration", "/models", "/name", "/scopes"]


def test_a_key_may_end_at_a_time_and_have_limits_of_its_own(app: App) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    body = {**GOOD, "expires_at": end.isoformat(), "requests_per_second": 2.5, "body_bytes": 4_096}
    key = app.post("keys", body, 201)
    assert datetime.fromisoformat(key["expires_at"]) == end
    assert (key["requests_per_second"], key["body_bytes"], key["models"]) == (2.5, 4_096, None)
    assert app.get("keys")["keys"] == [{name: value for name, value in key.items() if name != "key"}]


def test_revoking_checks_who_does_it(app: App) -> None:
    key = app.post("keys", GOOD, 201)
    problem = app.problem("DELETE", f"keys/{key['id']}", 422, params={"actor": "x" * 201})
    assert pointers(problem) == ["/actor"]
    assert app.get("keys", state="in_force")["keys"] != []
    app.problem("GET", "keys", 422, params={"state": "lost"})
