"""`make chaos`: both engines under load and faults, then rare accidents one by one.

Ends with 1 when anything differs from what clients were told.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.running import run
from tests.chaos.scenarios import SCENARIOS


def main() -> int:
    """Prints the numbers of each run, and whatever does not agree."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--engine", choices=("postgresql", "sqlite", "both", "none"), default="both")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load and faults")
    parser.add_argument("--replicas", type=int, default=3, help="services on one PostgreSQL store")
    parser.add_argument("--workers", type=int, default=2, help="of each of them")
    parser.add_argument("--sqlite-workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the faults and the traffic")
    given = parser.parse_args()
    failed = False
    engines = {"both": ("postgresql", "sqlite"), "none": ()}.get(given.engine, (given.engine,))
    for engine in engines:
        workers = given.sqlite_workers if engine == "sqlite" else given.workers
        replicas = 1 if engine == "sqlite" else given.replicas
        print(f"{engine}: {replicas} x {workers} workers, {given.seconds:g} s, seed {given.seed}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            outcome = run(
                engine,
                Path(folder),
                seconds=given.seconds,
                replicas=replicas,
                workers=workers,
                clients=given.clients,
                seed=given.seed,
            )
        print("\n".join(outcome.lines()), flush=True)
        failed |= bool(outcome.differences)
    for name, scenario in SCENARIOS.items():
        with tempfile.TemporaryDirectory() as folder:
            problems = scenario(Path(folder))
        print("\n".join([f"{name}: {'DIFFERENCE' if problems else 'nothing differs'}", *problems]), flush=True)
        failed |= bool(problems)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
