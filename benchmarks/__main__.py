"""The benchmarks: `make bench`, or python -m benchmarks [--json] [--quick] [--record | --check] [NAME ...].

A name (catching_up, client, compare, detection, directed_levels, kernels, evaluation, ingest, keys, labels, levels,
merging, nearly_ids, pages, postgres, reads, replay, retention, segments, soak, starvation, volume, ways) runs that one
alone: `make bench ARGS=labels`. Without one, all run but those that take minutes: the simulations (detection, both
levels, nearly_ids, volume), the pages and the wait beside many models (starvation), compare and merging beside other
libraries, which they install, and the soak, which takes ten:
`make bench ARGS="soak --seconds 3600 --engine postgresql --workers 2"`,
`make bench ARGS="compare --rows 100000 --columns 20 --peers evidently,frouros"`.

Ratios are taken side by side in the same run, from medians; each row's note says how far the repetitions spread. A
busy machine shows in that spread, so read the ratio with it. `--record` writes what was measured into
report.md, with the machine; `--check` (`make bench-check`) runs what is recorded, and fails when a ratio has fallen by
more than a fifth.
"""

import argparse
import os
import platform
import sys
from functools import partial

from benchmarks import (
    catching_up,
    client,
    detection,
    directed_levels,
    evaluation,
    ingest,
    kernels,
    keys,
    labels,
    levels,
    merging,
    nearly_ids,
    pages,
    postgres,
    reads,
    replay,
    retention,
    segments,
    soak,
    starvation,
    volume,
    ways,
)
from benchmarks.peers import run as peers
from benchmarks.recorded import record, recorded_ratios, regressions, this_machine
from benchmarks.report import show

BENCHMARKS = {
    "catching_up": catching_up.run,
    "client": client.run,
    "kernels": kernels.run,
    "evaluation": evaluation.run,
    "ingest": ingest.run,
    "keys": keys.run,
    "labels": labels.run,
    "postgres": postgres.run,
    "reads": reads.run,
    "replay": replay.run,
    "retention": retention.run,
    "segments": segments.run,
    "ways": ways.run,
}

LONG = (
    "compare",
    "detection",
    "directed_levels",
    "levels",
    "merging",
    "nearly_ids",
    "pages",
    "soak",
    "starvation",
    "volume",
)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHMARKS, *LONG], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="shorter, and less sure")
    parser.add_argument("--seconds", type=float, help="length of the soak (default 600)")
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite", help="store of the soak")
    parser.add_argument("--workers", type=int, default=1, help="processes of the soak's service")
    parser.add_argument("--record", action="store_true", help="write the figures into benchmarks/report.md")
    parser.add_argument("--check", action="store_true", help="fail when a ratio has fallen below what is recorded")
    parser.add_argument("--rows", type=int, help="rows of each file of compare (default 1,000,000)")
    parser.add_argument("--columns", type=int, default=50, help="columns of each file of compare")
    parser.add_argument("--peers", help="libraries beside compare, separated by commas (default: all)")
    options = parser.parse_args()
    size = None if options.rows is None else peers.Size(options.rows, options.rows, options.columns)
    named = None if options.peers is None else options.peers.split(",")
    soaked = partial(soak.run, seconds=options.seconds, engine=options.engine, workers=options.workers)
    simulations = {
        "detection": detection.run,
        "directed_levels": directed_levels.run,
        "levels": levels.run,
        "nearly_ids": nearly_ids.run,
        "volume": volume.run,
    }
    compared = partial(peers.run, size=size, peers=named)
    known = {
        **BENCHMARKS,
        **simulations,
        "compare": compared,
        "merging": merging.run,
        "pages": pages.run,
        "soak": soaked,
        "starvation": starvation.run,
    }
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    if options.check:
        ratios = {name: each for name, each in recorded_ratios().items() if not options.names or name in options.names}
        found = [
            line
            for name, recorded in ratios.items()
            for line in regressions(name, partial(known[name], quick=options.quick), recorded)
        ]
        print("\n".join(found) or f"{', '.join(ratios)}: no ratio has fallen by more than a fifth.")
        sys.exit(bool(found))
    machine = this_machine()
    measured = {name: known[name](quick=options.quick) for name in options.names or BENCHMARKS}
    show([row for rows in measured.values() for row in rows], ["--json"] if options.json else [])
    if options.record:
        record(machine, measured)


if __name__ == "__main__":
    main()
