"""`modelwatch migrate`: brings the store's schema up to date."""

from __future__ import annotations

from modelwatch.cli.ending import OK
from modelwatch.cli.output import give_json, say
from modelwatch.cli.serving import migrated, settings_with


def migrate(database_url: str | None, as_json: bool) -> int:
    """Migrates and prints the version. Does nothing when it is the newest already. Raises Stop."""
    settings = settings_with({"database_url": database_url})
    version = migrated(settings)
    if as_json:
        give_json({"store": settings.safe_database_url, "schema_version": version})
    else:
        say(f"{settings.safe_database_url} has schema {version}, the newest.")
    return OK
