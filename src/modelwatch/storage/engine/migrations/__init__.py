"""The store's schema, version by version (Alembic)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select
from sqlalchemy.exc import ProgrammingError

from modelwatch.errors import StoreUnsuitable
from modelwatch.storage.engine import tables
from modelwatch.storage.engine.store import Store

# As Alembic makes it.
_VERSIONS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
# PostgreSQL's code of the error.
DUPLICATE_TABLE = "42P07"


def migrate(store: Store) -> str:
    """Brings the store's schema to the newest version and returns that version. Does nothing when it is there already.

    An empty store gets the newest tables at once, without the steps that led to them.
    Processes that start together take turns: the first one migrates, the others find it done.
    Raises StoreUnsuitable when a newer modelwatch has migrated it, and StoreUnavailable.
    """
    newest = newest_version()
    if schema_version(store) == newest:
        return newest
    with store.write() as connection:
        store.be_patient(connection)
        store.exclusive(connection, "migrate")
        if inspect(connection).get_table_names():
            return upgrade(connection)
        tables.metadata.create_all(connection, checkfirst=False)
        _VERSIONS.create(connection)
        connection.execute(insert(_VERSIONS), {"version_num": newest})
        return newest


def upgrade(connection: Connection) -> str:
    """Brings the schema from any version, or from none, to the newest one, step by step, and returns that version.

    Raises StoreUnsuitable when it is newer than this code, or when it has tables of a newer one.
    """
    # Loaded for a store that is not up to date: most processes find one that is, and start sooner without.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    before = _version(connection)
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise StoreUnsuitable(
            f"The store was made by a newer modelwatch. {error} Start a modelwatch that fits, or restore a backup from"
            " before the upgrade."
        ) from error
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != DUPLICATE_TABLE:
            raise
        why = (
            "Its tables are of another program; modelwatch needs a database of its own."
            if before is None
            else f"It has tables that are newer than its schema, {before}: a backup was restored over a newer store."
            " Restore it into an empty database (docs/postgresql.md)."
        )
        raise StoreUnsuitable(f"{str(error.orig).capitalize()}. {why}") from error
    return _version(connection) or ""


def schema_version(store: Store) -> str | None:
    """The version that the store's schema has; None when it has no tables yet."""
    with store.read() as connection:
        return _version(connection)


def newest_version() -> str:
    """The schema version that this code works with: the number of the last file, as the versions form one line."""
    return max(file.name.partition("_")[0] for file in Path(__file__).parent.glob("versions/[0-9]*_*.py"))


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSIONS.name):
        return None
    return connection.execute(select(_VERSIONS.c.version_num)).scalar_one_or_none()
