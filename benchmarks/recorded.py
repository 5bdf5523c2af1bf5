"""The recorded report: figures of all benchmarks with the machine and every command, and what is compared with it."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.goals import goal_lines
from benchmarks.report import Row, number

FIGURES, PAGE = Path(__file__).with_name("report.json"), Path(__file__).with_name("report.md")
LIBRARIES = (
    "numpy",
    "scipy",
    "pyarrow",
    "msgspec",
    "sqlalchemy",
    "psycopg",
    "fastapi",
    "pydantic",
    "uvicorn",
    "uvloop",
)
# A ratio that falls by more than this share of what is recorded, on each of so many tries, is a regression.
MOST_LOST, TRIES = 0.2, 3

Run = Callable[[], Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and with what the figures were taken. load: processes that were running or waiting before the first."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    versions: Mapping[str, str]
    load: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of a benchmark, the seconds that it took, and its command."""

    rows: Sequence[Row]
    seconds: float
    command: str


def this_machine() -> Machine:
    """The machine that this process runs on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    versions |= {name: version(name) for name in LIBRARIES}
    return Machine(
        _processor(), os.cpu_count() or 1, round(memory, 1), platform.platform(), versions, round(os.getloadavg()[0], 1)
    )


def record(machine: Machine, measured: Mapping[str, Measured]) -> None:
    """Writes figures and page. measured: of each benchmark; those of others stay as they are recorded.

    Raises ValueError for two rows of one name: they could not be compared with later ones.
    """
    known = json.loads(FIGURES.read_text())["benchmarks"] if FIGURES.exists() else {}
    for name, each in measured.items():
        names = [row.name for row in each.rows]
        twice = sorted({row for row in names if names.count(row) > 1})
        if twice:
            raise ValueError(f"{name} has several rows with the name {', '.join(twice)}")
        known[name] = {
            "machine": asdict(machine),
            "command": each.command,
            "seconds": round(each.seconds),
            "rows": list(map(asdict, each.rows)),
        }
    _write(FIGURES, json.dumps({"benchmarks": dict(sorted(known.items()))}, indent=1, ensure_ascii=False) + "\n")
    _write(PAGE, page(known))


def page(benchmarks: Mapping[str, Mapping[str, Any]]) -> str:
    """The report in Markdown. benchmarks: as they are recorded."""
    rows = {name: [Row(**row) for row in recorded["rows"]] for name, recorded in benchmarks.items()}
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench ARGS=--record`, or with names of benchmarks by those alone. A ratio is how many times",
        "better than its baseline a value is, both taken in one run. Values are medians, and each note says how far",
        "the repetitions spread. `make bench-check` fails when a ratio falls by more than a fifth on three tries. What",
        "each benchmark does, and how to read it, is in [docs/benchmarks.md](../docs/benchmarks.md).",
        "",
        "## Goals",
        "",
        "| work | beside | measured | goal | |",
        "|---|---|--:|--:|---|",
        *(f"| {' | '.join(cells)} |" for cells in goal_lines(rows)),
    ]
    for name, recorded in sorted(benchmarks.items()):
        machine = Machine(**recorded["machine"])
        command = recorded.get("command", f"make bench ARGS={name}")
        taken = f", {recorded['seconds']:,} s" if "seconds" in recorded else ""
        lines += ["", f"## {name}", "", f"`{command}`{taken} on {_in_words(machine)}.", ""]
        lines += ["| measurement | value | unit | baseline | ratio | how |", "|---|--:|---|--:|--:|---|"]
        for each in rows[name]:
            cells = (each.name, number(each.value), each.unit, number(each.baseline), number(each.ratio), each.note)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def regressions(name: str, run: Run, recorded: Mapping[str, float]) -> list[str]:
    """Ratios of a benchmark that stayed below what is recorded on each try, in words.

    recorded: ratios by the name of the row. A row that is not measured any more is a regression, too; but a benchmark
    that measures nothing has said what it lacks on this machine.
    """
    best: dict[str, float] = {}
    for _ in range(TRIES):
        rows = run()
        if not rows:
            return []
        for row in rows:
            if row.ratio is not None:
                best[row.name] = max(row.ratio, best.get(row.name, 0.0))
        if all(best.get(row, 0.0) >= ratio * (1.0 - MOST_LOST) for row, ratio in recorded.items()):
            return []
    return [
        f"{name}: {row}: {best[row]:.3g} times its baseline, recorded {ratio:.3g}"
        if row in best
        else f"{name}: {row}: recorded, and not measured any more"
        for row, ratio in recorded.items()
        if best.get(row, 0.0) < ratio * (1.0 - MOST_LOST)
    ]


def recorded_ratios() -> dict[str, dict[str, float]]:
    """The recorded ratios, by benchmark and row. Empty when nothing is recorded."""
    if not FIGURES.exists():
        return {}
    return {
        name: {row["name"]: row["ratio"] for row in each["rows"] if row["ratio"] is not None}
        for name, each in json.loads(FIGURES.read_text())["benchmarks"].items()
    }


def _write(path: Path, text: str) -> None:
    """At once: whoever is killed meanwhile leaves what was there."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def _in_words(machine: Machine) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    hardware = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB"
    return f"{hardware}, {machine.system}, load {machine.load:g}; {versions}"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
