"""The demo as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from modelwatch.demo.story import EXPECTED, STREAM_SIZE
from tests.support.servers.live_service import free_port

REPOSITORY = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(600)


# The same story, evaluated every six hours instead of every half, and without other models: a tenth of the work.
SELDOM_EVALUATED = """
import sys
from modelwatch.cli import main
from modelwatch.demo import others, story
story.EVALUATED_EVERY = "6h"
others.OTHERS = ()
sys.exit(main(["demo", *sys.argv[1:]]))
"""
LIVE_ONLY = """
import sys
from modelwatch.cli import main
from modelwatch.demo import running
running._run_story = lambda *given: []
sys.exit(main(["demo", *sys.argv[1:]]))
"""


def start(
    tmp_path: Path, *words: object, program: Sequence[str] = ("-m", "modelwatch", "demo"), **environment: str
) -> subprocess.Popen[str]:
    (tmp_path / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, *program, *map(str, words)],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY / "src"),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(tmp_path / "tmp"),
            **environment,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_report(demo: subprocess.Popen[str]) -> str:
    """What it shows until it goes on with live traffic."""
    assert demo.stdout is not None
    report = []
    for line in demo.stdout:
        report.append(line)
        if "Ctrl-C ends it" in line:
            break
    return "".join(report)


def check_report(report: str) -> None:
    for part in (
        "Exactly the known shift was found, and nothing else.",
        "evaluated up to",
        "The shift was found by the one up to",
        "Firing: Feature drift in fraud_detection_demo",
        "transaction_amount: alert. PSI",
        "merchant_category: alert",
        "Model performance",
        "of the cases before the shift",
        "/docs",
        "/metrics",
        "/api/v1/drift/check",
        "Ctrl-C ends it",
    ):
        assert part in report


def await_live_traffic(port: int, before: int) -> list[str]:
    """Returns once some payments have come since the demo's story was over: the versions that are stored by then."""
    url = f"http://127.0.0.1:{port}/api/v1/models/fraud_detection_demo"
    deadline = time.monotonic() + 60
    while (model := httpx.get(url).json()).get("predictions", 0) < before + 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [stream["model_version"] for stream in model["streams"]]


def test_the_known_shift_is_found_and_data_can_be_kept_for_a_second_demo_beside_the_first(tmp_path: Path) -> None:
    """The settings of the place where it is called have nothing to do with it."""
    (tmp_path / ".env").write_text("WORKERS=none\n")
    foreign = {"DATABASE_URL": "postgresql://localhost:9/production"}
    data = tmp_path / "data"
    first = start(tmp_path, "--once", "--json", "--data-dir", data, "--port", free_port(), **foreign)
    output, errors = first.communicate(timeout=300)
    assert (first.returncode, errors) == (0, ""), output
    check_result(json.loads(output))
    assert (data / "modelwatch.db").exists()
    port = free_port()
    second = start(tmp_path, "--data-dir", data, "--port", port, program=["-c", SELDOM_EVALUATED], **foreign)
    report = read_report(second)
    versions = await_live_traffic(port, 2 * STREAM_SIZE)
    second.send_signal(signal.SIGINT)
    _, errors = second.communicate(timeout=30)
    assert (second.returncode, errors) == (0, ""), report
    check_report(report)
    assert len(set(versions)) == 2
    assert (data / "modelwatch.db").exists()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not listens(port)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_live_traffic_goes_on_until_a_signal_and_everything_is_tidied_up(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Of a demo whose story of two days is left out."""
    port = free_port()
    demo = start(tmp_path, "--port", port, program=["-c", LIVE_ONLY])
    report = read_report(demo)
    await_live_traffic(port, 0)
    [folder] = (tmp_path / "tmp").iterdir()
    assert (folder / "modelwatch.db").exists()
    demo.send_signal(number)
    _, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (code, ""), report
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not listens(port)


def check_result(result: dict[str, Any]) -> None:
    assert result["problems"] == []
    assert result["found_at"] is not None
    assert result["evaluated_until"] >= result["found_at"]
    assert any(title.startswith("Feature drift") for title in result["alerts"])
    assert [window["drifted"] for window in result["windows"]] == [[]] * 4 + [sorted(EXPECTED)] * 4
    assert 20_000 < result["labels"] == sum(window["labelled"] for window in result["performance"])
    accuracy = [window["accuracy"]["value"] for window in result["performance"]]
    assert min(accuracy[:4]) > max(accuracy[4:7])


def test_a_signal_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    port = free_port()
    demo = start(tmp_path, "--port", port)
    assert demo.stdout is not None
    assert "card payments" in demo.stdout.readline()
    demo.terminate()
    _, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (143, "")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not listens(port)


def test_a_used_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        demo = start(tmp_path, "--once", "--port", taken.getsockname()[1])
        _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert len(errors.splitlines()) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_service_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A file stands where the store must be."""
    data = tmp_path / "data"
    (data / "modelwatch.db").mkdir(parents=True)
    demo = start(tmp_path, "--once", "--data-dir", data, "--port", free_port())
    _, errors = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "The end of its log:" in errors
    assert "Traceback" not in errors
