"""`modelwatch verify-verdict`: computes a verdict again from the evidence that was kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from modelwatch.cli.base import (
    EXIT_FOUND,
    EXIT_OK,
    EXIT_OTHER_RULES,
    AsJson,
    CliError,
    DatabaseUrl,
    connected,
    print_json,
    print_out,
    settings_with,
)

if TYPE_CHECKING:
    from modelwatch.config import Settings

EXIT_CODES = {
    "reproduced": EXIT_OK,
    "reproduced_up_to_rounding": EXIT_OK,
    "not_reproduced": EXIT_FOUND,
    "other_rules": EXIT_OTHER_RULES,
    "summary_only": EXIT_OK,
}


def verify_verdict(
    verdict: Annotated[str, typer.Argument(help="Id of the verdict.")],
    url: Annotated[
        str | None, typer.Option(help="Service that verifies it. Default: this process, with the store.")
    ] = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Recompute a verdict from its evidence. Exit code 1 when it was changed, 5 when newer rules differ."""
    if url is None:
        found = _verified_by_store(settings_with({"database_url": database_url}), verdict)
    else:
        with connected(url, patience=10.0) as service:
            found = service.get(f"/api/v1/verdicts/{quote(verdict, safe='')}/verification")
    if as_json:
        print_json(found)
    else:
        _show(found)
    raise typer.Exit(EXIT_CODES[found["outcome"]])


def _verified_by_store(settings: Settings, identity: str) -> Mapping[str, Any]:
    import msgspec

    from modelwatch.errors import UnknownResource
    from modelwatch.monitoring.verification import verify_verdict
    from modelwatch.server.startup import opened_store
    from modelwatch.storage.engine.migrations import newest_version, schema_version

    where = settings.safe_database_url
    if settings.database_url.startswith("sqlite") and not Path(settings.database_url.partition("///")[2]).is_file():
        raise CliError(
            f"There is no store {where}. Name it with --database-url or DATABASE_URL, or a service with --url."
        )
    with opened_store(settings) as store:
        schema = schema_version(store)
        if schema != newest_version():
            raise CliError(
                f"The store {where} has schema {schema or 'none'}; this release works with {newest_version()}."
            )
        try:
            return dict(msgspec.to_builtins(verify_verdict(store, identity)))
        except UnknownResource as error:
            raise CliError(error.detail) from error


def _show(found: Mapping[str, Any]) -> None:
    stream = f"{found['model_name']} {found['model_version']} in {found['environment']}"
    print_out(f"{stream}, windows that end at {found['window_end']}: {found['severity'].replace('_', ' ')}")
    print_out(
        f"  evidence   {found['counts']:,} counts and {found['references']} references, sha256 {found['inputs_hash']}"
    )
    if found["outcome"] == "summary_only":
        print_out("  a quiet evaluation, kept as a summary: there is no evidence to compute it from")
        if found["nearest_full"]:
            end = found["nearest_full_window_end"]
            print_out(f"  nearest full evidence: {found['nearest_full']}, windows that end at {end}")
        return
    if found["outcome"] == "reproduced":
        print_out("  reproduced bit by bit from the evidence")
    if found["outcome"] == "reproduced_up_to_rounding":
        print_out("  reproduced from the evidence up to rounding, as on another type of processor:")
        for difference in found["differences"]:
            print_out(f"    {difference}")
    if found["outcome"] == "other_rules":
        print_out(
            f"  evidence intact; it was made by version {found['rules_version']} of the rules, and this release has"
            " version"
            f" {found['current_rules_version']}, which comes to:"
        )
        for difference in found["differences"]:
            print_out(f"    {difference}")
    for problem in found["problems"]:
        print_out(f"  NOT REPRODUCED: {problem}")
    late = found["late_predictions"]
    if late:
        print_out(f"  {late:,} predictions arrived in its longest window since; the verdict does not include them")
