"""The program that makes the bundled database's password, against a server that answers like that of Kubernetes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.manifests import CHART
from tests.support.servers.doubles import Receiver, Reply
from tests.support.servers.live_service import free_port
from tests.support.servers.tls import Certificate, make_certificate

PROGRAM = (CHART / "files" / "make_secret.py").read_text()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def account(tmp_path: Path, certificate: Certificate) -> Path:
    """What Kubernetes mounts into a pod with a service account."""
    (tmp_path / "token").write_text("the-token")
    (tmp_path / "ca.crt").write_bytes(certificate.path.read_bytes())
    return tmp_path


def run(account: Path, port: int, patience: float = 20) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "SERVICE_ACCOUNT_DIR": str(account),
        "PATIENCE_SECONDS": str(patience),
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(port),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "SECRET_NAME": "modelwatch-database",
        "SECRET_LABELS": '{"app.kubernetes.io/name": "modelwatch"}',
        "DATABASE_HOST": "modelwatch-database",
        "NAMESPACE": "ml",
    }
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def served(certificate: Certificate, *script: Reply) -> Receiver:
    receiver = Receiver(*script)
    receiver.encrypt(certificate.server_side())
    return receiver


def port_of(receiver: Receiver) -> int:
    return int(receiver.url.rpartition(":")[2])


def test_a_secret_with_a_random_password_is_made(account: Path, certificate: Certificate) -> None:
    with served(certificate, Reply(201)) as server:
        results = [run(account, port_of(server)) for _ in range(2)]
    assert [result.returncode for result in results] == [0, 0], results
    request = server.requests[0]
    assert request.path == "/api/v1/namespaces/ml/secrets"
    assert request.headers["Authorization"] == "Bearer the-token"
    assert (request.json["kind"], request.json["metadata"]["name"]) == ("Secret", "modelwatch-database")
    data = request.json["stringData"]
    assert re.fullmatch("[0-9a-f]{48}", data["POSTGRES_PASSWORD"])
    assert data["DATABASE_URL"] == (
        f"postgresql://modelwatch:{data['POSTGRES_PASSWORD']}@modelwatch-database:5432/modelwatch"
    )
    assert server.requests[1].json["stringData"] != data
    assert data["POSTGRES_PASSWORD"] not in results[0].stdout + results[0].stderr


def test_one_that_is_there_stays(account: Path, certificate: Certificate) -> None:
    with served(certificate, Reply(409)) as server:
        result = run(account, port_of(server))
    assert result.returncode == 0
    assert "is there already" in result.stdout


def test_a_server_that_is_busy_is_asked_again(account: Path, certificate: Certificate) -> None:
    with served(certificate, Reply(503), Reply(act="reset"), Reply(201)) as server:
        result = run(account, port_of(server))
    assert result.returncode == 0, result.stderr
    assert len(server.requests) == 3


def test_a_refusal_ends_it_with_the_reason(account: Path, certificate: Certificate) -> None:
    body = json.dumps({"message": "secrets is forbidden"}).encode()
    with served(certificate, Reply(403, body=body)) as server:
        result = run(account, port_of(server))
    assert result.returncode == 1
    assert "refused: 403" in result.stderr
    assert "secrets is forbidden" in result.stderr
    assert len(server.requests) == 1


def test_a_server_that_nobody_vouches_for_gets_no_token(
    account: Path, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = make_certificate(tmp_path_factory.mktemp("other"))
    with served(other, Reply(201)) as server:
        result = run(account, port_of(server), patience=0)
    assert result.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in result.stderr
    assert server.requests == []


def test_a_server_that_is_away_ends_it_in_time(account: Path) -> None:
    result = run(account, free_port(), patience=0)
    assert result.returncode == 1
    assert "could not be made within 0 s" in result.stderr
