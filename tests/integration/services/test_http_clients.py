"""Real clients and a real proxy in front: what they send beside the request must lose nothing.

`java.net.http` and `curl --http2` offer HTTP/2 with `Upgrade: h2c` in each request that is not over TLS.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers.live_service import LiveService, free_port
from tests.support.servers.programs import installed
from tests.support.servers.tls import make_certificate

DEADLINE = 60

JAVA = """
import java.net.URI;
import java.net.http.*;

public class Send {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int number = 0; number < 20; number++) {
            String body = "{\\"model_name\\": \\"java\\", \\"prediction_id\\": \\"id-" + number
                + "\\", \\"features\\": {\\"x\\": 1.5}, \\"prediction\\": \\"a\\"}";
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/api/v1/predictions"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body)).build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
"""

NGINX = """
daemon off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 32m;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        location /watch/ {{
            proxy_pass http://127.0.0.1:{service}{target};
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Prefix /watch;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    with LiveService(tmp_path_factory.mktemp("clients")) as live:
        yield live


def predictions_of(service: LiveService, model: str) -> int:
    count: int = httpx.get(f"{service.url}/api/v1/models/{model}").json()["predictions"]
    return count


def offering(body: bytes, framing: bytes) -> bytes:
    """A prediction with an offer to speak HTTP/2. framing: the header that says how long the body is."""
    return (
        b"POST /api/v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        + framing
        + b"\r\n\r\n"
        + body
    )


def prediction(model: str, identity: str) -> bytes:
    document = {"model_name": model, "prediction_id": identity, "features": {"x": 1.0}, "prediction": "a"}
    return json.dumps(document).encode()


def answers(service: LiveService, *pieces: bytes, count: int) -> list[int]:
    """The statuses of so many answers to what is sent in these pieces."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=DEADLINE) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)
        got = b""
        while got.count(b"HTTP/1.1 ") < count or not got.rstrip().endswith(b"}"):
            part = connection.recv(65_536)
            assert part, got
            got += part
    return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]


def test_a_body_behind_an_offered_upgrade_is_read(service: LiveService) -> None:
    body = prediction("offered", "whole")
    length = b"Content-Length: %d" % len(body)
    assert answers(service, offering(body, length), count=1) == [202]
    head = offering(b"", length)
    assert answers(service, head, prediction("offered", "parts"), count=1) == [202]
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), prediction("offered", "chunk"))
    assert answers(service, offering(chunked, b"Transfer-Encoding: chunked"), count=1) == [202]
    assert predictions_of(service, "offered") == 3


def test_requests_behind_an_offered_upgrade_are_told_apart(service: LiveService) -> None:
    requests = b""
    for number in range(50):
        body = prediction("pipelined", f"id-{number:03}")
        requests += offering(body, b"Content-Length: %d" % len(body))
    middle = len(requests) // 2 + 7
    assert answers(service, requests[:middle], requests[middle:], count=50) == [202] * 50
    assert predictions_of(service, "pipelined") == 50


def test_a_body_that_is_sent_with_a_request_is_never_read_as_one(service: LiveService) -> None:
    """What would be another request, were the body of the first one skipped."""
    hidden = b"DELETE /api/v1/models/x HTTP/1.1\r\nHost: localhost\r\n\r\n"
    refused = offering(hidden, b"Content-Length: %d" % len(hidden))
    body = prediction("smuggled", "after")
    sent = refused + offering(body, b"Content-Length: %d" % len(body))
    assert answers(service, sent, count=2) == [400, 202]


def test_curl_with_http2_loses_nothing(service: LiveService) -> None:
    curl = installed("curl", "curl")
    command = [curl, "--silent", "--http2", "--header", "Content-Type: application/json", "--data", "@-"]
    asked = subprocess.run(
        [*command, f"{service.url}/api/v1/predictions"],
        input=prediction("curl", "one-id"),
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )
    assert json.loads(asked.stdout) == {"status": "accepted", "prediction_id": "one-id"}


def test_javas_own_client_loses_nothing(service: LiveService, tmp_path: Path) -> None:
    installed("javac", "openjdk-17-jdk-headless")
    source = tmp_path / "Send.java"
    source.write_text(JAVA)
    ran = subprocess.run(
        [installed("java", "openjdk-17-jdk-headless"), source, service.url],
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * DEADLINE,
    )
    assert [line[:3] for line in ran.stdout.splitlines()] == ["202"] * 20
    assert predictions_of(service, "java") == 20


@pytest.mark.parametrize("target", ["/", ""], ids=["prefix taken off", "prefix left"])
def test_a_proxy_with_tls_and_a_path_of_its_own_is_followed(tmp_path: Path, target: str) -> None:
    nginx = installed("nginx", "nginx-light")
    port = free_port()
    certificate = make_certificate(tmp_path)
    public = f"https://127.0.0.1:{port}/watch"
    with LiveService(tmp_path / "service", PUBLIC_URL=public) as live:
        text = NGINX.format(folder=tmp_path, port=port, certificate=certificate.path, service=live.port, target=target)
        (tmp_path / "nginx.conf").write_text(text)
        proxy = subprocess.Popen([nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf"])
        try:
            with httpx.Client(base_url=public, verify=False, follow_redirects=True, timeout=DEADLINE) as client:
                wait_for(client)
                headers = {"Content-Type": "application/json"}
                sent = client.post("/api/v1/predictions", content=prediction("a/b", "some-id"), headers=headers)
                assert sent.status_code == 202, sent.text
                if not target:
                    # With a path in proxy_pass nginx decodes what it passes on, so the slash is gone.
                    assert client.get("/api/v1/models/a%2Fb").json()["model_name"] == "a/b"
                assert str(client.get("/ui").url) == f"{public}/ui/models"
                assert str(client.get("/").url) == f"{public}/docs"
                assert client.get("/docs/start.js").status_code == 200
                assert client.get("/openapi.json").json()["servers"] == [{"url": "./"}]
                assert client.get("/api/v1/models/").status_code == 404
        finally:
            proxy.terminate()
            proxy.wait(DEADLINE)
    shutil.rmtree(tmp_path / "body", ignore_errors=True)


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            if client.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "nginx does not answer"
        time.sleep(0.1)
