"""The wheels of both distributions, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.installing import build_wheels, builder_in, copied

# Of the repository, what the wheel of modelwatch is made of.
SOURCES = ("src", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="package")
def wheels(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("wheels")
    builder = builder_in(folder / "builder", repository)
    client = copied(repository / "clients/python", folder / "client")
    library = folder / "library"
    library.mkdir()
    for name in SOURCES:
        copied(repository / name, library / name)
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
