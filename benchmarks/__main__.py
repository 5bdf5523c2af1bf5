"""All benchmarks in one run: `make bench`, or python -m benchmarks [--json] [--quick] [NAME ...].

A name (kernels, ingest, labels, postgres, segments) runs that one alone: `make bench ARGS=labels`.

Ratios are taken side by side in the same run, from medians; each row's note says how far the repetitions spread. A
busy machine shows in that spread, so read the ratio with it.
"""

import os
import platform
import sys

from benchmarks import ingest, kernels, labels, postgres, segments
from benchmarks.report import show

BENCHMARKS = {
    "kernels": kernels.run,
    "ingest": ingest.run,
    "labels": labels.run,
    "postgres": postgres.run,
    "segments": segments.run,
}


def main() -> None:
    """Print one table."""
    quick = "--quick" in sys.argv
    chosen = [name for name in sys.argv[1:] if not name.startswith("--")] or list(BENCHMARKS)
    unknown = sorted(set(chosen) - BENCHMARKS.keys())
    if unknown:
        sys.exit(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    show([row for name in chosen for row in BENCHMARKS[name](quick=quick)], sys.argv[1:])


if __name__ == "__main__":
    main()
