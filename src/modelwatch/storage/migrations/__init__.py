"""The store's schema, version by version (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from modelwatch.errors import StoreUnsuitable
from modelwatch.storage.engine import Store


def migrate(store: Store) -> str:
    """Brings the store's schema to the newest version and returns that version. Does nothing when it is there already.

    Processes that start together take turns: the first one migrates, the others find it done.
    Raises StoreUnsuitable when a newer modelwatch has migrated it, and StoreUnavailable.
    """
    config = _config()
    newest = newest_version()
    if schema_version(store) == newest:
        return newest
    try:
        with store.write() as connection:
            store.be_patient(connection)
            store.exclusive(connection, "migrate")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return _version(connection) or ""
    except CommandError as error:
        raise StoreUnsuitable(f"The store was made by a newer modelwatch. {error}") from error


def schema_version(store: Store) -> str | None:
    """The version that the store's schema has; None when it has no tables yet."""
    with store.read() as connection:
        return _version(connection)


def newest_version() -> str:
    """The schema version that this code works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
