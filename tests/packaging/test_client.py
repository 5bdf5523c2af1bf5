"""The client's wheel, installed where neither the service nor its dependencies are, by another version of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.programs import absent

OLDER = ("3.9", "3.10", "3.12", "3.13", "3.14")
MOST_BYTES = 5_000_000
MOST_IMPORT_SECONDS = 0.15


def run(*command: str | Path, **environment: str) -> str:
    """What a command printed. Fails with its errors."""
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, command)), env={**known, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    builder = folder / "builder"
    run(sys.executable, "-m", "venv", builder)
    lock = repository / "requirements-build.txt"
    run(builder / "bin/pip", "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", lock)
    source = shutil.copytree(repository / "clients/python", folder / "source")
    run(builder / "bin/pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, source)
    (found,) = folder.glob("modelwatch_client-*.whl")
    return found


def test_the_wheel_holds_the_package_alone(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert names == {"modelwatch_client", f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"}


@pytest.mark.timeout(420)
def test_the_installed_client_passes_its_tests(repository: Path, wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    run(another_python(), "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "-q", "--only-binary", ":all:", wheel)
    packages = Path(run(python, "-c", "import modelwatch_client as it; print(it.__path__[0])").strip()).parent
    not_ours = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
    size = sum(
        path.stat().st_size
        for path in packages.rglob("*")
        if path.is_file() and not path.relative_to(packages).parts[0].startswith(not_ours) and path.suffix != ".pyc"
    )
    assert size < MOST_BYTES
    script = (
        "import time; began = time.perf_counter(); import modelwatch_client; modelwatch_client.Client;"
        "print(time.perf_counter() - began)"
    )
    assert min(float(run(python, "-c", script)) for _ in range(5)) < MOST_IMPORT_SECONDS
    run(python, "-m", "pip", "install", "-q", "--only-binary", ":all:", "pytest", "pytest-timeout")
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
