"""Keys from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from modelwatch.config.encryption_keys import parse_encryption_keys
from modelwatch.privacy import Keyring
from tests.cli.conftest import RunCli
from tests.support.events import event, open_ledger
from tests.support.servers.live_service import LiveService
from tests.support.stores.privacy import key, protected_store, set_privacy


def test_a_new_key_is_printed_alone(run_cli: RunCli) -> None:
    done = run_cli("encryption-key", "new")
    assert done.returncode == 0
    assert parse_encryption_keys(done.stdout.strip()) == (done.stdout.strip(),)
    said = json.loads(run_cli("encryption-key", "new", "--json").stdout)
    assert Keyring([said["key"]]).writing_id == said["id"]
    assert said["key"] != done.stdout.strip()


def test_serve_says_what_is_wrong_with_keys(run_process: RunCli) -> None:
    done = run_process("serve", "--port", 0, ENCRYPTION_KEY="canary")
    assert done.returncode == 2
    assert "ENCRYPTION_KEY in the environment: expected 32 bytes" in done.stderr
    assert "canary" not in done.stderr + done.stdout


def test_serve_does_not_start_with_monitors_that_need_a_key(run_process: RunCli, tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("model: m\nprivacy: {default: encrypt}\n")
    done = run_process("serve", "--port", 0, MONITORS_PATH="m.yaml")
    assert done.returncode == 2
    assert "/privacy/default" in done.stderr


def test_serve_does_not_start_without_a_key_that_the_store_was_used_with(
    run_cli: RunCli, run_process: RunCli, tmp_path: Path
) -> None:
    store = protected_store(tmp_path / "modelwatch-data", key(1))
    used = store.protection.keyring.writing_id
    store.close()
    done = run_process("serve", "--port", 0, ENCRYPTION_KEY=key(2))
    assert done.returncode == 2
    assert used in done.stderr
    looked = json.loads(run_cli("doctor", "--json", ENCRYPTION_KEY=key(2)).stdout)
    assert used in str(looked)


def test_rotating_says_which_key_can_go(run_cli: RunCli, tmp_path: Path) -> None:
    store = protected_store(tmp_path / "modelwatch-data", key(1))
    set_privacy(store, features={"x": "encrypt"})
    open_ledger(store).commit([event("a"), event("b")])
    old = store.protection.keyring.writing_id
    store.close()
    done = run_cli("encryption-key", "rotate", ENCRYPTION_KEY=f"{key(2)},{key(1)}")
    assert done.returncode == 0, done.stderr
    assert "2 rows were re-encrypted" in done.stdout
    assert f"the key {old} is no longer needed" in done.stdout
    again = run_cli("encryption-key", "rotate", "--json", ENCRYPTION_KEY=key(2))
    assert json.loads(again.stdout)["rows"] == 0
    refused = run_cli("encryption-key", "rotate")
    assert refused.returncode == 2
    assert "ENCRYPTION_KEY does not have" in refused.stderr


def test_a_prediction_is_erased_at_a_service(run_cli: RunCli, service: LiveService) -> None:
    sent = {"model_name": "fraud", "prediction_id": "a/b", "features": {"x": 1}, "prediction": "yes"}
    httpx.post(f"{service.url}/api/v1/predictions", json=sent).raise_for_status()
    done = run_cli("erase", "fraud", "a/b", MODELWATCH_URL=service.url)
    assert done.returncode == 0, done.stderr
    assert "erased 1 prediction of" in done.stdout
    again = run_cli("erase", "fraud", "a/b", "--json", MODELWATCH_URL=service.url)
    assert again.returncode == 1
    assert "Nothing is stored of a prediction" in again.stderr
    wrong = run_cli("erase", "fraud", "a/b", "--day", "soon", MODELWATCH_URL=service.url)
    assert wrong.returncode == 2
    assert "/day" in wrong.stderr
