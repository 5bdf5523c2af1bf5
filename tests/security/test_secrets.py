"""A canary in every secret setting, and in a key: nothing that the service or its commands say has it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from modelwatch.config.encryption_keys import new_encryption_key
from modelwatch.storage.engine.store import Store
from tests.support.keys import bearer, make_key
from tests.support.servers.forking import run_command
from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.postgres import Cluster

CANARY = "c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry00"


def secrets(port: int, encryption_key: str) -> dict[str, str]:
    """Channels whose receivers are not there, so that every error path speaks of them."""
    nobody = f"127.0.0.1:{port}"
    return {
        "SLACK_WEBHOOK_URL": f"http://{nobody}/services/{CANARY}",
        "PAGERDUTY_INTEGRATION_KEY": CANARY,
        "PAGERDUTY_URL": f"http://{nobody}",
        "ALERT_EMAIL": "ops@example.org",
        "SMTP_URL": f"smtp://user:{CANARY}@{nobody}",
        "ALERT_WEBHOOK_URL": f"http://user:{CANARY}@{nobody}/?token={CANARY}",
        "ALERT_WEBHOOK_SECRET": CANARY,
        "ALERTMANAGER_URL": f"http://user:{CANARY}@{nobody}",
        "ENCRYPTION_KEY": encryption_key,
    }


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    found = run_command(command, folder, {"PATH": os.environ["PATH"], **environment})
    return found.stdout + found.stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.timeout(120)
def test_no_secret_is_ever_said(tmp_path: Path, log_format: str) -> None:
    encryption_key = new_encryption_key(os.urandom)
    given = secrets(free_port(), encryption_key)
    data = tmp_path / "data"
    live = LiveService(data, DEBUG="true", LOG_FORMAT=log_format, API_KEYS_REQUIRED="true", **given)
    said: list[str] = []
    with live:
        store = Store(f"sqlite:///{data}/modelwatch.db")
        _, key = make_key(store, "admin")
        store.close()
        secret = key.rpartition("_")[2]
        headers = bearer(key)
        with httpx.Client(base_url=live.url, headers=headers, timeout=30) as client:
            while client.get("/version").status_code == 401:
                pass
            channels = client.get("/api/v1/channels").json()["channels"]
            assert len(channels) >= 5
            lists = ("channels", "deliveries", "audit", "models", "monitors", "alerts", "nothing")
            said += [client.get(f"/api/v1/{path}").text for path in lists]
            said += [client.post(f"/api/v1/channels/{each['name']}/test").text for each in channels]
            said.append(client.post("/api/v1/predictions", content=b"{", headers={"content-type": "a/b"}).text)
            said.append(client.post("/ui/login", data={"key": key}).text)
            pages = ("/metrics", "/openapi.json", "/docs", "/ui/alerts", "/ui/login", "/version", "/readyz")
            said += [client.get(path).text for path in pages]
            said.append(httpx.get(f"{live.url}/metrics", headers=bearer(key[:-1])).text)
        said.append(run(["doctor"], tmp_path, {**given, "DATA_DIR": str(data), "PORT": str(live.port)}))
        said.append(run(["keys", "list"], tmp_path, {**given, "DATA_DIR": str(data)}))
    said.append(live.output())
    assert "127.0.0.1" in "".join(said)
    for each in said:
        for canary in (CANARY, secret, encryption_key):
            assert canary not in each, each[max(0, each.index(canary) - 200) :][:300]


def test_what_can_not_be_used_is_said_without_its_value(tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    wrong = {
        "DATABASE_URL": f"postgresql://user:{CANARY}@{nobody}/none",
        "SMTP_URL": f"gopher://user:{CANARY}@nowhere",
        "SLACK_WEBHOOK_URL": f"not an address {CANARY}",
        "ENCRYPTION_KEY": CANARY,
    }
    for name, value in wrong.items():
        for command in (["doctor"], ["keys", "list"], ["migrate"]):
            text = run(command, tmp_path, {"DATA_DIR": str(tmp_path), name: value})
            assert text, "something is said"
            assert CANARY not in text


def test_what_stands_behind_an_at_in_a_password_is_not_taken_for_a_host(tmp_path: Path) -> None:
    """It would be named by every error about the connection, and by the answers of /readyz."""
    for password in (f"a@{CANARY}", f"a@b/{CANARY}@c", f"1?{CANARY}"):
        wrong = f"postgresql://user:{password}@127.0.0.1:{free_port()}/none"
        for command in (["doctor"], ["migrate"], ["serve"]):
            # Tables are wrapped.
            text = " ".join(run(command, tmp_path, {"DATA_DIR": str(tmp_path), "DATABASE_URL": wrong}).split())
            assert "%40 for each @" in text or "%-escapes for : / @" in text
            assert CANARY not in text


# What a URL needs escaped: either form would give it away.
PASSWORD = f"{CANARY}/@:#%"


class Owner:
    """A role with a password, and a database of its own that a service works with."""

    def __init__(self, server: Cluster) -> None:
        self._server = server
        self.database = f"secrets_{os.getpid()}"
        self.user = f"owner_{os.getpid()}"
        self.url = server.url(self.database, self.user, quote(PASSWORD, safe=""))

    def set_password(self, password: str) -> None:
        """Others are let in no more, and those who are in are put out."""
        self._server.execute(f"ALTER ROLE {self.user} PASSWORD '{password}'")
        self._server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.user}'")

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        return self._server.execute(statement, self.database)


@contextmanager
def owner(server: Cluster) -> Iterator[Owner]:
    made = Owner(server)
    server.execute(f"CREATE ROLE {made.user} LOGIN PASSWORD '{PASSWORD}'")
    server.execute(f"CREATE DATABASE {made.database} OWNER {made.user}")
    try:
        yield made
    finally:
        server.execute(f"DROP DATABASE {made.database} WITH (FORCE)")
        server.execute(f"DROP ROLE {made.user}")


def command_lines(group: int) -> list[str]:
    """The programs, arguments and titles of the processes of a group, as everybody on the machine can see them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            if os.getpgid(int(process.name)) == group:
                found += [(process / each).read_bytes().decode(errors="replace") for each in ("cmdline", "comm")]
    return found


