"""The C library's heap: over how many arenas the threads of a process spread, and giving back what is free in them.

glibc gives threads up to eight arenas for each processor, and what is freed in one is of no use to another; and what is
freed below something that is still used stays with the process. A service with many threads would hold several times
what it uses, and more each time that it needs much for a moment. Other C libraries are left alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Mapping

# The number of this parameter in glibc's malloc.h.
M_ARENA_MAX = -8
MOST_ARENAS = 2
TRIM_EVERY_SECONDS = 30.0


def use_few_arenas(environ: Mapping[str, str]) -> bool:
    """Lets the threads that allocate from now on share two arenas. True when that was done: not when the environment
    says how many arenas there are to be."""
    if "MALLOC_ARENA_MAX" in environ or "arena_max" in environ.get("GLIBC_TUNABLES", "") or not _is_glibc():
        return False
    return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, MOST_ARENAS))


async def keep_trimmed(every_seconds: float = TRIM_EVERY_SECONDS) -> None:
    """Gives what is free back to the system, again and again, until it is cancelled."""
    while _is_glibc():
        await asyncio.sleep(every_seconds)
        # It waits for no thread but those that allocate at that moment: the interpreter goes on meanwhile.
        await asyncio.to_thread(ctypes.CDLL(None).malloc_trim, 0)


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError):
        return False
