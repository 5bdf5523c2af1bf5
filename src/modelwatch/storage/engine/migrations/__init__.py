"""The store's schema, version by version (Alembic)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from modelwatch.errors import StoreUnsuitable
from modelwatch.storage.engine.store import Store


def migrate(store: Store) -> str:
    """Brings the store's schema to the newest version and returns that version. Does nothing when it is there already.

    Processes that start together take turns: the first one migrates, the others find it done.
    Raises StoreUnsuitable when a newer modelwatch has migrated it, and StoreUnavailable.
    """
    newest = newest_version()
    if schema_version(store) == newest:
        return newest
    # Loaded for a store that is not up to date: most processes find one that is, and start sooner without.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    try:
        with store.write() as connection:
            store.be_patient(connection)
            store.exclusive(connection, "migrate")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return _version(connection) or ""
    except CommandError as error:
        raise StoreUnsuitable(
            f"The store was made by a newer modelwatch. {error} Start a modelwatch that fits, or restore a backup from"
            " before the upgrade."
        ) from error


def schema_version(store: Store) -> str | None:
    """The version that the store's schema has; None when it has no tables yet."""
    with store.read() as connection:
        return _version(connection)


def newest_version() -> str:
    """The schema version that this code works with: the number of the last file, as the versions form one line."""
    return max(file.name.partition("_")[0] for file in Path(__file__).parent.glob("versions/[0-9]*_*.py"))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
