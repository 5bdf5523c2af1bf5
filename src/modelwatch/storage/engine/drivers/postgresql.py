"""Connections to PostgreSQL: how many, under which name, and how long anything may take."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

from modelwatch.config import Settings
from modelwatch.errors import StoreUnsuitable

OLDEST_VERSION = 15
# A server that has vanished is noticed after about 25 s, also while an answer is waited for.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
UNSENT_MILLISECONDS = 25_000


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """pool_size: connections of a process, one of which is the ledger's. wait_seconds: for one of them to be free.

    The others are limits in seconds, 0 for none: of connecting, a statement, waiting for a lock, and a transaction that
    does nothing. The last one frees what a process has locked that was paused in the middle of a transaction.
    """

    pool_size: int = 8
    wait_seconds: float = 10.0
    connect_seconds: int = 5
    statement_seconds: float = 60.0
    lock_seconds: float = 10.0
    idle_seconds: float = 10.0

    @classmethod
    def of(cls, settings: Settings) -> StoreOptions:
        """The options from the settings."""
        return cls(
            pool_size=settings.database_pool_size,
            wait_seconds=settings.request_timeout_seconds,
            connect_seconds=settings.database_connect_timeout_seconds,
            statement_seconds=settings.database_statement_timeout_seconds,
            lock_seconds=settings.database_lock_timeout_seconds,
            idle_seconds=settings.database_idle_timeout_seconds,
        )


def postgresql_engines(url: URL, options: StoreOptions) -> tuple[Engine, Engine]:
    """The general engine, and that of the ledger, which has its own connection.

    Their connections raise StoreUnsuitable when the server is older than version 15, or the database is not in UTF-8.
    Parameters of the URL win.
    """
    arguments: dict[str, Any] = {
        "connect_timeout": options.connect_seconds,
        "application_name": f"modelwatch {platform.node()}:{os.getpid()}",
        "tcp_user_timeout": UNSENT_MILLISECONDS,
        **KEEPALIVE,
    }
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    common: dict[str, Any] = {
        "pool_timeout": options.wait_seconds,
        "max_overflow": 0,
        "connect_args": arguments,
        # Whatever the default of the server, the database or the role. Transactions that lock rows and then read them
        # would fail by each other in a stricter one; reads ask for theirs.
        "isolation_level": "READ COMMITTED",
        # An error is logged; what a statement was given may be personal.
        "hide_parameters": True,
    }
    readers = create_engine(url, pool_size=max(1, options.pool_size - 1), pool_pre_ping=True, **common)
    # Without a question before each commit whether the connection is still there: the ledger tries again anyway.
    ledger = create_engine(url, pool_size=1, **common)
    for engine in (readers, ledger):
        _limit(engine, options)
    return readers, ledger


def _limit(engine: Engine, options: StoreOptions) -> None:
    limits = {
        "statement_timeout": options.statement_seconds,
        "lock_timeout": options.lock_seconds,
        "idle_in_transaction_session_timeout": options.idle_seconds,
    }
    setting = "; ".join(f"SET {name} = {round(seconds * 1_000)}" for name, seconds in limits.items())

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        version = connection.info.server_version
        if version < OLDEST_VERSION * 10_000:
            raise StoreUnsuitable(
                f"The store's server is PostgreSQL {version // 10_000}; version {OLDEST_VERSION} or newer is needed."
            )
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise StoreUnsuitable(
                f"The database's encoding is {encoding}, which can't hold every text; UTF8 is needed:"
                " CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
            )
        # Not as a start-up parameter: poolers between here and the server refuse or ignore it.
        connection.execute(setting)
        connection.commit()
