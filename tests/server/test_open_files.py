"""The limit of open files follows MAX_CONNECTIONS; in a process of its own, since it can't be raised again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelwatch.server.limits import HARD_FACTOR, OTHERS
from tests.conftest import REPOSITORY

SCRIPT = """
import resource, sys
from modelwatch.server.limits import allow_open_files
soft, hard, connections = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
allow_open_files(connections)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def limit(soft: int, hard: int, connections: int) -> tuple[int, str]:
    """The limit afterwards, and what was said."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(soft), str(hard), str(connections)],
        env={"PYTHONPATH": str(REPOSITORY / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout), done.stderr


@pytest.mark.parametrize(("soft", "connections", "expected"), [(300, 100, HARD_FACTOR * 100 + OTHERS), (900, 100, 900)])
def test_there_is_room_for_every_connection(soft: int, connections: int, expected: int) -> None:
    assert limit(soft, 1_000, connections) == (expected, "")


def test_a_limit_that_is_too_low_is_said() -> None:
    allowed, said = limit(300, 1_000, 5_000)
    assert allowed == 1_000
    assert "MAX_CONNECTIONS is 5000" in said
    assert f"needs {HARD_FACTOR * 5_000 + OTHERS} open files, but it may have only 1000" in said
