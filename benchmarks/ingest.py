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
def server(command: list[str], url: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    """Runs a server on core 0 until the block ends."""
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
        yield
    finally:
        process.terminate()
        process.wait(20)


def requests_per_second(url: str, prefix: str, folder: Path, headers: Mapping[str, str] | None = None) -> float:
    """wrk's figure from core 1. headers: beside the content type. Raises when any answer was not 2xx."""
    script = folder / "post.lua"
    more = "".join(f"  wrk.headers[{name!r}] = {value!r}\n" for name, value in (headers or {}).items())
    script.write_text(WRK_SCRIPT.replace("%s", repr(payload()), 1).replace(CONTENT_TYPE, CONTENT_TYPE + more, 1))
    output = subprocess.run(
        ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url, "--", prefix],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    if "Non-2xx" in output:
        raise RuntimeError(output)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    assert found is not None, output
    return float(found[1])


def run(*, quick: bool = False) -> list[Row]:
    """Both servers side by side, in alternating rounds; `quick`: one round."""
    if shutil.which("wrk") is None or (os.cpu_count() or 1) < 2:
        print("ingest: skipped, it needs wrk (apt-get install wrk) and two cores", file=sys.stderr)
        return []
    ours: list[float] = []
    plain: list[float] = []
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
            ),
            server(["-m", "benchmarks.plain_endpoint", "18091"], "http://127.0.0.1:18091/health", {}, folder / "b"),
        ):
            # Past the provisional reference: from then on every value is counted in its bins.
            requests_per_second("http://127.0.0.1:18090/api/v1/predictions", "warm", folder)
            requests_per_second("http://127.0.0.1:18091/api/v1/predictions", "warm", folder)
            for number in range(1 if quick else ROUNDS):
                plain.append(requests_per_second("http://127.0.0.1:18091/api/v1/predictions", f"r{number}", folder))
                ours.append(requests_per_second("http://127.0.0.1:18090/api/v1/predictions", f"r{number}", folder))
    return [
        compared(
            f"durable single-prediction ingest, {FEATURES} features",
            "requests/s",
            ours,
            plain,
            f"baseline: FastAPI + pydantic, in memory; one core each; {SECONDS} s a round",
        )
    ]
