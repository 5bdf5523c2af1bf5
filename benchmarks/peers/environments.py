"""Environments of the peers: made with pip once, in a cache folder of the user (MODELWATCH_PEERS names another)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")
INSTALL_SECONDS = 1_800


@dataclass(frozen=True)
class Peer:
    """A library at a fixed version. requirements: for pip; beside it stands what it needs to be imported at all."""

    name: str
    requirements: tuple[str, ...]
    does: str

    @property
    def script(self) -> Path:
        """The script that compares two files with it: reference, current."""
        return SCRIPTS / f"{self.name.replace('-', '_')}_peer.py"


PEERS = (
    Peer(
        "evidently",
        # With pandas 3 it can't be imported.
        ("evidently==0.7.23", "pandas==2.3.3", "pyarrow==21.0.0"),
        "Report([DataDriftPreset()])",
    ),
    Peer(
        "nannyml",
        # It imports statsmodels without asking for it; newer xgboost brings half a gigabyte of libraries for GPUs.
        ("nannyml==0.13.1", "statsmodels", "pandas==2.3.3", "pyarrow==21.0.0", "xgboost==1.7.6"),
        "UnivariateDriftCalculator, its usual methods and chunks",
    ),
    Peer(
        "whylogs",
        ("whylogs==1.6.4", "scipy", "ipython", "pandas==2.3.3", "pyarrow==21.0.0", "setuptools<81"),
        "why.log of both, calculate_drift_scores",
    ),
    Peer(
        "alibi-detect",
        ("alibi-detect==0.13.0", "pandas==2.3.3", "pyarrow==21.0.0"),
        "TabularDrift (KS, chi-square)",
    ),
    Peer(
        "frouros",
        ("frouros==0.9.0", "pandas==2.3.3", "pyarrow==21.0.0"),
        "KSTest and ChiSquareTest, column by column",
    ),
)


class PeerMissing(Exception):
    """The environment of a peer could not be made. The text says why."""


def cache_folder() -> Path:
    """Folder in which environments are kept."""
    named = os.environ.get("MODELWATCH_PEERS")
    return (
        Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelwatch-peers"
    )


def python_of(peer: Peer) -> Path:
    """The interpreter of the peer's environment, which is made the first time. Raises PeerMissing."""
    digest = hashlib.sha256("\n".join((sys.version, *peer.requirements)).encode()).hexdigest()[:12]
    folder = cache_folder() / f"{peer.name}-{digest}"
    python = folder / "bin" / "python"
    if (folder / ".complete").exists():
        return python
    # What was begun and not finished is of no use.
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for command in commands_for(peer, folder):
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
        if done.returncode:
            raise PeerMissing(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")
    (folder / ".complete").touch()
    return python


def commands_for(peer: Peer, folder: Path) -> list[list[str]]:
    """The commands that make the environment."""
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    return [[sys.executable, "-m", "venv", str(folder)], [*pip, *peer.requirements]]
