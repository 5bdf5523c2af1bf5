"""What the init container of the pods does: it waits for the store, migrates it, and gives up on anything else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.kubernetes.objects import of_kind
from tests.deploy.kubernetes.rendering import Helm
from tests.support.servers.live_service import free_port
from tests.support.servers.postgres import Cluster

Run = Callable[..., subprocess.CompletedProcess[str]]
COUNTED = 'echo called >> calls; [ "$1" = migrate ] || exit 9; '


@pytest.fixture
def run(helm: Helm, tmp_path: Path, repository: Path) -> Run:
    """Runs the command of the rendered container, with programs of a folder before all others."""
    [deployment] = of_kind(helm.objects(), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["initContainers"]
    commands = tmp_path / "bin"
    commands.mkdir()

    def with_programs(**programs: str) -> subprocess.CompletedProcess[str]:
        for name, text in programs.items():
            (commands / name).write_text(f"#!/bin/sh\n{text}\n")
            (commands / name).chmod(0o755)
        return subprocess.run(
            [*container["command"], *container["args"]],
            cwd=tmp_path,
            env={"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(repository / "src")},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return with_programs


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_it_waits_for_a_store_that_does_not_answer_yet(run: Run, tmp_path: Path) -> None:
    script = COUNTED + "[ $(wc -l < calls) -ge 4 ] || exit 3"
    assert run(modelwatch=script, sleep="exit 0").returncode == 0
    assert calls(tmp_path) == 4


def test_it_ends_at_once_with_what_waiting_does_not_mend(run: Run, tmp_path: Path) -> None:
    assert run(modelwatch=COUNTED + "exit 2", sleep="exit 0").returncode == 2
    assert calls(tmp_path) == 1


def test_it_does_not_wait_for_ever(run: Run, tmp_path: Path) -> None:
    assert run(modelwatch=COUNTED + "exit 3", sleep="exit 0").returncode == 3
    assert calls(tmp_path) == 150


def test_the_real_program_says_whether_waiting_helps(run: Run, postgres: Cluster) -> None:
    """First nobody listens; then, as if the database had come up, there is one."""
    program = f'"{sys.executable}" -m modelwatch "$@"'
    away = f"postgresql://modelwatch@127.0.0.1:{free_port()}/modelwatch"
    with postgres.database(migrated=False) as url:
        script = f"""export DATABASE_URL={away}
[ ! -e came ] || export DATABASE_URL={url}
{program}
code=$?
touch came
exit $code"""
        result = run(modelwatch=script, sleep="exit 0")
        assert result.returncode == 0, result.stderr
        assert "can't be used" in result.stderr
        assert "the newest" in result.stdout
        assert postgres.execute("SELECT version_num FROM alembic_version", url.rpartition("/")[2])
