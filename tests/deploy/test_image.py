"""The Dockerfile; and, where that is asked for, the image that comes of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.support.servers.doubles import eventually
from tests.support.servers.live_service import free_port
from tests.support.servers.programs import installed

# The build alone takes minutes, and so does the removal of what it leaves.
pytestmark = pytest.mark.timeout(1800)

FILE = REPOSITORY / "Dockerfile"
WANTED = "MODELWATCH_IMAGE"
DATA = "/var/lib/modelwatch"
# A read-only file system with the two places that a container gets to write to, and no privilege left.
INSIDE = f"""
mount --bind "$0" "$0"
mount --rbind /dev "$0/dev"; mount -t proc proc "$0/proc"
mount -t tmpfs -o mode=1777 tmpfs "$0/tmp"; mount -t tmpfs -o uid=10001,gid=10001 tmpfs "$0{DATA}"
mount -o remount,bind,ro "$0"
exec chroot --userspec=10001:10001 "$0" env --ignore-environment "$@"
"""


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("hadolint"), "--failure-threshold", "style", path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_linter_finds_nothing() -> None:
    result = hadolint(FILE)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("good", "broken"),
    [
        ("docker.io/library/python:3", "docker.io/library/python:latest AS x\nFROM python:3"),
        ("USER 10001:10001", "USER root"),
        ('ENTRYPOINT ["modelwatch"]', "ENTRYPOINT modelwatch"),
        ("WORKDIR /etc/modelwatch", "WORKDIR etc"),
    ],
)
def test_the_linter_finds_what_is_broken(tmp_path: Path, good: str, broken: str) -> None:
    text = FILE.read_text().replace("${PYTHON_IMAGE}", "docker.io/library/python:3")
    assert good in text
    path = tmp_path / "Dockerfile"
    path.write_text(text.replace(good, broken))
    assert hadolint(path).returncode != 0


def test_only_what_it_copies_reaches_the_builder() -> None:
    allowed = {line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", FILE.read_text(), re.MULTILINE)
        for word in line.split()
    }
    assert copied == allowed
    assert all((REPOSITORY / name).exists() for name in allowed)


def test_it_is_of_the_version_of_the_project(repository: Path) -> None:
    version = re.search(r'^version = "(.+)"$', (repository / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"ARG VERSION={version[1]}\n" in FILE.read_text()
    chart = (repository / "charts" / "modelwatch" / "Chart.yaml").read_text()
    assert f'appVersion: "{version[1]}"' in chart
    assert f"image: modelwatch:{version[1]}\n" in (repository / "docker-compose.yml").read_text()
    assert f"newTag: {version[1]}\n" in (repository / "k8s" / "kustomization.yaml").read_text()


@dataclass(frozen=True)
class Image:
    """A built image: where its file system is, and what is said about it."""

    root: Path
    config: dict[str, Any]

    def command(self, *words: str, **environment: str) -> list[str]:
        """The command line that runs these words inside, as the image's user."""
        variables = [*self.config["Env"], "HOME=/", *(f"{name}={value}" for name, value in environment.items())]
        return ["unshare", "--mount", "sh", "-ec", INSIDE, str(self.root), *variables, *words]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words, **environment), capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Built once for all. MODELWATCH_IMAGE may name a folder, which keeps what was built for the next run."""
    wanted = os.environ.get(WANTED, "")
    if not wanted:
        pytest.skip(f"building the image takes minutes: `make image`, or set {WANTED}=1")
    for tool in ("buildah", "debootstrap"):
        installed(tool, tool)
    folder = Path(wanted) if "/" in wanted else tmp_path_factory.mktemp("image")
    command = [REPOSITORY / "scripts" / "image.sh", folder]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert built.returncode == 0
    config = json.loads((folder / "image.json").read_text())["Docker"]["config"]
    yield Image(Path(built.stdout.splitlines()[-1]), config)
    if "/" not in wanted:
        subprocess.run(["rm", "-rf", folder], check=True)  # gigabytes, in many small files


class TestInside:
    def test_the_user_is_a_number_and_the_entry_point_gets_signals(self, image: Image) -> None:
        assert image.config["User"] == "10001:10001"
        assert (image.config["Entrypoint"], image.config["Cmd"]) == (["modelwatch"], ["serve"])
        assert image.config["StopSignal"] == "SIGTERM"
        assert image.config["Healthcheck"]["Test"] == ["CMD", "modelwatch", "health"]
        assert image.config["Labels"]["org.opencontainers.image.version"]

    def test_the_doctor_finds_nothing_that_fails(self, image: Image) -> None:
        result = image.run("modelwatch", "doctor", "--json", PORT=str(free_port()))
        assert result.returncode == 0, result.stdout + result.stderr
        report = json.loads(result.stdout)
        assert report["healthy"]
        assert image.run("id", "--user").stdout == "10001\n"

    def test_nothing_else_can_be_written(self, image: Image) -> None:
        for path in ("/x", "/etc/modelwatch/x", "/opt/modelwatch/x"):
            assert "Read-only file system" in image.run("touch", path).stderr
        assert image.run("touch", f"{DATA}/x", "/tmp/x").returncode == 0

    def test_there_is_no_compiler_and_no_installer(self, image: Image) -> None:
        assert image.run("sh", "-c", "command -v gcc cc make").returncode != 0
        assert image.run("python3", "-c", "import pip").returncode != 0
        assert not (image.root / "build").exists()

    def test_the_service_starts_answers_and_stops_when_told(self, image: Image) -> None:
        port = free_port()
        words = image.command(*image.config["Entrypoint"], *image.config["Cmd"], PORT=str(port), HOST="127.0.0.1")
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            eventually(lambda: _is_ready(port) or process.poll() is not None, "the service being ready", 60)
            assert process.poll() is None, process.stdout and process.stdout.read()
            # As the health check of the container.
            health = image.run(*image.config["Healthcheck"]["Test"][1:], PORT=str(port), HOST="0.0.0.0")
            assert health.returncode == 0, health.stderr
            process.terminate()
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
