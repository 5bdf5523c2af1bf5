"""Durable ingest of single predictions against an endpoint that only parses them, each on one core.

Both are real servers (uvicorn, one process, pinned to core 0); wrk sends the same payload shape from core 1. The plain
endpoint is FastAPI with pydantic models and an in-memory list: what a first version of such a service looks like.
modelwatch answers after the prediction and its counts are committed to SQLite with synchronous=FULL.

To see the price of a change on the way of a prediction, put the service of another commit beside it:
`make bench ARGS="ingest --before main"`.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.report import Row, compared, less
from benchmarks.servers import are_possible, earlier, plain_service, processor_seconds, service

PATH = "/api/v1/predictions"
ROUNDS = 5
SECONDS = 3
CONNECTIONS = 64
FEATURES = 10
TITLE = f"durable single-prediction ingest, {FEATURES} features"

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
    before = 0.0 if pid is None else processor_seconds(pid)
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
    taken = 0.0 if pid is None else processor_seconds(pid) - before
    return Load(float(rate[1]), p99, taken / int(requests[1]) * 1e6)


def run(*, quick: bool = False, before: str | None = None) -> list[Row]:
    """The servers side by side, in alternating rounds; `quick`: one round. before: a commit whose service is beside."""
    if not are_possible("ingest", "wrk"):
        return []
    loads: dict[str, list[Load]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            "plain": stack.enter_context(plain_service(folder / "plain")),
            "ours": stack.enter_context(service(folder / "ours")),
        }
        if before is not None:
            root = stack.enter_context(earlier(before))
            servers["before"] = stack.enter_context(service(folder / "before", root=root))

        def load(name: str, prefix: str) -> Load:
            return round_of_load(f"{servers[name].url}{PATH}", prefix, folder, pid=servers[name].process)

        for name in servers:
            # Past the provisional reference: from then on every value is counted in its bins.
            load(name, "warm")
        for number in range(1 if quick else ROUNDS):
            for name in servers:
                loads.setdefault(name, []).append(load(name, f"r{number}"))
    rows = _beside(loads["ours"], loads["plain"], TITLE, "FastAPI + pydantic, in memory")
    if before is not None:
        rows += _beside(loads["ours"], loads["before"], f"{TITLE}, beside {before}", f"the service of {before}")
    return rows


def _beside(ours: list[Load], theirs: list[Load], title: str, baseline: str) -> list[Row]:
    note = f"baseline: {baseline}; one core each; {SECONDS} s a round"
    tail = f"{title}: 99th percentile at {CONNECTIONS} connections"
    return [
        compared(title, "requests/s", [each.rate for each in ours], [each.rate for each in theirs], note),
        less(f"{title}: processor time", "us CPU", [each.cpu for each in ours], [each.cpu for each in theirs], note),
        # The baseline's tail is too restless for a ratio.
        replace(less(tail, "ms", [each.p99 for each in ours], [each.p99 for each in theirs], note), ratio=None),
    ]
