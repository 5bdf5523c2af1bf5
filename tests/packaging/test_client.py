"""The client's wheel, installed where neither the service nor its dependencies are, by another version of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.packaging.installing import (
    build_wheels,
    builder_in,
    copied,
    install,
    new_environment,
    packages_of,
    run,
    seconds_to,
    size_of,
    top_level,
)
from tests.proofs.lock import Proofs
from tests.support.servers.programs import absent

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
def test_the_installed_client_is_small_and_imported_at_once(client_wheel: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "venv", another_python())
    install(python, client_wheel)
    assert size_of(packages_of(python)) < MOST_BYTES
    assert seconds_to(python, "import modelwatch_client; modelwatch_client.Client") < MOST_IMPORT_SECONDS


@pytest.mark.timeout(420)
def test_the_installed_client_passes_its_tests(proofs: Proofs, repository: Path) -> None:
    """As it is; that it gets on with the service as it is, its tests tell with this Python."""
    client = repository / "clients" / "python"
    assert proofs.figures(passes_its_tests, client / "pyproject.toml", client / "src", client / "tests")


def passes_its_tests(project: Path, sources: Path, tests: Path) -> bool:
    """True when the tests of the client pass with another Python, which has it by its wheel. Fails when not.

    project: its pyproject.toml. sources, tests: beside it.
    """
    client = project.parent
    assert (sources.parent, tests.parent) == (client, client)
    repository = client.parents[1]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        python = new_environment(place / "venv", another_python())
        build_wheels(builder_in(place / "builder", repository), place, copied(client, place / "client"))
        install(python, *place.glob("*.whl"), "pytest", "pytest-timeout")
        there = shutil.copytree(tests, place / "clients/python/tests")
        (place / "src").symlink_to(repository / "src")
        # Those with 50,000 rows run with this Python.
        options = ("-q", "-p", "no:cacheprovider", "-k", "not 50_000")
        run(python, "-m", "pytest", *options, there, MODELWATCH_PYTHON=sys.executable)
    return True
