"""The client's wheel, installed where neither the service nor its dependencies are, by another version of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.installing import install, new_environment, packages_of, run, seconds_to, size_of, top_level
from tests.support.programs import absent

OLDER = ("3.9", "3.10", "3.12", "3.13", "3.14")
MOST_BYTES = 5_000_000
MOST_IMPORT_SECONDS = 0.15


def another_python() -> str:
    """An interpreter of another version than this one, that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in OLDER:
        if version == "{}.{}".format(*sys.version_info):
            continue
        on_path = shutil.which(f"python{version}")
        found = [*([on_path] if on_path else []), *map(str, pyenv.glob(f"versions/{version}.*/bin/python"))]
        for each in found:
            if subprocess.run([each, "-c", "import venv, ensurepip"], capture_output=True).returncode == 0:
                return each
    return absent(f"There is no other Python here: one of {', '.join(OLDER)} is needed")


def test_the_wheel_holds_the_package_alone(client_wheel: Path) -> None:
    assert top_level(client_wheel) == {"modelwatch_client"}


@pytest.mark.timeout(420)
def test_the_installed_client_passes_its_tests(repository: Path, client_wheel: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "venv", another_python())
    install(python, client_wheel)
    assert size_of(packages_of(python)) < MOST_BYTES
    assert seconds_to(python, "import modelwatch_client; modelwatch_client.Client") < MOST_IMPORT_SECONDS
    install(python, "pytest", "pytest-timeout")
    tests = shutil.copytree(repository / "clients/python/tests", tmp_path / "clients/python/tests")
    (tmp_path / "src").symlink_to(repository / "src")
    # Those with 50,000 rows run with this Python.
    run(
        python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "not 50_000",
        tests,
        MODELWATCH_PYTHON=sys.executable,
    )
