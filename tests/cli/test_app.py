"""The command line as a whole: help, usage, and what it costs to start."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest
import yaml

from modelwatch.cli.base import never_fail_at_a_character, print_json, print_out, print_yaml
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
        ("demo", "--port", "99999"),
        ("demo", "--port", "-1"),
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


def test_yaml_loses_no_name_where_the_encoding_has_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    importance = {"価格": 0.7, "数量": 0.3}
    for encoding in ("ascii", "cp1252", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
        monkeypatch.setattr(sys, "stdout", stream)
        print_yaml({"importance": importance})
        stream.seek(0)
        assert yaml.safe_load(stream.read()) == {"importance": importance}


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("ascii", "4 x 10^-15 | 2 x 10^12 | -5 -> 3 | ? ? ..."),
        ("cp1252", "4 × 10^-15 | 2 × 10¹² | -5 -> 3 | ? ? …"),
        ("latin-1", "4 × 10^-15 | 2 × 10¹² | -5 -> 3 | ? ? ..."),
        ("cp437", "4 x 10^-15 | 2 x 10^12 | -5 -> 3 | ? ? ..."),
        ("utf-8", "4 × 10⁻¹⁵ | 2 × 10¹² | −5 → 3 | 価 ? …"),
    ],
)
def test_what_the_encoding_of_stdout_lacks_is_spelled(
    encoding: str, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    never_fail_at_a_character()
    print_out("4 × 10⁻¹⁵ | 2 × 10¹² | −5 → 3 | 価 \ud800 …")
    stream.seek(0)
    assert stream.read().rstrip() == printed


def test_a_handler_that_was_asked_for_stays_and_so_does_that_of_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="xmlcharrefreplace")
    beside = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", asked)
    monkeypatch.setattr(sys, "stderr", beside)
    never_fail_at_a_character()
    assert (asked.errors, beside.errors) == ("xmlcharrefreplace", "backslashreplace")


def test_the_locale_c_without_utf_8_stops_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdout", stream)
    never_fail_at_a_character()
    print_out("0.1 → 0.2")
    stream.seek(0)
    assert stream.read() == "0.1 -> 0.2\n"
