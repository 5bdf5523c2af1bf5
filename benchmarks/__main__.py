"""All benchmarks in one run: `make bench`, or python -m benchmarks [--json] [--quick].

Ratios are taken side by side in the same run, from medians; each row's note says how far the repetitions spread. A
busy machine shows in that spread, so read the ratio with it.
"""

import os
import platform
import sys

from benchmarks import ingest, kernels, labels
from benchmarks.report import show


def main() -> None:
    """Print one table."""
    quick = "--quick" in sys.argv
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}", file=sys.stderr)
    show([*kernels.run(quick=quick), *ingest.run(quick=quick), *labels.run(quick=quick)], sys.argv[1:])


if __name__ == "__main__":
    main()
