"""The C library's heap: over how many arenas the threads of a process spread."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

# The number of this parameter in glibc's malloc.h.
M_ARENA_MAX = -8
MOST_ARENAS = 2


def use_few_arenas(environ: Mapping[str, str]) -> bool:
    """Lets the threads that allocate from now on share two arenas. True when that was done.

    glibc gives threads up to eight arenas for each processor, and what is freed in one is of no use to another: a
    service with many threads would hold several times what it uses. Nothing is done when the environment says how
    many arenas there are to be, and with another C library.
    """
    if "MALLOC_ARENA_MAX" in environ or "arena_max" in environ.get("GLIBC_TUNABLES", "") or not _is_glibc():
        return False
    return bool(ctypes.CDLL(None).mallopt(M_ARENA_MAX, MOST_ARENAS))


def _is_glibc() -> bool:
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (AttributeError, ValueError):
        return False
