"""docs/command-line.md and docs/compare.md name the commands there are, and their pipelines run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer.main
import yaml

from modelwatch.cli.app import app
from tests.cli.conftest import RunCli
from tests.support.data.traffic import predictions, reference_values
from tests.support.servers.live_service import LiveService

FENCE = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODEL = "fraud_detection_v2"


def pipelines(path: Path) -> list[list[str]]:
    """The commands of each pipeline in a page: of GitHub's steps, and of GitLab's script."""
    found = []
    for block in FENCE.findall(path.read_text()):
        document: Any = yaml.safe_load(block)
        if isinstance(document, list):
            found.append([step["run"] for step in document if "run" in step])
        else:
            [job] = document.values()
            found.append([job["script"]] if isinstance(job["script"], str) else job["script"])
    return found


def test_every_command_is_in_the_page(repository: Path) -> None:
    table = (repository / "docs/command-line.md").read_text().partition("\n## ")[0]
    named = set(re.findall(r"[a-z][a-z-]+", " ".join(re.findall(r"`([^`]+)`", table))))
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        assert name in named
        assert set(getattr(command, "commands", ())) <= named, name


def test_exit_codes_are_in_the_page(repository: Path) -> None:
    from modelwatch.cli import base

    codes = {value for name, value in vars(base).items() if name.startswith("EXIT_")}
    page = (repository / "docs/command-line.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)} == codes


@pytest.mark.parametrize(("shift", "code"), [(0.0, 0), (1.0, 1)])
def test_the_pipelines_of_a_service_run(
    service: LiveService, run_cli: RunCli, repository: Path, tmp_path: Path, shift: float, code: int
) -> None:
    model = f"{MODEL}-{code}"
    with httpx.Client(base_url=f"{service.url}/api/v1", timeout=30) as client:
        client.post("/reference", json={"model_name": model, "features": reference_values()}).raise_for_status()
        client.post("/predictions/batch", json=predictions(900, model=model, shift=shift)).raise_for_status()
    for commands in pipelines(repository / "docs/command-line.md"):
        assert len(commands) == 2
        program, *words = shlex.split(commands[0].replace(MODEL, model))
        assert program == "modelwatch"
        assert run_cli(*words, MODELWATCH_URL=service.url).returncode == code
        assert (tmp_path / "drift.xml").exists()
        # Whether an alert is open already is a matter of seconds.
        assert run_cli(*shlex.split(commands[1].replace(MODEL, model))[1:], MODELWATCH_URL=service.url).returncode in (
            0,
            code,
        )


@pytest.mark.parametrize(("shift", "code"), [(0.0, 0), (60.0, 1)])
def test_the_pipelines_of_two_files_run(
    run_cli: RunCli, repository: Path, tmp_path: Path, shift: float, code: int
) -> None:
    from modelwatch.library.reference import Reference

    rng = np.random.default_rng(5)
    Reference.fit({"amount": rng.normal(100, 25, 2_000)}).save(tmp_path / "reference.mw")
    pq.write_table(pa.table({"amount": rng.normal(100 + shift, 25, 2_000)}), tmp_path / "batch.parquet")
    for [command] in pipelines(repository / "docs/compare.md"):
        program, *words = shlex.split(command)
        assert program == "modelwatch"
        assert run_cli(*words).returncode == code
        assert (tmp_path / "drift.html").exists()
