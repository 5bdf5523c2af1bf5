"""`modelwatch migrate`: brings the store's schema up to date."""

from __future__ import annotations

from modelwatch.cli.base import EXIT_OK, print_json, print_out, settings_with
from modelwatch.server.startup import migrate_store


def migrate(database_url: str | None, as_json: bool) -> int:
    """Migrates and prints the version. Does nothing when it is the newest already. Raises StartupError."""
    settings = settings_with({"database_url": database_url})
    version = migrate_store(settings)
    if as_json:
        print_json({"store": settings.safe_database_url, "schema_version": version})
    else:
        print_out(f"{settings.safe_database_url} has schema {version}, the newest.")
    return EXIT_OK
