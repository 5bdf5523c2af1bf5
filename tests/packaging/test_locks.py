"""The locks hold what pyproject.toml asks for, with hashes, and nothing of the machine they were made on."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+(?:\[[a-z0-9,-]+\])?==[^\s;]+)(?: ;[^\n]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+",
    re.MULTILINE,
)

# The client is in this repository: its hash would be another one after each change.
BESIDE = "modelwatch-client"


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    return table


def locked(path: Path) -> dict[str, str]:
    """Version by name. Every pinned line must have a hash."""
    text = path.read_text()
    pins = [Requirement(pin) for pin in ENTRY.findall(text)]
    assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)), (
        f"{path.name}: a line without version or hash"
    )
    versions: dict[str, str] = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins}
    assert len(versions) == len(pins), f"{path.name}: a package in two versions"
    return versions


@pytest.mark.parametrize(
    ("lock", "extras"), [("requirements.txt", ("server",)), ("requirements-dev.txt", ("server", "dev"))]
)
def test_the_lock_satisfies_the_bounds(
    repository: Path, project: dict[str, Any], lock: str, extras: tuple[str, ...]
) -> None:
    versions = locked(repository / lock)
    wanted = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    for requirement in map(Requirement, wanted):
        if requirement.name == BESIDE:
            continue
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: run make lock"
        assert version in requirement.specifier, f"{requirement} does not allow {version} of {lock}: run make lock"


def test_the_development_lock_holds_the_runtime_lock(repository: Path) -> None:
    runtime, development = locked(repository / "requirements.txt"), locked(repository / "requirements-dev.txt")
    assert runtime.items() <= development.items()


def test_every_dependency_has_a_lower_and_an_upper_bound(project: dict[str, Any]) -> None:
    for line in [
        *project["dependencies"],
        *project["optional-dependencies"]["server"],
        *project["optional-dependencies"]["dev"],
        f"python{project['requires-python']}",
    ]:
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert operators == {">=", "<"}, line


def test_the_build_lock_satisfies_the_build_system(repository: Path) -> None:
    document = tomllib.loads((repository / "pyproject.toml").read_text())
    assert document["dependency-groups"]["build"] == document["build-system"]["requires"]
    versions = locked(repository / "requirements-build.txt")
    for requirement in map(Requirement, document["build-system"]["requires"]):
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_client_of_this_repository_is_one_that_is_asked_for(repository: Path, project: dict[str, Any]) -> None:
    client = tomllib.loads((repository / "clients/python/pyproject.toml").read_text())["project"]
    (wanted,) = [each for each in map(Requirement, project["dependencies"]) if each.name == BESIDE]
    assert client["name"] == BESIDE
    assert client["version"] in wanted.specifier
    assert BESIDE not in locked(repository / "requirements-dev.txt")


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt", "requirements-build.txt"])
def test_the_lock_names_no_index_and_no_path(repository: Path, lock: str) -> None:
    assert not re.findall(
        r"https?:|file:|--(?:extra-)?index|--find-links|--trusted|(?:^|\s)/\S", (repository / lock).read_text()
    )


def test_every_dependency_is_justified(repository: Path, project: dict[str, Any]) -> None:
    decision = (repository / "docs" / "adr" / "0002-dependencies.md").read_text()
    justified = set(re.findall(r"^\| `([a-z0-9-]+)` \|", decision, re.MULTILINE))
    asked_for = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    assert justified == {canonicalize_name(Requirement(line).name) for line in asked_for}
