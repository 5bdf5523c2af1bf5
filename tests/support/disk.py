"""How SQLite is used in tests: a commit is left to the system to write, as in the PostgreSQL of tests.

It survives the process as before, whatever kills that. Only the machine may not fail, and no test lets it; to wait for
the disk at each commit took as long as all else that these tests do.
"""

from __future__ import annotations

from modelwatch.storage.engine import sqlite

SHIPPED = sqlite.PRAGMAS
UNSYNCED = tuple("synchronous=OFF" if pragma == "synchronous=FULL" else pragma for pragma in SHIPPED)
assert UNSYNCED != SHIPPED
