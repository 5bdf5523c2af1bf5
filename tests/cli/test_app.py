"""The command line as a whole: help, usage, and what it costs to start."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from modelwatch.cli.base import print_json
from tests.cli.conftest import REPOSITORY, RunCli

COMMANDS = (
    "serve",
    "demo",
    "replay",
    "check",
    "reference",
    "monitors",
    "simulate",
    "verify-verdict",
    "migrate",
    "encryption-key",
    "erase",
    "doctor",
)


def test_help_names_every_command(run_cli: RunCli) -> None:
    done = run_cli("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


def test_help_loads_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "sqlalchemy", "fastapi", "pyarrow", "httpx", "uvicorn", "pydantic")
    code = (
        "import sys; from modelwatch.cli import main; code = main(['--help']);"
        f"print(*set({heavy}) & set(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("replay",),
        ("replay", "no-such-file.csv"),
        ("check", "model", "--fail-on", "everything"),
        ("check", "model", "--url", "ftp://x"),
        ("serve", "--workers", "many"),
        ("demo", "--port", "x"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_no_traceback(run_process: RunCli, words: tuple[str, ...]) -> None:
    done = run_process(*words)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_not_there_is_exit_code_3(run_cli: RunCli) -> None:
    done = run_cli("check", "model", "--url", "127.0.0.1:9")
    assert done.returncode == 3
    assert "modelwatch serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_loses_no_character_where_the_encoding_has_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"name": "Größe → 名前"})
    stream.seek(0)
    assert json.loads(stream.read()) == {"name": "Größe → 名前"}
