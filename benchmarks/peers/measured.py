"""python measured.py FILE COMMAND...: runs a command, and writes into the file what it used, as JSON.

A process of its own, and a small one: what a process has used at most begins with what the one held that started it.
"""

import json
import os
import sys
import time
from pathlib import Path

target, *command = sys.argv[1:]
began = time.monotonic()
process = os.spawnvp(os.P_NOWAIT, command[0], command)
_, status, usage = os.wait4(process, 0)
figures = {
    "code": os.waitstatus_to_exitcode(status),
    "wall_seconds": time.monotonic() - began,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1_024),
}
Path(target).write_text(json.dumps(figures))