@pytest.mark.timeout(180)
def test_the_password_of_a_store_that_works_is_never_said_not_even_by_a_crash(
    tmp_path: Path, postgres: Cluster
) -> None:
    said: list[str] = []
    with owner(postgres) as its:
        given = {"DATABASE_URL": its.url, "DATA_DIR": str(tmp_path)}
        live = LiveService(
            tmp_path,
            DATABASE_URL=its.url,
            DEBUG="true",
            WORKERS="2",
            REQUEST_TIMEOUT_SECONDS="1",
            API_KEYS_REQUIRED="false",
        )
        with live, httpx.Client(base_url=live.url, timeout=30) as client:
            prediction = {"model_name": "m", "prediction_id": "1", "features": {"x": 1}, "prediction": "y"}
            assert client.post("/api/v1/predictions", json=prediction).status_code == 202
            pages = ("/metrics", "/ui/alerts", "/version", "/readyz", "/api/v1/models", "/api/v1/audit", "/docs")
            said += [client.get(path).text for path in pages]
            assert live.pid is not None
            titles = command_lines(live.pid)
            assert len(titles) >= 6, "the first process and two workers"
            said += titles
            said += [str(row) for row in its.execute("SELECT * FROM pg_stat_activity")]
            said += [run(command, tmp_path, given) for command in (["doctor"], ["keys", "list"], ["migrate"])]
            # What nobody expects: tables are gone. The answer says nothing of it, the log has a traceback.
            its.execute("ALTER TABLE audit RENAME TO gone")
            answer = client.get("/api/v1/audit")
            assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal-error")
            its.execute("ALTER TABLE profile RENAME TO gone_too")
            said += [answer.text, client.post("/api/v1/predictions", json={**prediction, "prediction_id": "2"}).text]
            assert "Traceback" in live.output()
            its.set_password("another")
            deadline = time.monotonic() + 60
            while (answer := client.get("/readyz")).status_code == 200:
                assert time.monotonic() < deadline
            assert "password authentication failed" in answer.text
            said += [answer.text, client.post("/api/v1/predictions", json={**prediction, "prediction_id": "3"}).text]
        said.append(live.output())
        its.set_password(PASSWORD)
        # A start that nobody expects to go wrong like this.
        its.execute("INSERT INTO alembic_version VALUES ('0001')")
        starting = LiveService(tmp_path / "again", DATABASE_URL=its.url, DEBUG="true")
        starting.start(wait=False)
        assert starting.wait() not in (0, None)
        assert "Traceback" in starting.output()
        said += [starting.output(), *(run(command, tmp_path, given) for command in (["migrate"], ["doctor"]))]
        said.append(postgres.log.read_text())
    for each in said:
        assert CANARY not in each, each[max(0, each.index(CANARY) - 200) :][:300]
