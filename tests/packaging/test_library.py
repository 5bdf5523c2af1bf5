"""The wheel of modelwatch in a fresh environment: the library alone, and the service with the extra."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from modelwatch.cli.server_packages import SERVER_PACKAGES
from tests.packaging.installing import install, new_environment, packages_of, pip, run, seconds_to, size_of, top_level
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import LiveService, free_port

pytestmark = pytest.mark.timeout(420)

MOST_BYTES = 400_000_000
MOST_IMPORT_SECONDS = 0.1


def distributions(python: Path) -> set[str]:
    """Canonical names of what is installed."""
    listed = json.loads(pip(python, "list", "--format", "json"))
    return {canonicalize_name(each["name"]) for each in listed}


@pytest.fixture(scope="module")
def extra(repository: Path) -> set[str]:
    """Canonical names of what the extra asks for."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["optional-dependencies"]["server"]}


@pytest.fixture(scope="module")
def constraints(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of the lock. Its hashes would be asked of the wheels of this repository, too."""
    lock = (repository / "requirements.txt").read_text()
    pins = re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?(==[^\s;]+)", lock, re.MULTILINE)
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text("".join(f"{name}{version}\n" for name, version in pins))
    return path


@pytest.fixture(scope="module")
def library(wheels: Path, constraints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with `pip install modelwatch`."""
    python = new_environment(tmp_path_factory.mktemp("library") / "venv")
    install(python, "--find-links", wheels, "--constraint", constraints, "modelwatch")
    return python


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reference.parquet and current.parquet, in which one column has moved."""
    rng = np.random.default_rng(4)
    folder = tmp_path_factory.mktemp("frames")
    for name, mean in (("reference", 100.0), ("current", 140.0)):
        shops = rng.choice(["food", "fuel"], 3_000)
        pq.write_table(pa.table({"amount": rng.normal(mean, 25, 3_000), "shop": shops}), folder / f"{name}.parquet")
    return folder


def test_the_wheel_holds_the_package_alone(library_wheel: Path) -> None:
    assert top_level(library_wheel) == {"modelwatch"}


def test_the_library_is_installed_without_the_service(library: Path, extra: set[str]) -> None:
    installed = distributions(library)
    assert not installed & extra
    assert "modelwatch-client" in installed
    assert size_of(packages_of(library)) < MOST_BYTES
    pip(library, "check")


def test_it_is_imported_at_once(library: Path) -> None:
    assert seconds_to(library, "import modelwatch") < MOST_IMPORT_SECONDS


def test_it_compares_in_python(library: Path, frames: Path) -> None:
    script = (
        "import modelwatch as mw, modelwatch_client; assert mw.Client is modelwatch_client.Client;"
        "report = mw.compare('reference.parquet', 'current.parquet'); assert '<svg' in report.to_html();"
        "mw.Reference.fit('reference.parquet').save('reference.mw');"
        "print(report.drifted, mw.compare(mw.Reference.load('reference.mw'), 'current.parquet').drifted)"
    )
    assert run(library, "-c", script, cwd=frames) == "['amount'] ['amount']\n"


def test_it_judges_performance_and_makes_profiles(library: Path, tmp_path: Path) -> None:
    script = (
        "import modelwatch as mw;"
        "labels = ['yes', 'no'] * 1_000; wrong = labels[1:] + labels[:1];"
        "numbers = {'x': list(range(2_000)), 'prediction': labels};"
        "before, now = ({**numbers, 'ground_truth': truths} for truths in (labels, wrong));"
        "report = mw.compare(before, now); report.to_html();"
        "profile = mw.profile(now, like=mw.Reference.fit(before));"
        "print(report.performance.severity, mw.compare(mw.Reference.fit(before), profile).drifted)"
    )
    assert run(library, "-c", script, cwd=tmp_path) == "alert []\n"


def test_it_compares_on_the_command_line(library: Path, frames: Path) -> None:
    command = (library.with_name("modelwatch"), "compare", "reference.parquet", "current.parquet", "--fail-on", "alert")
    assert "1 of 2 columns drifted" in run(*command, code=1, cwd=frames)


def test_its_commands_talk_to_a_service(library: Path, tmp_path: Path) -> None:
    """The client logs, and the check is the service's."""
    log = (
        "import os, random; import modelwatch as mw\n"
        "with mw.Client(os.environ['MODELWATCH_URL'], model_name='payments') as client:\n"
        "    for row in range(200): client.log({'amount': random.random()}, prediction='fine')\n"
        "    assert client.flush(30), client.stats"
    )
    with LiveService(tmp_path / "service") as service:
        where = {"MODELWATCH_URL": service.url}
        run(library, "-c", log, cwd=tmp_path, **where)
        modelwatch = library.with_name("modelwatch")
        [model] = json.loads(run(modelwatch, "models", "list", "--json", cwd=tmp_path, **where))["models"]
        assert (model["model_name"], model["predictions"]) == ("payments", 200)
        told = run(modelwatch, "check", "payments", "--fail-on", "alert", code=4, cwd=tmp_path, **where)
        assert "no reference" in told


@pytest.mark.parametrize("command", ["serve", "demo --once", "migrate", "keys list", "doctor", "verify-verdict x"])
def test_a_command_of_the_service_says_what_installs_it(library: Path, tmp_path: Path, command: str) -> None:
    told = run(library.with_name("modelwatch"), *command.split(), code=2, cwd=tmp_path)
    assert "pip install 'modelwatch[server]'" in told
    assert "Traceback" not in told


def test_the_names_by_which_the_extra_is_imported_are_known(repository: Path, extra: set[str]) -> None:
    """`starlette` comes with FastAPI."""
    imported = {"google-re2": "re2"}
    assert {imported.get(name, name.replace("-", "_")) for name in extra} | {"starlette"} == SERVER_PACKAGES


@pytest.fixture
def served(library: Path, wheels: Path, constraints: Path, tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The interpreter of the environment, with the extra added, and how its service is reached."""
    shutil.copytree(library.parents[1], tmp_path / "venv", symlinks=True, copy_function=os.link)
    python = tmp_path / "venv/bin/python"
    install(python, "--find-links", wheels, "--constraint", constraints, "modelwatch[server]")
    port = str(free_port())
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    where = {"HOST": "127.0.0.1", "PORT": port, "DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen([python, "-m", "modelwatch", "serve"], cwd=tmp_path, env={**known, **where}) as service:
        try:
            yield python, where
        finally:
            service.terminate()


def test_with_the_extra_it_is_the_service(served: tuple[Path, dict[str, Any]], extra: set[str], tmp_path: Path) -> None:
    python, where = served
    assert extra <= distributions(python)
    url = f"http://127.0.0.1:{where['PORT']}"

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz").is_success
        except httpx.TransportError:
            return False

    eventually(ready, seconds=60)
    run(python, "-m", "modelwatch", "health", cwd=tmp_path, **where)
    body = {"model_name": "m", "features": {"x": 1.5}, "prediction": "yes"}
    assert httpx.post(f"{url}/api/v1/predictions", json=body).status_code == 202
    assert httpx.get(f"{url}/ui/models").is_success
