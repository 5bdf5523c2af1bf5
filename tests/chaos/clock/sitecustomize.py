"""Python imports this first, where its folder is on the path: the wall clock is ahead by the seconds in a file.

The file may change while the process runs; the timers that nobody sets go on as they are.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_file = Path(os.environ["CHAOS_CLOCK_FILE"])
_real = time.time_ns


def _time_ns() -> int:
    return _real() + int(_file.read_text()) * 1_000_000_000


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
