"""The benchmarks: `make bench`, or python -m benchmarks [--json] [--quick] [--record | --check] [NAME ...].

A name (one of BENCHMARKS or LONG) runs that one alone: `make bench ARGS=labels`. Without one, all run but those that
take long: the simulations (detection, both levels, nearly_ids, volume), the pages and the wait beside many models
(starvation), compare and merging beside other libraries, which they install, and the soak, which takes ten minutes:
`make bench ARGS="soak --seconds 3600 --engine postgresql --workers 2"`,
`make bench ARGS="compare --rows 100000 --columns 20 --peers evidently,frouros"`.

Ratios are taken side by side in the same run, from medians; each row's note says how far the repetitions spread. A
busy machine shows in that spread, so read the ratio with it. `--before COMMIT` puts the service of a commit beside
this one (ingest, batches, store). `--record` writes what was measured into report.md, with the machine, as soon as a
benchmark has ended; `--check` (`make bench-check`) runs what is recorded, and fails when a ratio has fallen by more
than a fifth.
"""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from types import ModuleType

from benchmarks.peers import run as peers
from benchmarks.recorded import Measured, record, recorded_ratios, regressions, this_machine
from benchmarks.report import Row, show

# By name, the module that measures it, below this package.
BENCHMARKS = {
    "batches": "service.batches",
    "catching_up": "checks.catching_up",
    "client": "service.client",
    "kernels": "checks.kernels",
    "evaluation": "checks.evaluation",
    "ingest": "service.ingest",
    "keys": "service.keys",
    "labels": "storage.labels",
    "postgres": "storage.postgres",
    "reads": "service.reads",
    "replay": "service.replay",
    "retention": "storage.retention",
    "segments": "storage.segments",
    "store": "storage.store",
    "ways": "service.ways",
}
LONG = {
    "compare": "peers.run",
    "detection": "simulations.detection",
    "directed_levels": "simulations.directed_levels",
    "levels": "simulations.levels",
    "merging": "peers.merging",
    "nearly_ids": "simulations.nearly_ids",
    "pages": "service.pages",
    "soak": "service.soak",
    "starvation": "service.starvation",
    "volume": "simulations.volume",
}
BESIDE_A_COMMIT = ("batches", "ingest", "store")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS, *LONG], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="shorter, and less sure")
    parser.add_argument("--seconds", type=float, help="length of the soak (default 600)")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite", help="store of the soak")
    parser.add_argument("--workers", type=int, default=1, help="processes of the soak's service")
    parser.add_argument("--before", metavar="COMMIT", help="whose service is beside, of batches, ingest and store")
    parser.add_argument("--rows", type=int, help="rows of each file of compare (default 1,000,000)")
    parser.add_argument("--columns", type=int, default=50, help="columns of each file of compare")
    parser.add_argument("--peers", type=peers.peers_named, help="libraries beside compare, by commas (default: all)")
    recording = parser.add_mutually_exclusive_group()
    recording.add_argument("--record", action="store_true", help="write the figures into benchmarks/report.md")
    recording.add_argument("--check", action="store_true", help="fail when a ratio has fallen below what is recorded")
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = options.names or list(BENCHMARKS)
    if options.before is not None and not set(names) <= set(BESIDE_A_COMMIT):
        parser.error(f"--before is for {', '.join(BESIDE_A_COMMIT)}")
    size = None if options.rows is None else peers.Size(options.rows, options.rows, options.columns)
    given = {
        "compare": {"size": size, "peers": options.peers},
        "soak": {"seconds": options.seconds, "engine": options.engine, "workers": options.workers},
        **{name: {"before": options.before} for name in BESIDE_A_COMMIT},
    }
    if options.in_process:
        [name] = names
        rows = run_of(name)(quick=options.quick, **given.get(name, {}))
        show(list(rows), ["--json"] if options.json else [])
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    if options.check:
        sys.exit(check(names))
    machine, shown, failed = this_machine(), list[Row](), []
    for name in names:
        began = time.monotonic()
        try:
            rows = _measured(name)
        except subprocess.CalledProcessError:
            # It has said why, and the others still run.
            failed.append(name)
            continue
        seconds = time.monotonic() - began
        print(f"{name}: {seconds:,.0f} s", file=sys.stderr, flush=True)
        shown += rows
        if options.record:
            title = name if options.before is None else f"{name}, before {options.before}"
            arguments = shlex.join([name, *_others()])
            command = f'make bench ARGS="{arguments}"' if " " in arguments else f"make bench ARGS={arguments}"
            record(machine, {title: Measured(rows, seconds, command)})
    show(shown, ["--json"] if options.json else [])
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def check(names: Sequence[str]) -> bool:
    """True when a recorded ratio of these benchmarks has fallen; says what was found, and what can't be compared."""
    recorded = recorded_ratios()
    found, compared = list[str](), list[str]()
    for name in names:
        if name not in recorded:
            print(f"{name}: nothing to compare with is recorded (make bench ARGS='{name} --record')", file=sys.stderr)
        elif recorded[name]:
            compared.append(name)
            try:
                found += regressions(name, partial(_measured, name), recorded[name])
            except subprocess.CalledProcessError:
                found.append(f"{name}: failed")
    told = f"{', '.join(compared)}: no ratio has fallen by more than a fifth." if compared else "Nothing was compared."
    print("\n".join(found) or told)
    return bool(found)


def module_of(name: str) -> ModuleType:
    """The module that measures a benchmark."""
    return import_module(f"benchmarks.{(BENCHMARKS | LONG)[name]}")


def run_of(name: str) -> Callable[..., Iterable[Row]]:
    """The function that measures a benchmark, whose module is loaded now: what is wrong with one concerns no other."""
    run: Callable[..., Iterable[Row]] = module_of(name).run
    return run


def _measured(name: str) -> list[Row]:
    """The rows of one benchmark, in a process of its own: neither what ran before it nor where its objects happened to
    lie stays for the next try. Raises CalledProcessError."""
    others = [each for each in _others() if each != "--json"]
    command = [sys.executable, "-m", "benchmarks", name, *others, "--json", "--in-process"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return [Row(**each) for each in json.loads(done.stdout)]


def _others() -> list[str]:
    """The arguments beside names of benchmarks and what is done with their figures."""
    return [each for each in sys.argv[1:] if each not in {*BENCHMARKS, *LONG, "--record", "--check"}]


if __name__ == "__main__":
    main()
