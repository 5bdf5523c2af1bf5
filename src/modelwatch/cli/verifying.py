"""`modelwatch verify-verdict`: computes a verdict again from the evidence that was kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from modelwatch.cli.ending import FOUND, OK, OTHER_RULES, UNREACHABLE, Stop
from modelwatch.cli.output import give_json, say
from modelwatch.cli.service import Service
from modelwatch.cli.serving import settings_with

if TYPE_CHECKING:
    from modelwatch.config import Settings

EXIT_CODES = {"reproduced": OK, "not_reproduced": FOUND, "other_rules": OTHER_RULES}


def verify(identity: str, url: str | None, database_url: str | None, as_json: bool) -> int:
    """Prints what came out and returns the exit code: 0 when it is the same to the bit, 5 when rules of another version
    made it and those of now come to something else, else 1.

    url: a service that does it; None: this process does it, with the store of the settings. Raises Stop.
    """
    found = (
        _by_service(url, identity)
        if url is not None
        else _by_store(settings_with({"database_url": database_url}), identity)
    )
    if as_json:
        give_json(found)
    else:
        _show(found)
    return EXIT_CODES[found["outcome"]]


def _by_service(url: str, identity: str) -> Mapping[str, Any]:
    with Service(url, patience=10.0) as service:
        service.check_reachable()
        found: Mapping[str, Any] = service.get(f"/api/v1/verdicts/{quote(identity, safe='')}/verification")
        return found


def _by_store(settings: Settings, identity: str) -> Mapping[str, Any]:
    import msgspec
    from sqlalchemy.exc import DBAPIError

    from modelwatch.errors import StoreUnavailable, UnknownResource
    from modelwatch.monitoring.verification import verify_verdict
    from modelwatch.storage.engine.migrations import newest_version, schema_version
    from modelwatch.storage.engine.store import Store

    where = settings.safe_database_url
    if settings.database_url.startswith("sqlite") and not Path(settings.database_url.partition("///")[2]).is_file():
        raise Stop(f"There is no store {where}. Name it with --database-url or DATABASE_URL, or a service with --url.")
    store = Store(settings.database_url)
    try:
        schema = schema_version(store)
        if schema != newest_version():
            raise Stop(f"The store {where} has schema {schema or 'none'}; this release works with {newest_version()}.")
        return dict(msgspec.to_builtins(verify_verdict(store, identity)))
    except UnknownResource as error:
        raise Stop(error.detail) from error
    except StoreUnavailable as error:
        raise Stop(f"The store {where} can't be used. {error.detail}", UNREACHABLE) from error
    except DBAPIError as error:
        raise Stop(f"The store {where} can't be used: {error.orig}.") from error
    finally:
        store.close()


def _show(found: Mapping[str, Any]) -> None:
    stream = f"{found['model_name']} {found['model_version']} in {found['environment']}"
    say(f"{stream}, windows that end at {found['window_end']}: {found['severity'].replace('_', ' ')}")
    say(f"  evidence   {found['counts']:,} counts and {found['references']} references, sha256 {found['inputs_hash']}")
    if found["reproduced"]:
        say("  reproduced to the bit from the evidence")
    if found["outcome"] == "other_rules":
        say(
            f"  evidence intact; made by version {found['rules_version']} of the rules, and this release has version"
            f" {found['current_rules_version']}, which comes to:"
        )
        for difference in found["differences"]:
            say(f"    {difference}")
    for problem in found["problems"]:
        say(f"  NOT REPRODUCED: {problem}")
    late = found["late_predictions"]
    if late:
        say(f"  {late:,} predictions have come into its longest window since; it stands on what was there")
