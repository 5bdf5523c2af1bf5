"""Shortcuts of the stores of tests: a commit waits for no disk, and a statement is compiled once in a run.

A commit is left to the system to write, as in the PostgreSQL of tests. It survives the process as before, whatever
kills that. Only the machine may not fail, and no test lets it; to wait for the disk at each commit took as long as all
else that these tests do.

By itself each store compiles its own statements, and tests open thousands of stores: a sixth of the processor time of
those that use one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from modelwatch.storage.engine import store
from modelwatch.storage.engine.drivers import sqlite
from modelwatch.storage.engine.drivers.postgresql import postgresql_engines
from modelwatch.storage.engine.drivers.sqlite import sqlite_engine

SHIPPED = sqlite.PRAGMAS
UNSYNCED = tuple("synchronous=OFF" if pragma == "synchronous=FULL" else pragma for pragma in SHIPPED)
assert UNSYNCED != SHIPPED

_COMPILED: dict[Any, Any] = {}
_FIRST: dict[str, Engine] = {}


def compile_statements_once() -> None:
    """From now on stores on the same kind of database share what they compile."""
    store.sqlite_engine = lambda *given: _sharing(sqlite_engine(*given))
    store.postgresql_engines = lambda *given: tuple(map(_sharing, postgresql_engines(*given)))


def _sharing(engine: Engine) -> Engine:
    """Compiled statements belong to a dialect: that of the first engine that has asked its database what it can."""
    first = _FIRST.get(engine.dialect.name, engine)
    if first.dialect.server_version_info is None:
        _FIRST[engine.dialect.name] = engine
        return engine
    engine.dialect = first.dialect
    engine.update_execution_options(compiled_cache=_COMPILED)
    return engine
