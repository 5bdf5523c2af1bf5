"""`modelwatch serve`, `modelwatch migrate` and `modelwatch demo`: what starts a service here, or prepares its store."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from modelwatch.cli.base import (
    EXIT_FOUND,
    AsJson,
    CliError,
    DatabaseUrl,
    print_json,
    print_out,
    settings_with,
)
from modelwatch.cli.server_packages import require_server


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [HOST]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.  [PORT]")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve requests.  [WORKERS]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for the data.  [DATA_DIR]")] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="The store. Put a password into [DATABASE_URL] instead, since other users can see options."),
    ] = None,
    debug: Annotated[bool | None, typer.Option("--debug/--no-debug", help="Verbose logging.  [DEBUG]")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.  [LOG_FORMAT]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --log-format json.")] = False,
) -> None:
    """Start the service.

    Every option is a setting, named beside it; docs/settings.md has them all.
    """
    # Nothing of what is loaded now is garbage, and to look for it takes a tenth of the time; it is on again in `serve`.
    gc.disable()
    from modelwatch.server.serving import serve

    overrides = {
        "host": host,
        "port": port,
        "workers": workers,
        "data_dir": None if data_dir is None else str(data_dir),
        "database_url": database_url,
        "debug": debug,
        "log_format": "json" if as_json else log_format,
    }
    if not serve(settings_with(overrides), overrides, print_out):
        raise typer.Exit(EXIT_FOUND)


def migrate(database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Bring the store's schema up to date. The service does it by itself when it starts."""
    from modelwatch.server.startup import migrate_store

    settings = settings_with({"database_url": database_url})
    version = migrate_store(settings)
    if as_json:
        print_json({"store": settings.safe_database_url, "schema_version": version})
    else:
        print_out(f"{settings.safe_database_url} has schema {version}, the newest.")


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the report; exit code 0 if it is as expected.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the data here. Default: a temporary folder, removed at the end.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to use; 0 takes a free one. Default: 8000, or a free one if that is taken.", min=0, max=65_535
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    as_json: AsJson = False,
) -> None:
    """Show how drift is found: a service with two days of traffic and a known shift, and a report of what it found."""
    from modelwatch.cli.client import ServiceClient
    from modelwatch.demo import DemoFailed, run_demo

    # Its service is another process, which would say so only in its log.
    require_server()

    try:
        code = run_demo(
            ServiceClient, once=once, data_dir=data_dir, host=host, port=port, as_json=as_json, write=print_out
        )
    except DemoFailed as error:
        raise CliError(str(error), EXIT_FOUND) from error
    raise typer.Exit(code)
