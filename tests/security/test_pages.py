"""The pages of a service that asks for keys: signing in, acting, signing out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from modelwatch.storage.secrets.api_keys import all_sessions
from tests.support.alerts.assessments import assessment
from tests.support.app import App
from tests.support.keys import make_key

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    yield app
    app.close()


def sign_in(app: App, key: str) -> httpx.Response:
    return app.request("POST", "/ui/login", content=f"key={key}", headers=FORM)


def test_who_is_not_signed_in_is_led_to_where_that_is_done(app: App) -> None:
    for path, way in (("/ui", "ui/login"), ("/ui/alerts", "../ui/login"), ("/ui/alerts/a", "../../ui/login")):
        answer = app.request("GET", path)
        assert (answer.status_code, answer.headers["location"]) == (303, way)
    assert app.request("POST", "/ui/alerts/a/resolve", content="", headers=FORM).status_code == 401


def test_a_key_that_may_read_opens_the_pages_and_one_that_may_not_says_why(app: App) -> None:
    _, reader = make_key(app.store, "read")
    _, writer = make_key(app.store, "ingest")
    _, some = make_key(app.store, "read", models=frozenset({"m"}))
    for key, status, said in (
        ("nonsense", 401, "This API key is unknown"),
        (writer, 403, "scope read"),
        (some, 403, "the key is only for some"),
        ("", 401, "This API key is unknown"),
    ):
        answer = sign_in(app, key)
        assert answer.status_code == status
        assert said in answer.text
        assert "set-cookie" not in answer.headers
    answer = sign_in(app, reader)
    assert (answer.status_code, answer.headers["location"]) == (303, "models")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert reader not in cookie
    session = {"cookie": cookie.split(";")[0]}
    page = app.request("GET", "/ui/alerts", headers=session)
    assert page.status_code == 200
    assert "Sign out" in page.text
    assert app.request("GET", "/ui/alerts", headers={"cookie": session["cookie"][:-1]}).status_code == 303


def test_over_https_the_cookie_is_for_https_alone(tmp_path: Path) -> None:
    app = App(tmp_path, API_KEYS_REQUIRED="true", PUBLIC_URL="https://watch.example.org")
    _, reader = make_key(app.store, "read")
    assert "Secure" in sign_in(app, reader).headers["set-cookie"].split("; ")
    app.close()


def test_a_session_stays_below_the_path_of_a_service_that_shares_its_host(tmp_path: Path) -> None:
    """Other services of the host would get it, and another modelwatch there would end it."""
    app = App(tmp_path, API_KEYS_REQUIRED="true", PUBLIC_URL="https://ml.example.org/watch")
    _, reader = make_key(app.store, "read")
    for host, path in (("ML.example.org", "/watch"), ("10.0.0.7:8000", "/")):
        headers = {**FORM, "host": host}
        answer = app.request("POST", "/watch/ui/login", content=f"key={reader}", headers=headers)
        assert f"Path={path}" in answer.headers["set-cookie"].split("; ")
        session = {**headers, "cookie": answer.headers["set-cookie"].split(";")[0]}
        assert app.request("GET", "/watch/ui/alerts", headers=session).status_code == 200
        left = app.request("POST", "/watch/ui/logout", content="", headers=session)
        gone = {each.rpartition("Path=")[2].split(";")[0] for each in left.headers.get_list("set-cookie")}
        assert gone == {path, "/"}
        assert app.request("GET", "/watch/ui/alerts", headers=session).status_code == 303
    app.close()


def test_acting_needs_a_key_that_may_and_is_written_down_with_it(app: App) -> None:
    app.desk.take(assessment(0, {"amount": "alert"}))
    [alert] = app.desk.alerts()
    _, reader = make_key(app.store, "read")
    key_id, admin = make_key(app.store, "admin")
    for key, status in ((reader, 403), (admin, 303)):
        session = {"cookie": sign_in(app, key).headers["set-cookie"].split(";")[0], **FORM}
        path = f"/ui/alerts/{alert.id}/acknowledge"
        assert app.request("POST", path, content="actor=ann", headers=session).status_code == status
        content, allowed = "part=version%3A1&confirm=1", {303: 404}.get(status, status)
        assert app.request("POST", "/ui/models/none/delete", content=content, headers=session).status_code == allowed
    session = {"cookie": sign_in(app, admin).headers["set-cookie"].split(";")[0]}
    assert f"ann (key admin, {key_id})" in app.request("GET", f"/ui/alerts/{alert.id}", headers=session).text


def test_signing_out_ends_the_session_everywhere(app: App) -> None:
    _, reader = make_key(app.store, "read")
    session = {"cookie": sign_in(app, reader).headers["set-cookie"].split(";")[0], **FORM}
    answer = app.request("POST", "/ui/logout", content="", headers=session)
    assert answer.status_code == 303
    assert 'modelwatch_session=""' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]
    with app.store.read() as connection:
        assert all_sessions(connection) == {}


def test_a_session_is_for_the_pages_alone(app: App) -> None:
    _, admin = make_key(app.store, "admin")
    session = {"cookie": sign_in(app, admin).headers["set-cookie"].split(";")[0]}
    assert app.request("GET", "/ui/alerts", headers=session).status_code == 200
    for path in ("/api/v1/models", "/api/v1/audit", "/metrics", "/version"):
        assert app.request("GET", path, headers=session).status_code == 401
