"""Caches of what was read of the store: objects decoded from stored bytes, and the results of reads in one snapshot."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

MAX_DECODED_BYTES = 64 * 1024 * 1024
# Measured of binnings: decoded they take five to eleven times the memory of their bytes, and small ones a little more.
TIMES_LARGER = 10
OVERHEAD_BYTES = 1_024

# What has been read of one state of the store, for as long as that state is looked at (`Store.snapshot`). It needs no
# check whether it still holds: nothing changes in a snapshot.
Memory = dict[Hashable, Any]
T = TypeVar("T")

_OPTION = "modelwatch_memory"


class Decoded(Generic[T]):
    """Decoded values by the id of their content; beyond `max_bytes` those used longest ago go. Safe to use from several
    threads.

    size_of: bytes of a value; without it they are estimated from the stored ones.

    >>> known = Decoded[str](max_bytes=2 * OVERHEAD_BYTES)
    >>> [known.get(name, 0, name.upper) for name in ("a", "b", "c")], len(known)
    (['A', 'B', 'C'], 2)
    """

    def __init__(self, max_bytes: int = MAX_DECODED_BYTES, size_of: Callable[[T], int] | None = None) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._values: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, identity: str, size: int, decode: Callable[[], T]) -> T:
        """The value of this id, which `decode` makes of `size` stored bytes when it is not known."""
        with self._lock:
            found = self._values.get(identity)
            if found is not None:
                self._values.move_to_end(identity)
                return found[0]
        value = decode()
        cost = OVERHEAD_BYTES + (size * TIMES_LARGER if self._size_of is None else self._size_of(value))
        with self._lock:
            # Another thread may have decoded it meanwhile.
            if identity not in self._values:
                self._values[identity] = (value, cost)
                self._bytes += cost
                while self._bytes > self._max_bytes:
                    _, (_, freed) = self._values.popitem(last=False)
                    self._bytes -= freed
        return value


def with_memory(connection: Connection) -> Connection:
    """The connection, with an empty memory."""
    return connection.execution_options(**{_OPTION: {}})


def memory_of(connection: Connection) -> Memory | None:
    """Memory of a connection that belongs to a snapshot; None for any other."""
    memory: Memory | None = connection.get_execution_options().get(_OPTION)
    return memory


def remembered(connection: Connection, key: Hashable, read: Callable[[], T]) -> T:
    """Result of a read, which is made once for each key in a snapshot, and each time elsewhere."""
    memory = memory_of(connection)
    if memory is None:
        return read()
    if key not in memory:
        memory[key] = read()
    found: T = memory[key]
    return found
