"""Programs of Debian's packages that tests run for real, and what becomes of a test where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import NoReturn

import pytest

INSTALL_SECONDS = 300


def absent(message: str) -> NoReturn:
    """Skips the test, saying what is missing; in CI it fails."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(message)
    pytest.skip(message)


def installed(program: str, package: str) -> str:
    """Its path. Installed when this is root on a machine with apt; without it the test is skipped, but not in CI."""
    if shutil.which(program) is None:
        install(package)
    return shutil.which(program) or absent(f"There is no {program} here: apt-get install {package}")


def install(package: str) -> None:
    """Tries to install a package, as root with apt; waits for others that do so at the same time."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    wait = [apt, "-o", f"DPkg::Lock::Timeout={INSTALL_SECONDS}"]
    for command in ([*wait, "update"], [*wait, "install", "-y", "--no-install-recommends", package]):
        subprocess.run(command, env=environment, capture_output=True, check=False)
