"""The wheels of both distributions, built once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging.installing import build_wheels, new_environment, run

# Of the repository, what the wheel of modelwatch is made of.
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="package")
def wheels(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("wheels")
    builder = new_environment(folder / "builder")
    lock = repository / "requirements-build.txt"
    run(builder, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:", "-r", lock)
    # Building writes into the sources.
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    client = shutil.copytree(repository / "clients/python", folder / "client", ignore=ignored)
    library = folder / "library"
    library.mkdir()
    for name in SOURCES:
        source = repository / name
        copied = library / name
        shutil.copytree(source, copied, ignore=ignored) if source.is_dir() else shutil.copy(source, copied)
    built = folder / "built"
    build_wheels(builder, built, client, library)
    return built


@pytest.fixture(scope="package")
def client_wheel(wheels: Path) -> Path:
    (found,) = wheels.glob("modelwatch_client-*.whl")
    return found


@pytest.fixture(scope="package")
def library_wheel(wheels: Path) -> Path:
    (found,) = wheels.glob("modelwatch-*.whl")
    return found
