"""A real Prometheus, of Debian's package, on a free port of 127.0.0.1, its tool, and PromQL taken apart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import yaml

from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import free_port
from tests.support.servers.programs import installed

PACKAGE = PROGRAM = "prometheus"
# Prometheus throttles the discovery of targets and of Alertmanagers to once in 5 s: the first scrape comes after that.
DISCOVERY_SECONDS = 60


def promtool(*arguments: str | Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Prometheus' own tool; its output, both streams in one, is in `stdout`."""
    command = [installed("promtool", PACKAGE), *map(str, arguments)]
    return subprocess.run(
        command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


@dataclass(frozen=True)
class Prometheus:
    """One that runs. Times are seconds since 1970."""

    url: str

    def get(self, path: str, **parameters: str | float) -> Any:
        """The `data` of an answer of its API; an error of it fails the test."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        assert answer.status_code == 200, f"{path} {parameters}: {answer.text}"
        return answer.json()["data"]

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query."""
        data = self.get("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a range query."""
        result: list[dict[str, Any]] = self.get("query_range", query=expression, start=start, end=end, step=step)[
            "result"
        ]
        return result

    def alerts(self, name: str | None = None) -> list[dict[str, Any]]:
        """Pending and firing alerts, all of them or those with this name."""
        found = self.get("alerts")["alerts"]
        return [each for each in found if name in (None, each["labels"]["alertname"])]

    def up(self) -> dict[str, str]:
        """The health of each target, by its instance."""
        return {each["labels"]["instance"]: each["health"] for each in self.get("targets")["activeTargets"]}


@contextmanager
def prometheus(
    folder: Path,
    targets: Sequence[str] = (),
    *,
    rules: Sequence[Path] = (),
    alertmanagers: Sequence[str] = (),
    interval: str = "1s",
    retention: str = "10y",
) -> Iterator[Prometheus]:
    """Runs until the block ends, with its data in `folder/data`. targets, alertmanagers: their URLs.

    interval: between two scrapes and two evaluations of the rules that name none of their own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
                "rule_files": [str(path) for path in rules],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": _hosts(alertmanagers)}]}]},
                "scrape_configs": [{"job_name": "modelwatch", "static_configs": [{"targets": _hosts(targets)}]}],
            }
        )
    )
    url = f"http://127.0.0.1:{free_port()}"
    options = {
        "config.file": config,
        "storage.tsdb.path": folder / "data",
        "storage.tsdb.retention.time": retention,
        "web.listen-address": url.removeprefix("http://"),
        "log.level": "warn",
    }
    path = folder / "prometheus.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            [installed(PROGRAM, PACKAGE), *(f"--{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
        )
        try:
            eventually(lambda: process.poll() is not None or _is_ready(url), "Prometheus being ready")
            assert process.poll() is None, path.read_text()
            yield Prometheus(url)
        finally:
            process.terminate()
            process.wait()


def _hosts(urls: Sequence[str]) -> list[str]:
    return [url.removeprefix("http://") for url in urls]


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False


def nodes(expression: str) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every node of an expression, with those that it is in, the outermost first. Raises ValueError for no PromQL."""
    yield from _below((), promql_parser.parse(expression))


def metric_names(expression: str) -> set[str]:
    """The names of the metrics in it."""
    return {node.name for _, node in nodes(expression) if isinstance(node, promql_parser.VectorSelector) and node.name}


def _below(parents: tuple[Any, ...], node: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield parents, node
    inside = [getattr(node, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for child in (*inside, *(getattr(node, "args", None) or ())):
        if child is not None:
            yield from _below((*parents, node), child)
