"""A real Alertmanager, of Debian's package, on a free port of 127.0.0.1."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import free_port
from tests.support.servers.programs import installed

PACKAGE = PROGRAM = "prometheus-alertmanager"
CONFIG = """
global: {{resolve_timeout: {resolve_timeout}}}
route:
  receiver: double
  group_by: [alertname, model_name]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1h
receivers: [{{name: double, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]
"""


@dataclass(frozen=True)
class Alertmanager:
    """One that runs; `alerts` are those that it holds as active."""

    url: str

    def alerts(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v2/alerts", params={"active": "true"}, timeout=5)
        found: list[dict[str, Any]] = answer.json()
        return found


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs Alertmanager's own tool; its output, both streams in one, is in `stdout`."""
    command = [installed("amtool", PACKAGE), *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@contextmanager
def alertmanager(
    folder: Path, webhook: str, *, resolve_timeout: str = "3s", configuration: str | None = None
) -> Iterator[Alertmanager]:
    """Runs until the block ends. webhook: where it notifies. configuration: another one than CONFIG."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    config.write_text(configuration or CONFIG.format(resolve_timeout=resolve_timeout, webhook=webhook))
    url = f"http://127.0.0.1:{free_port()}"
    options = {
        "config.file": config,
        "storage.path": folder / "data",
        "web.listen-address": url.removeprefix("http://"),
        "cluster.listen-address": "",
    }
    log = (folder / "alertmanager.log").open("wb")
    process = subprocess.Popen(
        [installed(PROGRAM, PACKAGE), *(f"--{name}={value}" for name, value in options.items())], stdout=log, stderr=log
    )
    try:
        eventually(lambda: process.poll() is not None or _is_ready(url), "Alertmanager being ready")
        assert process.poll() is None, (folder / "alertmanager.log").read_text()
        yield Alertmanager(url)
    finally:
        process.terminate()
        process.wait()
        log.close()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
