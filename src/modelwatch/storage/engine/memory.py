"""Memory of what has been read of one state of the store, for as long as that state is looked at (`Store.snapshot`).

What is remembered needs no check whether it still holds: nothing changes in a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from sqlalchemy import Connection

Memory = dict[Hashable, Any]
T = TypeVar("T")

_OPTION = "modelwatch_memory"


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
