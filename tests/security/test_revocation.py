"""A key that is revoked or expires, and a session, as several workers of a real service see them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import httpx
import pytest

from modelwatch.access.known_keys import FRESH_SECONDS
from modelwatch.storage.engine.store import Store
from tests.support.keys import bearer, make_key
from tests.support.servers.forking import run_command
from tests.support.servers.live_service import LiveService

# Each on a connection of its own, so that every worker is asked.
ASKED = 30


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("revoked"), API_KEYS_REQUIRED="true", WORKERS="2") as live:
        yield live


def keys(service: LiveService, *command: str) -> str:
    given = {"PATH": os.environ["PATH"], "DATA_DIR": str(service.data_dir)}
    done = run_command(["keys", *command], service.data_dir, given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers(service: LiveService, path: str, headers: dict[str, str]) -> set[int]:
    apart = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=service.url, headers=headers, timeout=20, limits=apart) as client:
        return {client.get(path).status_code for _ in range(ASKED)}


def wait_for(service: LiveService, path: str, headers: dict[str, str], status: int, seconds: float) -> None:
    """Until every worker answers with this status."""
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if answers(service, path, headers) == {status}:
            return
        assert began < deadline, "a worker answers otherwise"


def test_every_worker_takes_a_new_key_and_refuses_it_when_it_is_revoked(service: LiveService) -> None:
    made = json.loads(keys(service, "create", "prober", "--scope", "read", "--json"))
    headers = bearer(made["key"])
    wait_for(service, "/version", headers, 200, FRESH_SECONDS + 1)
    login = httpx.post(f"{service.url}/ui/login", data={"key": made["key"]}, timeout=20)
    session = {"cookie": login.headers["set-cookie"].split(";")[0]}
    # The session counts in the worker that did not begin it, at once.
    assert answers(service, "/ui/alerts", session) == {200}
    keys(service, "revoke", made["key"].split("_")[1])
    wait_for(service, "/version", headers, 401, FRESH_SECONDS + 1)
    wait_for(service, "/ui/alerts", session, 303, FRESH_SECONDS + 1)
    assert answers(service, "/api/v1/models", headers) == {401}


def test_every_worker_refuses_a_key_once_it_has_expired(service: LiveService) -> None:
    store = Store(f"sqlite:///{service.data_dir}/modelwatch.db")
    ends = time.time() + FRESH_SECONDS + 4
    _, text = make_key(store, "read", expires_at=round(ends * 1_000_000))
    store.close()
    wait_for(service, "/version", bearer(text), 200, FRESH_SECONDS + 1)
    while time.time() < ends:
        time.sleep(0.05)
    assert answers(service, "/version", bearer(text)) == {401}


def test_signing_out_is_known_to_every_worker_within_seconds(service: LiveService) -> None:
    store = Store(f"sqlite:///{service.data_dir}/modelwatch.db")
    _, text = make_key(store, "read")
    store.close()
    wait_for(service, "/version", bearer(text), 200, FRESH_SECONDS + 1)
    login = httpx.post(f"{service.url}/ui/login", data={"key": text}, timeout=20)
    session = {"cookie": login.headers["set-cookie"].split(";")[0]}
    assert answers(service, "/ui/alerts", session) == {200}
    form = {"content-type": "application/x-www-form-urlencoded"}
    httpx.post(f"{service.url}/ui/logout", headers=session | form, timeout=20)
    wait_for(service, "/ui/alerts", session, 303, FRESH_SECONDS + 1)
