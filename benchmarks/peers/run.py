"""`modelwatch compare` beside evidently, NannyML, whylogs, alibi-detect and frouros, on the same two Parquet files.

Each is a process of its own in an environment of its own: measured are its wall time, its processor time and its
largest resident memory, from start to end, reading the files included. The first run makes the environments with pip,
which takes some minutes and some gigabytes (see environments.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.data import Size, moved, write
from benchmarks.peers.environments import PEERS, Peer, PeerMissing, python_of
from benchmarks.recorded import Machine, this_machine
from benchmarks.report import Row

MEASURED = Path(__file__).with_name("measured.py")
REPOSITORY = Path(__file__).resolve().parents[2]
FULL, QUICK = Size(1_000_000, 1_000_000, 50), Size(20_000, 20_000, 10)
LONGEST_SECONDS = 3_600.0
REPETITIONS = 3
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Use:
    """What a process has used. drifted: the columns that it calls drifted; None when it failed, and error says why."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    drifted: list[str] | None
    error: str = ""


FIGURES: tuple[tuple[str, str, Callable[[Use], float]], ...] = (
    ("wall time", "s", lambda use: use.wall_seconds),
    ("processor time", "s", lambda use: use.cpu_seconds),
    ("peak memory", "MB", lambda use: use.peak_bytes / MEGABYTE),
)


def peers_named(text: str) -> list[str]:
    """The peers whose names, or what they begin with, stand in a text with commas.

    Raises ArgumentTypeError for one that there is not.
    """
    found = []
    for part in text.split(","):
        fitting = [peer.name for peer in PEERS if part.strip() and peer.name.startswith(part.strip())]
        if len(fitting) != 1:
            raise ArgumentTypeError(f"no peer {part.strip()!r}: there are {', '.join(peer.name for peer in PEERS)}")
        found += fitting
    return found


def run(*, quick: bool = False, size: Size | None = None, peers: Sequence[str] | None = None) -> list[Row]:
    """Three rows beside each library: wall time, processor time, memory. The baseline is that library.

    Raises RuntimeError when modelwatch itself fails.
    """
    size = size or (QUICK if quick else FULL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write(folder, size)
        expected = moved(size.columns)
        arguments = [sys.executable, "-m", "modelwatch", "compare", *map(str, files), "--json"]
        # Each peer once; ours, which every row needs, as the middle one of three.
        ours = sorted((used(arguments, folder) for _ in range(REPETITIONS)), key=lambda use: use.cpu_seconds)[1]
        if ours.drifted is None:
            raise RuntimeError(f"modelwatch compare failed: {ours.error}")
        command = "modelwatch compare reference.parquet current.parquet --json"
        _say(f"{size}; {_words(this_machine())}")
        _say(f"{command} ({_found(ours)})")
        rows = _rows(f"compare, {size}", ours, None, expected, [f"`{command}`, the middle one of {REPETITIONS} runs"])
        for peer in PEERS:
            if peers is None or peer.name in peers:
                rows += _of_peer(f"compare, {size}, beside {peer.name}", peer, files, folder, ours, expected)
    return rows


def _of_peer(name: str, peer: Peer, files: Sequence[Path], folder: Path, ours: Use, expected: list[str]) -> list[Row]:
    commands = [
        f"pip install {' '.join(peer.requirements)}",
        f"python {peer.script.relative_to(REPOSITORY)} reference.parquet current.parquet",
    ]
    try:
        python = python_of(peer)
    except PeerMissing as error:
        _say(f"{peer.name}: left out: {error}")
        return []
    theirs = used([str(python), str(peer.script), *map(str, files)], folder)
    _say(f"{'; '.join(commands)}: {peer.does} ({_found(theirs)})")
    return _rows(name, ours, theirs, expected, [f"{peer.does}: `{commands[1]}`, once", f"`{commands[0]}`"])


def used(command: Sequence[str], folder: Path) -> Use:
    """What a command uses until it ends, with its children. It prints its result as JSON, and nothing else."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if command[0] == sys.executable:
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (REPOSITORY / "src", REPOSITORY / "clients/python/src")))
    out, errors, figures = folder / "out.txt", folder / "errors.txt", folder / "figures.json"
    measured = [sys.executable, "-S", str(MEASURED), str(figures), *command]
    with out.open("w") as stdout, errors.open("w") as stderr:
        process = subprocess.Popen(
            measured, stdout=stdout, stderr=stderr, env=environment, cwd=folder, start_new_session=True
        )
        try:
            process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return Use(LONGEST_SECONDS, 0.0, 0, None, f"not done after {LONGEST_SECONDS:.0f} s")
    found = json.loads(figures.read_text())
    code = found.pop("code")
    text = out.read_text().strip()
    if code:
        return Use(**found, drifted=None, error=(errors.read_text().strip().splitlines() or [f"exit code {code}"])[-1])
    # Ours is the whole report; some peers write on stdout before their result.
    result = json.loads(text if text.startswith("{") else text.splitlines()[-1])
    return Use(**found, drifted=sorted(result["drifted"] if isinstance(result, dict) else result))


def _rows(name: str, ours: Use, theirs: Use | None, expected: list[str], hows: Sequence[str]) -> list[Row]:
    """Ours, beside a peer's as the baseline. theirs: None for ours alone. hows: how it was run and installed."""
    if theirs is not None and theirs.drifted is None:
        return [Row(name, 0.0, "s", None, None, f"failed: {theirs.error}")]
    found, right = set((theirs or ours).drifted or ()), set(expected)
    whose = "" if theirs is None else "baseline: "
    notes = [f"{whose}{len(found & right)} of {len(right)} moved columns found, {len(found - right)} others", *hows]
    rows = []
    for place, (what, unit, figure) in enumerate(FIGURES):
        value, other = figure(ours), None if theirs is None else figure(theirs)
        note = notes[place] if place < len(notes) else ""
        rows.append(Row(f"{name}, {what}", value, unit, other, other and other / value, note))
    return rows


def _found(use: Use) -> str:
    return use.error if use.drifted is None else f"drifted: {', '.join(use.drifted)}"


def _words(machine: Machine) -> str:
    return f"{machine.cores} × {machine.processor}, {machine.memory_gib} GiB, {machine.system}, load {machine.load}"


def _say(line: str) -> None:
    """Beside the table, on stderr: what was run, and on what."""
    print(line, file=sys.stderr, flush=True)
