"""What README.md shows works: its examples are run, in their order, against a service of their own."""

from __future__ import annotations

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelwatch.config import load_settings
from tests.conftest import REPOSITORY
from tests.support.servers.live_service import LiveService
from tests.support.servers.programs import absent, install

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = (REPOSITORY / "README.md").read_text()
USUAL_PORT = 8000
BLOCK_SECONDS = 120
# Commands that set up an environment, never end, or are the tests themselves; what they name is looked at instead.
NOT_RUN = re.compile(
    r"python -m venv venv|source venv/bin/activate|pip install -r \S+|pip install requests|pip install --no-deps \."
    r"|python -m src\.main|pytest .*"
)
# Commands of a daemon or a cluster; tests/deploy tests what they read, and runs those that only make a file.
NEEDS_MORE = re.compile(r"printf 'COMPOSE_.*|docker compose up .*|helm (repo|install) .*|kubectl .*")

pytestmark = pytest.mark.timeout(300)


def is_not_run(command: str) -> bool:
    return bool(NOT_RUN.fullmatch(command) or NEEDS_MORE.fullmatch(command))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line it begins at."""

    language: str
    text: str
    line: int

    @property
    def commands(self) -> list[str]:
        """The command lines of a shell block, each on one line, without comments and here-documents."""
        text = re.sub(r"<<'(\w+)'\n.*?\n\1$", "", self.text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
        return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]

    @property
    def is_run(self) -> bool:
        return self.language == "python" or (self.language == "bash" and not is_not_run(self.commands[0]))


def is_defined(source: str, names: list[str]) -> bool:
    """Whether a file has such a function, or such a class with such a method."""
    found: list[ast.stmt] = ast.parse(source).body
    for name in names:
        inside = [each for each in found if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name]
        found = [statement for each in inside for statement in each.body]
    return bool(found)


BLOCKS = [Block(match[1], match[2], TEXT.count("\n", 0, match.start()) + 1) for match in FENCE.finditer(TEXT)]
RUN = [block for block in BLOCKS if block.is_run]
Results = dict[int, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """On the port that the README names; on another one when that is taken."""
    with socket.socket() as probe:
        # Whoever listens there already would answer for the service, and be sent the examples.
        free = probe.connect_ex(("127.0.0.1", USUAL_PORT)) != 0
    live = LiveService(tmp_path_factory.mktemp("service"), port=USUAL_PORT if free else None)
    live.start()
    yield live
    live.stop()


@pytest.fixture(scope="module")
def results(service: LiveService, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What became of every block that can be run, by its line. They share a folder, as they would in a checkout."""
    if shutil.which("curl") is None:
        install("curl")
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    commands = folder / "venv" / "bin"
    commands.mkdir(parents=True)
    for name, call in (("python", ""), ("modelwatch", " -m modelwatch")):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{call} "$@"\n')
        (commands / name).chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COV_")},
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY / "src"),
        "NO_PROXY": "localhost,127.0.0.1",
        "MODELWATCH_URL": service.url,
        "PORT": str(service.port),
    }
    return {block.line: run(block, service.port, folder, environment) for block in RUN}


def run(block: Block, port: int, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    # As it is shown it takes many seconds, for figures that tests/cli/commands/test_simulate.py is about.
    short = "--features 3 --months 1 --repetitions 5 --jobs 1"
    text = re.sub(r"^(modelwatch simulate .*)$", rf"\1 {short}", block.text, flags=re.MULTILINE)
    if port != USUAL_PORT:
        text = text.replace(f"localhost:{USUAL_PORT}", f"localhost:{port}")
        text = re.sub(r"^(python examples/\S+)$", rf"\1 --url http://localhost:{port}", text, flags=re.MULTILINE)
    command = [sys.executable, "-c", text] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BLOCK_SECONDS, check=False
    )


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"line {block.line}")
def test_an_example_works(results: Results, block: Block) -> None:
    if "curl" in block.text and shutil.which("curl") is None:
        absent("There is no curl here: apt-get install curl")
    result = results[block.line]
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_answer_that_is_shown_is_a_good_one(results: Results) -> None:
    shown = "".join(result.stdout for result in results.values())
    assert "202 {'status': 'accepted', 'prediction_id': 'pred-12345'}" in shown
    assert "201 active" in shown
    assert "{'accepted': 5000, 'duplicates': 0, 'rejected': []}" in shown
    assert "'severity': 'insufficient_data'" in shown
    assert "99 more are needed" in shown


def test_the_replay_of_a_file_that_was_sent_counts_nothing_twice(results: Results) -> None:
    [shown] = [results[block.line].stdout for block in RUN if "modelwatch replay" in block.text]
    assert re.search(r"accepted +0\n +duplicates +5,000", shown), shown
    assert re.search(r"transaction_amount +alert", shown), shown


def test_a_comparison_without_the_service_finds_the_same_drift(results: Results) -> None:
    [shown] = [results[block.line].stdout for block in RUN if "mw.compare" in block.text]
    assert "1 of 2 columns drifted: 5,000 rows compared with 10,000" in shown
    assert re.search(r"alert: transaction_amount, PSI 1\.2\d", shown), shown


@pytest.mark.usefixtures("results")
def test_the_replay_is_no_quality_problem(service: LiveService) -> None:
    """The file is sent as Parquet first, then row by row: the same content in another form."""
    quality = httpx.get(f"{service.url}/api/v1/models/fraud_detection_v2/quality").json()
    repeats = [each["duplicates"] for each in quality["current"]]
    assert sum(each["count"] for each in repeats) >= 5_000
    assert [
        (each["changed"], each["severity"]) for each in repeats if each["changed"] or each["severity"] == "warning"
    ] == []


@pytest.mark.usefixtures("results")
def test_every_prediction_of_the_examples_is_stored_once(service: LiveService) -> None:
    model = httpx.get(f"{service.url}/api/v1/models/fraud_detection_v2").json()
    # One, a file of 5,000, two lines, and the example script's 1,000.
    assert (model["predictions"], model["reference"]) == (6_003, "active")


@pytest.mark.parametrize("url", sorted(set(re.findall(r"http://localhost:8000[\w/]*", FENCE.sub("", TEXT)))))
def test_an_address_answers(service: LiveService, url: str) -> None:
    address = url.replace(f"http://localhost:{USUAL_PORT}", service.url)
    assert httpx.get(address, follow_redirects=True).status_code == 200


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "bash" and not block.is_run], ids=str)
def test_a_command_that_is_not_run_names_what_is_there(repository: Path, block: Block) -> None:
    for command in block.commands:
        assert is_not_run(command), f"neither run nor known: {command}"
        for word in command.split():
            path = word.partition("::")[0]
            if path.endswith((".txt", ".py", ".yaml", "/")):
                assert (repository / path).exists(), path
            elif word == "src.main":
                assert (repository / "src" / "main.py").is_file()
            if "::" in word:
                assert is_defined((repository / path).read_text(), word.split("::")[1:]), word


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "dotenv"], ids=str)
def test_a_configuration_is_accepted_without_a_warning(tmp_path: Path, block: Block) -> None:
    path = tmp_path / ".env"
    path.write_text(block.text)
    assert load_settings({}, dotenv=path).warnings == ()


def test_every_block_is_looked_at() -> None:
    assert {block.language for block in BLOCKS} == {"python", "bash", "dotenv"}
    assert len(RUN) >= 7
