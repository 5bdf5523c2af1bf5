"""What browsers send by themselves, or are made to send: cookies, and names that lead elsewhere than they should."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from modelwatch.storage.secrets.api_keys import MOST_SESSIONS, all_sessions
from tests.support.app import App
from tests.support.keys import make_key
from tests.support.servers.live_service import LiveService

FORM = {"content-type": "application/x-www-form-urlencoded"}
SECONDS_AT_MOST = 4.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("browsers"), API_KEYS_REQUIRED="true") as live:
        yield live


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path, API_KEYS_REQUIRED="true")
    yield app
    app.close()


def sign_in(app: App, key: str, cookie: str = "") -> str:
    """The cookie of a new session, as it is sent back."""
    headers = FORM | ({"cookie": cookie} if cookie else {})
    answer = app.request("POST", "/ui/login", content=f"key={key}", headers=headers)
    return answer.headers["set-cookie"].split(";")[0]


def status(app: App, cookie: str) -> int:
    return app.request("GET", "/ui/alerts", headers={"cookie": cookie}).status_code


@pytest.mark.parametrize("path", ["/livez", "/version", "/ui/alerts", "/ui/login"])
def test_a_long_cookie_takes_no_longer_than_another(service: LiveService, path: str) -> None:
    """Python's own parser works for seconds on this one, and nobody else is answered meanwhile."""
    for cookie in ('a="' + "\\" * 60_000 + '"', "modelwatch_session=" + ";" * 60_000, "a=" + " ;" * 30_000):
        began = time.monotonic()
        answer = httpx.get(f"{service.url}{path}", headers={"cookie": cookie}, timeout=60)
        assert answer.status_code in (200, 303, 401)
        assert time.monotonic() - began < SECONDS_AT_MOST


def test_a_session_is_found_among_the_cookies_of_others(app: App) -> None:
    _, key = make_key(app.store, "read")
    cookie = sign_in(app, key)
    for given in (cookie, f"a=b; {cookie}", f"{cookie}; a=b", f'a="x;y"; {cookie};b', f"a=b;{cookie} "):
        assert status(app, given) == 200, given
    for given in (f"x{cookie}", f"{cookie}0", cookie.upper(), f"a={cookie.partition('=')[2]}"):
        assert status(app, given) == 303, given


def test_a_session_that_was_left_is_over_at_once(app: App) -> None:
    _, key = make_key(app.store, "read")
    cookie = sign_in(app, key)
    assert status(app, cookie) == 200
    app.request("POST", "/ui/logout", content="", headers={"cookie": cookie, **FORM})
    assert status(app, cookie) == 303


def test_signing_in_ends_the_session_before_and_takes_over_nothing_of_it(app: App) -> None:
    _, key = make_key(app.store, "read")
    first = sign_in(app, key)
    second = sign_in(app, key, first)
    assert first != second
    assert [status(app, each) for each in (first, second)] == [303, 200]
    # A value that somebody else chose is none.
    chosen = f"modelwatch_session={'a' * 64}"
    assert sign_in(app, key, chosen) != chosen
    assert status(app, chosen) == 303


def test_a_key_has_so_many_sessions_and_no_more(app: App) -> None:
    _, key = make_key(app.store, "read")
    _, other = make_key(app.store, "read")
    kept = sign_in(app, other)
    for _ in range(MOST_SESSIONS + 3):
        newest = sign_in(app, key)
    with app.store.read() as connection:
        assert len(all_sessions(connection)) == MOST_SESSIONS + 1
    assert [status(app, each) for each in (kept, newest)] == [200, 200]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("LOCALHOST.", 200),
        ("[::1]:8000", 200),
        ("192.168.0.7", 200),
        ("laptop", 200),
        ("modelwatch.localhost:8000", 200),
        ("watch.example.org", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost@evil.example", 421),
        ("localhost.evil.example.", 421),
        ("[evil.example", 421),
    ],
)
def test_a_name_that_anybody_could_own_is_refused_where_nobody_gives_a_key(
    tmp_path: Path, host: str, expected: int
) -> None:
    app = App(tmp_path, PUBLIC_URL="https://watch.example.org")
    for path in ("/api/v1/models", "/metrics", "/ui/alerts"):
        answer = app.request("GET", path, headers={"host": host})
        assert answer.status_code == expected
        if expected == 421:
            assert answer.json()["type"] == "/problems/misdirected"
            assert "PUBLIC_URL" in answer.json()["detail"]
    prediction = {"model_name": "m", "prediction_id": "1", "features": {"x": 1}, "prediction": "y"}
    if expected == 421:
        assert app.request("POST", "/api/v1/predictions", json=prediction, headers={"host": host}).status_code == 421
    # Whoever watches over the process may call it as they like.
    assert app.request("GET", "/livez", headers={"host": host}).status_code == 200
    app.close()


def test_where_keys_are_asked_for_the_name_does_not_matter(app: App, tmp_path: Path) -> None:
    _, key = make_key(app.store, "read")
    headers = {"host": "monitor.example.com", "x-api-key": key}
    assert app.request("GET", "/api/v1/models", headers=headers).status_code == 200
    open_to_all = App(tmp_path / "open", HOST="0.0.0.0", API_KEYS_REQUIRED="false")
    assert open_to_all.request("GET", "/api/v1/models", headers={"host": "a.b.example"}).status_code == 200
    open_to_all.close()


def test_a_limit_below_what_one_packet_holds_counts_too(tmp_path: Path) -> None:
    """The fast path reads short bodies at once."""
    with LiveService(tmp_path, MAX_BODY_BYTES="2048") as live:
        body = {"model_name": "m", "features": {"x": "a" * 3_000}, "prediction": "y"}
        for path, given in (("predictions", body), ("ground-truth", {**body, "prediction_id": "1"})):
            answer = httpx.post(f"{live.url}/api/v1/{path}", json=given)
            assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
        assert httpx.get(f"{live.url}/api/v1/models").json()["models"] == []
