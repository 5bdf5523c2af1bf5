"""What is done before a service has threads."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.servers.live_service import REPOSITORY

# A fresh struct of structs for each round: a type that msgspec has looked at is safe for good.
DECODES = """
import sys, threading
import msgspec
from modelwatch.server.build import prepare_types
kinds = []
for number in range(200):
    fields = [(f"f{place}", msgspec.defstruct(f"Field{place}", [("a", int, 0)])) for place in range(20)]
    kinds.append(msgspec.defstruct(f"Kind{number}", [(name, field | None, None) for name, field in fields]))
if "prepared" in sys.argv:
    prepare_types()
sys.setswitchinterval(1e-6)
for kind in kinds:
    barrier = threading.Barrier(4)
    def decode():
        barrier.wait(20)
        assert msgspec.json.decode(b'{"f0": {"a": 1}, "f19": {"a": 2}}', type=kind).f19.a == 2
    threads = [threading.Thread(target=decode) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("done")
"""


def test_the_first_bytes_of_a_struct_may_come_to_several_threads_at_once() -> None:
    """Where they do unprepared, nearly every run ends with a segmentation fault."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-c", DECODES, "prepared"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
