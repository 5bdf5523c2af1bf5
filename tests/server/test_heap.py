"""How many arenas the threads of a process spread over, and what goes back to the system when."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from modelwatch.server.limits import MOST_ARENAS, keep_large_blocks_apart, keep_trimmed, use_few_arenas
from tests.support.servers.live_service import REPOSITORY

ALLOCATES = """
import ctypes, os, sys, threading
from modelwatch.server.limits import use_few_arenas
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if "few" in sys.argv:
    sys.argv.append(str(use_few_arenas(os.environ)))
barrier = threading.Barrier(16)
def work():
    barrier.wait(20)
    for _ in range(200):
        libc.malloc(4096)
    barrier.wait(20)
threads = [threading.Thread(target=work) for _ in range(16)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(sys.argv[-1], flush=True)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


def arenas(*arguments: str, **environ: str) -> tuple[str, int]:
    """What was said, and how many arenas sixteen threads of a fresh process have used."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src"), **environ}
    command = [sys.executable, "-c", ALLOCATES, *arguments]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout
    return said.splitlines()[0], said.count("<heap nr=")


glibc = pytest.mark.skipif("CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}), reason="needs glibc")


@glibc
def test_threads_share_few_arenas() -> None:
    said, number = arenas("few")
    assert (said, number) == ("True", MOST_ARENAS)
    assert arenas("many")[1] > MOST_ARENAS


@glibc
@pytest.mark.parametrize(("name", "value"), [("MALLOC_ARENA_MAX", "4"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=4")])
def test_what_the_environment_says_holds(name: str, value: str) -> None:
    assert arenas("few", **{name: value}) == ("False", 4)


FREES = """
import asyncio, ctypes
from pathlib import Path
from modelwatch.server.limits import keep_trimmed
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
pieces = [libc.malloc(4000) for _ in range(25_000)]
for piece in pieces:
    ctypes.memset(piece, 1, 4000)
# The last one stays in use, so that nothing goes back by itself.
for piece in pieces[:-1]:
    libc.free(piece)
before = resident()
async def main():
    trimming = asyncio.create_task(keep_trimmed(0.01))
    for _ in range(2_000):
        await asyncio.sleep(0.01)
        if before - resident() > 50:
            break
    trimming.cancel()
asyncio.run(main())
print(before - resident())
"""


@glibc
def test_what_is_free_is_given_back() -> None:
    command = [sys.executable, "-c", FREES]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src")}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout
    assert int(said) > 50, "MiB of about 95"


LARGE = """
import ctypes, os, sys
from pathlib import Path
from modelwatch.server.limits import LARGE_BYTES, keep_large_blocks_apart
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 // 1024
if "apart" in sys.argv:
    assert keep_large_blocks_apart(os.environ)
# Once such a block was freed, glibc by itself would take the next ones from the heap.
libc.free(libc.malloc(16 * LARGE_BYTES))
before = resident()
pieces = []
for _ in range(20):
    large = libc.malloc(8 * LARGE_BYTES)
    ctypes.memset(large, 1, 8 * LARGE_BYTES)
    small = libc.malloc(4000)
    ctypes.memset(small, 1, 4000)
    pieces.append(large)
for piece in pieces:
    libc.free(piece)
print(resident() - before)
"""


@glibc
def test_large_blocks_go_back_as_soon_as_they_are_freed() -> None:
    def left(*arguments: str) -> int:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src")}
        command = [sys.executable, "-c", LARGE, *arguments]
        return int(
            subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=100).stdout
        )

    assert left("apart") <= 4, "MiB of 40"
    assert left() > 20


@glibc
@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "1000000"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1000000")],
)
def test_what_is_large_may_be_said_by_the_environment(name: str, value: str) -> None:
    assert keep_large_blocks_apart({name: value}) is False


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _name: None)
    assert use_few_arenas({}) is False
    assert keep_large_blocks_apart({}) is False
    asyncio.run(asyncio.wait_for(keep_trimmed(3_600.0), 10))
