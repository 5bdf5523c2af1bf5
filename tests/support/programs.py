"""Programs of Debian's packages that tests run for real."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

INSTALL_SECONDS = 300


def installed(program: str, package: str) -> str:
    """Its path. Installed when this is root on a machine with apt; without it the test is skipped, but not in CI."""
    found = shutil.which(program)
    apt = shutil.which("apt-get")
    if found is None and apt is not None and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        wait = [apt, "-o", f"DPkg::Lock::Timeout={INSTALL_SECONDS}"]
        for command in ([*wait, "update"], [*wait, "install", "-y", "--no-install-recommends", package]):
            subprocess.run(command, env=environment, capture_output=True, check=False)
        found = shutil.which(program)
    if found is None:
        message = f"There is no {program} here: apt-get install {package}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found
