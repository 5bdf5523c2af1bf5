"""The workflows of CI, by their schema and by a linter for what makes them unsafe."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--persona", "pedantic", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@each_workflow
def test_it_satisfies_the_schema(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@each_workflow
def test_the_linter_finds_nothing_unsafe(path: Path) -> None:
    result = zizmor(path)
    assert result.returncode == 0, result.stdout + result.stderr


@each_workflow
def test_its_tasks_are_in_the_makefile(path: Path, repository: Path) -> None:
    tasks = set(re.findall(r"^([a-z0-9]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z0-9]+)", path.read_text())) <= tasks


def test_the_updates_of_dependencies_satisfy_their_schema(repository: Path) -> None:
    path = repository / ".github" / "dependabot.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.dependabot", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("good", "broken"),
    [
        ("run: make check PYTHON=python", "run: echo ${{ github.event.pull_request.title }}"),
        ("actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "actions/checkout@v5"),
        ("contents: read", "contents: write"),
    ],
)
def test_the_linter_finds_what_is_unsafe(tmp_path: Path, good: str, broken: str) -> None:
    text = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
    assert good in text
    path = tmp_path / "ci.yml"
    path.write_text(text.replace(good, broken))
    assert zizmor(path).returncode != 0
