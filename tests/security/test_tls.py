"""HTTPS by a real service, and the headers that every answer carries."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from modelwatch.server.certificates import CHECK_EVERY_SECONDS, RenewedCertificate
from tests.support.app import App
from tests.support.servers.forking import run_command
from tests.support.servers.live_service import LiveService
from tests.support.servers.tls import Certificate, make_certificate

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class HttpsService(LiveService):
    """A service whose probes go over TLS; the test knows its certificate."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def service(tmp_path: Path, certificate: Certificate) -> Iterator[HttpsService]:
    path = str(certificate.path)
    live = HttpsService(tmp_path / "data", TLS_CERTFILE=path, TLS_KEYFILE=path)
    live.start(wait=False)
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{live.url}/readyz", verify=trusting(certificate)).status_code == 200:
                break
        except httpx.HTTPError:
            assert time.monotonic() < deadline, live.output()
        time.sleep(0.1)
    yield live
    live.stop()


def trusting(certificate: Certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate.path))


def serial(service: HttpsService) -> int:
    """The serial number of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", service.port), timeout=5) as plain,
        context.wrap_socket(plain) as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    text = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-serial"], input=shown, capture_output=True, check=True
    ).stdout
    return int(text.partition(b"=")[2], 16)


def test_predictions_are_taken_over_https_and_a_renewed_certificate_is_used(
    service: HttpsService, certificate: Certificate, tmp_path: Path
) -> None:
    prediction = {"model_name": "m", "prediction_id": "1", "features": {"x": 1}, "prediction": "y"}
    with httpx.Client(base_url=service.url, verify=trusting(certificate)) as client:
        answer = client.post("/api/v1/predictions", json=prediction)
        assert answer.status_code == 202
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        url = f'modelwatch_service_info{{url="https://127.0.0.1:{service.port}"}}'
        assert url in client.get("/metrics").text
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{service.port}/livez")
    # Of a version that no client should speak any more.
    old = ssl.create_default_context(cafile=str(certificate.path))
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{service.url}/livez", verify=old)
    given = {
        "PORT": str(service.port),
        "TLS_CERTFILE": str(certificate.path),
        "TLS_KEYFILE": str(certificate.path),
    }
    asked = run_command(["health"], tmp_path, given)
    assert (asked.returncode, "healthy" in asked.stdout) == (0, True), asked.stderr
    before = serial(service)
    make_certificate(tmp_path)
    deadline = time.monotonic() + CHECK_EVERY_SECONDS + 15
    while serial(service) == before:
        assert time.monotonic() < deadline, "the renewed certificate is not used"
        time.sleep(0.2)


def shown_by(server: ssl.SSLContext) -> bytes | None:
    """The certificate that a client is shown in a handshake without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    trusts_all = ssl.create_default_context()
    trusts_all.check_hostname, trusts_all.verify_mode = False, ssl.CERT_NONE
    ends = [
        trusts_all.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert(binary_form=True)


def test_files_that_do_not_fit_leave_the_certificate_that_is_in_use(tmp_path: Path) -> None:
    path = make_certificate(tmp_path).path

    def default() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path, path)
        return context

    renewed = RenewedCertificate((path, path), default)
    first, content = shown_by(renewed.first), path.read_bytes()
    make_certificate(tmp_path)
    following = path.read_bytes()
    begin = b"-----BEGIN CERTIFICATE"
    path.write_bytes(content[: content.index(begin)] + following[following.index(begin) :])
    renewed.look()
    assert shown_by(renewed.first) == first
    path.write_bytes(following)
    renewed.look()
    assert shown_by(renewed.first) not in (first, None)


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no such file"), ("nonsense", "They must be a certificate chain in PEM")]
)
def test_a_certificate_that_can_not_be_used_refuses_the_start(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "tls.pem"
    if content is not None:
        path.write_text(content)
    live = LiveService(tmp_path / "data", TLS_CERTFILE=str(path), TLS_KEYFILE=str(path))
    with pytest.raises(AssertionError, match=re.escape(said)):
        live.start()
    live.stop()


def test_every_answer_carries_the_headers(tmp_path: Path) -> None:
    app = App(tmp_path)
    paths = (
        "/livez",
        "/readyz",
        "/version",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/ui/alerts",
        "/ui/assets/style.css",
    )
    for path in (*paths, "/nothing", "/api/v1/models", "/api/v1/models/m", "/api/v1/alerts?limit=0"):
        answer = app.request("GET", path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "strict-transport-security" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    for method in ("POST", "OPTIONS"):
        answer = app.request(method, "/api/v1/predictions", headers={"origin": "https://elsewhere.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["x-frame-options"] == "DENY"
    app.close()
