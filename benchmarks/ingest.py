"""Durable ingest of single predictions against an endpoint that only parses them, each on one core.

Both are real servers (uvicorn, one process, pinned to core 0); wrk sends the same payload shape from core 1. The plain
endpoint is FastAPI with pydantic models and an in-memory list: what a first version of such a service looks like.
modelwatch answers after the prediction and its counts are committed to SQLite with synchronous=FULL.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from benchmarks.report import Row, compared

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
SECONDS = 4
CONNECTIONS = 64
FEATURES = 10

CONTENT_TYPE = '  wrk.headers["content-type"] = "application/json"\n'
WRK_SCRIPT = """
local thread_number = 0
function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end
function init(args)
  sequence = 0
  prefix = args[1] .. "-" .. tostring(number) .. "-"
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/json"
end
function request()
  sequence = sequence + 1
  local body = string.format(%s, prefix .. tostring(sequence))
  return wrk.format(nil, nil, nil, body)
end
"""


def payload() -> str:
    """The body of one prediction, with `%s` where its id goes: 8 numbers and 2 categories."""
    features = ",".join(
        [f'{{"name":"number_{index}","value":{index * 1.37 + 0.5},"data_type":"continuous"}}' for index in range(8)]
        + [
            f'{{"name":"category_{index}","value":"grocery","data_type":"categorical"}}'
            for index in range(FEATURES - 8)
        ]
    )
    return (
        '{"model_name":"fraud","model_version":"2.1.0","environment":"production","prediction_id":"%s",'
        f'"features":[{features}],"prediction":"legitimate","prediction_probability":0.92,"latency_ms":45.2}}'
    )


@contextmanager
def server(command: list[str], url: str, environment: dict[str, str], folder: Path) -> Iterator[int]:
    """Runs a server on core 0 until the block ends; the id of its process."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["taskset", "-c", "0", sys.executable, *command],
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **environment},
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(url, timeout=1).raise_for_status()
                break
            except httpx.HTTPError as error:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError((folder / "server.log").read_text()) from error
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


@dataclass(frozen=True, slots=True)
class Load:
    """The result of a round of load.

    rate: requests a second. p99: of the time until an answer, ms. cpu: the server's processor time a request, in us.
    """

    rate: float
    p99: float
    cpu: float


def requests_per_second(url: str, prefix: str, folder: Path, headers: Mapping[str, str] | None = None) -> float:
    """wrk's rate from core 1. headers: beside the content type. Raises when any answer was not 2xx."""
    return round_of_load(url, prefix, folder, headers).rate


def round_of_load(
    url: str, prefix: str, folder: Path, headers: Mapping[str, str] | None = None, pid: int | None = None
) -> Load:
    """wrk's figures from core 1. pid: of the server; None: its processor time is not looked at.

    Raises when any answer was not 2xx.
    """
    before = _processor_seconds(pid)
    script = folder / "post.lua"
    more = "".join(f"  wrk.headers[{name!r}] = {value!r}\n" for name, value in (headers or {}).items())
    script.write_text(WRK_SCRIPT.replace("%s", repr(payload()), 1).replace(CONTENT_TYPE, CONTENT_TYPE + more, 1))
    output = subprocess.run(
        [
            *("taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"),
            *("-s", str(script), url, "--", prefix),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in output:
        raise RuntimeError(output)
    rate, requests = re.search(r"Requests/sec:\s+([0-9.]+)", output), re.search(r"(\d+) requests in", output)
    slowest = re.search(r"99%\s+([0-9.]+)(us|ms|s)\b", output)
    assert rate is not None, output
    assert requests is not None, output
    assert slowest is not None, output
    p99 = float(slowest[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[slowest[2]]
    return Load(float(rate[1]), p99, (_processor_seconds(pid) - before) / int(requests[1]) * 1e6)


def _processor_seconds(pid: int | None) -> float:
    """Processor time that a process has taken, in seconds; 0 without one."""
    if pid is None:
        return 0.0
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def run(*, quick: bool = False) -> list[Row]:
    """Both servers side by side, in alternating rounds; `quick`: one round."""
    if shutil.which("wrk") is None or (os.cpu_count() or 1) < 2:
        print("ingest: skipped, it needs wrk (apt-get install wrk) and two cores", file=sys.stderr)
        return []
    ours: list[Load] = []
    plain: list[Load] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        with (
            server(
                ["-m", "modelwatch"],
                "http://127.0.0.1:18090/readyz",
                {"HOST": "127.0.0.1", "PORT": "18090", "DATA_DIR": str(folder / "a")},
                folder / "a",
            ) as our_pid,
            server(
                ["-m", "benchmarks.plain_endpoint", "18091"], "http://127.0.0.1:18091/health", {}, folder / "b"
            ) as plain_pid,
        ):
            ours_at, plain_at = (f"http://127.0.0.1:{port}/api/v1/predictions" for port in (18090, 18091))
            # Past the provisional reference: from then on every value is counted in its bins.
            requests_per_second(ours_at, "warm", folder)
            requests_per_second(plain_at, "warm", folder)
            for number in range(1 if quick else ROUNDS):
                plain.append(round_of_load(plain_at, f"r{number}", folder, pid=plain_pid))
                ours.append(round_of_load(ours_at, f"r{number}", folder, pid=our_pid))
    note = f"baseline: FastAPI + pydantic, in memory; one core each; {SECONDS} s a round"
    title = f"durable single-prediction ingest, {FEATURES} features"
    return [
        compared(title, "requests/s", [each.rate for each in ours], [each.rate for each in plain], note),
        _less(f"{title}: processor time", "us CPU", [each.cpu for each in ours], [each.cpu for each in plain], note),
        # The baseline's tail is too restless for a ratio.
        replace(
            compared(
                f"{title}: 99th percentile at {CONNECTIONS} connections",
                "ms",
                [each.p99 for each in ours],
                [each.p99 for each in plain],
                note,
            ),
            ratio=None,
        ),
    ]


def _less(name: str, unit: str, ours: list[float], baseline: list[float], note: str) -> Row:
    """The row of figures of which less is better."""
    row = compared(name, unit, ours, baseline, note)
    assert row.baseline is not None
    return replace(row, ratio=row.baseline / row.value)
