"""A canary in every secret setting, and in a key: nothing that the service or its commands say has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from modelwatch.config.encryption_keys import new_encryption_key
from modelwatch.storage import Store
from tests.conftest import REPOSITORY
from tests.support.keys import bearer, make_key
from tests.support.live_service import LiveService, free_port

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
    found = subprocess.run(
        [sys.executable, "-m", "modelwatch", *command],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
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
    wrong = {
        "DATABASE_URL": f"postgresql://user:{CANARY}@127.0.0.1:{free_port()}/none",
        "SMTP_URL": f"gopher://user:{CANARY}@nowhere",
        "SLACK_WEBHOOK_URL": f"not an address {CANARY}",
        "ENCRYPTION_KEY": CANARY,
    }
    for name, value in wrong.items():
        for command in (["doctor"], ["keys", "list"], ["migrate"]):
            text = run(command, tmp_path, {"DATA_DIR": str(tmp_path), name: value})
            assert text, "something is said"
            assert CANARY not in text
