"""Wheels of this repository, and fresh environments that they are installed into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

# What a new environment has by itself.
NOT_OURS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence", "wheel")


def run(*command: str | Path, code: int = 0, cwd: Path | None = None, **environment: str) -> str:
    """What a command printed; of one that fails as expected, with its errors. Fails when the exit code is another."""
    known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        list(map(str, command)),
        env={**known, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def new_environment(folder: Path, python: str = sys.executable) -> Path:
    """The interpreter of a new environment in a folder. One of this Python gets no pip of its own."""
    # To make one with pip takes a hundred times as long.
    without_pip = ["--without-pip"] if python == sys.executable else []
    run(python, "-m", "venv", *without_pip, folder)
    return folder / "bin/python"


def pip(python: Path, *words: str | Path) -> str:
    """What pip printed, for an environment: its own, or the one of this environment."""
    if (python.parent / "pip").exists():
        return run(python, "-m", "pip", *words)
    return run(sys.executable, "-m", "pip", "--python", python, *words)


def install(python: Path, *what: str | Path) -> None:
    """Installs into an environment, with pip. Nothing is compiled, neither from source nor to byte code."""
    pip(python, "install", "--quiet", "--no-compile", "--only-binary", ":all:", *what)


def builder_in(folder: Path, repository: Path) -> Path:
    """An interpreter, in a new environment in a folder, with what building takes."""
    builder = new_environment(folder)
    lock = repository / "requirements-build.txt"
    install(builder, "--require-hashes", "-r", lock)
    return builder


def copied(source: Path, target: Path) -> Path:
    """A copy of a project, or of a part of one, without its tests: building writes into the sources."""
    if source.is_dir():
        return shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    return Path(shutil.copy(source, target))


def build_wheels(builder: Path, folder: Path, *sources: Path) -> None:
    """Puts the wheels of projects into a folder. builder: an interpreter with what building takes."""
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir")
    pip(builder, "wheel", *options, folder, *sources)


def top_level(wheel: Path) -> set[str]:
    """What a wheel puts beside other packages, its own metadata left out."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    return {name for name in names if not name.endswith(".dist-info")}


def packages_of(python: Path) -> Path:
    """The folder of the packages of an environment."""
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])").strip())


def size_of(packages: Path) -> int:
    """Bytes of the packages that were installed, without byte code."""
    return sum(sizes_of(packages).values())


def sizes_of(packages: Path) -> dict[str, int]:
    """The same by package; the libraries that a wheel brings along count to it."""
    found: dict[str, int] = {}
    for path in packages.rglob("*"):
        name = path.relative_to(packages).parts[0]
        if path.is_file() and path.suffix != ".pyc" and not name.startswith(NOT_OURS):
            package = name.removesuffix(".libs").partition("-")[0]
            found[package] = found.get(package, 0) + path.stat().st_size
    return found


def seconds_to(python: Path, statement: str, attempts: int = 5) -> float:
    """The shortest time that a statement takes in a new interpreter: what others do at the same time is not in it."""
    script = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    return min(float(run(python, "-c", script)) for _ in range(attempts))
