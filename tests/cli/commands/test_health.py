"""What health checks of containers hear."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from modelwatch.cli import main
from modelwatch.cli.commands.health import own_url
from modelwatch.config import Settings
from tests.cli.conftest import RunCli
from tests.support.servers.live_service import LiveService, free_port


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """The address of a web service that gives this answer to everything."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("option", ["--json", "--live", None])
def test_the_service_with_these_settings_is_asked(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str | None
) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")
    monkeypatch.setenv("PORT", str(service.port))
    assert main(["health", *([option] if option else [])]) == 0
    output = capsys.readouterr().out
    if option == "--json":
        assert json.loads(output)["status"] == "healthy"
    else:
        assert output.strip() == f"{service.url} is {'alive' if option else 'healthy'}"


def test_another_service_can_be_named(service: LiveService, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--url", service.url]) == 0
    assert service.url in capsys.readouterr().out


def test_one_that_is_not_well_is_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    body = {"status": "unhealthy", "service": "modelwatch", "version": "1", "checks": {"store": "gone", "writer": "ok"}}
    with answering(503, json.dumps(body)) as url:
        assert main(["health", "--url", url]) == 1
    assert capsys.readouterr().out.strip() == f"{url} is unhealthy; store: gone"


def test_nobody_there_is_unreachable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    assert main(["health"]) == 3
    assert f"No service answers at http://127.0.0.1:{port}" in capsys.readouterr().err


def test_a_probe_asks_its_own_service_and_not_one_that_the_environment_names(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("MODELWATCH_URL", service.url)
    assert main(["health"]) == 3
    told = capsys.readouterr().err
    assert f"No service answers at http://127.0.0.1:{port}" in told
    assert "The address in MODELWATCH_URL was not asked: name it with --url" in told
    assert main(["health", "--url", f"127.0.0.1:{port}"]) == 3
    assert "MODELWATCH_URL" not in capsys.readouterr().err
    assert main(["health", "--help"]) == 0
    assert "MODELWATCH_URL" in capsys.readouterr().out


@pytest.mark.parametrize("body", ["<html>", "[]", "{}"])
def test_another_program_is_not_taken_for_the_service(body: str, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(200, body) as url:
        assert main(["health", "--url", url]) == 3
    assert "is not modelwatch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_every_address_means_this_machine(host: str, url: str) -> None:
    assert own_url(Settings(host=host)) == url


def test_a_proxy_is_not_asked_for_this_machines_own_service(run_cli: RunCli, service: LiveService) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    done = run_cli("health", "--url", service.url, http_proxy=proxy, HTTP_PROXY=proxy)
    assert done.returncode == 0, done.stderr
