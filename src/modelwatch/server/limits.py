"""Limits of one process: open files, and the C library's heap.

glibc gives threads up to eight arenas for each processor, and what is freed in one is of no use to another; and what is
freed below something that is still used stays with the process. A service with many threads would hold several times
what it uses, and more each time that it needs much for a moment. Large blocks get pages of their own, which go back
when they are freed; by itself glibc would put ever larger ones among the others. Other C libraries are left alone.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
from collections.abc import Mapping

# Connections beyond the limit are answered; this many times the limit, one is closed for each that comes.
HARD_FACTOR = 2
# The store, logs, notifications, modules that are being imported.
OTHERS = 256
# The numbers of these parameters in glibc's malloc.h.
M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3
MOST_ARENAS = 2
LARGE_BYTES = 256 * 1024
TRIM_EVERY_SECONDS = 30.0

log = logging.getLogger(__name__)


def allow_open_files(most_connections: int) -> None:
    """Raises the limit of this process, and of those that it starts, so that its connections fit, or says why not."""
    needed = HARD_FACTOR * most_connections + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    possible = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    if possible < needed:
        log.warning(
            "MAX_CONNECTIONS is %d, for which a process needs %d open files, but it may have only %d. Allow more"
            " (ulimit -Hn, LimitNOFILE), or set MAX_CONNECTIONS lower.",
            most_connections,
            needed,
            possible,
        )


def use_few_arenas(environ: Mapping[str, str]) -> bool:
    """Lets the threads that allocate from now on share two arenas. True when that was done: not when the environment
    says how many arenas there are to be."""
    return _set(M_ARENA_MAX, MOST_ARENAS, environ, "MALLOC_ARENA_MAX", "arena_max")


def keep_large_blocks_apart(environ: Mapping[str, str]) -> bool:
    """Gives what is large pages of its own. True when that was done: not when the environment says what is large."""
    return _set(M_MMAP_THRESHOLD, LARGE_BYTES, environ, "MALLOC_MMAP_THRESHOLD_", "mmap_threshold")


def _set(parameter: int, value: int, environ: Mapping[str, str], variable: str, tunable: str) -> bool:
    if variable in environ or f"glibc.malloc.{tunable}" in environ.get("GLIBC_TUNABLES", "") or not _is_glibc():
        return False
    return bool(ctypes.CDLL(None).mallopt(parameter, value))


async def keep_trimmed(every_seconds: float = TRIM_EVERY_SECONDS) -> None:
    """Gives what is free back to the system, again and again, until it is cancelled."""
    while _is_glibc():
        await asyncio.sleep(every_seconds)
        await trim()


async def trim() -> None:
    """Gives what is free back to the system."""
    if _is_glibc():
        # It waits for no thread but those that allocate at that moment: the interpreter goes on meanwhile.
        await asyncio.to_thread(ctypes.CDLL(None).malloc_trim, 0)


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError):
        return False
